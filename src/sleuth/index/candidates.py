"""What a scan in blocks keeps: the candidates of a batch of queries, each above its query's bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CandidatePool", "ExcludedRows"]

Floats = NDArray[np.float32]

LOWEST = np.finfo(np.float32).min
"""The bar that lets everything pass but minus infinity."""


class ExcludedRows:
    """Rows that single queries must not get, ready to be looked up by block.

    Args:
        excluded: Per query its rows, or None.
    """

    def __init__(self, excluded: Sequence[Iterable[int]] | None) -> None:
        lists = [np.fromiter(rows, dtype=np.int64) for rows in excluded or []]
        rows = np.concatenate(lists) if lists else np.empty(0, np.int64)
        owners = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        order = np.argsort(rows, kind="stable")
        self._rows, self._owners = rows[order], owners[order]

    def bar(self, scores: Floats, rows: NDArray[np.int64]) -> None:
        """Set the scores (B, n) of excluded rows to minus infinity; `rows` are ascending."""
        if not len(self._rows) or not len(rows):
            return
        some = slice(*np.searchsorted(self._rows, [rows[0], rows[-1] + 1]))
        at = np.minimum(np.searchsorted(rows, self._rows[some]), len(rows) - 1)
        here = rows[at] == self._rows[some]
        scores[self._owners[some][here], at[here]] = -np.inf


class CandidatePool:
    """Candidates of a batch of queries while the scan goes on.

    Args:
        queries: B.
        head: A query's bar follows its so many best scores.
    """

    def __init__(self, queries: int, head: int) -> None:
        self._head = head
        self._bar = np.full(queries, LOWEST, np.float32)
        self._slack = np.zeros(queries)
        self._owners: list[NDArray[np.int64]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._scores: list[Floats] = []
        self._new = 0

    def add(self, scores: Floats, rows: NDArray[np.int64], slack: NDArray[np.float64]) -> None:
        """Take in a block.

        Args:
            scores: (B, n), minus infinity for what must not be returned.
            rows: (n,).
            slack: (B,) how far below the bar a score can lie and still win.
        """
        self._slack = slack
        if self._bar[0] == LOWEST and scores.shape[1] > self._head:
            self._raise_bar(np.partition(scores, scores.shape[1] - self._head, axis=1)[:, -self._head])
        owners, at = np.divmod(np.flatnonzero((scores >= self._bar[:, None]).ravel()), scores.shape[1] or 1)
        self._owners.append(owners)
        self._rows.append(rows[at])
        self._scores.append(scores[owners, at])
        self._new += len(at)
        if self._new > len(self._bar) * self._head:
            self._shrink()

    def _raise_bar(self, best: NDArray[Any], at: Any = slice(None)) -> None:
        """Move bars up to the `head`-th best scores less the slack; never down."""
        bars = np.nextafter((best - self._slack[at]).astype(np.float32), LOWEST)
        self._bar[at] = np.maximum(self._bar[at], np.maximum(bars, LOWEST))

    def _shrink(self) -> None:
        """Raise every query's bar to what its candidates allow, and drop what falls below."""
        owners, rows, scores = (np.concatenate(part) for part in (self._owners, self._rows, self._scores))
        order = np.argsort(owners, kind="stable")
        ends = np.searchsorted(owners[order], np.arange(len(self._bar)), side="right").tolist()
        begin = 0
        for query, end in enumerate(ends):
            if end - begin > self._head:
                own = scores[order[begin:end]]
                self._raise_bar(np.partition(own, len(own) - self._head)[-self._head], query)
            begin = end
        kept = scores >= self._bar[owners]
        self._owners, self._rows, self._scores = [owners[kept]], [rows[kept]], [scores[kept]]
        self._new = 0

    def rows(self) -> list[NDArray[np.int64]]:
        """Per query what is left, ascending."""
        if not self._rows:
            return [np.empty(0, np.int64) for _ in self._bar]
        self._shrink()
        owners, rows = self._owners[0], self._rows[0]
        order = np.lexsort((rows, owners))
        ends = np.searchsorted(owners[order], np.arange(len(self._bar)), side="right")
        return np.split(rows[order], ends[:-1])
