"""BRIGHT's own evaluation, for figures that can stand beside published ones.

Per query: drop the excluded documents, keep the best 1,000, score against binary labels made from the
gold ids, and average over the queries that the run has. (Source: xlangai/BRIGHT `run.py` and
`retrievers.py`, which round the means to 5 decimals.) Averaging over the run's queries hides those that
failed: `missing="zero"` counts them and is what to use for one's own systems.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sleuth.errors import UsageError
from sleuth.measures.evaluation import DEFAULT_MEASURES, evaluate
from sleuth.measures.ranked import Measure
from sleuth.measures.report import Report
from sleuth.types import Qrels, Run

__all__ = ["bright_qrels", "bright_run", "evaluate_bright"]

NOTHING = "N/A"
"""BRIGHT writes this literal where a list of ids is empty."""

DEPTH = 1000
"""Documents a query that BRIGHT keeps."""


def bright_qrels(gold_ids: Mapping[str, Iterable[str]], *, name: str = "") -> Qrels:
    """Binary labels from `gold_ids` (or `gold_ids_long`); a repeated id counts once, "N/A" is no id."""
    labels = {query_id: {doc_id: 1 for doc_id in ids if doc_id != NOTHING} for query_id, ids in gold_ids.items()}
    return Qrels(labels, name=name)


def bright_run(run: Run, excluded_ids: Mapping[str, Iterable[str]], *, depth: int = DEPTH) -> Run:
    """The run without each query's excluded documents, cut to its best `depth`.

    Args:
        run: Lists that are long enough to lose the excluded documents and still reach `depth`.
        excluded_ids: query_id -> ids; the literal "N/A" means none, ids that the list lacks are no error.
        depth: Default: BRIGHT's 1,000.
    """
    return Run(
        {
            query_id: ranking.without(frozenset(excluded_ids.get(query_id, ())) - {NOTHING}).head(depth)
            for query_id, ranking in run.items()
        },
        name=run.name,
    )


def evaluate_bright(
    gold_ids: Mapping[str, Iterable[str]],
    runs: Run | Mapping[str, Run],
    excluded_ids: Mapping[str, Iterable[str]],
    measures: str | Measure | Iterable[str | Measure] = DEFAULT_MEASURES,
    *,
    missing: str = "skip",
    depth: int = DEPTH,
) -> Report:
    """Evaluate by BRIGHT's protocol (module docstring).

    Raises:
        UsageError: A document is both gold and excluded for a query (BRIGHT asserts it is not), or as `evaluate`.
    """
    qrels = bright_qrels(gold_ids)
    excluded = {query_id: frozenset(ids) for query_id, ids in excluded_ids.items()}
    for query_id, gold in qrels.items():
        both = excluded.get(query_id, frozenset()) & gold.keys()
        if both:
            raise UsageError(f"query {query_id!r}: {min(both)!r} is both a gold and an excluded document")
    named = {runs.name: runs} if isinstance(runs, Run) else runs
    kept = {name: bright_run(run, excluded, depth=depth) for name, run in named.items()}
    return evaluate(qrels, kept, measures, missing=missing)
