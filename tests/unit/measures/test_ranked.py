"""Measures as values: names, parameters, refusals; and values by hand where trec_eval's reference has none."""

from __future__ import annotations

import math
import pickle

import pytest

from sleuth.errors import UnknownName, UsageError
from sleuth.measures import AP, RR, Judged, Measure, P, R, Rprec, Success, evaluate, nDCG, parse_measure, parse_measures
from sleuth.types import Qrels, Ranking, Run


def value(measure: Measure | str, judged: dict[str, int], listed: str) -> float:
    run = Run({"q": Ranking(list(listed), list(range(len(listed), 0, -1)))})
    return evaluate(Qrels({"q": judged}), run, measure).mean(measure)


def test_cutoffs_and_parameters() -> None:
    assert str(nDCG @ 10) == "nDCG@10"
    assert P(rel=2) @ 5 == (P @ 5)(rel=2) == parse_measure("P(rel=2)@5")
    assert str(nDCG(dcg="exp-log2") @ 3) == "nDCG(dcg='exp-log2')@3"
    assert {nDCG @ 10: 1}[parse_measure("ndcg@10")] == 1
    assert AP != AP @ 10 and P @ 5 != R @ 5
    assert pickle.loads(pickle.dumps(RR @ 3)) == RR @ 3


ALL = [
    nDCG,
    nDCG @ 3,
    nDCG(dcg="exp-log2") @ 5,
    AP,
    AP(rel=2) @ 9,
    RR @ 1,
    P @ 1,
    R @ 2,
    Success @ 3,
    Judged @ 4,
    Rprec,
]


@pytest.mark.parametrize("measure", ALL, ids=str)
def test_names_are_read_back(measure: Measure) -> None:
    assert parse_measure(str(measure)) == measure
    assert parse_measure(measure) is measure


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MAP", "AP"),
        ("map_cut_100", "AP@100"),
        ("MRR@10", "RR@10"),
        ("recip_rank", "RR"),
        ("ndcg_cut_10", "nDCG@10"),
        ("NDCG @ 10", "nDCG@10"),
        ("recall_100", "R@100"),
        ("Precision@5", "P@5"),
        ("success_1", "Success@1"),
        ("rprec", "Rprec"),
        (" P ( rel=2 ) @5", "P(rel=2)@5"),
        ("P(rel=1)@5", "P@5"),
    ],
)
def test_spellings(text: str, name: str) -> None:
    assert str(parse_measure(text)) == name


def test_lists_of_names() -> None:
    assert parse_measures("nDCG@10, MAP,AP") == (nDCG @ 10, AP)
    assert parse_measures(["P(rel=2)@5", RR]) == (P(rel=2) @ 5, RR)
    assert parse_measures(nDCG) == (nDCG,)
    for nothing in ("", " , ", []):
        with pytest.raises(UsageError, match="no measure"):
            parse_measures(nothing)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nDGC@10", "Did you mean 'nDCG@10'"),
        ("Sucess@5", "Did you mean 'Success@5'"),
        ("", "unknown measure ''"),
        ("정확도@10", "unknown measure"),
        ("nDCG@", "unknown measure"),
        ("nDCG@-1", "unknown measure"),
        ("nDCG@10@10", "unknown measure"),
        ("P(foo=2)@5", "foo"),
        ("nDCG(dcg='linear')", "exp-log2"),
    ],
)
def test_unknown_names(text: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        parse_measure(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nDCG@0", "1 or more"),
        ("P(rel=0)@5", "1 or more"),
        ("P(rel=two)@5", "whole number"),
        ("Rprec@5", "no cut-off"),
        ("nDCG(rel=2)@5", "every grade"),
        ("Judged(rel=2)@5", "every grade"),
        ("P(dcg='exp-log2')@5", "only nDCG"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_measure(text)


def test_refused_types() -> None:
    with pytest.raises(UsageError, match="got int"):
        parse_measure(10)  # type: ignore[arg-type]
    for cutoff in (2.5, True, "10"):
        with pytest.raises(UsageError, match="whole number"):
            nDCG @ cutoff  # type: ignore[operator]


@pytest.mark.parametrize("name", ["P", "R", "Success", "Judged", "P(rel=2)"])
def test_a_needed_cutoff_is_asked_for_when_measuring(name: str) -> None:
    parse_measure(name)
    with pytest.raises(UsageError, match="needs a cut-off"):
        value(name, {"a": 1}, "ab")


def test_higher_grades_only() -> None:
    judged = {"a": 1, "b": 2, "c": 3, "d": 0}
    assert value(P(rel=2) @ 2, judged, "abcd") == 0.5
    assert value(AP(rel=2), judged, "abcd") == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value(RR(rel=3), judged, "abcd") == pytest.approx(1 / 3)
    assert value(RR(rel=3) @ 2, judged, "abcd") == 0
    assert value(R(rel=2) @ 2, judged, "abcd") == 0.5
    assert value(Success(rel=3) @ 2, judged, "abcd") == 0
    assert value(Rprec(rel=2), judged, "abcd") == 0.5


def test_exponential_gain() -> None:
    reached = 1 + 7 / math.log2(3)
    best = 7 + 1 / math.log2(3)
    assert value(nDCG(dcg="exp-log2") @ 2, {"a": 1, "b": 3, "c": -2}, "ab") == pytest.approx(reached / best)


def test_judged_counts_any_label_and_short_lists() -> None:
    judged = {"a": 1, "b": 0, "c": -1}
    assert value(Judged @ 4, judged, "axbc") == 0.75
    assert value(Judged @ 10, judged, "ax") == 0.5
    assert value(Judged @ 1, judged, "xa") == 0


def test_precision_divides_by_the_cutoff_even_for_short_lists() -> None:
    assert value(P @ 10, {"a": 1}, "a") == pytest.approx(0.1)


def test_cut_off_average_precision_keeps_all_relevant_below() -> None:
    assert value(AP @ 1, {"a": 1, "b": 1}, "ab") == 0.5
