"""Indexing from raw text, end to end, beside bm25s; each run in a process of its own.

    python -m benchmarks.index_speed --docs 1000000 --repeats 5

Three jobs over the same synthetic texts, run in turn: bm25s as shipped (its tokenizer with PyStemmer's English
stemmer, its index, its save), Sleuth's postings in memory (analyzer `en`, one process), and `sleuth index` with
documents, checksums and everything else on disk. Peak memory is the process's largest resident size, the corpus
file's reading included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from benchmarks.machine import header
from benchmarks.synthetic import Synthetic

JOBS = ("bm25s", "postings", "index")


def texts(path: Path) -> list[str]:
    with path.open("rb") as lines:
        return [orjson.loads(line)["text"] for line in lines]


def run_bm25s(corpus: Path, scratch: Path) -> dict[str, float]:
    import bm25s
    import Stemmer

    loaded = texts(corpus)
    start = time.perf_counter()
    tokens = bm25s.tokenize(loaded, stemmer=Stemmer.Stemmer("english"), show_progress=False)
    retriever = bm25s.BM25(backend="numba")
    retriever.index(tokens, show_progress=False)
    built = time.perf_counter()
    retriever.save(str(scratch / "bm25s"))
    return {"build": built - start, "all": time.perf_counter() - start}


def run_postings(corpus: Path, scratch: Path) -> dict[str, float]:
    from sleuth.index.bm25.postings import Postings
    from sleuth.text.analyzer import get_analyzer

    get_analyzer("en").encode(["warm the compiled code up " * 2000])
    loaded = texts(corpus)
    start = time.perf_counter()
    postings = Postings.build(get_analyzer("en").encode(loaded))
    taken = time.perf_counter() - start
    arrays = postings.arrays()
    size = sum(array.nbytes for name, array in arrays.items() if "term" not in name or "offset" in name)
    return {"build": taken, "all": taken, "postings": postings.n_postings, "bytes": size}


def run_index(corpus: Path, scratch: Path) -> dict[str, float]:
    from sleuth.front import index_corpus

    start = time.perf_counter()
    index_corpus(str(corpus), scratch / "sleuth.index", analyzer="en")
    taken = time.perf_counter() - start
    size = sum(path.stat().st_size for path in (scratch / "sleuth.index").rglob("*") if path.is_file())
    return {"build": taken, "all": taken, "bytes": size}


def child(job: str, corpus: Path) -> None:
    """One job; prints its times and peak memory as JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {"bm25s": run_bm25s, "postings": run_postings, "index": run_index}[job](corpus, Path(scratch))
    found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        child(options.job, options.corpus)
        return
    found: dict[str, list[dict[str, float]]] = {job: [] for job in JOBS}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus.jsonl"
        with corpus.open("wb") as out:
            for at, text in enumerate(Synthetic().docs(options.docs)):
                out.write(orjson.dumps({"_id": f"d{at}", "text": text}) + b"\n")
        megabytes = corpus.stat().st_size / 1e6
        for _ in range(options.repeats):
            for job in JOBS:
                command = [sys.executable, "-m", "benchmarks.index_speed", "--job", job, "--corpus", str(corpus)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[job].append(json.loads(done.stdout.splitlines()[-1]))
                sys.stderr.write(f"{job}: {found[job][-1]}\n")
    report(found, options, megabytes)


def report(found: dict[str, list[dict[str, float]]], options: argparse.Namespace, megabytes: float) -> None:
    def median(job: str, key: str) -> float:
        return statistics.median(one[key] for one in found[job])

    build, everything = median("bm25s", "build"), median("bm25s", "all")
    memory, disk = median("postings", "build"), median("index", "all")
    lines = [*header(f"python -m benchmarks.index_speed --docs {options.docs} --repeats {options.repeats}"), ""]
    lines += [
        f"{options.docs:,} documents, {megabytes:,.0f} MB of JSONL; median of {options.repeats} alternating runs, one process each.",
        "",
    ]
    lines += ["| job | seconds | against bm25s | target | peak memory |", "|---|---|---|---|---|"]
    lines.append(f"| bm25s tokenize + index | {build:.1f} | 1 | | |")
    lines.append(f"| bm25s tokenize + index + save | {everything:.1f} | 1 | | {median('bm25s', 'peak_gb'):.2f} GB |")
    lines.append(
        f"| Sleuth text to postings, `en` | {memory:.1f} | {build / memory:.2f}× | ≥ 4× | {median('postings', 'peak_gb'):.2f} GB |"
    )
    lines.append(
        f"| `sleuth index`, all on disk | {disk:.1f} | {everything / disk:.2f}× | ≥ 1.5× | {median('index', 'peak_gb'):.2f} GB (target < 3) |"
    )
    size, n = median("postings", "bytes"), median("postings", "postings")
    lines += [
        "",
        f"Postings, pointers and lengths: {size / 1e6:.1f} MB for {n:,.0f} postings, {size / n:.2f} bytes each (target ≤ 3.7).",
    ]
    lines.append(f"The whole index on disk, documents included: {median('index', 'bytes') / 1e6:,.0f} MB.")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
