"""BM25 beside bm25s (numba), in memory, one thread, on synthetic documents of about 60 tokens.

    python -m benchmarks.bm25_speed --docs 1000000 --repeats 5 --data DATA

Both sides get the same token ids and parameters (Lucene's formula, k1 1.2, b .75) and have their queries'
ids in hand. bm25s is measured as shipped, where a repeated query token is scored again each time, and with
deduplicated ids, which drops the repeats' weight but shows its kernel alone. Sleuth searches with `tf` weights, so
both sides' scores are the same. Sides alternate; a row is the median of the repeats, short queries by their
percentiles. Every top list is checked against a float64 reference first.

With --data (the folder of reference collections), long queries with the lengths and repeats of real ones are measured
too: of each query and rewrite of `bright_meta`, the counts of its distinct words are laid over words of the
synthetic vocabulary.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import header
from benchmarks.synthetic import STOP_WORDS, Synthetic
from sleuth.index.bm25 import BM25, Postings
from sleuth.text.stream import TokenStream

Query = list[int]
LONG, SHORT, REAL, DEPTH = 64, 200, 128, 100


def corpus(n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Token ids without stop words, and where each document begins."""
    ids, offsets = Synthetic().token_ids(n)
    keep = ids >= len(STOP_WORDS)
    before = np.concatenate([[0], np.cumsum(keep)])
    return (ids[keep] - len(STOP_WORDS)).astype(np.int32), before[offsets]


def queries_of(texts: list[str], number: dict[str, int]) -> list[Query]:
    """Word ids of queries, stop words left out."""
    return [[number[word] for word in re.findall(r"\w+", text.lower()) if word in number] for text in texts]


