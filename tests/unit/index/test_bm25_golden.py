"""BM25 against Lucene's and BRIGHT's scores (tests/golden/bm25), from tokens, by either engine's candidates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.index.bm25 import BM25, Postings
from sleuth.text.stream import stream_of

K1, B = 0.9, 0.4


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def scorer(docs: list[dict[str, Any]]) -> BM25:
    ids = [doc["id"] for doc in docs]
    rank = np.empty(len(ids), dtype=np.int32)
    rank[sorted(range(len(ids)), key=ids.__getitem__, reverse=True)] = np.arange(len(ids))
    postings = Postings.build(stream_of([doc["tokens"] for doc in docs]))
    return BM25([postings], live=[None], tie_ranks=[rank], k1=K1, b=B, engine="numpy")


def cases(golden: Path) -> Iterator[tuple[list[dict[str, Any]], list[str], str, dict[str, Any]]]:
    pack = golden / "bm25"
    docs, queries = lines(pack / "corpus.jsonl"), lines(pack / "queries.jsonl")
    for weighting in ("tf", "binary", "bm25"):
        expected = lines(pack / f"expected_{weighting}.jsonl")
        assert len(expected) == len(queries)
        for query, row in zip(queries, expected, strict=True):
            yield docs, query["tokens"], weighting, row
    for case in lines(pack / "small.jsonl"):
        for weighting in ("tf", "binary", "bm25"):
            for query, row in zip(case["queries"], case[weighting], strict=True):
                yield case["documents"], query["tokens"], weighting, row


def test_scores_are_the_reference_scores(golden: Path) -> None:
    seen = 0
    for docs, tokens, weighting, row in cases(golden):
        found, scores = scorer(docs).search([tokens], depth=len(docs), weighting=weighting)[0]
        got = {docs[i]["id"]: s for i, s in zip(found.tolist(), scores.tolist(), strict=True)}
        assert got.keys() == row["scores"].keys()
        for doc_id, score in row["scores"].items():
            assert got[doc_id] == pytest.approx(score, rel=1e-6)
        best_first = sorted(got, key=lambda d: (got[d], d), reverse=True)
        assert [docs[i]["id"] for i in found.tolist()] == best_first
        seen += len(got)
    assert seen > 1_000


def test_scores_are_the_engines_scores(golden: Path) -> None:
    """Lucene's own numbers on documents whose length it stores unrounded, and gensim's."""
    pack = golden / "bm25"
    docs, queries = lines(pack / "corpus.jsonl"), lines(pack / "queries.jsonl")
    place = {doc["id"]: i for i, doc in enumerate(docs)}
    ours = scorer(docs)
    for weighting, column in (("tf", "lucene_engine_scores"), ("bm25", "gensim_scores")):
        compared = 0
        for query, row in zip(queries, lines(pack / f"expected_{weighting}.jsonl"), strict=True):
            short = {d: s for d, s in row[column].items() if weighting == "bm25" or len(docs[place[d]]["tokens"]) < 40}
            positions = np.array([place[d] for d in short], dtype=np.int64)
            scores = ours.score(query["tokens"], positions, weighting=weighting)
            np.testing.assert_allclose(scores, list(short.values()), rtol=1e-5, atol=1e-6)
            compared += len(short)
        assert compared > 100


def test_statistics_of_empty_documents(golden: Path) -> None:
    case = next(c for c in lines(golden / "bm25" / "small.jsonl") if c["id"] == "empty_document")
    ours = scorer(case["documents"])
    assert (ours.statistics("tf").n_docs, ours.statistics("tf").avgdl) == (3, 7 / 3)
    assert (ours.statistics("bm25").n_docs, ours.statistics("bm25").avgdl) == (4, 7 / 4)
