"""Bring the scores of different lists onto one scale.

Each normalizer takes one list's column over the union of all lists' documents: `scores` (n,) float64 and
`ranks` (n,) 0-based, NaN and -1 where the list lacks the document. Statistics come from the documents
that the list has; one it lacks gets the lowest normalized score of the list. Score missing documents
first where the retriever can (`Retriever.score`): a guess is only made about what is still unknown.

| name | a document at rank r (0-based) with score s | all scores equal, or one document | missing |
|---|---|---|---|
| `none` | s | s | the list's lowest s |
| `minmax` | (s - min) / (max - min), in [0, 1] | 1: the best of a list is always 1 | 0 |
| `zscore` | (s - mean) / std, population std | 0: such a list says nothing | the list's lowest z |
| `rank` | 1 - r / n over a union of n, in (0, 1] (Borda's points, scaled) | by rank, as always | the list's lowest |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["NORMALIZERS", "minmax", "rank_points", "unchanged", "zscore"]

Floats = NDArray[np.float64]

FLAT = 1e-9
"""A standard deviation below this is none. (The threshold of the smoothed hybrid's z-scores.)"""


def unchanged(scores: Floats, ranks: NDArray[np.int64]) -> Floats:
    """Scores as they are."""
    return _filled(scores, np.isnan(scores))


def minmax(scores: Floats, ranks: NDArray[np.int64]) -> Floats:
    """Lowest 0, highest 1."""
    missing = np.isnan(scores)
    if missing.all():
        return np.zeros(len(scores))
    low, high = np.nanmin(scores), np.nanmax(scores)
    if high == low:
        return np.where(missing, 0.0, 1.0)
    # Halved before subtracting: the span of two finite floats may itself overflow.
    return np.where(missing, 0.0, (scores / 2 - low / 2) / (high / 2 - low / 2))


def zscore(scores: Floats, ranks: NDArray[np.int64]) -> Floats:
    """Mean 0, population standard deviation 1."""
    missing = np.isnan(scores)
    known = np.sort(scores[~missing])  # a mean of floats depends on their order, the result must not
    if len(known) == 0 or known.min() == known.max() or known.std() < FLAT:
        return np.zeros(len(scores))
    return _filled((scores - known.mean()) / known.std(), missing)


def rank_points(scores: Floats, ranks: NDArray[np.int64]) -> Floats:
    """Only the order: best 1, falling by 1/n a rank."""
    missing = ranks < 0
    return _filled(np.where(missing, np.nan, 1 - ranks / max(len(ranks), 1)), missing)


def _filled(values: Floats, missing: NDArray[np.bool_]) -> Floats:
    if missing.all():
        return np.zeros(len(values))
    return np.where(missing, np.nanmin(values), values)


NORMALIZERS: dict[str, Callable[[Floats, NDArray[np.int64]], Floats]] = {
    "none": unchanged,
    "minmax": minmax,
    "zscore": zscore,
    "rank": rank_points,
}
