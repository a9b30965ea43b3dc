"""Oracle order, judged-only view, and the pieces of BRIGHT's protocol."""

from __future__ import annotations

import pytest

from sleuth.errors import UsageError
from sleuth.measures import bright_qrels, bright_run, evaluate, evaluate_bright, judged_only, oracle_run
from sleuth.types import Qrels, Ranking, Run

QRELS = Qrels({"q": {"a": 1, "b": 2, "c": -1, "z": 3}})
RUN = Run(
    {"q": Ranking(list("xcab"), [4, 3, 2, 1], parts={"bm25": [9, 8, 7, 6]}), "other": Ranking(["x"], [1])}, name="r"
)


def test_oracle_orders_by_grade_then_by_the_earlier_order() -> None:
    best = oracle_run(RUN, QRELS)
    assert best["q"].doc_ids == ("b", "a", "x", "c")
    assert best["q"].scores.tolist() == [2, 1, 0, 0] and best["q"].scale == "grade"
    assert best["q"].parts["bm25"].tolist() == [6, 7, 9, 8]
    assert best["other"].doc_ids == ("x",) and best.name == "r"


def test_oracle_is_a_ceiling_and_the_run_bounds_it() -> None:
    full = Run({"q": Ranking(list("xcabz"), [5, 4, 3, 2, 1])})
    ceiling = evaluate(QRELS, {"run": RUN, "oracle": oracle_run(RUN, QRELS), "full": oracle_run(full, QRELS)}, "nDCG")
    assert ceiling.means["run"]["nDCG"] < ceiling.means["oracle"]["nDCG"] < ceiling.means["full"]["nDCG"] == 1


def test_judged_only_keeps_order_scores_and_parts() -> None:
    view = judged_only(RUN, QRELS)
    assert view["q"].doc_ids == ("c", "a", "b") and view["q"].scores.tolist() == [3, 2, 1]
    assert view["q"].parts["bm25"].tolist() == [8, 7, 6]
    assert len(view["other"]) == 0
    assert evaluate(QRELS, view, "Judged@3").mean("Judged@3") == 1


def test_bright_labels_and_exclusions() -> None:
    gold = {"q1": ["a", "a", "b"], "q2": ["N/A"]}
    assert {q: dict(labels) for q, labels in bright_qrels(gold).items()} == {"q1": {"a": 1, "b": 1}, "q2": {}}
    run = Run({"q1": Ranking(["N/A", "x", "a", "b"], [4, 3, 2, 1]), "q3": Ranking(["x"], [1])})
    kept = bright_run(run, {"q1": ["x", "not listed"], "q3": ["N/A"]}, depth=2)
    assert kept["q1"].doc_ids == ("N/A", "a") and kept["q3"].doc_ids == ("x",)


def test_bright_means_skip_missing_queries_unless_told() -> None:
    gold = {"q1": ["a"], "q2": ["b"]}
    run = Run({"q1": Ranking(["x", "a"], [2, 1])})
    assert evaluate_bright(gold, run, {"q1": ["x"]}, "RR").mean("RR") == 1
    assert evaluate_bright(gold, {"r": run}, {"q1": ["x"]}, "RR", missing="zero").mean("RR") == 0.5


def test_a_gold_document_must_not_be_excluded() -> None:
    with pytest.raises(UsageError, match="'q1': 'a' is both"):
        evaluate_bright({"q1": ["a"]}, Run({"q1": Ranking(["a"], [1])}), {"q1": ["a"]})
