"""nDCG@10 of every first stage on the shared collections, beside the values known for them.

    python -m benchmarks.collections_quality --data DATA --cache /tmp/vectors

Rows: BM25 as published baselines have it (`word`, .9/.4, tf), with Lucene's analyzer (`en`), BM25 as
Sleuth ships it, MiniLM, reciprocal rank fusion, z-scores at .3, and the default hybrid. A value outside
its tolerance is marked. `openstax` is evaluated on 1,000 of its queries (a fixed sample) for all rows but
the first two, as the known values were. Vectors are kept in --cache, so a second run takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import header
from sleuth.data.readers import read_corpus, read_qrels, read_queries
from sleuth.front import build_index, locate_minilm, make_retriever
from sleuth.fusion.smoothed import Smoothed
from sleuth.measures.evaluation import evaluate
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.lexical import Lexical
from sleuth.types import Qrels, Query

SPLITS = {
    "leetcode_similar_train": "train",
    "theoremqa": "test",
    "openstax": "test",
    "scifact": "train",
    "cosqa": "dev",
    "cranfield": "test",
    "cacm": "test",
    "vaswani_npl": "test",
    "noveleval": "test",
}
SMALL = {"noveleval", "cacm"}
"""Few queries: the tolerance of the hybrid rows is .01 there, .005 elsewhere."""

# The known values: analyzers' baselines over all queries, then the rows over the sample.
WORD = dict(zip(SPLITS, (0.3815, 0.4699, 0.3661, 0.6964, 0.3167, 0.3575, 0.4594, 0.4378, 0.6883), strict=True))
EN = dict(zip(SPLITS, (0.398, 0.484, 0.373, 0.697, 0.301, 0.358, 0.474, 0.438, 0.690), strict=True))
DEFAULT = dict(zip(SPLITS, (0.4198, 0.5234, 0.3840, 0.6999, 0.3846, 0.3743, 0.4499, 0.4352, 0.6907), strict=True))
MINILM = dict(zip(SPLITS, (0.4265, 0.6532, 0.4117, 0.6598, 0.6037, 0.3949, 0.4101, 0.4350, 0.7304), strict=True))
RRF = dict(zip(SPLITS, (0.4533, 0.6245, 0.4388, 0.7202, 0.5292, 0.4283, 0.5355, 0.4891, 0.7503), strict=True))
Z3 = dict(zip(SPLITS, (0.4646, 0.6643, 0.4463, 0.7311, 0.5877, 0.4292, 0.5242, 0.4971, 0.7369), strict=True))
RECIPE = dict(zip(SPLITS, (0.4650, 0.6624, 0.4819, 0.7315, 0.5924, 0.4501, 0.5453, 0.5022, 0.7687), strict=True))


@dataclass
class Row:
    """One system on all collections: values found, values known, tolerance."""

    name: str
    known: dict[str, float]
    tolerance: float
    found: dict[str, float]

    def allowed(self, name: str) -> float:
        return 0.01 if self.tolerance == 0.005 and name in SMALL else self.tolerance

    def cell(self, name: str) -> str:
        value = self.found.get(name)
        if value is None:
            return "–"
        known = self.known.get(name)
        mark = "" if known is None or abs(value - known) <= self.allowed(name) else " ✗"
        return f"{value:.4f}{mark}" if known is None else f"{value:.4f} ({value - known:+.4f}){mark}"


def load(folder: Path, split: str) -> tuple[list[Query], Qrels]:
    """Labelled queries of a collection, in file order."""
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
    return [query for query in read_queries(folder / "queries.jsonl") if query.query_id in qrels], qrels


def sample(name: str, queries: list[Query]) -> list[Query]:
    """The fixed 1,000 of openstax; all of the others."""
    if name != "openstax":
        return queries
    return [queries[at] for at in sorted(np.random.default_rng(0).choice(len(queries), 1000, replace=False))]


def score(retriever: object, queries: list[Query], qrels: Qrels) -> tuple[float, float]:
    """nDCG@10 and R@100."""
    run = retriever.retrieve(queries, depth=100).run  # type: ignore[attr-defined]
    judged = Qrels({query.query_id: qrels[query.query_id] for query in queries})
    means = evaluate(judged, {"run": run}, ["nDCG@10", "R@100"]).means["run"]
    return means["nDCG@10"], means["R@100"]


def measure(name: str, data: Path, cache: Path, rows: list[Row], recall: dict[str, float], dense: bool) -> None:
    folder = data / name
    queries, qrels = load(folder, SPLITS[name])
    few = sample(name, queries)
    with tempfile.TemporaryDirectory() as scratch:
        for row, analyzer in ((rows[0], "word"), (rows[1], "en")):
            index = build_index(read_corpus(folder), Path(scratch) / analyzer, analyzer=analyzer, k1=0.9, b=0.4)
            row.found[name] = score(Lexical(index, query_weighting="tf"), queries, qrels)[0]
    start = time.perf_counter()
    index = build_index(read_corpus(folder), cache / f"{name}.index", dense="minilm" if dense else None)
    sys.stderr.write(f"{name}: indexed in {time.perf_counter() - start:.0f} s\n")
    rows[2].found[name] = score(make_retriever(index, "bm25"), few, qrels)[0]
    if not dense:
        return
    members = (make_retriever(index, "bm25"), make_retriever(index, "dense"))
    systems = (
        members[1],
        Hybrid(*members, fusion="rrf"),
        Hybrid(*members, fusion=Smoothed(weight=0.3, smoothing=False, feedback=False)),
        Hybrid(*members, fusion=Smoothed(weight=0.3)),
    )
    for row, system in zip(rows[3:], systems, strict=True):
        row.found[name], recall[f"{row.name}/{name}"] = score(system, few, qrels)


def table(rows: list[Row], names: list[str]) -> list[str]:
    lines = ["| system | " + " | ".join(names) + " | mean | known |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        found = [row.found[name] for name in names if name in row.found]
        if not found:
            continue
        known = np.mean([row.known[name] for name in names])
        lines.append(
            f"| {row.name} | " + " | ".join(map(row.cell, names)) + f" | **{np.mean(found):.4f}** | {known:.4f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "sleuth-collections")
    parser.add_argument("--only", nargs="*", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--no-dense", action="store_true")
    parser.add_argument("--output", type=Path, help="write the table here too")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    rows = [
        Row("BM25 `word` .9/.4 tf", WORD, 0.002, {}),
        Row("BM25 `en` .9/.4 tf", EN, 0.005, {}),
        Row("BM25 default", DEFAULT, 0.005, {}),
        Row("MiniLM", MINILM, 0.005, {}),
        Row("RRF 60", RRF, 0.005, {}),
        Row("z-scores .3", Z3, 0.005, {}),
        Row("default hybrid", RECIPE, 0.005, {}),
    ]
    recall: dict[str, float] = {}
    if not options.no_dense:
        locate_minilm()
    for name in options.only:
        measure(name, options.data, options.cache, rows, recall, not options.no_dense)
    korean: list[str] = []
    if (options.data / "korquad1").exists():
        queries, qrels = load(options.data / "korquad1", "test")
        with tempfile.TemporaryDirectory() as scratch:
            for analyzer in ("cjk", "auto", "word"):
                index = build_index(
                    read_corpus(options.data / "korquad1"), Path(scratch) / analyzer, analyzer=analyzer, k1=0.9, b=0.4
                )
                value = score(Lexical(index, query_weighting="tf"), queries, qrels)[0]
                korean.append(f"| BM25 `{analyzer}` .9/.4 tf | {value:.4f} |")
    lines = [*header("python -m benchmarks.collections_quality --data DATA"), "", *table(rows, options.only)]
    lines += ["", "nDCG@10 (difference from the known value); ✗ = outside its tolerance."]
    hybrids = [value for key, value in recall.items() if key.startswith("default hybrid")]
    if hybrids:
        lines.append(f"R@100 of the default hybrid, mean over collections: {np.mean(hybrids):.4f}.")
    lines += ["", "Korean (korquad1, 5,774 questions):", "", "| system | nDCG@10 |", "|---|---|", *korean]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
