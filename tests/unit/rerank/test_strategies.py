"""Each strategy does what its page says: what it asks, what it makes of answers, what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sleuth.errors import UnknownName, UsageError
from sleuth.llm.oracle_model import OracleModel
from sleuth.rerank.beliefs import normal_scores
from sleuth.rerank.consistency import SelfConsistency
from sleuth.rerank.funnel import PLANS, Funnel
from sleuth.rerank.groups import Groups
from sleuth.rerank.heap import Heap
from sleuth.rerank.partition import Partition
from sleuth.rerank.parts import Ask, Comparison, LocalJudge, Order, Task, Verdict
from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.simulated import SimulatedJudge
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.tournament import Tournament
from sleuth.rerank.uncertainty import Uncertainty
from sleuth.rerank.window import SlidingWindow
from sleuth.types import Qrels, Ranking, Run

Says = Callable[[Comparison], Verdict]


class Told:
    """A judge that is only looked at: the tests give the verdicts."""

    name, scale, min_docs = "told", "grade", 1

    def __init__(self, kind: str = "order", max_docs: int | None = None) -> None:
        self.kind, self.max_docs = kind, max_docs

    def verdicts(self, cases: Any) -> Any:
        raise AssertionError("the tests drive the strategy")


def merit(doc_id: str) -> int:
    """Ids are d<n>; the lower the number the better."""
    return int(doc_id[1:])


def perfect(kind: str = "order") -> Says:
    def says(comparison: Comparison) -> Verdict:
        order = sorted(range(len(comparison.doc_ids)), key=lambda at: merit(comparison.doc_ids[at]))
        if kind == "scores":
            return Verdict(tuple(order), scores=tuple(-float(merit(doc_id)) for doc_id in comparison.doc_ids))
        return Verdict(tuple(order[:1] if kind == "choice" else order))

    return says


def mute(comparison: Comparison) -> Verdict:
    return Verdict(tuple(range(len(comparison.doc_ids))), usable=False)


def drive(strategy: Strategy, task: Task, says: Says) -> tuple[Order, list[Ask]]:
    asks: list[Ask] = []
    steps = strategy.steps(task)
    verdicts: tuple[Verdict, ...] | None = None
    while True:
        try:
            asks.append(steps.send(verdicts))  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value, asks
        verdicts = tuple(map(says, asks[-1].comparisons))


def shuffled(n: int, seed: int = 0, *, scores: bool = False) -> Task:
    ids = tuple(f"d{at}" for at in np.random.default_rng(seed).permutation(n))
    return Task("q", ids, tuple(float(-at) for at in range(n)) if scores else None, seed)


# ── what a strategy refuses ───────────────────────────────────────────────────────────────────────

REFUSED: list[tuple[Callable[[Any], Strategy], str, str]] = [
    (Funnel, "choice", "order or scores"),
    (Partition, "choice", "order or scores"),
    (Tournament, "choice", "order or scores"),
    (SelfConsistency, "choice", "order or scores"),
    (Uncertainty, "choice", "order or scores"),
    (ScoreAndSort, "order", "scores"),
    (Groups, "choice", "scores"),
    (lambda j: Funnel(j, rounds=[]), "order", "at least one round"),
    (lambda j: Funnel(j, rounds=["20y2"]), "order", "'20x2'"),
    (lambda j: Funnel(j, rounds=["0"]), "order", "round"),
    (lambda j: Funnel(j, rounds=[True]), "order", "round"),
    (lambda j: Funnel(j, rounds=[math.nan]), "order", "round"),
    (lambda j: Funnel(j, window=1), "order", "at least 2"),
    (lambda j: Funnel(j, prior_weight=math.nan), "order", "finite"),
    (lambda j: Funnel(j, prior_weight=-1), "order", "0 or more"),
    (lambda j: Funnel(j, scale="1"), "order", "above 0"),
    (lambda j: Funnel(j, prior="none"), "order", "flat"),
    (lambda j: Funnel.preset(j, calls=7), "order", "3, 9, 20"),
    (lambda j: SlidingWindow(j, window=5, stride=8), "order", "stride=8 is larger"),
    (lambda j: SlidingWindow(j, passes=0), "order", "passes"),
    (lambda j: SlidingWindow.preset(j, "20/5"), "order", "20/10"),
    (lambda j: Partition(j, pivot=20), "order", "below window"),
    (lambda j: Partition(j, pivot=0), "order", "pivot"),
    (lambda j: Tournament(j, rounds=0), "order", "rounds"),
    (lambda j: Heap(j, k=0), "choice", "k must"),
    (lambda j: Heap(j, size=1), "choice", "size"),
    (lambda j: SelfConsistency(j, samples=2.5), "order", "samples"),
    (lambda j: Groups(j, epochs=0), "scores", "epochs"),
    (lambda j: Uncertainty(j, calls=0), "order", "calls"),
    (lambda j: Uncertainty(j, doubt=0.5), "order", "doubt"),
]


@pytest.mark.parametrize(("make", "kind", "says"), REFUSED)
def test_refusals(make: Callable[[Any], Strategy], kind: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(Told(kind))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="economical"):
        Funnel(Told(), rounds="economic")
    with pytest.raises(UnknownName, match="kemeny"):
        SelfConsistency(Told(), aggregate="kemeney")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [Funnel, SlidingWindow, Partition, Tournament, Heap, SelfConsistency, Uncertainty])
def test_a_judge_of_single_documents_is_sent_where_it_belongs(make: Callable[[Any], Strategy]) -> None:
    with pytest.raises(UsageError, match=r"told looks at one document at a time.*ScoreAndSort"):
        make(Told("scores", max_docs=1))


@pytest.mark.parametrize(
    "make", [Funnel, SlidingWindow, Partition, Tournament, SelfConsistency, Uncertainty, lambda j: Heap(j, size=20)]
)
def test_a_judge_is_never_shown_more_than_it_takes(make: Callable[[Any], Strategy]) -> None:
    with pytest.raises(UsageError, match="at most 10 documents"):
        make(Told(max_docs=10))


def test_small_judges_by_default() -> None:
    assert Heap(Told("choice", max_docs=2)).size == 2 and Heap(Told("choice")).size == 20
    assert ScoreAndSort(Told("scores", max_docs=1)).size == 1
    with pytest.raises(UsageError, match="size=2, but told looks at one document at a time; give size=1"):
        ScoreAndSort(Told("scores", max_docs=1), size=2)


# ── funnel ────────────────────────────────────────────────────────────────────────────────────────


def test_normal_scores() -> None:
    p = [(3 - r - 0.375) / 3.25 for r in range(3)]
    assert normal_scores(3) == pytest.approx([math.log(x / (1 - x)) / 1.702 for x in p])
    assert normal_scores(20).sum() == pytest.approx(0, abs=1e-12) and normal_scores(0).shape == (0,)
    assert (np.diff(normal_scores(20)) < 0).all()


@pytest.mark.parametrize("name", PLANS)
def test_plans_spend_what_they_say(name: str) -> None:
    funnel, plan = Funnel(Told(), rounds=name), PLANS[name]
    order, asks = drive(funnel, shuffled(100, scores=True), perfect())
    assert sum(len(ask.comparisons) for ask in asks) == plan.calls == funnel.calls(100)[0]
    assert len(asks) == len(plan.rounds)
    assert Funnel.preset(Told(), calls=plan.calls).settings() == funnel.settings()
    assert order.scale == "fused"


def test_funnel_is_the_definition() -> None:
    """One round over 7 and one over 4, window 4, step by step from the definition, with a flat and a scored prior."""
    ids = tuple("abcdefg")
    scores = (9.0, 7.0, 6.0, 5.0, 3.0, 2.0, 1.0)
    for prior, weight in (("scores", 1.0), ("flat", 1.0), ("scores", 2.0)):
        funnel = Funnel(Told(), rounds=["7", "4"], window=4, prior=prior, prior_weight=weight, scale=1.5)  # type: ignore[arg-type]
        s = np.array(scores)
        s = (s - s.mean()) / s.std() if prior == "scores" else np.zeros(7)
        level, weights = dict(zip(ids, s, strict=True)), dict.fromkeys(ids, weight)

        def learn(asked: Sequence[Comparison], level: dict[str, float], weights: dict[str, float]) -> None:
            old, total, count = dict(level), dict.fromkeys(ids, 0.0), dict.fromkeys(ids, 0)
            for comparison in asked:
                n, mean = len(comparison.doc_ids), np.mean([old[d] for d in comparison.doc_ids])
                for place, doc_id in enumerate(sorted(comparison.doc_ids, reverse=True)):
                    p = (n - place - 0.375) / (n + 0.25)
                    total[doc_id] += mean + 1.5 * math.log(p / (1 - p)) / 1.702
                    count[doc_id] += 1
            for d in ids:
                level[d] = (weights[d] * old[d] + total[d]) / (weights[d] + count[d])
                weights[d] += count[d]

        def says(comparison: Comparison) -> Verdict:  # the judge likes late letters
            shown = comparison.doc_ids
            return Verdict(tuple(sorted(range(len(shown)), key=lambda at: shown[at], reverse=True)))

        order, asks = drive(funnel, Task("q", ids, scores, 3), says)
        for ask in asks:
            by_level = sorted(ids, key=lambda d: (-round(level[d], 12), d))
            assert list(ask.order) == by_level
            for comparison in ask.comparisons:  # first repeats are shown best first
                assert list(comparison.doc_ids) == sorted(comparison.doc_ids, key=by_level.index)
            shown = {d for comparison in ask.comparisons for d in comparison.doc_ids}
            assert shown == set(by_level[: len(shown)]) and len(shown) == (7 if ask is asks[0] else 4)
            learn(ask.comparisons, level, weights)
        assert order.scores == pytest.approx([level[d] for d in order.doc_ids])


def test_windows_of_a_round_hold_all_levels() -> None:
    _, asks = drive(Funnel(Told(), rounds=["100"]), shuffled(100, scores=True), perfect())
    place = {doc_id: at for at, doc_id in enumerate(asks[0].order)}
    for comparison in asks[0].comparisons:
        assert sorted(place[d] // 5 for d in comparison.doc_ids) == list(range(20))


def test_repeats_are_shuffled_and_told_apart() -> None:
    _, asks = drive(Funnel(Told(), rounds=["20x3"]), shuffled(30, scores=True), perfect())
    first, *others = asks[0].comparisons
    assert list(first.doc_ids) == list(asks[0].order[:20])
    assert all(set(c.doc_ids) == set(first.doc_ids) and c.doc_ids != first.doc_ids for c in others)
    _, asks = drive(Funnel(Told(), rounds=["2", "2", "2"]), Task("q", ("d0", "d1"), None, 1), perfect())
    assert [ask.comparisons[0].sample for ask in asks] == [0, 1, 2]


def test_funnel_without_scores_uses_ranks() -> None:
    ids = tuple(f"d{at}" for at in range(10))
    order, _ = drive(Funnel(Told()), Task("q", ids, None, 0), mute)
    assert order.doc_ids == ids and order.scores == pytest.approx(normal_scores(10))
    infinite, _ = drive(Funnel(Told()), Task("q", ids, (math.inf, *map(float, range(9, 0, -1))), 0), mute)
    assert infinite == order
    equal, _ = drive(Funnel(Told()), Task("q", ids, (0.1,) * 10, 0), mute)
    assert equal.doc_ids == ids and equal.scores == (0.0,) * 10


def test_an_unusable_answer_changes_nothing_and_a_cut_one_is_completed_in_the_current_order() -> None:
    ids = ("d0", "d1", "d2", "d3")
    funnel = Funnel(Told(), rounds=["4x2"], prior="rank")

    def says(comparison: Comparison) -> Verdict:
        if comparison.doc_ids == ids:
            return mute(comparison)
        return Verdict((comparison.doc_ids.index("d3"),), named=1)  # shuffled: d3 first, then it breaks off

    order, asks = drive(funnel, Task("q", ids, None, 2), says)
    assert asks[0].comparisons[1].doc_ids != ids
    worth = normal_scores(4)
    assert dict(zip(order.doc_ids, order.scores or (), strict=True)) == pytest.approx(
        {d: (worth[at] + worth[place]) / 2 for at, (d, place) in enumerate(zip(ids, (1, 2, 3, 0), strict=True))}
    )


def test_ties_share_the_worth_of_their_places() -> None:
    ids = ("d0", "d1", "d2")
    order, _ = drive(
        Funnel(Told(), rounds=["3"], prior="flat"),
        Task("q", ids, None, 0),
        lambda c: Verdict((2, 1, 0), ties=((1, 2),)),
    )
    worth = normal_scores(3)
    assert order.doc_ids == ("d1", "d2", "d0")
    assert order.scores == pytest.approx(((worth[0] + worth[1]) / 4,) * 2 + (worth[2] / 2,))


# ── strategies with a judge that never errs ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "kind", "head"),
    [
        (SlidingWindow, "order", 10),
        (lambda j: SlidingWindow(j, window=2, stride=1, passes=10), "choice", 10),
        (lambda j: SlidingWindow(j, window=5, stride=4, passes=3), "choice", 3),
        (lambda j: Heap(j, size=20), "choice", 10),
        (lambda j: Heap(j, size=2, k=60), "choice", 60),
        (lambda j: Heap(j, size=4), "order", 10),
        (Partition, "order", 10),
        (lambda j: Partition(j, window=5, pivot=2), "order", 2),
        (Tournament, "order", 1),
        (lambda j: Funnel(j, prior="flat", rounds=["100", "40", "20"]), "order", 1),
        (ScoreAndSort, "scores", 60),
        (Groups, "scores", 60),
    ],
)
def test_the_best_are_found(make: Callable[[Any], Strategy], kind: str, head: int) -> None:
    for seed in range(5):
        order, _ = drive(make(Told(kind)), shuffled(60, seed), perfect(kind))
        assert order.doc_ids[:head] == tuple(f"d{at}" for at in range(head))


@pytest.mark.parametrize("aggregate", ["rrf", "borda", "kemeny"])
def test_self_consistency_takes_the_majority(aggregate: str) -> None:
    answers = iter([("d2", "d0", "d1"), ("d2", "d1", "d0"), ("d0", "d2", "d1")])

    def says(comparison: Comparison) -> Verdict:
        return Verdict(tuple(comparison.doc_ids.index(d) for d in next(answers)))

    strategy = SelfConsistency(Told(), samples=3, aggregate=aggregate, window=3)  # type: ignore[arg-type]
    order, asks = drive(strategy, Task("q", ("d0", "d1", "d2", "d3"), None, 0), says)
    assert order.doc_ids == ("d2", "d0", "d1", "d3")
    assert len(asks) == 1 and {c.sample for c in asks[0].comparisons} >= {0}


def test_heap_sifts_one_level_side_by_side() -> None:
    _, asks = drive(Heap(Told("choice"), size=3, k=1), shuffled(31), perfect("choice"))
    assert len(asks[0].comparisons) == 8  # the 8 nodes above the leaves
    for ask in asks:
        shown = [d for comparison in ask.comparisons for d in comparison.doc_ids]
        assert len(shown) == len(set(shown))


def test_partition_stops_where_nobody_beats_the_pivot() -> None:
    ids = tuple(f"d{at}" for at in range(100))
    order, asks = drive(Partition(Told()), Task("q", ids, None, 0), perfect())
    assert order.doc_ids == ids and [len(ask.comparisons) for ask in asks] == [1, 5]
    assert all(comparison.doc_ids[0] == "d9" for comparison in asks[1].comparisons)


def test_uncertainty_leaves_clear_cases_alone() -> None:
    ids = tuple(f"d{at}" for at in range(40))
    clear = Task("q", ids, tuple([100.0] * 10 + [0.0] * 30), 0)
    order, asks = drive(Uncertainty(Told(), prior_weight=100.0), clear, perfect())
    assert asks == [] and order.doc_ids == ids
    _, asks = drive(Uncertainty(Told(), calls=4), shuffled(100, scores=True), perfect())
    assert sum(len(ask.comparisons) for ask in asks) <= 4


# ── documents without a score ─────────────────────────────────────────────────────────────────────


def scored(scores: dict[str, float]) -> Says:
    def says(comparison: Comparison) -> Verdict:
        given = tuple(scores.get(doc_id, math.nan) for doc_id in comparison.doc_ids)
        if all(map(math.isnan, given)) and len(given) == 1:
            return mute(comparison)
        order = sorted(range(len(given)), key=lambda at: (math.isnan(given[at]), -given[at]))
        return Verdict(tuple(order), scores=given)

    return says


@pytest.mark.parametrize("size", [1, None])
def test_a_document_without_a_score_keeps_its_place(size: int | None) -> None:
    task = Task("q", ("a", "b", "c", "d", "e"), None, 0)
    order, _ = drive(ScoreAndSort(Told("scores"), size=size), task, scored({"a": 1.0, "c": 5.0, "d": 3.0, "e": 2.0}))
    assert order.doc_ids == ("c", "b", "d", "e", "a")
    assert order.scores == (5.0, 4.0, 3.0, 2.0, 1.0) and order.scale == "grade"
    edges, _ = drive(ScoreAndSort(Told("scores"), size=size), task, scored({"b": 1.0, "c": 5.0}))
    assert edges.doc_ids == ("a", "c", "b", "d", "e") and edges.scores == (5.0, 5.0, 1.0, 1.0, 1.0)
    none, _ = drive(ScoreAndSort(Told("scores"), size=size), task, mute)
    assert none == Order(task.doc_ids)


def test_infinite_scores_do_not_poison_their_neighbours() -> None:
    task = Task("q", ("a", "b", "c"), None, 0)
    order, _ = drive(ScoreAndSort(Told("scores")), task, scored({"a": -math.inf, "c": 2.0}))
    assert order.doc_ids == ("c", "b", "a") and order.scores == (2.0, -math.inf, -math.inf)


def test_ties_of_scores_keep_the_prior_order() -> None:
    order, _ = drive(
        ScoreAndSort(Told("scores")), Task("q", ("b", "a", "c"), None, 0), scored({"a": 1, "b": 1, "c": 2})
    )
    assert order.doc_ids == ("c", "b", "a") and order.scores == (2.0, 1.0, 1.0)


def test_groups_average_what_was_read() -> None:
    calls = iter(range(100))

    def says(comparison: Comparison) -> Verdict:
        if next(calls) == 0:
            return mute(comparison)
        return perfect("scores")(comparison)

    task = shuffled(30)
    order, asks = drive(Groups(Told("scores"), size=10), task, says)
    assert order.doc_ids == tuple(f"d{at}" for at in range(30))  # the other epoch has them all
    assert len(asks) == 1 and len(asks[0].comparisons) == 6
    epochs = [sorted(d for c in asks[0].comparisons[at : at + 3] for d in c.doc_ids) for at in (0, 3)]
    assert epochs == [sorted(task.doc_ids)] * 2 and asks[0].comparisons[:3] != asks[0].comparisons[3:]


# ── a judge that errs ─────────────────────────────────────────────────────────────────────────────


def precision(make: Callable[[LocalJudge], Strategy], seeds: Sequence[int], **faults: float) -> float:
    """Mean share of the relevant among the first ten, on lists made like real ones: 10 of 100, prior of some use."""
    rng, labels, lists = np.random.default_rng(5), {}, {}
    for query in range(40):
        relevant = rng.permutation(100)[:10]
        scores = rng.standard_normal(100)
        scores[relevant] += 1.2
        ids = [f"{at}" for at in range(100)]
        labels[f"q{query}"] = {ids[at]: 1 for at in relevant}
        lists[f"q{query}"] = Ranking.from_scores((ids, scores), scale="cosine")
    qrels, run, found = Qrels(labels), Run(lists), []
    for seed in seeds:
        judge = SimulatedJudge(OracleModel(qrels, run, seed=seed), **faults)  # type: ignore[arg-type]
        for query_id, ranking in run.items():
            task = Task(query_id, ranking.doc_ids, tuple(ranking.scores.tolist()), seed)

            def says(comparison: Comparison, judge: SimulatedJudge = judge, query_id: str = query_id) -> Verdict:
                order = judge.model.order(query_id, comparison.doc_ids, sample=comparison.sample)
                return Verdict(order)

            order, _ = drive(make(judge), task, says)
            found.append(sum(doc_id in qrels[query_id] for doc_id in order.doc_ids[:10]) / 10)
    return 100 * float(np.mean(found))


def test_a_funnel_beats_windows_that_slide() -> None:
    seeds = range(2)
    sliding = precision(SlidingWindow, seeds)
    assert precision(Funnel, seeds) > sliding + 1
    assert precision(lambda judge: Funnel(judge, rounds="economical"), seeds) > sliding - 3
