"""Score every candidate by itself, then sort: what pointwise judges and judges of whole lists are made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from sleuth.rerank.parts import Ask, ChatJudge, Comparison, LocalJudge, Order, Steps, Task, Verdict, VerdictKind
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import fit_window
from sleuth.types import Scale

__all__ = ["ScoreAndSort", "gather", "sorted_by"]


class ScoreAndSort(Strategy):
    """Every candidate gets one score; the result is sorted by it, ties in prior order.

    A pointwise judge gets one document a comparison, a judge without limit the whole list, another one blocks of the
    prior order as large as it takes. All comparisons may run side by side.

    **A document without a score** (an unreadable answer, NaN) is not punished for the judge's failure: it keeps its
    place in the list, the scored ones take the other places, and its score is interpolated between its neighbours'.

    Args:
        judge: Gives scores.
        size: Documents of one comparison at most. Default: as many as the judge takes.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: A judge that gives no scores, or a size larger than it takes.
    """

    accepts: ClassVar[frozenset[VerdictKind]] = frozenset({"scores"})

    def __init__(self, judge: ChatJudge | LocalJudge, *, size: int | None = None, **options: Any) -> None:
        super().__init__(judge, **options)
        self.size = judge.max_docs if size is None else fit_window(judge, size, name="size", least=1)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the number is fixed."""
        exact = -(-n // (self.size or max(n, 1)))
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons; the scores of the result are the judge's."""
        ids = task.doc_ids
        size = self.size or max(len(ids), 1)
        comparisons = tuple(Comparison(ids[start : start + size]) for start in range(0, len(ids), size))
        if not comparisons:
            return Order(())
        verdicts = yield Ask(comparisons, ids)
        return sorted_by(gather(comparisons, verdicts), ids, self.judge.scale)


def gather(comparisons: Sequence[Comparison], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """doc_id -> mean of its scores over all usable answers; documents that got none are absent."""
    found: dict[str, list[float]] = {}
    for comparison, verdict in zip(comparisons, verdicts, strict=True):
        if not verdict.usable or verdict.scores is None:
            continue
        for doc_id, score in zip(comparison.doc_ids, verdict.scores, strict=True):
            if not np.isnan(score):
                found.setdefault(doc_id, []).append(score)
    return {doc_id: sum(scores) / len(scores) for doc_id, scores in found.items()}


def sorted_by(scores: Mapping[str, float], prior: Sequence[str], scale: Scale) -> Order:
    """Candidates by falling score, ties in prior order; those without a score keep their places.

    Args:
        scores: doc_id -> score, of some or all candidates.
        prior: All candidates, best first.
        scale: What the scores mean.

    Returns:
        An interpolated score for a candidate that has none; no scores at all where no candidate has one.
    """
    if not scores:
        return Order(tuple(prior))
    places = [at for at, doc_id in enumerate(prior) if doc_id in scores]
    judged = sorted((prior[at] for at in places), key=lambda doc_id: -scores[doc_id])  # stable: ties in prior order
    ids = list(prior)
    for at, doc_id in zip(places, judged, strict=True):
        ids[at] = doc_id
    values = _between(np.arange(len(ids)), places, [scores[doc_id] for doc_id in judged])
    return Order(tuple(ids), tuple(values), scale)


def _between(wanted: np.ndarray[Any, Any], places: list[int], scores: list[float]) -> list[float]:
    """Scores at all places: the given ones exactly, the others on the line between their neighbours."""
    exact = dict(zip(places, scores, strict=True))
    finite = [at for at in places if np.isfinite(exact[at])]
    if len(finite) < len(places) or not finite:  # an infinite neighbour has no line: take the one behind, else before
        return [exact[_nearest(at, places)] for at in wanted.tolist()]
    line = np.minimum.accumulate(np.interp(wanted, places, scores))  # rounding must not let scores rise
    return [exact.get(at, value) for at, value in enumerate(line.tolist())]


def _nearest(at: int, places: list[int]) -> int:
    return next((place for place in places if place >= at), places[-1])
