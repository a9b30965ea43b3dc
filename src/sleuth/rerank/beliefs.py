"""Running means: what a strategy believes of each candidate after the prior and some windows.

Every answer counts as much as the prior does at weight 1: a document's place in a window becomes a normal score
(what a standard normal sample of that size would have there), moved to the window's own level, and is averaged with what
was believed before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError
from sleuth.rerank.parts import Comparison, Task, Verdict
from sleuth.rerank.windows import ranked

__all__ = ["Beliefs", "Prior", "check_factor", "check_prior", "normal_scores", "weight_and_prior"]

Prior = Literal["scores", "rank", "flat"]
Floats = NDArray[np.float64]


def check_prior(prior: object) -> Prior:
    """The name, if it is one.

    Raises:
        UsageError: It is none.
    """
    if prior not in ("scores", "rank", "flat"):
        raise UsageError(f"prior must be 'scores', 'rank' or 'flat', got {prior!r}")
    return prior


def check_factor(name: str, value: object) -> float:
    """The value, if it is a finite number above 0.

    Raises:
        UsageError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def weight_and_prior(given: float | None, prior: object, *, default: float) -> tuple[float, Prior]:
    """A strategy's prior weight and prior; a weight of 0 says prior "flat", and leaves the weight at its default.

    Args:
        given: A finite number of 0 or more; None is the default.
        prior: A name of `Prior`.
        default: > 0.

    Raises:
        UsageError: Neither a number of 0 or more nor None, or no name of a prior.
    """
    named = check_prior(prior)
    if given is None:
        return check_factor("prior_weight", default), named
    if isinstance(given, bool) or not isinstance(given, int | float) or not (math.isfinite(given) and given >= 0):
        raise UsageError(f"prior_weight must be a finite number of 0 or more (0 is prior='flat'), got {given!r}")
    return (float(given), named) if given else (check_factor("prior_weight", default), "flat")


@lru_cache(maxsize=256)
def normal_scores(n: int) -> Floats:
    """What places 0 … n - 1 are worth, (n,), falling, mean 0: logit((n - r - 0.375) / (n + 0.25)) / 1.702.

    Blom's (1958) plotting position; the logistic curve over 1.702 stands for the normal one.
    """
    p = (n - np.arange(n) - 0.375) / (n + 0.25)
    scores: Floats = np.log(p / (1 - p)) / 1.702
    scores.flags.writeable = False
    return scores


class Beliefs:
    """Level and weight of each candidate.

    Args:
        task: The candidates.
        prior_weight: How many answers the prior counts for, > 0.
        scale: Worth of a place in a window beside the prior's z-scores, > 0.
        prior: "scores": z-scores of the prior scores, or "rank" where there are none; "rank": normal scores of the
            prior order; "flat": 0 for all.

    Attributes:
        level: What is believed, (n,), in prior order.
        weight: How many answers it rests on, (n,), the prior included.
    """

    def __init__(self, task: Task, *, prior_weight: float, scale: float, prior: Prior) -> None:
        self._task, self._scale = task, scale
        self._row = {doc_id: at for at, doc_id in enumerate(task.doc_ids)}
        n = len(task.doc_ids)
        self.level = _prior_levels(task, prior)
        self.weight = np.full(n, prior_weight)

    def best(self) -> list[int]:
        """Rows from best to worst; ties in prior order."""
        rows: list[int] = np.argsort(-self.level, kind="stable").tolist()
        return rows

    def names(self, rows: Iterable[int]) -> tuple[str, ...]:
        """The ids of these rows."""
        return tuple(self._task.doc_ids[row] for row in rows)

    def learn(self, comparisons: Sequence[Comparison], verdicts: Sequence[Verdict], current: Sequence[str]) -> None:
        """Average the answers in; all of them count from what was believed before, unusable ones do not count.

        Documents that an answer did not name stand behind the named ones in the current order; documents that it
        holds equal share the worth of their places.
        """
        total, count = np.zeros_like(self.level), np.zeros_like(self.level)
        for comparison, verdict in zip(comparisons, verdicts, strict=True):
            if not verdict.usable:
                continue
            rows = np.array([self._row[doc_id] for doc_id in ranked(verdict, comparison, current)])
            worth = self._scale * _shared(normal_scores(len(rows)), rows, comparison, verdict, self._row)
            total[rows] += self.level[rows].mean() + worth
            count[rows] += 1
        self.level = (self.weight * self.level + total) / (self.weight + count)
        self.weight = self.weight + count


def _prior_levels(task: Task, prior: Prior) -> Floats:
    n = len(task.doc_ids)
    if prior == "flat":
        return np.zeros(n)
    if prior == "rank" or task.scores is None:
        return normal_scores(n).copy()
    scores = np.array(task.scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        return normal_scores(n).copy()
    spread = scores.std() if n else 0.0
    # Equal scores, up to rounding, say nothing.
    return (
        (scores - scores.mean()) / spread
        if spread > 1e-12 * max(1.0, float(np.abs(scores).max(initial=0)))
        else np.zeros(n)
    )


def _shared(
    worth: Floats, rows: NDArray[np.int64], comparison: Comparison, verdict: Verdict, row: dict[str, int]
) -> Floats:
    """The worth of each place; documents in a tie share the mean of theirs."""
    if not verdict.ties:
        return worth
    worth = worth.copy()
    place = {int(at): rank for rank, at in enumerate(rows.tolist())}
    for group in verdict.ties:
        places = [place[row[comparison.doc_ids[at]]] for at in group]
        worth[places] = worth[places].mean()
    return worth


def top_chance(level: Floats, weight: Floats, k: int) -> Floats:
    """Chance of each candidate to belong to the best k, (n,), each level taken as normal with variance 1 / weight.

    The border lies midway between the k-th and the next level, and is taken as known.
    """
    if len(level) <= k:
        return np.ones(len(level))
    falling = np.sort(level)[::-1]
    border = (falling[k - 1] + falling[k]) / 2
    cdf = NormalDist().cdf
    return np.array([cdf(x) for x in ((level - border) * np.sqrt(weight)).tolist()])
