"""Choose one setting on labelled queries of a development split: alpha, the funnel's prior weight, a hybrid's weight.

Each function tries every value of a short list, measures all of them on the same queries, and returns a `Fit`: the
value, and the whole curve, so that a reader sees how much it mattered. Nothing is drawn at random. A value is only
fitted on a split that is named and is not the test split, and never on a query that the caller will evaluate on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.fusion.smoothed import Smoothed
from sleuth.index.handle import IndexView
from sleuth.measures.evaluation import evaluate
from sleuth.rerank.beliefs import weight_and_prior
from sleuth.rerank.funnel import Funnel
from sleuth.rerank.interpolate import Interpolate
from sleuth.rerank.uncertainty import Uncertainty
from sleuth.retrieve.dense import Dense
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.lexical import Lexical
from sleuth.stages import DocStore
from sleuth.types import Qrels, Query, Run

__all__ = [
    "ALPHAS",
    "HYBRID_WEIGHTS",
    "PRIOR_WEIGHTS",
    "Fit",
    "fit_alpha",
    "fit_hybrid_weight",
    "fit_prior_weight",
    "with_prior_weight",
]

ALPHAS = tuple(step / 20 for step in range(21))
"""0 (the judge alone) to 1 (the earlier stage alone) by .05. Ours: finer steps lie within the noise of 100 queries."""

PRIOR_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
"""What the funnel's prior is worth in answers; 0 is flat. Measured with a simulated judge: 4 already loses."""

HYBRID_WEIGHTS = tuple(step / 10 for step in range(11))
"""BM25's weight beside vectors, 0 to 1 by .1 (ours)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was chosen, on what, and how the others did.

    Attributes:
        setting: What was fitted ("alpha", say).
        value: The best value; of equal ones the nearest to `default`.
        default: What it is without fitting.
        measure: What was maximized, as `parse_measure` spells it.
        split: Which labelled queries these were, in the caller's words.
        n_queries: How many of them.
        curve: (value, mean) for all values, in the order tried.
    """

    setting: str
    value: float
    default: float
    measure: str
    split: str
    n_queries: int
    curve: tuple[tuple[float, float], ...]

    @property
    def gain(self) -> float:
        """How much better the chosen value is than the default, on these queries: an optimistic figure."""
        means = dict(self.curve)
        return means[self.value] - means[self.default]

    def __str__(self) -> str:
        return (
            f"{self.setting} = {self.value} ({self.measure} {dict(self.curve)[self.value]:.4f}, {self.gain:+.4f} to the "
            f"default {self.default}; fitted on {self.n_queries:,} queries of {self.split})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'<b>' if value == self.value else ''}{value}</td><td>{mean:.4f}</td></tr>"
            for value, mean in self.curve
        )
        return f"<p>{escape(str(self))}</p><table><tr><th>{self.setting}</th><th>{self.measure}</th></tr>{rows}</table>"


def fit_alpha(
    qrels: Qrels,
    run: Run,
    *,
    split: str,
    with_: str = "retrieve",
    judge: str | None = None,
    normalize: str = "minmax",
    alphas: Sequence[float] = ALPHAS,
    measure: str = "nDCG@10",
    test_ids: Iterable[str] = (),
) -> Fit:
    """The weight of the earlier stage in `Interpolate`. No judge is called: the run's parts hold all scores.

    Args:
        qrels: Labels of the development queries only.
        run: A judged run with both parts, as a reranking stage gives it back.
        split: The name of these queries, "dev" say; "test" is refused.
        with_, judge, normalize: As of `Interpolate`. Default of `normalize`: "minmax", the usual one for a fitted weight.
        alphas: Tried in this order; `Interpolate`'s own .5 is tried too.
        measure: Maximized.
        test_ids: Queries that the value will be evaluated on; sharing one is an error.

    Raises:
        UsageError: A test split, shared queries, no labelled query in the run, or nothing to try.
    """
    queries = _asked(qrels, run, split, test_ids)

    def at(alpha: float) -> Run:
        step = Interpolate(with_=with_, judge=judge, alpha=alpha, normalize=normalize)
        return step.rerank(queries, run).run

    return _fit("alpha", at, alphas, 0.5, _of(qrels, queries), split=split, measure=measure)


def fit_prior_weight(
    strategy: Funnel | Uncertainty,
    queries: Sequence[Query],
    run: Run,
    docs: DocStore,
    qrels: Qrels,
    *,
    split: str,
    weights: Sequence[float] = PRIOR_WEIGHTS,
    depth: int | None = None,
    measure: str = "nDCG@10",
    test_ids: Iterable[str] = (),
    context: Context | None = None,
) -> Fit:
    """How many answers the first stage's score counts as in a funnel; the value is `Funnel`'s `prior_weight` as it is.

    The judge is asked for every weight, because a funnel's later windows depend on it. The first rounds of all weights but
    the flat one are the same, so with a cache they are paid once.

    Args:
        strategy: A `Funnel` or `Uncertainty`; it stays as it is.
        queries: The development queries.
        run, docs, depth: As of `rerank`.
        qrels, split, measure, test_ids: As of `fit_alpha`.
        weights: Default: flat, .5, 1 and 2. 0 is flat: `prior="flat"`.
        context: Limits of all runs together.

    Raises:
        UsageError: As `fit_alpha`; a strategy without a prior weight; also when a limit ended a run: half a curve would
            choose at random.
    """
    _check_weighted(strategy)
    asked = _asked(qrels, run, split, test_ids, queries)
    context = Context.of(context)

    def at(weight: float) -> Run:
        result = with_prior_weight(strategy, weight).rerank(asked, run, docs, depth=depth, context=context)
        if not result.complete:
            raise UsageError(
                f"prior_weight {weight:g} could not be run to its end: {result.reason}; nothing was fitted"
            )
        return result.run

    return _fit("prior_weight", at, weights, 1.0, _of(qrels, asked), split=split, measure=measure)


