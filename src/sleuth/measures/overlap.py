"""Rank-biased overlap: how alike two rankings are, the top counting most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError
from sleuth.types import Ranking

__all__ = ["rbo"]

Form = Literal["extrapolated", "truncated", "normalized"]


def rbo(a: Ranking | Iterable[str], b: Ranking | Iterable[str], p: float, *, form: Form = "extrapolated") -> float:
    """Rank-biased overlap (Webber, Moffat & Zobel 2010, "A similarity measure for indefinite rankings").

    A reader goes on to the next rank with probability p; A_d = |a[:d] ∩ b[:d]| / d is the agreement at
    depth d; RBO = (1 - p) Σ_d p^(d-1) A_d over d = 1, 2, …

    Args:
        a: Ids, best first, each once; or a Ranking.
        b: Likewise; the lists may differ in length.
        p: Persistence, 0 < p < 1; the first 1 / (1 - p) ranks carry most of the weight. With
            form="normalized" p = 1 is allowed and gives the average overlap.
        form: "extrapolated" (the default): the paper's RBO_EXT, eq. 32, which assumes that the agreement
            seen goes on below the lists' ends and handles uneven lengths. "truncated": the sum stops at
            the end n of the shorter list; at most 1 - p^n. "normalized": truncated / (1 - p^n), so that
            equal lists give 1.

    Returns:
        0 (nothing in common) to 1. Two empty lists are equal: 1, truncated 0. One empty list: 0.

    Raises:
        UsageError: p out of range, unknown form, a repeated or non-text id.
    """
    if form not in ("extrapolated", "truncated", "normalized"):
        raise UsageError(f"form must be 'extrapolated', 'truncated' or 'normalized', got {form!r}")
    if not (0 < p < 1 or (p == 1 and form == "normalized")):
        raise UsageError(f"p must lie between 0 and 1 (p = 1 with form='normalized' only), got {p}")
    short, long = sorted((_ids(a, "a"), _ids(b, "b")), key=len)
    if not short:
        return float(not long and form != "truncated")
    if form == "extrapolated":
        return _extrapolated(_shared(short, long), len(short), p)
    n = len(short)
    depth = np.arange(1, n + 1)
    weights = p ** (depth - 1.0)
    agreement = _shared(short, long)[:n] / depth
    if form == "normalized":
        return float(weights @ agreement / weights.sum())  # (1 - p) Σ p^(d-1) = 1 - p^n, and this also holds at p = 1
    return float((1 - p) * (weights @ agreement))


def _ids(ranking: Ranking | Iterable[str], name: str) -> tuple[str, ...]:
    if isinstance(ranking, str):
        raise UsageError(f"{name} must be a list of ids, got the text {ranking!r}")
    ids = ranking.doc_ids if isinstance(ranking, Ranking) else tuple(ranking)
    if any(not isinstance(doc_id, str) for doc_id in ids):
        raise UsageError(f"{name} must hold ids (text) only")
    if len(set(ids)) != len(ids):
        raise UsageError(f"{name} lists a document twice")
    return ids


def _shared(short: tuple[str, ...], long: tuple[str, ...]) -> NDArray[np.float64]:
    """X_d for d = 1 … len(long): how many documents the two share down to depth d (the short list ends earlier)."""
    place = {doc_id: at for at, doc_id in enumerate(short)}
    meets = [max(at, place[doc_id]) for at, doc_id in enumerate(long) if doc_id in place]
    return np.cumsum(np.bincount(np.asarray(meets, dtype=np.int64), minlength=len(long))).astype(np.float64)


def _extrapolated(shared: NDArray[np.float64], s: int, p: float) -> float:
    """RBO_EXT of lists of lengths s <= l = len(shared), eq. 32."""
    length = len(shared)
    depth = np.arange(1.0, length + 1)
    weights = p**depth
    seen = weights @ (shared / depth)
    beyond, at_end = shared[s - 1], shared[-1]
    guessed = weights[s:] @ (beyond * (depth[s:] - s) / (s * depth[s:]))
    tail = ((at_end - beyond) / length + beyond / s) * p**length
    return float((1 - p) / p * (seen + guessed) + tail)
