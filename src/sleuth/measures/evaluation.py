"""Score runs against labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError
from sleuth.measures.comparisons import Settings, pairs_of
from sleuth.measures.positions import Hits, Labels
from sleuth.measures.ranked import Measure
from sleuth.measures.report import Counts, Report
from sleuth.measures.significance import RESAMPLES
from sleuth.measures.spelling import parse_measures
from sleuth.types import Qrels, Run

__all__ = ["DEFAULT_MEASURES", "evaluate"]

DEFAULT_MEASURES = ("nDCG@10", "R@100")
"""BRIGHT's headline measure, and how much of what is relevant a reranker of 100 gets to see."""


def evaluate(
    qrels: Qrels | Mapping[str, Mapping[str, int]],
    runs: Run | Mapping[str, Run],
    measures: str | Measure | Iterable[str | Measure] = DEFAULT_MEASURES,
    *,
    missing: str = "zero",
    baseline: str | None = None,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Report:
    """Measure one or several runs, query by query, and compare them.

    The order of a Ranking is taken as it is; scores are not looked at. Values equal trec_eval's on runs
    whose order follows its rule of ties, which is what `read_run` gives.

    Args:
        qrels: The labels. All means are over their queries.
        runs: One Run (it goes by its `name`), or name -> Run.
        measures: `nDCG@10`, "nDCG@10,R@100", or several; see `parse_measure`. Default: `DEFAULT_MEASURES`.
        missing: A query that a run lacks (or has no documents for) counts 0 ("zero", the default, trec_eval's
            `-c`), or is left out of that run's mean ("skip", as BRIGHT's own code does).
        baseline: Compare every run with this one; None compares all pairs.
        alpha: Level of significance and 1 - coverage of the intervals. Default .05, the field's custom.
        resamples: Of bootstrap and randomization test. Default: `significance.RESAMPLES`.
        seed: Of both.

    Returns:
        A Report; comparisons are computed when first read.

    Raises:
        UsageError: No labels, no run, a run that shares no query with the labels, or bad options.
        UnknownName: A measure or a baseline that doesn't exist.
    """
    if missing not in ("zero", "skip"):
        raise UsageError(f"missing must be 'zero' or 'skip', got {missing!r}")
    if not qrels:
        raise UsageError("the qrels hold no query, so there is nothing to measure")
    named = _named(runs)
    parsed = parse_measures(measures)
    settings = Settings(baseline, alpha, resamples, seed)
    pairs_of(list(named), baseline)
    labels = Labels.of(qrels)
    values: dict[str, NDArray[np.float64]] = {}
    counts: dict[str, Counts] = {}
    for name, run in named.items():
        hits = Hits.of(run, qrels, labels)
        _overlapping(name, run, labels, hits, missing)
        table = np.column_stack([measure.compute(hits, labels) for measure in parsed])
        if missing == "skip":
            table[~hits.present] = np.nan
        table.flags.writeable = False
        values[name] = table
        counts[name] = _counts(run, labels, hits, missing)
    return Report(parsed, labels.query_ids, values, counts, missing, settings, getattr(qrels, "name", ""))


def _named(runs: Run | Mapping[str, Run]) -> dict[str, Run]:
    if isinstance(runs, Run):
        return {runs.name: runs}
    if not isinstance(runs, Mapping):
        raise UsageError(f"runs must be a Run or a mapping of names to Runs, got {type(runs).__name__}")
    if not runs:
        raise UsageError("no run was given")
    named: dict[str, Run] = {}
    for name, run in runs.items():
        if not isinstance(run, Run):
            raise UsageError(
                f"run {name!r} must be a Run, got {type(run).__name__}. "
                "From scores: Run({query_id: Ranking.from_scores({doc_id: score})})."
            )
        named[name] = run
    return named


def _overlapping(name: str, run: Run, labels: Labels, hits: Hits, missing: str) -> None:
    """A run of other queries is the wrong file, not a bad system."""
    if hits.present.any() or (missing == "zero" and not any(map(len, run.values()))):
        return
    if not run:
        raise UsageError(f"run {name!r} is empty, so with missing='skip' there is nothing to average")
    raise UsageError(
        f"run {name!r} has results for none of the {len(labels.query_ids):,} queries of the qrels. "
        f"Its first query is {next(iter(run))!r}, the qrels' first is {labels.query_ids[0]!r}: do they belong together?"
    )


def _counts(run: Run, labels: Labels, hits: Hits, missing: str) -> Counts:
    present = int(hits.present.sum())
    known = set(labels.query_ids)
    return Counts(
        queries=len(known),
        evaluated=len(known) if missing == "zero" else present,
        missing=len(known) - present,
        unjudged=sum(query_id not in known for query_id in run),
        no_relevant=int((labels.relevant(1) == 0).sum()),
    )
