"""Judge each document by a network in this process that reads query and document together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError
from sleuth.rerank.parts import Case, Verdict, VerdictKind
from sleuth.rerank.verdicts import score_verdict
from sleuth.types import SCALES, Scale

__all__ = ["CrossEncoder", "PairScorer"]

PAIRS_AT_ONCE = 512
"""Pairs a scorer gets at a time: enough to sort them into batches of like lengths, few enough that a deadline of
seconds is kept on a CPU (ours)."""


@runtime_checkable
class PairScorer(Protocol):
    """What gives a score to each (query, document) pair.

    Attributes:
        name: As shown.
        scale: What the scores mean: "logit" for a raw logit (any real number, around 0 unsure), "probability" for
            one in [0, 1]. A scorer never squashes a logit silently.
    """

    name: str
    scale: Scale

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.floating[Any]]:
        """Scores of n pairs, (n,), higher is better; each depends on its own pair only."""
        ...


class CrossEncoder:
    """The judge over a `PairScorer`: one document a comparison, its score as the scorer gives it.

    Scores are taken as they are, in float64: no sigmoid is added and none removed, so that nothing collapses
    into ties here. Two documents with equal text stay two documents with equal scores.

    Args:
        scorer: Gives the scores.
        pairs_at_once: How many pairs the scorer gets at a time, >= 1.

    Raises:
        UsageError: `scorer` has no `score`, no name or an unknown scale; pairs_at_once < 1.
    """

    kind: VerdictKind = "scores"
    max_docs: int | None = 1
    min_docs: int = 1

    def __init__(self, scorer: PairScorer, *, pairs_at_once: int = PAIRS_AT_ONCE) -> None:
        if not isinstance(scorer, PairScorer):
            raise UsageError(
                f"CrossEncoder needs a scorer with name, scale and score(pairs), got {type(scorer).__name__}"
            )
        if scorer.scale not in SCALES:
            raise UsageError(f"{scorer.name}'s scale {scorer.scale!r} is unknown; known: {', '.join(SCALES)}")
        if pairs_at_once < 1:
            raise UsageError(f"pairs_at_once must be at least 1, got {pairs_at_once}")
        self.scorer, self.pairs_at_once = scorer, pairs_at_once
        self.name = f"cross-encoder/{scorer.name}"
        self.scale: Scale = scorer.scale

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]]:
        """(index of the case, its verdict), in the order given, portion by portion.

        A score that is not finite is none: counted as `invalid`, the document keeps its prior place.

        Raises:
            ShapeError: The scorer gave another number of scores than pairs.
        """
        for part in _portions(cases, self.pairs_at_once):
            pairs = [(cases[at].query_text, doc.full_text) for at in part for doc in cases[at].docs]
            scores = self._scores(pairs)
            start = 0
            for at in part:
                own = scores[start : start + len(cases[at].docs)]
                start += len(own)
                lost = sum(map(math.isnan, own))
                counts = {"ok": 1} if not lost else {"invalid": lost}
                yield at, score_verdict(own, counts=counts)

    def _scores(self, pairs: list[tuple[str, str]]) -> list[float]:
        if not pairs:
            return []
        scores = np.asarray(self.scorer.score(pairs), dtype=np.float64)
        if scores.shape != (len(pairs),):
            raise ShapeError(
                f"{self.scorer.name} must give {len(pairs)} scores of shape ({len(pairs)},), got {scores.shape}"
            )
        found: list[float] = np.where(np.isfinite(scores), scores, np.nan).tolist()
        return found


def _portions(cases: Sequence[Case], most: int) -> Iterator[list[int]]:
    """Runs of cases with at most `most` documents together, one case at least."""
    part: list[int] = []
    docs = 0
    for at, case in enumerate(cases):
        if part and docs + len(case.docs) > most:
            yield part
            part, docs = [], 0
        part.append(at)
        docs += len(case.docs)
    if part:
        yield part
