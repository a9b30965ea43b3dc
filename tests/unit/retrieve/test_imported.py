"""A run of another system as a retriever, and how queries are read."""

from __future__ import annotations

import pytest

from sleuth.errors import CannotScore, UsageError
from sleuth.retrieve.imported import Imported
from sleuth.retrieve.views import ReadQuery
from sleuth.stages import Retriever
from sleuth.types import Query, Ranking, Run

RUN = Run({"q1": Ranking(["a", "b", "c"], [3.0, 2.0, 1.0])}, name="splade")


def test_excluded_ids_go_before_the_cut() -> None:
    result = Imported(RUN).retrieve([Query("q1", "x", excluded_ids=frozenset({"a"}))], depth=2)
    assert result.run["q1"].doc_ids == ("b", "c")
    assert result.counts == {"excluded_dropped": 1}


def test_a_query_that_is_not_in_the_run_has_no_lines() -> None:
    result = Imported(RUN).retrieve([Query("q2", "x")], depth=2)
    assert len(result.run["q2"]) == 0
    assert result.counts == {"queries_not_in_run": 1}


def test_score_only_what_the_run_lists() -> None:
    retriever = Imported(RUN)
    assert isinstance(retriever, Retriever)
    pool = Run({"q1": Ranking(["c", "a"], [0.0, 0.0])})
    assert Imported(RUN).score([Query("q1", "x")], pool)["q1"].score_of() == {"a": 3.0, "c": 1.0}
    with pytest.raises(CannotScore, match="'z'"):
        retriever.score([Query("q1", "x")], Run({"q1": Ranking(["z"], [0.0])}))


def test_explain() -> None:
    assert Imported(RUN).explain(Query("q1", "x"), "b") == {"stage": "splade", "score": 2.0, "rank": 2}
    assert Imported(RUN).explain(Query("q1", "x"), "z")["note"] == "not in the imported run"


def test_depth_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="depth"):
        Imported(RUN).retrieve([], depth=0)


def test_views_of_rewrites() -> None:
    query = Query("q", "why", rewrites=("one", "two"))
    assert ReadQuery().texts(query) == ("one", "two")
    assert ReadQuery(combine="concat").texts(query) == ("one\ntwo",)
    assert ReadQuery("text+rewrite", "concat", " ").texts(query) == ("why one two",)
    assert ReadQuery("text").texts(query) == ("why",)
    with pytest.raises(UsageError, match="combine"):
        ReadQuery(combine="max")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="query_view"):
        ReadQuery("answer")  # type: ignore[arg-type]
