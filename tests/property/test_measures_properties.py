"""What holds for every measure: bounds, better orders score no less, labels below the cut-off don't matter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.measures import evaluate, holm, oracle_run, randomization_p, rbo
from sleuth.types import Qrels, Ranking, Run

MEASURES = "nDCG,nDCG@3,nDCG(dcg='exp-log2')@4,AP,AP@3,RR,RR(rel=2)@4,P@3,R@3,R(rel=2)@5,Success@2,Judged@4,Rprec"
DOCS = [f"문서-{i}" for i in range(9)]
LABELS = st.dictionaries(st.sampled_from(DOCS), st.integers(-2, 4), max_size=9)
ORDERS = st.lists(st.sampled_from(DOCS), unique=True, max_size=9)


def values(judged: dict[str, int], order: list[str], measures: str = MEASURES) -> dict[str, float]:
    run = Run({"q": Ranking(order, -np.arange(len(order), dtype=float))})
    return evaluate(Qrels({"q": judged}), run, measures).means["sleuth"]


@given(LABELS, ORDERS)
@settings(max_examples=150, deadline=None)
def test_values_lie_between_zero_and_one(judged: dict[str, int], order: list[str]) -> None:
    assert all(0 <= value <= 1 + 1e-12 for value in values(judged, order).values())


@given(LABELS, ORDERS)
@settings(max_examples=150, deadline=None)
def test_no_order_of_the_same_documents_beats_the_oracle(judged: dict[str, int], order: list[str]) -> None:
    run = Run({"q": Ranking(order, -np.arange(len(order), dtype=float))})
    best = evaluate(Qrels({"q": judged}), oracle_run(run, Qrels({"q": judged})), MEASURES).means["sleuth"]
    for name, value in values(judged, order).items():
        if not name.startswith("Judged"):
            assert value <= best[name] + 1e-12


@given(LABELS, ORDERS.filter(lambda order: len(order) > 1), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_moving_a_better_document_up_never_hurts(judged: dict[str, int], order: list[str], at: int) -> None:
    at %= len(order) - 1
    above, below = (max(judged.get(order[i], 0), 0) for i in (at, at + 1))
    swapped = [*order[:at], order[at + 1], order[at], *order[at + 2 :]]
    if above > below:
        order, swapped = swapped, order
    before, after = values(judged, order), values(judged, swapped)
    for name, value in before.items():
        if not name.startswith("Judged"):
            assert after[name] >= value - 1e-12


@given(LABELS, ORDERS, st.permutations(DOCS))
@settings(max_examples=100, deadline=None)
def test_nothing_below_the_cutoff_matters(judged: dict[str, int], order: list[str], tail: list[str]) -> None:
    head = order[:3]
    other = head + [doc_id for doc_id in tail if doc_id not in head][: max(len(order) - 3, 0)]
    measures = "nDCG@3,AP@3,RR@3,P@3,R@3,Success@3,Judged@3"
    assert values(judged, order, measures) == values(judged, other, measures)


@given(ORDERS, ORDERS, st.floats(0.01, 0.99))
@settings(max_examples=150, deadline=None)
def test_rbo_is_symmetric_and_bounded(a: list[str], b: list[str], p: float) -> None:
    for form in ("extrapolated", "truncated", "normalized"):
        value = rbo(a, b, p, form=form)
        assert 0 <= value <= 1 + 1e-9
        assert value == rbo(b, a, p, form=form)
    assert rbo(a, b, p, form="truncated") <= rbo(a, b, p, form="normalized") + 1e-12


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_p_does_not_depend_on_the_side(differences: list[float], seed: int) -> None:
    d = np.asarray(differences)
    p = randomization_p(d, resamples=200, seed=seed)
    assert 0 < p <= 1
    assert randomization_p(-d, resamples=200, seed=seed) == p


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(deadline=None)
def test_holm_keeps_the_order_and_only_raises(p: list[float]) -> None:
    adjusted = holm(np.asarray(p))
    assert all(raw <= new <= 1 for raw, new in zip(p, adjusted, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