Weighted = TypeVar("Weighted", bound="Funnel | Uncertainty")


def with_prior_weight(strategy: Weighted, weight: float) -> Weighted:
    """The same strategy with another prior weight; 0 makes its prior flat.

    Raises:
        UsageError: A weight below 0, or a strategy that has no such weight.
    """
    _check_weighted(strategy)
    other = copy(strategy)
    other.prior_weight, other.prior = weight_and_prior(weight, strategy.prior, default=strategy._usual_weight)
    return other


def _check_weighted(strategy: object) -> None:
    if not isinstance(strategy, Funnel | Uncertainty):
        name = strategy.__name__ if isinstance(strategy, type) else type(strategy).__name__
        raise UsageError(f"only a Funnel and an Uncertainty have a prior weight, got a {name}: there is nothing to fit")


def fit_hybrid_weight(
    index: IndexView,
    queries: Sequence[Query],
    qrels: Qrels,
    *,
    split: str,
    fusion: str = "smoothed",
    weights: Sequence[float] = HYBRID_WEIGHTS,
    depth: int = 100,
    measure: str = "nDCG@10",
    test_ids: Iterable[str] = (),
) -> Fit:
    """BM25's weight in the hybrid of an index with vectors.

    Args:
        fusion: "smoothed" (the default hybrid, `Smoothed(weight=…)`) or "weighted" (min-max).
        depth: Candidates a query.
        queries, qrels, split, weights, measure, test_ids: As above.

    Raises:
        UsageError: As `fit_alpha`; an index without vectors, or another fusion.
    """
    if fusion not in ("smoothed", "weighted"):
        raise UsageError(f"only 'smoothed' and 'weighted' have one weight to fit, got fusion={fusion!r}")
    asked = _asked(qrels, None, split, test_ids, queries)
    lexical, dense = Lexical(index), Dense(index)

    def at(weight: float) -> Run:
        if fusion == "smoothed":
            hybrid = Hybrid(lexical, dense, fusion=Smoothed(weight=weight))
        else:
            hybrid = Hybrid(lexical, dense, fusion="weighted", weights=(weight, 1 - weight), normalize="minmax")
        return hybrid.retrieve(asked, depth=depth).run

    default = Smoothed().weight if fusion == "smoothed" else 0.25
    return _fit("weight", at, weights, default, _of(qrels, asked), split=split, measure=measure)


# ── what they share ───────────────────────────────────────────────────────────────────────────────


def _fit(
    setting: str,
    at: Callable[[float], Run],
    values: Sequence[float],
    default: float,
    labels: Qrels,
    *,
    split: str,
    measure: str,
) -> Fit:
    """Measure every value and the default; of the best ones the nearest to the default."""
    if not values:
        raise UsageError(f"no values of {setting} to try")
    tried = list(dict.fromkeys([*values, default]))
    means: dict[float, float] = {}
    name = ""
    for value in tried:
        report = evaluate(labels, {setting: at(value)}, [measure])
        name = report.names[0]
        means[value] = report.means[setting][name]
    best = max(means.values())
    chosen = min((value for value in tried if means[value] == best), key=lambda value: abs(value - default))
    return Fit(setting, chosen, default, name, split, len(labels), tuple(means.items()))


def _asked(
    qrels: Qrels, run: Run | None, split: str, test_ids: Iterable[str], queries: Sequence[Query] | None = None
) -> list[Query]:
    """The queries to fit on, after the refusals."""
    if not split.strip() or split.strip().lower() == "test":
        raise UsageError(
            f"fit on a development split and say which, got split={split!r}; what is fitted on the test split measures "
            "nothing there"
        )
    if isinstance(test_ids, str):
        raise UsageError("test_ids must be several query ids, got one str")
    known: Mapping[str, object] = qrels if run is None else {q: run[q] for q in qrels if q in run}
    found = (
        [Query(q, "") for q in known] if queries is None else [query for query in queries if query.query_id in known]
    )
    if not found:
        raise UsageError("none of the labelled queries is among those to fit on: do the labels belong to this run?")
    shared = sorted({query.query_id for query in found} & set(test_ids))
    if shared:
        raise UsageError(
            f"{len(shared):,} of the {len(found):,} queries to fit on are test queries ({', '.join(shared[:3])}, …); "
            "leave them out of the labels"
        )
    return found


def _of(qrels: Qrels, queries: Sequence[Query]) -> Qrels:
    """The labels of these queries."""
    return Qrels({query.query_id: qrels[query.query_id] for query in queries}, name=qrels.name)
