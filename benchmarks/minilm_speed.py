"""all-MiniLM-L6-v2 in numpy against sentence-transformers (torch, float32), on the same cores.

    python -m benchmarks.minilm_speed

Texts are docstrings of the standard library, ragged as they are; "long" ones are four joined, a quarter as many. Both sides get the
same texts, cut at 256 tokens, tokenization included; they take turns in one process, a new process for each number
of threads. The peer runs with its own defaults (batches of 32, sorted by length). Vectors must agree to 1e-6.
Then, in new processes: from nothing to the vector of one query.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.machine import header

SIDES = ("sleuth", "sentence-transformers")
TARGET = 0.95

START = {
    "sleuth": (
        "from sleuth.models.encoder import open_encoder\n"
        "open_encoder('minilm').encode_queries(['Why does my child process hang when I wait for it?'])"
    ),
    "sentence-transformers": (
        "from sentence_transformers import SentenceTransformer\n"
        "from sleuth.models.minilm_files import find_minilm\n"
        "SentenceTransformer(str(find_minilm()), device='cpu').encode(['Why does my child process hang?'])"
    ),
}


def texts(kind: str, count: int) -> list[str]:
    from sleuth.data.pydocs.harvest_job import read_pydocs

    docs = [doc.full_text for doc in read_pydocs()]
    joined = 4 if kind == "long" else 1
    order = np.random.default_rng(0).permutation(len(docs))[: count * joined]
    return ["\n".join(docs[at] for at in part) for part in np.array_split(order, count)]


def measure(kind: str, count: int, threads: int, repeats: int) -> dict[str, object]:
    """Seconds of wall time and of processors for each side and repetition."""
    import torch
    from sentence_transformers import SentenceTransformer

    from sleuth.models.encoder import open_encoder
    from sleuth.models.minilm_files import find_minilm

    torch.set_num_threads(threads)
    own, peer = open_encoder("minilm"), SentenceTransformer(str(find_minilm()), device="cpu")
    some = texts(kind, count)
    sides: dict[str, Callable[[], np.ndarray]] = {
        "sleuth": lambda: own.encode_docs(some).vectors,
        "sentence-transformers": lambda: peer.encode(some),
    }
    made = {name: run() for name, run in sides.items()}  # also warms both up
    worst = float(np.abs(made["sleuth"] - made["sentence-transformers"]).max())
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    tokens = own.encode_docs(some).n_tokens
    return {
        "found": found,
        "difference": worst,
        "workers": own.workers,
        "tokens": [float(np.minimum(tokens, 256).mean()), int(tokens.min()), int(tokens.max())],
    }


def start_up(side: str, threads: int) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", START[side]], check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


def count_of(kind: str, options: argparse.Namespace) -> int:
    """How many texts, for about the same work."""
    return int(options.texts // (4 if kind == "long" else 1))


def child(kind: str, threads: int, options: argparse.Namespace) -> dict[str, object]:
    """`measure` in a new process with this many threads for BLAS and torch."""
    arguments = [kind, str(count_of(kind, options)), str(threads), str(options.repeats)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.minilm_speed", "--measure", *arguments]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return dict(json.loads(answer.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, count, threads, repeats = options.measure
        sys.stdout.write("\n" + json.dumps(measure(kind, int(count), int(threads), int(repeats))))
        return
    text = "\n".join(report(options)) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def report(options: argparse.Namespace) -> list[str]:
    cores = os.cpu_count() or 1
    lines = [
        *header(f"python -m benchmarks.minilm_speed --texts {options.texts} --repeats {options.repeats}"),
        "",
        f"{options.texts} short or {options.texts // 4} long texts, median of {options.repeats} alternating runs; the ratio is the median of the "
        "ratios of neighbouring runs. A shared machine: processor seconds are steadier than wall time.",
        "",
        "| texts | threads | side | texts/s (worst … best) | processor s | ratio, wall | ratio, processor |",
        "|---|---|---|---|---|---|---|",
    ]
    met, differences = [], []
    for kind in ("short", "long"):
        for threads in sorted({1, cores}):
            answer = child(kind, threads, options)
            mean, low, high = answer["tokens"]
            differences.append(answer["difference"])
            own, peer = (np.array(answer["found"][side]) for side in SIDES)
            wall, cpu = np.median(peer / own, axis=0)
            met.append(wall >= TARGET)
            for side, runs in zip(SIDES, (own, peer), strict=True):
                rates = count_of(kind, options) / runs[:, 0]
                what = f"{kind}: {mean:.0f} tokens ({low} to {high})" if side == SIDES[0] else ""
                ratios = f"**{wall:.2f}** | {cpu:.2f}" if side == SIDES[0] else " | "
                lines.append(
                    f"| {what} | {threads} | {side} | {np.median(rates):.1f} ({rates.min():.1f} … {rates.max():.1f}) "
                    f"| {np.median(runs[:, 1]):.1f} | {ratios} |"
                )
    starts = {side: statistics.median(start_up(side, cores) for _ in range(5)) for side in SIDES}
    return [
        *lines,
        "",
        f"Largest difference between the two sides' vectors: {max(differences):.1e}.  ",
        f"Target: at least {TARGET} × sentence-transformers' texts/s: {'met' if all(met) else 'missed'}.",
        "",
        "From a new process to the vector of one query (median of 5): "
        + ", ".join(f"{side} {seconds:.2f} s" for side, seconds in starts.items())
        + ".",
    ]


if __name__ == "__main__":
    main()
