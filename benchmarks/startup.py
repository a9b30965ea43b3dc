"""How long a user waits: import, help, and one search in a new process on 100,000 documents.

    python -m benchmarks.startup

The index holds synthetic documents of about 60 tokens. Its vectors are random unit vectors stored under
MiniLM's name, because only the time of a search matters here; the query is encoded by the real model.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import header
from benchmarks.synthetic import Synthetic
from sleuth.front import build_index
from sleuth.models.encoder import open_encoder
from sleuth.stages import Embeddings
from sleuth.types import Doc

TARGETS_S = {"import sleuth": 0.2, "sleuth --help": 0.3, "search, BM25": 1.0, "search, hybrid with MiniLM": 2.0}
QUESTION = "why does the second process wait for ever when the first one has already finished writing"


class RandomVectors:
    """Stands in for an encoder when the documents' vectors do not matter."""

    def __init__(self, like: object) -> None:
        self.name, self.identity, self.dim, self.max_tokens = like.name, like.identity, like.dim, like.max_tokens  # type: ignore[attr-defined]
        self._numbers = np.random.default_rng(0)

    def encode_docs(self, docs: Sequence[str], *, context: object = None) -> Embeddings:
        vectors = self._numbers.standard_normal((len(docs), self.dim), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(vectors, np.zeros(len(docs), np.int32), np.zeros(len(docs), np.bool_))

    encode_queries = encode_docs


def seconds(command: list[str], repeats: int) -> tuple[float, float]:
    """Median and worst wall time of a command; it must succeed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(
            command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "80"}
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times), max(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    python = [sys.executable, "-m", "sleuth"]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "synthetic.index"
        corpus = (Doc(f"d{at}", text) for at, text in enumerate(Synthetic().docs(options.docs)))
        build_index(corpus, path, dense=RandomVectors(open_encoder("minilm")))
        found = {
            "import sleuth": seconds([sys.executable, "-c", "import sleuth"], options.repeats),
            "sleuth --help": seconds([*python, "--help"], options.repeats),
            "search, BM25": seconds([*python, "search", str(path), QUESTION, "--method", "bm25"], options.repeats),
            "search, hybrid with MiniLM": seconds(
                [*python, "search", str(path), QUESTION, "--method", "hybrid"], options.repeats
            ),
        }
    lines = [*header(f"python -m benchmarks.startup --docs {options.docs} --repeats {options.repeats}"), ""]
    lines += [f"Wall time of a new process, {options.docs:,} documents in the index.", ""]
    lines += ["| what | median | worst | target | |", "|---|---|---|---|---|"]
    for name, (median, worst) in found.items():
        met = "met" if median < TARGETS_S[name] else "missed"
        lines.append(f"| {name} | {median:.2f} s | {worst:.2f} s | < {TARGETS_S[name]:g} s | {met} |")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