def real_profiles(data: Path) -> list[list[int]]:
    """Of BRIGHT's queries and rewrites: the counts of the distinct words of each, largest first."""
    from sleuth.text.analyzer import get_analyzer

    texts = []
    for path in sorted((data / "bright_meta" / "queries").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    for path in sorted((data / "bright_meta" / "rewrites").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += list(json.load(lines).values())
    tokens = get_analyzer("word").tokens
    profiles = [sorted(Counter(tokens(text)).values(), reverse=True) for text in texts]
    picked = np.random.default_rng(5).choice(len(profiles), REAL, replace=False)
    return [profiles[at] for at in sorted(picked.tolist())]


def laid_over(profiles: list[list[int]], ids: NDArray[np.int32]) -> list[Query]:
    """Queries with these counts: distinct words drawn as the corpus draws them, the commonest repeated most."""
    rng = np.random.default_rng(6)
    common = np.argsort(-np.bincount(ids), kind="stable")
    rank = np.empty_like(common)
    rank[common] = np.arange(len(common))
    found = []
    for counts in profiles:
        words = list(dict.fromkeys(ids[rng.integers(0, len(ids), 40 * len(counts) + 100)].tolist()))[: len(counts)]
        words.sort(key=rank.__getitem__)
        query = [word for word, count in zip(words, counts, strict=False) for _ in range(count)]
        found.append(rng.permutation(query).tolist())
    return found


class Peer:
    """bm25s with its numba backend on ids."""

    def __init__(self, ids: NDArray[np.int32], offsets: NDArray[np.int64], vocabulary: int) -> None:
        import bm25s

        flat = ids.tolist()
        ends = offsets.tolist()
        docs = [flat[a:b] for a, b in pairwise(ends)]
        self.bm25 = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend="numba")
        start = time.perf_counter()
        self.bm25.index(
            (docs, {str(at): at for at in range(vocabulary)}), show_progress=False, create_empty_token=False
        )
        self.build_s = time.perf_counter() - start

    def search(self, queries: list[Query], k: int) -> Any:
        return self.bm25.retrieve(queries, k=k, show_progress=False, n_threads=1)


class Ours:
    """Sleuth's engine on the same ids; terms are the ids as text, so queries are looked up as a user's are."""

    def __init__(self, postings: Postings, engine: Any) -> None:
        ranks = np.arange(postings.n_docs, dtype=np.int32)
        self.bm25 = BM25([postings], live=[None], tie_ranks=[ranks], k1=1.2, b=0.75, engine=engine)

    def search(self, queries: list[list[str]], k: int) -> Any:
        return self.bm25.search(queries, depth=k, weighting="tf")


def built(ids: NDArray[np.int32], offsets: NDArray[np.int64], vocabulary: int) -> tuple[Postings, float]:
    """Sleuth's postings and how long they took; the terms' strings are made before."""
    stream = TokenStream(ids, offsets, [str(at) for at in range(vocabulary)])
    start = time.perf_counter()
    return Postings.build(stream), time.perf_counter() - start


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios(slow: list[float], fast: list[float]) -> float:
    """Median of the runs' own ratios: neighbours in time share the machine's mood."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def check(ours: Ours, peer: Peer, queries: list[Query]) -> None:
    """Exactness: our lists against float64 scores computed from the postings one term after another."""
    for query in queries:
        terms = [str(word) for word in query]
        docs, scores = ours.search([terms], DEPTH)[0]
        reference = np.zeros(ours.bm25.bases[-1])
        everything = np.arange(len(reference))
        reference[:] = ours.bm25.score(terms, everything, weighting="tf")
        best = np.sort(reference)[::-1][: len(scores)]
        if not np.allclose(scores, best, rtol=1e-12) or not np.allclose(reference[docs], scores, rtol=1e-12):
            raise SystemExit("a list is not the exact best: the figures below would mean nothing")
        theirs = np.asarray(peer.search([query], DEPTH).scores[0], dtype=np.float64)
        if not np.allclose(np.sort(theirs)[::-1][: len(best)], best[: len(theirs)], rtol=1e-4):
            raise SystemExit("bm25s and Sleuth score different things: the figures below would mean nothing")


def batch_row(name: str, peer: Peer, ours: Ours, queries: list[Query], repeats: int, targets: str) -> str:
    """One batch: milliseconds a query on three sides, and both ratios."""
    unique = [sorted(set(query)) for query in queries]
    strings = [[str(word) for word in query] for query in queries]
    peer.search(queries[:2], DEPTH)
    ours.search(strings, DEPTH)
    few = max(8, len(queries) // 4)  # the slow sides see a quarter of the batch; they work query by query
    shipped, deduplicated, own = [], [], []
    for _ in range(repeats):
        shipped.append(timed(lambda: peer.search(queries[:few], DEPTH)) / few)
        own.append(timed(lambda: ours.search(strings, DEPTH)) / len(queries))
        deduplicated.append(timed(lambda: peer.search(unique[:few], DEPTH)) / few)
    cells = [f"{1e3 * statistics.median(times):.2f}" for times in (shipped, deduplicated, own)]
    return (
        f"| {name} | {' | '.join(cells)} | {ratios(shipped, own):.2f}× | {ratios(deduplicated, own):.2f}× | {targets} |"
    )


def single_row(peer: Peer, ours: Ours, queries: list[Query], repeats: int) -> str:
    """Long queries one at a time."""
    strings = [[[str(word) for word in query]] for query in queries]
    unique = [[sorted(set(query))] for query in queries]
    shipped, deduplicated, own = [], [], []
    for _ in range(repeats):
        shipped.append(timed(lambda: [peer.search([query], DEPTH) for query in queries]) / len(queries))
        own.append(timed(lambda: [ours.search(query, DEPTH) for query in strings]) / len(queries))
        deduplicated.append(timed(lambda: [peer.search(query, DEPTH) for query in unique]) / len(queries))
    cells = [f"{1e3 * statistics.median(times):.2f}" for times in (shipped, deduplicated, own)]
    return (
        f"| one long query at a time, numba | {' | '.join(cells)} | {ratios(shipped, own):.2f}× | "
        f"{ratios(deduplicated, own):.2f}× | ≥ 6× and ≥ 2× |"
    )


def short_rows(peer: Peer, ours: Ours, queries: list[Query], repeats: int) -> list[str]:
    """Short queries one at a time: each query's median over the repeats, then percentiles over the queries."""
    rows = []
    for k, target in ((10, "p50 ≥ 5× (goal 8×), p95 not worse"), (100, "p50 ≥ 4×, p95 not worse")):
        times = np.zeros((2, repeats, len(queries)))
        for repeat in range(repeats):
            for at, query in enumerate(queries):
                strings = [[str(word) for word in query]]
                times[0, repeat, at] = timed(lambda: peer.search([query], k))  # noqa: B023 (called at once)
                times[1, repeat, at] = timed(lambda: ours.search(strings, k))  # noqa: B023
        theirs, own = np.median(times, axis=1) * 1e3
        p50, p95 = (np.percentile(theirs, at) / np.percentile(own, at) for at in (50, 95))
        shown = " | ".join(f"{np.percentile(side, 50):.3f} / {np.percentile(side, 95):.3f}" for side in (theirs, own))
        rows.append(f"| 8 tokens, k = {k} | {shown} | {p50:.2f}× | {p95:.2f}× | {target} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of the reference collections, for real queries' profiles")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    ids, offsets = corpus(options.docs)
    synthetic = Synthetic()
    vocabulary = len(synthetic.words) - len(STOP_WORDS)
    number = {word: at for at, word in enumerate(synthetic.words[len(STOP_WORDS) :])}
    long, short = queries_of(synthetic.queries_long(LONG), number), queries_of(synthetic.queries_short(SHORT), number)
    built(ids[: offsets[1000]], offsets[:1001], vocabulary)  # compile what is compiled
    builds = [built(ids, offsets, vocabulary) for _ in range(options.repeats)]
    postings, build_s = builds[0][0], statistics.median(seconds for _, seconds in builds)
    peer = Peer(ids, offsets, vocabulary)
    numba, plain = Ours(postings, "numba"), Ours(postings, "numpy")
    check(numba, peer, long[:3] + short[:10])
    check(plain, peer, long[:2] + short[:5])
    lines = [
        *header(f"python -m benchmarks.bm25_speed --docs {options.docs} --repeats {options.repeats} --data DATA"),
        "",
    ]
    lines += [
        f"{options.docs:,} documents, {postings.n_postings:,} postings, top {DEPTH}, one thread; milliseconds a query.",
        "",
    ]
    lines += [
        "| long queries | bm25s as shipped | bm25s deduplicated | Sleuth | ratio | ratio, deduplicated | target |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    mean = np.mean([len(query) for query in long])
    lines.append(
        batch_row(
            f"batch of {LONG}, {mean:.0f} tokens, numba",
            peer,
            numba,
            long,
            options.repeats,
            "≥ 6× (goal 8×) and ≥ 2.5×",
        )
    )
    if options.data:
        real = laid_over(real_profiles(options.data), ids)
        tokens = np.mean([len(query) for query in real])
        repeat = np.mean([len(query) / len(set(query)) for query in real])
        name = f"batch of {REAL} with real profiles ({tokens:.0f} tokens, {repeat:.2f} uses a word), numba"
        lines.append(batch_row(name, peer, numba, real, options.repeats, "≥ 3.5× shipped"))
    lines.append(single_row(peer, numba, long[:16], options.repeats))
    lines.append(batch_row(f"batch of {LONG}, without numba", peer, plain, long, options.repeats, "≥ 1× (goal 2×)"))
    lines += [
        "",
        "| short queries, one at a time | bm25s p50 / p95 | Sleuth p50 / p95 | ratio p50 | ratio p95 | target |",
    ]
    lines += ["|---|---|---|---|---|---|", *short_rows(peer, numba, short, options.repeats)]
    size = sum(array.nbytes for name, array in postings.arrays().items() if not name.startswith("term"))
    lines += [
        "",
        f"Build from token ids: Sleuth {build_s:.2f} s, bm25s {peer.build_s:.1f} s (once), {peer.build_s / build_s:.1f}× (target ≥ 10×).",
    ]
    lines.append(
        f"Size: {size / 1e6:.1f} MB without the terms' text, {size / postings.n_postings:.2f} bytes a posting "
        "(postings, pointers, lengths; target ≤ 3.7)."
    )
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
