"""Exact vector search: Sleuth in numpy and on torch, against numpy as one would write it and torch's topk.

    python -m benchmarks.dense_speed --vectors 200000
    python -m benchmarks.dense_speed --vectors 1000000 --repeats 5

Synthetic unit vectors of 384 dimensions around 2,000 subjects (48 latent directions plus noise), queries near some
of them; the best 10 and the best 100 of 128 queries at once, and of one query alone. The sides take turns. Recall is
against a float64 exhaustive search of the first 32 queries.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import header

Search = Callable[[np.ndarray, int], list[Any]]
TARGET = 1.5


def make(count: int, dim: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((48, dim)).astype(np.float32)
    subjects = rng.standard_normal((2000, 48)).astype(np.float32)
    vectors = np.empty((count, dim), np.float32)
    for begin in range(0, count, 50_000):
        n = min(50_000, count - begin)
        latent = subjects[rng.integers(0, len(subjects), n)] + 0.6 * rng.standard_normal((n, 48)).astype(np.float32)
        block = latent @ mix + rng.standard_normal((n, dim)).astype(np.float32)
        vectors[begin : begin + n] = block / np.linalg.norm(block, axis=1, keepdims=True)
    near = vectors[rng.integers(0, count, queries)] + 0.03 * rng.standard_normal((queries, dim)).astype(np.float32)
    return vectors, near / np.linalg.norm(near, axis=1, keepdims=True)


def sides(vectors: np.ndarray) -> dict[str, Search]:
    from sleuth.index.dense import DenseSearcher
    from sleuth.index.scan_torch import TorchScan

    searcher = DenseSearcher([vectors])
    scan = TorchScan([vectors])
    coarse = DenseSearcher([vectors], scan=scan)

    def own(query: np.ndarray, depth: int) -> list[Any]:
        return [rows[:depth] for rows, _ in searcher.search(query, depth=depth)]

    def with_torch(query: np.ndarray, depth: int) -> list[Any]:
        return [rows[:depth] for rows, _ in coarse.search(query, depth=depth)]

    def naive(query: np.ndarray, depth: int) -> list[Any]:
        scores = query @ vectors.T
        best = np.argpartition(scores, -depth, axis=1)[:, -depth:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        return list(np.take_along_axis(best, order, axis=1))

    def torch_topk(query: np.ndarray, depth: int) -> list[Any]:
        import torch

        return list(torch.topk(torch.from_numpy(query) @ torch.from_numpy(vectors).T, depth, dim=1).indices.numpy())

    return {
        "Sleuth, numpy float32": own,
        f"Sleuth, torch {scan.precision}": with_torch,
        "numpy: product, argpartition, argsort": naive,
        "torch: product, topk (float32)": torch_topk,
    }


def exhaustive(vectors: np.ndarray, queries: np.ndarray, depth: int) -> list[set[int]]:
    """The best rows in float64."""
    scores = np.empty((len(queries), len(vectors)))
    for begin in range(0, len(vectors), 50_000):
        scores[:, begin : begin + 50_000] = queries.astype(float) @ vectors[begin : begin + 50_000].astype(float).T
    return [set(np.argpartition(row, -depth)[-depth:].tolist()) for row in scores]


def measure(run: dict[str, Search], queries: np.ndarray, depth: int, repeats: int) -> dict[str, np.ndarray]:
    """Wall seconds of each side, taking turns, after one run each to warm up."""
    found: dict[str, list[float]] = {name: [] for name in run}
    for turn in range(repeats + 1):
        for name, search in run.items():
            begin = time.perf_counter()
            search(queries, depth)
            if turn:
                found[name].append(time.perf_counter() - begin)
    return {name: np.array(seconds) for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text = "\n".join(report(options)) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def report(options: argparse.Namespace) -> list[str]:
    vectors, queries = make(options.vectors, options.dim, 128)
    run = sides(vectors)
    command = f"python -m benchmarks.dense_speed --vectors {options.vectors} --dim {options.dim}"
    lines = [
        *header(f"{command} --repeats {options.repeats}"),
        "",
        f"{options.vectors:,} × {options.dim} float32, median of {options.repeats} alternating runs, all cores.",
        "",
        "| side | batch of 128, best 10: queries/s (worst … best) | best 100: queries/s | one query, best 10: ms "
        "| recall@10 | recall@100 |",
        "|---|---|---|---|---|---|",
    ]
    batch10 = measure(run, queries, 10, options.repeats)
    batch100 = measure(run, queries, 100, options.repeats)
    single = measure(run, queries[:1], 10, 3 * options.repeats)
    recalls = {
        depth: {
            name: np.mean(
                [
                    len(set(rows.tolist()) & want) / depth
                    for rows, want in zip(search(queries[:32], depth), truth, strict=True)
                ]
            )
            for name, search in run.items()
        }
        for depth in (10, 100)
        for truth in [exhaustive(vectors, queries[:32], depth)]
    }
    for name in run:
        rates = len(queries) / batch10[name]
        lines.append(
            f"| {name} | {np.median(rates):.0f} ({rates.min():.0f} … {rates.max():.0f}) "
            f"| {np.median(len(queries) / batch100[name]):.0f} | {1e3 * np.median(single[name]):.1f} "
            f"| {recalls[10][name]:.3f} | {recalls[100][name]:.3f} |"
        )
    own, torch_side, naive, _ = run
    gain = {name: float(np.median(batch10[name] / batch10[torch_side])) for name in (own, naive)}
    over = float(np.median(batch10[naive] / batch10[own]))
    return [
        *lines,
        "",
        f"In numpy, blocks and a bar are {over:.2f} × as fast as one product with argpartition. {torch_side} is "
        f"{gain[own]:.2f} × as fast as Sleuth in numpy (batch, best 10, median of neighbouring runs); target ≥ {TARGET}: "
        f"{'met' if gain[own] >= TARGET else 'missed'}.",
    ]


if __name__ == "__main__":
    main()
