"""How fast text becomes tokens: each analyzer's two paths, beside bm25s's tokenizer.

CPU seconds of one process, the best of several rounds with all programs taking turns, because other work on the
machine slows each of them alike. bm25s runs as it ships (`\\w\\w+`, its English stop words, PyStemmer `english`).

    python -m benchmarks.text_analysis --docs 100000 --rounds 3
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import header
from benchmarks.synthetic import Synthetic
from sleuth.text.analyzer import get_analyzer


def programs(analyzers: Sequence[str]) -> dict[str, Callable[[list[str]], object]]:
    """Name -> what is timed."""
    found: dict[str, Callable[[list[str]], object]] = {}
    paths = {"pure": False} | ({"bytes": True} if importlib.util.find_spec("numba") else {})
    for name in analyzers:
        for path, fast in paths.items():
            encode = get_analyzer(name).encode
            found[f"{name}, {path}"] = lambda texts, encode=encode, fast=fast: encode(texts, fast=fast)
    if importlib.util.find_spec("bm25s"):
        found["bm25s.tokenize"] = bm25s_tokens
    return found


def bm25s_tokens(texts: list[str]) -> object:
    """bm25s's own analysis."""
    import bm25s
    import Stemmer

    return bm25s.tokenize(texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--analyzers", default="en,word,code,auto", help="names, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(argv)

    texts = list(Synthetic(arguments.seed).docs(arguments.docs))
    timed = programs(arguments.analyzers.split(","))
    for run in timed.values():
        run(texts[:100])  # loads and compiles
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(arguments.rounds):
        for name, run in timed.items():
            start = time.process_time()
            run(texts)
            seconds[name].append(time.process_time() - start)

    best = {name: min(rounds) for name, rounds in seconds.items()}
    megabytes = sum(map(len, texts)) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform != "darwin" else 1e9)
    if arguments.json:
        facts = {"docs": arguments.docs, "megabytes": megabytes, "peak_gb": peak, "python": platform.python_version()}
        print(json.dumps({"schema": "sleuth.benchmark.text/1", **facts, "cpu_s": seconds}))
        return
    peer = best.get("bm25s.tokenize")
    lines = [*header(f"python -m benchmarks.text_analysis --docs {arguments.docs} --rounds {arguments.rounds}"), ""]
    lines += [
        f"{arguments.docs:,} documents, {megabytes:.0f} MB; best of {arguments.rounds} rounds, processor time; peak {peak:.2f} GB.",
        "",
    ]
    lines += ["| analyzer, path | s | MB/s | against bm25s's tokenizer |", "|---|---|---|---|"]
    for name, time_s in best.items():
        ratio = f"{peer / time_s:.2f}×" if peer else ""
        lines.append(f"| {name} | {time_s:.2f} | {megabytes / time_s:.1f} | {ratio} |")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
