"""Fitting one setting: the best value, the curve, and never on what it will be evaluated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from sleuth.context import Budget, Context
from sleuth.errors import UsageError
from sleuth.rerank.funnel import Funnel
from sleuth.rerank.partition import Partition
from sleuth.rerank.parts import Case, Task, Verdict
from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.uncertainty import Uncertainty
from sleuth.rerank.window import SlidingWindow
from sleuth.tune import Fit, fit_alpha, fit_hybrid_weight, fit_prior_weight, with_prior_weight
from sleuth.types import Doc, Qrels, Query, Ranking, Run


def judged(seed: int, *, good: str) -> Ranking:
    """20 documents of which d00 is relevant; `good` names the part that ranks it first."""
    rng = np.random.default_rng(seed)
    columns = {"retrieve": rng.random(20), "rerank-1": rng.random(20)}
    columns[good][0] = 5.0
    ids = [f"d{at:02}" for at in range(20)]
    order = np.argsort(-columns["rerank-1"])
    return Ranking(
        [ids[at] for at in order],
        columns["rerank-1"][order],
        parts={name: column[order] for name, column in columns.items()},
    )


QRELS = Qrels({f"q{at}": {"d00": 1} for at in range(6)}, name="mine")


def test_alpha_goes_to_the_side_that_knows() -> None:
    by_judge = Run({f"q{at}": judged(at, good="rerank-1") for at in range(6)})
    by_search = Run({f"q{at}": judged(at, good="retrieve") for at in range(6)})
    to_judge = fit_alpha(QRELS, by_judge, split="dev")
    to_search = fit_alpha(QRELS, by_search, split="dev")
    assert to_judge.value <= 0.5 <= to_search.value
    assert dict(to_search.curve)[1.0] == 1.0 > dict(to_search.curve)[0.0]
    assert dict(to_judge.curve)[0.0] == 1.0 > dict(to_judge.curve)[1.0]


def test_the_fit_says_on_what() -> None:
    run = Run({f"q{at}": judged(at, good="retrieve") for at in range(4)})
    fit = fit_alpha(QRELS, run, split="dev-2", alphas=[0.0, 1.0])
    assert (fit.setting, fit.split, fit.n_queries, fit.measure) == ("alpha", "dev-2", 4, "nDCG@10")
    assert [value for value, _ in fit.curve] == [0.0, 1.0, 0.5]  # the default is always on the curve
    assert "4 queries of dev-2" in str(fit)
    assert fit.gain >= 0


def test_of_equal_values_the_nearest_to_the_default_is_taken() -> None:
    ranking = Ranking(["d00", "x"], [2, 1], parts={"retrieve": [2, 1], "rerank-1": [2, 1]})
    fit = fit_alpha(Qrels({"q": {"d00": 1}}), Run({"q": ranking}), split="dev", alphas=[0.0, 0.4, 0.65, 1.0])
    assert fit.value == 0.5
    assert fit.gain == 0


def test_the_same_input_gives_the_same_fit() -> None:
    run = Run({f"q{at}": judged(at, good="retrieve") for at in range(6)})
    assert fit_alpha(QRELS, run, split="dev") == fit_alpha(QRELS, run, split="dev")


@pytest.mark.parametrize("split", ["test", " Test", "", "  "])
def test_the_test_split_is_refused(split: str) -> None:
    run = Run({"q0": judged(0, good="retrieve")})
    with pytest.raises(UsageError, match="development split"):
        fit_alpha(QRELS, run, split=split)


def test_queries_to_be_evaluated_on_are_refused() -> None:
    run = Run({f"q{at}": judged(at, good="retrieve") for at in range(6)})
    with pytest.raises(UsageError, match=r"2 of the 6 queries to fit on are test queries \(q3, q5"):
        fit_alpha(QRELS, run, split="dev", test_ids={"q5", "q3", "other"})
    with pytest.raises(UsageError, match="one str"):
        fit_alpha(QRELS, run, split="dev", test_ids="q5")


def test_labels_of_other_queries_and_empty_grids_are_refused() -> None:
    with pytest.raises(UsageError, match="belong to this run"):
        fit_alpha(QRELS, Run({"other": judged(0, good="retrieve")}), split="dev")
    with pytest.raises(UsageError, match="no values of alpha"):
        fit_alpha(QRELS, Run({"q0": judged(0, good="retrieve")}), split="dev", alphas=[])


class Adamant:
    """A LocalJudge that puts d00 last, whatever it is shown with."""

    name, kind, scale, max_docs, min_docs = "adamant", "order", "rank", None, 2

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]]:
        for at, case in enumerate(cases):
            order = sorted(range(len(case.docs)), key=lambda place: (case.docs[place].doc_id == "d00", place))
            yield at, Verdict(tuple(order))


IDS = [f"d{at:02}" for at in range(20)]
DOCS = {doc_id: Doc(doc_id, "") for doc_id in IDS}


def candidates(*queries: str) -> Run:
    return Run({query: Ranking(IDS, [100.0, *range(19, 0, -1)]) for query in queries})


def test_prior_weight_is_chosen_among_four() -> None:
    """The judge is wrong and the first stage right, so the largest weight wins."""
    queries = [Query("q0", "?"), Query("q1", "?"), Query("unlabelled", "?")]
    funnel = Funnel(Adamant(), rounds=["20"])  # type: ignore[arg-type]
    fit = fit_prior_weight(funnel, queries, candidates("q0", "q1", "q2"), DOCS, QRELS, split="dev")
    assert (fit.value, fit.default, fit.n_queries) == (2.0, 1.0, 2)
    assert [value for value, _ in fit.curve] == [0.0, 0.5, 1.0, 2.0]
    means = dict(fit.curve)
    assert means[0.0] == 0.0 < means[2.0]
    assert (funnel.prior, funnel.prior_weight) == ("scores", 1.0)  # it stays as it was


def test_weights_of_strategies() -> None:
    funnel = Funnel(Adamant(), prior_weight=2)  # type: ignore[arg-type]
    assert with_prior_weight(funnel, 0).prior == "flat"
    assert (with_prior_weight(funnel, 0.5).prior, with_prior_weight(funnel, 0.5).prior_weight) == ("scores", 0.5)
    with pytest.raises(UsageError, match="0 or more"):
        with_prior_weight(funnel, -1)


@pytest.mark.parametrize("make", [Funnel, Uncertainty])
def test_a_fitted_weight_of_0_can_be_passed_on(make: Any) -> None:
    by_value, by_name = make(Adamant(), prior_weight=0.0), make(Adamant(), prior="flat")
    assert by_value.settings() == by_name.settings() == with_prior_weight(make(Adamant()), 0).settings()
    assert by_value.prior == "flat"
    task = Task("q", tuple(IDS), tuple(map(float, range(20, 0, -1))), 0)
    assert next(by_value.steps(task)).comparisons == next(by_name.steps(task)).comparisons
    for wrong in (-0.5, float("nan"), True):
        with pytest.raises(UsageError, match="0 or more"):
            make(Adamant(), prior_weight=wrong)


@pytest.mark.parametrize("make", [SlidingWindow, ScoreAndSort, Partition])
def test_strategies_without_a_prior_weight_are_refused(make: Any) -> None:
    judge: Any = Adamant()
    judge.kind = "scores" if make is ScoreAndSort else "order"
    strategy = make(judge)
    with pytest.raises(UsageError, match=rf"have a prior weight, got a {make.__name__}"):
        fit_prior_weight(strategy, [Query("q0", "?")], candidates("q0"), DOCS, QRELS, split="dev")
    with pytest.raises(UsageError, match="prior weight"):
        with_prior_weight(strategy, 1.0)


def test_a_run_that_was_cut_short_fits_nothing() -> None:
    with pytest.raises(UsageError, match="nothing was fitted"):
        fit_prior_weight(
            Funnel(Adamant(), rounds=["20"]),  # type: ignore[arg-type]
            [Query("q0", "?")],
            candidates("q0"),
            DOCS,
            QRELS,
            split="dev",
            context=Context(budget=Budget(calls=1)),
        )


def test_only_fusions_with_one_weight_are_fitted() -> None:
    with pytest.raises(UsageError, match="fusion='rrf'"):
        fit_hybrid_weight(None, [Query("q0", "?")], QRELS, split="dev", fusion="rrf")  # type: ignore[arg-type]


def test_a_fit_shows_itself_in_a_notebook() -> None:
    html = Fit("alpha", 0.5, 0.5, "nDCG@10", "<dev>", 3, ((0.5, 0.1),))._repr_html_()
    assert "&lt;dev&gt;" in html
    assert "<dev>" not in html
