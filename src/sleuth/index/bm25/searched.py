"""A segment as it is searched: its postings, what is deleted, its order among ties, what was derived from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError
from sleuth.index.bm25.postings import Postings, Run

__all__ = ["RunCache", "Saturation", "Searched", "saturation"]

T = TypeVar("T")
KEPT = 2


class Saturation:
    """The parameters of the saturation tf / (tf + norm), norm = k1 * (1 - b + b * length / avgdl).

    Args:
        k1: >= 0; how fast repeated words stop counting.
        b: In [0, 1]; how much long documents are held back.
        avgdl: Average length of the documents that count, in tokens, > 0.
    """

    def __init__(self, k1: float, b: float, avgdl: float) -> None:
        self.k1, self.b, self.avgdl = k1, b, avgdl
        self.key = (k1, b, avgdl)

    def norm(self, lengths: NDArray[Any]) -> NDArray[np.float64]:
        """The norm of documents of given lengths, float64 >= 0."""
        out: NDArray[np.float64] = self.k1 * ((1.0 - self.b) + self.b * (lengths / self.avgdl))
        return out


def saturation(tf: NDArray[Any], norm: NDArray[np.float64]) -> NDArray[np.float64]:
    """tf / (tf + norm), 0 for tf 0, float64 in [0, 1]."""
    out: NDArray[np.float64] = tf / np.maximum(tf + norm, np.finfo(np.float64).tiny)
    return out


class Searched:
    """A segment among others.

    Args:
        postings: Its inverted index.
        live: False where a document is deleted, (n_docs,) bool; None: all live.
        tie_rank: Place of each document among ties, 0 first, (n_docs,).
        base: Position of its first document among all segments'.

    Raises:
        ShapeError: Arrays of another length than the segment.
    """

    def __init__(
        self, postings: Postings, live: NDArray[np.bool_] | None, tie_rank: NDArray[np.integer[Any]], base: int
    ) -> None:
        for name, array in (("live", live), ("tie_rank", tie_rank)):
            if array is not None and np.shape(array) != (postings.n_docs,):
                raise ShapeError(f"{name} has shape {np.shape(array)}, expected ({postings.n_docs},)")
        self.postings, self.tie_rank, self.base = postings, np.asarray(tie_rank), base
        self.live = None if live is None or bool(np.all(live)) else np.asarray(live, dtype=np.bool_)
        lengths = postings.lengths
        self.n_docs, self.n_not_empty, self.n_tokens = postings.n_docs, postings.n_not_empty, postings.n_tokens
        if self.live is not None:
            gone = lengths[~self.live]
            self.n_docs -= len(gone)
            self.n_not_empty -= int((gone > 0).sum())
            self.n_tokens -= int(gone.sum(dtype=np.int64))
        self._dead_df: dict[int, int] = {}
        self._derived: dict[str, dict[Any, Any]] = {}
        self._deriving = threading.RLock()  # making one value may need another

    def dead_df(self, terms: NDArray[np.int64]) -> NDArray[np.int64] | int:
        """In how many deleted documents each term number occurs; 0 for -1.

        They are counted when a term is first asked for, and kept.
        """
        return 0 if self.live is None else np.array([self._dead(term) for term in terms.tolist()], dtype=np.int64)

    def _dead(self, term: int) -> int:
        if term < 0 or self.live is None:
            return 0
        count = self._dead_df.get(term)
        if count is None:
            run = self.postings.run(term)
            count = len(run.ones) + len(run.more) - int(self.live[run.ones].sum() + self.live[run.more].sum())
            self._dead_df[term] = count
        return count

    def derived(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        """A value made once for a key. Of each kind the two newest are kept: weightings differ in average length."""
        with self._deriving:
            held = self._derived.setdefault(kind, {})
            if key not in held:
                made = make()
                while len(held) >= KEPT:
                    del held[next(iter(held))]
                held[key] = made
            value: T = held[key]
            return value

    def allowed(self, within: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Which documents may be found, (n_docs of the segment,) bool; None: all."""
        if within is None:
            return self.live
        here = within[self.base : self.base + self.postings.n_docs]
        return here if self.live is None else here & self.live

    def excluded(self, positions: Sequence[NDArray[np.int64]] | None) -> list[NDArray[np.int64]] | None:
        """Per query, the excluded documents of this segment, counted from its first, ascending."""
        if positions is None:
            return None
        end = self.base + self.postings.n_docs
        spans = [np.searchsorted(p, [self.base, end]).tolist() for p in positions]
        return [p[a:b] - self.base for p, (a, b) in zip(positions, spans, strict=True)]


class RunCache:
    """Decoded postings of one search, so that a term is decoded once for the queries that share it.

    Args:
        postings: The segment.
        limit: Postings kept at most; 16 million are 128 MB (ours).
    """

    def __init__(self, postings: Postings, limit: int = 16_000_000) -> None:
        self._postings, self._left = postings, limit
        self._runs: dict[int, Run] = {}

    def __getitem__(self, term: int) -> Run:
        run = self._runs.get(term)
        if run is None:
            run = self._postings.run(term)
            size = len(run.ones) + len(run.more)
            if size <= self._left:
                self._left -= size
                self._runs[term] = run
        return run
