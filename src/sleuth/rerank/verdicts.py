"""Make verdicts: from scores, from an order, from a choice, and where nothing could be read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sleuth.rerank.parts import Verdict

__all__ = ["choice_verdict", "moved_one", "no_verdict", "order_verdict", "score_verdict"]

NEAR_IDENTITY_FROM = 5
"""Documents from which an order with one document moved is worth a note: by chance it comes (n - 1)² times in n!,
that is 13 % at 5 and 0.02 % at 9 (ours)."""


def score_verdict(
    scores: Sequence[float], *, counts: Mapping[str, int] | None = None, note: Mapping[str, Any] | None = None
) -> Verdict:
    """A verdict of scores, NaN where there is none; not usable where all are NaN.

    Args:
        scores: One for each position as shown, higher is better.
        counts, note: As of Verdict.
    """
    scored = [at for at, score in enumerate(scores) if not math.isnan(score)]
    if not scored:
        return no_verdict(len(scores), counts=counts, note=note, scored=True)
    order = sorted(scored, key=lambda at: -scores[at])
    groups = (tuple(group) for _, group in groupby(order, key=lambda at: scores[at]))
    missing = [at for at, score in enumerate(scores) if math.isnan(score)]
    return Verdict(
        (*order, *missing),
        ties=tuple(group for group in groups if len(group) > 1),
        scores=tuple(scores),
        named=len(scored),
        counts=dict(counts or {}),
        note=dict(note or {}),
    )


def order_verdict(
    order: Sequence[int],
    *,
    ties: Sequence[Sequence[int]] = (),
    named: int | None = None,
    counts: Mapping[str, int] | None = None,
    note: Mapping[str, Any] | None = None,
) -> Verdict:
    """A verdict of an order; counts `identity` where it is the order as shown, `near_identity` where but one moved."""
    summed = dict(counts or {})
    given = order if named is None else order[:named]
    if len(given) > 1 and tuple(given) == tuple(range(len(order))):
        summed["identity"] = summed.get("identity", 0) + 1
    elif len(order) >= NEAR_IDENTITY_FROM and len(given) == len(order) and moved_one(order):
        summed["near_identity"] = summed.get("near_identity", 0) + 1
    return Verdict(tuple(order), ties=tuple(map(tuple, ties)), named=named, counts=summed, note=dict(note or {}))


def choice_verdict(
    best: Sequence[int], *, counts: Mapping[str, int] | None = None, note: Mapping[str, Any] | None = None
) -> Verdict:
    """A verdict of the best document; several that are equal are a tie, and none of them is chosen."""
    tied = len(best) > 1
    return Verdict(
        () if tied else tuple(best),
        ties=(tuple(best),) if tied else (),
        counts=dict(counts or {}),
        note=dict(note or {}),
    )


def no_verdict(
    n: int,
    *,
    counts: Mapping[str, int] | None = None,
    note: Mapping[str, Any] | None = None,
    scored: bool = False,
) -> Verdict:
    """A verdict that says nothing: the order as shown, not usable, counted as `fallback`.

    Args:
        n: Documents of the comparison.
        counts, note: As of Verdict.
        scored: The judge gives scores: they are then all NaN, never 0.
    """
    summed = {**(counts or {}), "fallback": 1}
    scores = (math.nan,) * n if scored else None
    return Verdict(tuple(range(n)), scores=scores, named=0, usable=False, counts=summed, note=dict(note or {}))


def moved_one(order: Sequence[int]) -> bool:
    """Whether taking one place out of an order of 0 … n-1 leaves it ascending; False for the identity.

    An answer like `[20] > [1] > [2] > … > [19]` copies its first item from an example and the rest from the list.
    """
    falls = [at for at in range(1, len(order)) if order[at] < order[at - 1]]
    if len(falls) != 1:
        return False
    at = falls[0]
    without_left = at < 2 or order[at] > order[at - 2]
    without_right = at + 1 >= len(order) or order[at + 1] > order[at - 1]
    return without_left or without_right
