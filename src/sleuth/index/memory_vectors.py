"""Vectors in memory that change in place: what a training loop searches while it moves them.

Replacing a vector is writing a row, so 10,000 of them take a hundredth of a second; exact search needs no
index structure that would have to follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError
from sleuth.index.dense import DenseSearcher

__all__ = ["MemoryVectors"]

Floats = NDArray[np.float32]


class MemoryVectors:
    """doc_id -> vector, searched exactly.

    Args:
        dim: Vector length, > 0.
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise UsageError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self._vectors: Floats = np.zeros((0, dim), np.float32)
        self._live: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._max_norm = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._rows

    def upsert(self, doc_ids: Sequence[str], vectors: Floats) -> None:
        """Add vectors, or replace those of known ids; of an id named twice the last one counts.

        Args:
            doc_ids: n ids.
            vectors: (n, dim), finite.

        Raises:
            ShapeError: Another shape.
            UsageError: A vector that is not finite; nothing is changed then.
        """
        new = np.asarray(vectors, dtype=np.float32)
        if new.shape != (len(doc_ids), self.dim):
            raise ShapeError(f"vectors must have shape ({len(doc_ids)}, {self.dim}), got {new.shape}")
        if not len(doc_ids):
            return
        if not np.isfinite(new).all():
            row = int(np.flatnonzero(~np.isfinite(new).all(axis=1))[0])
            raise UsageError(f"the vector of {doc_ids[row]!r} holds NaN or infinity")
        last = {doc_id: at for at, doc_id in enumerate(doc_ids)}
        rows = [self._row_of(doc_id) for doc_id in last]
        self._vectors[rows] = new[list(last.values())]
        self._live[rows] = True
        self._max_norm = max(self._max_norm, 1.01 * float(np.sqrt(np.einsum("ij,ij->i", new, new).max())))

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents; unknown ids are passed over. Returns how many were removed."""
        removed = 0
        for doc_id in doc_ids:
            row = self._rows.pop(doc_id, None)
            if row is not None:
                self._live[row] = False
                self._free.append(row)
                removed += 1
        return removed

    def vectors(self, doc_ids: Sequence[str]) -> Floats:
        """(n, dim) copies of the vectors of known ids.

        Raises:
            UsageError: An id that is not here.
        """
        missing = next((doc_id for doc_id in doc_ids if doc_id not in self._rows), None)
        if missing is not None:
            raise UsageError(f"there is no vector of {missing!r}")
        return self._vectors[[self._rows[doc_id] for doc_id in doc_ids]]

    def search(
        self, vectors: Floats, *, depth: int, excluded: Sequence[Iterable[str]] | None = None
    ) -> list[tuple[list[str], NDArray[np.float64]]]:
        """The best documents of each query by inner product, ties by doc_id descending.

        Args:
            vectors: (B, dim), finite.
            depth: At most this many a query.
            excluded: Per query ids never to return; dropped before the cut.
        """
        used = len(self._ids)
        searcher = DenseSearcher([self._vectors[:used]], live=[self._live[:used]], max_norm=self._max_norm)
        rows = None if excluded is None else [[self._rows[i] for i in ids if i in self._rows] for ids in excluded]
        found = []
        for best, scores in searcher.search(vectors, depth=depth, excluded=rows):
            ids = [self._ids[row] for row in best.tolist()]
            order = sorted(range(len(ids)), key=ids.__getitem__, reverse=True)
            order.sort(key=lambda at: -scores[at])
            found.append(([ids[at] for at in order[:depth]], scores[order[:depth]]))
        return found

    def _row_of(self, doc_id: str) -> int:
        """The row of an id, a free one or a new one for an id not seen before."""
        row = self._rows.get(doc_id)
        if row is None:
            if self._free:
                row = self._free.pop()
                self._ids[row] = doc_id
            else:
                row = len(self._ids)
                self._ids.append(doc_id)
                if row == len(self._vectors):
                    self._grow()
            self._rows[doc_id] = row
        return row

    def _grow(self) -> None:
        """Double the room, so that adding costs constant time a vector."""
        room = max(16, 2 * len(self._vectors))
        vectors, live = np.zeros((room, self.dim), np.float32), np.zeros(room, np.bool_)
        vectors[: len(self._vectors)], live[: len(self._live)] = self._vectors, self._live
        self._vectors, self._live = vectors, live
