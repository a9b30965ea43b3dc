"""Every strategy, whatever the judge says: full orders at every step, calls within bounds, nothing hidden."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.rerank.consistency import SelfConsistency
from sleuth.rerank.funnel import Funnel
from sleuth.rerank.groups import Groups
from sleuth.rerank.heap import Heap
from sleuth.rerank.partition import Partition
from sleuth.rerank.parts import Comparison, Order, Task, Verdict
from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.tournament import Tournament
from sleuth.rerank.uncertainty import Uncertainty
from sleuth.rerank.window import SlidingWindow, spans


class Whim:
    """A judge that answers anything that the contract allows, from a seed."""

    name, scale, min_docs = "whim", "logit", 1

    def __init__(self, kind: str, seed: int, *, bad: float = 0.2, max_docs: int | None = None) -> None:
        self.kind, self.max_docs, self.bad = kind, max_docs, bad
        self.rng = np.random.default_rng(seed)

    def verdicts(self, cases: Any) -> Any:
        raise AssertionError("the walk below asks `verdict`")

    def verdict(self, comparison: Comparison) -> Verdict:
        n = len(comparison.doc_ids)
        if self.rng.random() < self.bad:
            return Verdict(tuple(range(n)), usable=False)
        if self.kind == "choice":
            return Verdict(() if self.rng.random() < 0.2 else (int(self.rng.integers(n)),))
        if self.kind == "scores":
            scores = self.rng.integers(0, 4, n).astype(float)
            scores[self.rng.random(n) < self.bad] = math.nan
            order = np.argsort(-scores, kind="stable")  # NaN sorts last
            return Verdict(tuple(order.tolist()), ties=ties_of(scores), scores=tuple(scores.tolist()))
        order = self.rng.permutation(n).tolist()
        named = int(self.rng.integers(0, n + 1)) if self.rng.random() < 0.3 else n
        order = [*order[:named], *sorted(order[named:])]
        ties = (tuple(sorted(order[:2])),) if named > 1 and self.rng.random() < 0.3 else ()
        return Verdict(tuple(order), ties=ties, named=None if named == n else named)


def ties_of(scores: np.ndarray) -> tuple[tuple[int, ...], ...]:
    groups: dict[float, list[int]] = {}
    for at, score in enumerate(scores.tolist()):
        if not math.isnan(score):
            groups.setdefault(score, []).append(at)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


MAKERS: dict[str, tuple[tuple[str, ...], Callable[[Any], Strategy]]] = {
    "funnel": (("order", "scores"), Funnel),
    "funnel, own": (("order",), lambda j: Funnel(j, rounds=["30", "5x3", 1], window=4, prior="flat")),
    "funnel, thorough": (("order",), lambda j: Funnel(j, rounds="thorough")),
    "window": (("order", "scores", "choice"), SlidingWindow),
    "window, bubble": (("choice",), lambda j: SlidingWindow(j, window=2, stride=1, passes=3)),
    "window, edge to edge": (("order",), lambda j: SlidingWindow(j, window=4, stride=4, passes=2)),
    "score and sort": (("scores",), ScoreAndSort),
    "score and sort, one by one": (("scores",), lambda j: ScoreAndSort(j, size=1)),
    "partition": (("order", "scores"), Partition),
    "partition, narrow": (("order",), lambda j: Partition(j, window=3, pivot=2)),
    "tournament": (("order", "scores"), Tournament),
    "tournament, three": (("order",), lambda j: Tournament(j, window=3, rounds=3)),
    "heap": (("order", "scores", "choice"), Heap),
    "heap, pairs": (("choice",), lambda j: Heap(j, size=2, k=200)),
    "self-consistency": (("order", "scores"), SelfConsistency),
    "self-consistency, kemeny": (("order",), lambda j: SelfConsistency(j, aggregate="kemeny", window=6)),
    "self-consistency, borda": (("order",), lambda j: SelfConsistency(j, aggregate="borda", samples=2)),
    "groups": (("scores",), Groups),
    "groups, small": (("scores",), lambda j: Groups(j, size=3, epochs=3)),
    "uncertainty": (("order", "scores"), Uncertainty),
    "uncertainty, small": (("order",), lambda j: Uncertainty(j, calls=5, window=3, k=2)),
}
CASES = [(name, kind) for name, (kinds, _) in MAKERS.items() for kind in kinds]


def task_of(n: int, seed: int, scores: str) -> Task:
    ids = tuple(f"d{at} 문서" for at in range(n))
    values = {
        "none": None,
        "equal": (1.0,) * n,
        "falling": tuple(float(-at) for at in range(n)),
        "infinite": tuple([math.inf, *(float(-at) for at in range(1, n))][:n]),
    }[scores]
    return Task("q", ids, values, seed)


def walk(strategy: Strategy, task: Task, judge: Whim) -> tuple[Order, list[tuple[Comparison, ...]]]:
    """Drive a strategy, and check at every step what must always hold."""
    asked: list[tuple[Comparison, ...]] = []
    steps, seen = strategy.steps(task), set()
    verdicts: tuple[Verdict, ...] | None = None
    while True:
        try:
            ask = steps.send(verdicts)  # type: ignore[arg-type]
        except StopIteration as end:
            order = end.value
            break
        assert sorted(ask.order) == sorted(task.doc_ids)
        assert ask.comparisons
        for comparison in ask.comparisons:
            assert set(comparison.doc_ids) <= set(task.doc_ids)
            assert len(set(comparison.doc_ids)) == len(comparison.doc_ids) >= 1
            assert (comparison.doc_ids, comparison.sample) not in seen
            seen.add((comparison.doc_ids, comparison.sample))
        asked.append(ask.comparisons)
        verdicts = tuple(map(judge.verdict, ask.comparisons))
    assert sorted(order.doc_ids) == sorted(task.doc_ids)
    if order.scores is not None:
        assert len(order.scores) == len(order.doc_ids)
        assert all(a >= b for a, b in pairwise(order.scores))  # false for NaN
    return order, asked


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 20, 21, 101])
def test_every_step_is_a_full_order(name: str, kind: str, n: int) -> None:
    for seed, scores in enumerate(("none", "equal", "falling", "infinite")):
        judge = Whim(kind, seed, bad=0.2 * seed)
        strategy = MAKERS[name][1](judge)
        _, asked = walk(strategy, task_of(n, seed, scores), judge)
        least, most = strategy.calls(n)  # type: ignore[attr-defined]
        assert least <= sum(map(len, asked)) <= most


@pytest.mark.parametrize(("name", "kind"), CASES)
@settings(max_examples=12, deadline=None)
@given(n=st.integers(0, 60), seed=st.integers(-(2**63), 2**64), bad=st.sampled_from([0.0, 0.3, 1.0]))
def test_random_judges(name: str, kind: str, n: int, seed: int, bad: float) -> None:
    judge = Whim(kind, abs(seed), bad=bad)
    strategy, task = MAKERS[name][1](judge), task_of(n, seed, "falling")
    order, asked = walk(strategy, task, judge)
    if bad == 1.0:  # nothing was ever answered, so nothing may move
        assert order.doc_ids == task.doc_ids
    again, asked_again = walk(MAKERS[name][1](judge), task, Whim(kind, abs(seed), bad=bad))
    assert (again, asked_again) == (order, asked)  # no randomness but the task's


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kind in CASES if kind == "order"])
def test_the_task_s_seed_is_the_only_one(name: str, kind: str) -> None:
    shown = {
        tuple(walk(MAKERS[name][1](Whim(kind, 3, bad=0)), task_of(50, s, "falling"), Whim(kind, 3, bad=0))[1])
        for s in (1, 2)
    }
    shuffles = not name.startswith(("window", "partition", "heap"))
    assert len(shown) == 1 + shuffles


@given(n=st.integers(0, 130), window=st.integers(1, 30), stride=st.integers(1, 30), start=st.integers(0, 5))
def test_windows_cover_every_position(n: int, window: int, stride: int, start: int) -> None:
    stride = min(stride, window)
    found = spans(n, window, stride, start=start)
    assert {at for low, high in found for at in range(low, high)} == set(range(start, n))
    assert all(0 < high - low <= window for low, high in found)
    assert not found or found[-1][0] == start
    for (low, _), (_, high) in pairwise(found):
        assert high - low == window - stride
