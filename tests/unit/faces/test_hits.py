"""Cut-off, duplicates, diversity, grouping, citations."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import UsageError
from sleuth.hits import (
    Citation,
    Hits,
    above,
    best_of_each,
    diverse,
    matching,
    text_vectors,
    without_near_duplicates,
)
from sleuth.types import Doc, Ranking

LONG = "the quick brown fox jumps over the lazy dog while the band plays on and nobody in the room looks up"
DOCS = {
    doc.doc_id: doc
    for doc in [
        Doc("a#0", LONG, "A", {"source": "a.md", "page": 3}),
        Doc(
            "a#1",
            "child processes and pipes",
            "A",
            {"source": "a.md", "heading": "Guide > Pipes", "start": 5, "end": 30},
        ),
        Doc("b#0", LONG + " again", "B", {"source": "b.md", "tags": ["x", "y"]}),
        Doc("c#0", "자식 프로세스가 멈춘다", "C"),
    ]
}
RANKING = Ranking(
    ["a#0", "b#0", "a#1", "c#0"], [4.0, 3.0, 2.0, 1.0], parts={"bm25": [9.0, 8.0, 7.0, np.nan]}, scale="bm25"
)


def test_filters() -> None:
    assert matching(RANKING, DOCS, source="a.md").doc_ids == ("a#0", "a#1")
    assert matching(RANKING, DOCS, page="3").doc_ids == ("a#0",)
    assert matching(RANKING, DOCS, source=["a.md", "b.md"], heading="Guide > Pipes").doc_ids == ("a#1",)
    assert matching(RANKING, DOCS, ranking="x").doc_ids == ()
    assert above(RANKING, 2.0).doc_ids == ("a#0", "b#0", "a#1")
    assert len(above(RANKING, 99.0)) == 0
    with pytest.raises(UsageError):
        above(RANKING, float("nan"))


def test_near_duplicates_of_a_better_passage_go() -> None:
    assert without_near_duplicates(RANKING, DOCS).doc_ids == ("a#0", "a#1", "c#0")
    assert without_near_duplicates(RANKING, DOCS, threshold=1.0).doc_ids == RANKING.doc_ids
    with pytest.raises(UsageError, match="threshold"):
        without_near_duplicates(RANKING, DOCS, threshold=0)


def test_short_and_empty_texts_must_be_equal() -> None:
    docs = {name: Doc(name, text) for name, text in {"a": "", "b": "", "c": "one two", "d": "one three"}.items()}
    ranking = Ranking(list(docs), [4, 3, 2, 1])
    assert without_near_duplicates(ranking, docs).doc_ids == ("a", "c", "d")


def test_best_of_each_group() -> None:
    assert best_of_each(RANKING, DOCS).doc_ids == ("a#0", "b#0", "c#0")
    assert best_of_each(RANKING, DOCS, "page").doc_ids == RANKING.doc_ids  # without the field: groups of their own


def test_mmr_at_one_keeps_the_order_and_lower_spreads_out() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0.2, 1], [0, 1]], dtype=np.float32)
    assert diverse(RANKING, vectors, trade_off=1.0, k=4).doc_ids == RANKING.doc_ids
    spread = diverse(RANKING, vectors, trade_off=0.5, k=2)
    assert spread.doc_ids == ("a#0", "a#1")
    assert spread.parts["before-mmr"].tolist() == [4.0, 2.0]
    assert spread.parts["bm25"].tolist() == [9.0, 7.0]
    assert spread.scale == "rank"
    with pytest.raises(UsageError, match="trade-off"):
        diverse(RANKING, vectors, trade_off=2, k=1)
    no_vectors = np.full((4, 2), np.nan, dtype=np.float32)
    assert diverse(RANKING, no_vectors, trade_off=0.5, k=4).doc_ids == RANKING.doc_ids


def test_text_vectors_are_unit_and_alike_for_like_texts() -> None:
    vectors = text_vectors([LONG, LONG + " again", "자식 프로세스", ""])
    assert np.linalg.norm(vectors[:3], axis=1) == pytest.approx([1, 1, 1])
    assert vectors[0] @ vectors[1] > 0.9
    assert vectors[0] @ vectors[2] == 0
    assert not vectors[3].any()


def test_citations() -> None:
    assert str(Citation.of(DOCS["a#1"])) == "a.md, Guide > Pipes, characters 5–30"
    assert str(Citation.of(DOCS["a#0"])) == "a.md, page 3"
    assert str(Citation.of(DOCS["c#0"])) == "c#0"


def test_hits_as_json_and_html() -> None:
    hits = Hits("<why>", RANKING, DOCS, explanations={"a#0": {"stage": "bm25", "score": 4.0}})
    payload = hits.to_json()
    assert payload["schema"] == "sleuth.search/1"
    assert [hit["rank"] for hit in payload["hits"]] == [1, 2, 3, 4]
    assert payload["hits"][0]["explanation"]["score"] == 4.0
    assert "explanation" not in payload["hits"][1]
    assert "<why>" not in hits._repr_html_()
    assert hits[0].parts["bm25"] == 9.0
    assert np.isnan(hits[3].parts["bm25"])
