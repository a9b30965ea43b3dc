"""Ordering given candidates: the reranking pools NovelEval and WikiQA, what needs no language model, and a recipe's judge.

    python -m benchmarks.rerank_pools --data DATA [--recipe R.toml]

Every query has its own labelled candidates; a system orders just those (`Retriever.score`). The first row is checked
against known values. With --recipe, a recipe's [[rerank]] stages order the first row's lists, for users who have a
model; published results of large ones on NovelEval are named below the table as targets, not as ours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import header
from sleuth.data.readers import read_corpus, read_qrels, read_queries
from sleuth.errors import ModelError
from sleuth.front import build_index, locate_minilm, make_retriever
from sleuth.index.handle import Index
from sleuth.measures.evaluation import evaluate
from sleuth.pipeline import Pipeline
from sleuth.recipe import Recipe, load_recipe
from sleuth.rerank.interpolate import Interpolate
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.imported import Imported
from sleuth.retrieve.lexical import Lexical
from sleuth.types import Qrels, Query, Ranking, Run

POOLS = (("noveleval", "test"), ("wikiqa_rerank", "train"), ("wikiqa_rerank", "dev"))
MEASURES = ("nDCG@1", "nDCG@5", "nDCG@10", "AP", "RR")
FIRST = "BM25 `word` .9/.4 tf"
KNOWN = {
    ("noveleval", "test"): (0.595, 0.596, 0.7052, 0.643, 0.770),
    ("wikiqa_rerank", "train"): (0.441, 0.612, 0.6691, 0.584, 0.597),
    ("wikiqa_rerank", "dev"): (0.500, 0.672, 0.7108, 0.642, 0.649),
}
"""Of the first row; idf from the whole collection."""
TOLERANCE = 0.002
PUBLISHED = (
    "Published on NovelEval (nDCG@10, RankGPT's paper, arXiv 2304.09542; its BM25 is another one, 55.77): "
    "monoT5-3B 84.62, GPT-4 listwise 90.45. They are targets for `--recipe` with such a model; none was run here."
)


def candidates(qrels: Qrels) -> Run:
    """Every query's labelled documents, in an order that says nothing about their labels (by id)."""
    return Run({query_id: Ranking(sorted(judged), [0.0] * len(judged)) for query_id, judged in qrels.items()})


def systems(folder: Path, queries: list[Query], pool: Run, scratch: Path, dense: bool) -> Iterator[tuple[str, Run]]:
    """(name, run) of each system that needs no language model."""
    word = build_index(read_corpus(folder), scratch / "word.index", analyzer="word", k1=0.9, b=0.4)
    yield FIRST, Lexical(word, query_weighting="tf").score(queries, pool)
    index = build_index(read_corpus(folder), scratch / "auto.index", dense="minilm" if dense else None)
    yield "BM25 default", make_retriever(index, "bm25").score(queries, pool)
    if dense:
        yield from with_vectors(index, queries, pool)


def with_vectors(index: Index, queries: list[Query], pool: Run) -> Iterator[tuple[str, Run]]:
    """The rows that need the offline encoder."""
    lexical, dense = make_retriever(index, "bm25"), make_retriever(index, "dense")
    bm25, cosine = lexical.score(queries, pool), dense.score(queries, pool)
    yield "MiniLM", cosine
    yield "RRF 60", Hybrid(lexical, dense, fusion="rrf").score(queries, pool)
    parts = {
        query_id: Ranking(
            ranking.doc_ids,
            ranking.scores,
            parts={"retrieve": [bm25[query_id].score_of()[i] for i in ranking.doc_ids], "judge": ranking.scores},
            scale=ranking.scale,
        )
        for query_id, ranking in cosine.items()
    }
    step = Interpolate(alpha=0.25, normalize="minmax")
    yield "MiniLM interpolated with BM25, .25 min-max", step.rerank(queries, Run(parts)).run
    yield "default hybrid", Hybrid(lexical, dense).score(queries, pool)


def judged(recipe: Recipe, queries: list[Query], first: Run, folder: Path) -> Run:
    """The recipe's stages over the first row's lists."""
    docs = {doc.doc_id: doc for doc in read_corpus(folder)}
    pipeline = Pipeline(retrieve=Imported(first, name="retrieve"), rerank=recipe.rerankers(), docs=docs)
    result = pipeline.run(queries, depth=max(map(len, first.values())))
    for name, amounts in result.cost.items():
        sys.stderr.write(f"{folder.name}, {name}: {amounts}\n")
    return result.run


def rows(found: dict[str, Run], qrels: Qrels, known: tuple[float, ...]) -> list[str]:
    """A table of one pool; values of the first row that are not the known ones are marked."""
    report = evaluate(qrels, found, MEASURES)
    lines = ["| system | " + " | ".join(MEASURES) + " |", "|---" + "|---" * len(MEASURES) + "|"]
    for name in found:
        values = [report.means[name][measure] for measure in report.names]
        off = [abs(value - wanted) > TOLERANCE for value, wanted in zip(values, known, strict=True)]
        cells = [f"{value:.4f}{' ✗' if name == FIRST and far else ''}" for value, far in zip(values, off, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def tables(data: Path, scratch: Path, recipe: Path | None, dense: bool) -> list[str]:
    """One table a pool; the splits of a collection share its indexes."""
    lines = []
    for name, split in POOLS:
        folder = data / name
        qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
        queries = [query for query in read_queries(folder / "queries.jsonl") if query.query_id in qrels]
        at = scratch / name
        at.mkdir(exist_ok=True)
        found = dict(systems(folder, queries, candidates(qrels), at, dense))
        if recipe is not None:
            found[recipe.stem] = judged(load_recipe(recipe), queries, found[FIRST], folder)
        pairs = sum(map(len, qrels.values()))
        lines += ["", f"## {name}, {split}: {len(queries):,} queries, {pairs:,} candidates", ""]
        lines += rows(found, qrels, KNOWN[name, split])
        sys.stderr.write("\n".join(lines[-10:]) + "\n")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--recipe", type=Path, help="judges of your own, over the first row's lists")
    parser.add_argument("--output", type=Path, help="write the tables here too")
    options = parser.parse_args()
    try:
        locate_minilm()
        dense = True
    except ModelError as error:
        sys.stderr.write(f"without vectors: {error}\n")
        dense = False
    lines = header("python -m benchmarks.rerank_pools --data DATA")
    with tempfile.TemporaryDirectory() as scratch:
        lines += tables(options.data, Path(scratch), options.recipe, dense)
    lines += ["", f"✗ = more than {TOLERANCE} from the known value of the first row.", "", PUBLISHED]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
