"""Doc, Query, Ranking, Run, Qrels."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleuth.errors import ShapeError, UsageError
from sleuth.types import Doc, Qrels, Query, Ranking, Run, tie_order


def test_full_text_is_stripped() -> None:
    assert Doc("a", "body", "Title").full_text == "Title body"
    assert Doc("a", "body").full_text == "body"
    assert Doc("a", "", "").full_text == ""


def test_views_of_a_query() -> None:
    plain = Query("q", "why")
    assert plain.views("rewrite") == ("why",)
    rewritten = Query("q", "why", rewrites=("because", "so"))
    assert rewritten.views("text") == ("why",)
    assert rewritten.views("rewrite") == ("because", "so")
    assert rewritten.views("text+rewrite", separator=" ", text_repeat=2) == ("why why because", "why why so")
    with pytest.raises(UsageError, match="query_view"):
        plain.views("both")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="text_repeat"):
        plain.views("text+rewrite", text_repeat=0)


def test_ties_break_by_descending_id_or_prior_rank() -> None:
    ids, scores = ["a", "z", "m"], np.array([1.0, 1.0, 2.0])
    assert [ids[i] for i in tie_order(ids, scores)] == ["m", "z", "a"]
    assert [ids[i] for i in tie_order(ids, scores, prior=["a", "m", "z"])] == ["m", "a", "z"]
    assert [ids[i] for i in tie_order(ids, scores, prior=["a"])] == ["m", "a", "z"]


def test_id_order_is_byte_order() -> None:
    ids = ["b", "é", "가", "\U0001f600", "B"]
    expected = sorted(ids, key=lambda i: i.encode(), reverse=True)
    assert [ids[i] for i in tie_order(ids, np.zeros(5))] == expected


@given(st.dictionaries(st.text(max_size=3), st.sampled_from([0.0, 0.5, 1.0, -2.0]), max_size=20))
def test_from_scores_agrees_with_python_sorting(scores: dict[str, float]) -> None:
    ranking = Ranking.from_scores(scores)
    by_id = sorted(scores, key=lambda i: i.encode(), reverse=True)
    assert list(ranking.doc_ids) == sorted(by_id, key=lambda i: -scores[i])


def test_ranking_refuses_what_contradicts_itself() -> None:
    with pytest.raises(ShapeError):
        Ranking(["a"], [1.0, 2.0])
    with pytest.raises(UsageError, match="rise"):
        Ranking(["a", "b"], [1.0, 2.0])
    with pytest.raises(UsageError, match="NaN"):
        Ranking(["a"], [float("nan")])
    with pytest.raises(UsageError, match="twice"):
        Ranking(["a", "a"], [1.0, 1.0])
    with pytest.raises(UsageError, match="scale"):
        Ranking(["a"], [1.0], scale="points")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="part 'x'"):
        Ranking(["a"], [1.0], parts={"x": [1.0, 2.0]})


def test_ranking_is_frozen() -> None:
    ranking = Ranking(["a"], [1.0], parts={"x": [2.0]})
    with pytest.raises(AttributeError, match="frozen"):
        ranking.scale = "bm25"
    with pytest.raises(ValueError, match="read-only"):
        ranking.scores[0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        ranking.parts["x"][0] = 3.0


def test_ranking_columns_travel_together() -> None:
    ranking = Ranking.from_scores(
        (["a", "b", "c"], np.array([1.0, 3.0, 2.0])), parts={"x": np.array([10.0, 30.0, np.nan])}
    )
    assert [tuple(doc) for doc in ranking] == [("b", 3.0, 1), ("c", 2.0, 2), ("a", 1.0, 3)]
    rest = ranking.without({"c"})
    assert rest.doc_ids == ("b", "a")
    assert rest.parts["x"].tolist() == [30.0, 10.0]
    assert ranking.head(1).doc_ids == ("b",)
    assert ranking[-1] == ("a", 1.0, 3)
    assert pickle.loads(pickle.dumps(ranking)) == ranking
    assert ranking.with_part("y").parts["y"].tolist() == [3.0, 2.0, 1.0]


def test_html_escapes_ids() -> None:
    assert "<script>" not in Ranking(["<script>"], [1.0])._repr_html_()


def test_empty_ranking() -> None:
    empty = Ranking.from_scores({})
    assert len(empty) == 0
    assert list(empty) == []
    assert Run({"q": empty}).head(3)["q"] == empty


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Doc(3, "text"), "Doc's doc_id must be a str, got int 3"),  # type: ignore[arg-type]
        (lambda: Doc("a", None), "Doc's text must be a str, got NoneType"),  # type: ignore[arg-type]
        (lambda: Doc("a", "b", b"c"), "Doc's title must be a str, got bytes"),  # type: ignore[arg-type]
        (lambda: Query(7, "why"), "Query's query_id must be a str, got int 7"),  # type: ignore[arg-type]
        (lambda: Query("q", None), "Query's text must be a str, got NoneType"),  # type: ignore[arg-type]
        (lambda: Query("q", "why", rewrites="abc"), r"rewrites must be several str, got one; write \['abc'\]"),  # type: ignore[arg-type]
        (lambda: Query("q", "why", excluded_ids="ab"), "excluded_ids must be several"),  # type: ignore[arg-type]
        (lambda: Ranking("ab", [2.0, 1.0]), r"doc_ids must be several .* \['ab'\]"),
        (lambda: Ranking.from_scores(("ab", np.ones(2))), "doc_ids must be several"),
        (lambda: Qrels({"q": ["a"]}), "labels of query 'q' must be a mapping .* got list"),  # type: ignore[dict-item]
        (lambda: Qrels([("q", {"a": 1})]), "Qrels need a mapping .* got list"),  # type: ignore[arg-type]
        (lambda: Qrels({"q": {"a": 0.5}}), "document 'a': relevance must be a whole number, got 0.5"),  # type: ignore[dict-item]
        (lambda: Qrels({"q": {"a": float("nan")}}), "whole number, got nan"),  # type: ignore[dict-item]
        (lambda: Qrels({"q": {"a": float("inf")}}), "whole number, got inf"),  # type: ignore[dict-item]
        (lambda: Qrels({"q": {"a": "1"}}), "whole number, got '1'"),  # type: ignore[dict-item]
        (lambda: Qrels({"q": {"a": None}}), "whole number, got None"),  # type: ignore[dict-item]
    ],
)
def test_wrong_types_are_refused_where_they_come_in(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_whole_numbers_of_any_type_are_grades() -> None:
    grades = Qrels({"q": {"a": np.int64(2), "b": 1.0, "c": -1, "d": True}})["q"]  # type: ignore[dict-item]
    assert grades == {"a": 2, "b": 1, "c": -1, "d": 1}
    assert {type(grade) for grade in grades.values()} == {int}
    assert len(Qrels()) == len(Qrels({})) == 0
