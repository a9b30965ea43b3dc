"""Exact nearest-vector search: a float32 scan in blocks selects, float64 orders.

The scan multiplies a batch of queries with a block of vectors that fits the cache, and keeps of each block
only what can still be among the best: the bar of a query is its `depth`-th best score so far, less a bound
on float32's rounding. After the scan a little more than `depth` candidates are left; their scores are
computed again in float64 and decide. So no score matrix of all documents is ever held, nothing is sorted
that can't win, and the result is that of an exhaustive search in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError
from sleuth.index.candidates import CandidatePool, ExcludedRows

__all__ = ["DenseSearcher", "Float32Scan", "Found", "Scan"]

Floats = NDArray[np.float32]
Found = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Rows and scores, best first."""

BLOCK_ROWS = 8192
"""Vectors of a block: 2k to 16k are equally fast on Zen 3 (measured, 384 dimensions, 128 queries). A few queries
take up to 16 times as many."""

BATCH_QUERIES = 128
"""Queries that share a pass over the vectors; their scores of a block are 4 MB (ours)."""

RESCORE_ROWS = 4096
"""Candidates whose scores are computed in float64 at a time: 12 MB at 384 dimensions (ours)."""


class Scan(Protocol):
    """Approximate scores of a block, fast.

    Attributes:
        least_queries: Smaller batches are scanned in float32 by the searcher itself.
    """

    least_queries: int

    def prepare(self, queries: Floats) -> Any:
        """Queries (B, dim) in the scan's own form."""
        ...

    def scores(self, prepared: Any, segment: int, begin: int, end: int) -> Floats:
        """(B, end - begin) approximate inner products with these rows of a segment; the caller may overwrite it."""
        ...

    def error(self, prepared: Any, segment: int, begin: int, end: int, longest: float) -> NDArray[np.float64]:
        """(B,) how far a score of this block lies from the exact one at most, float32's rounding aside.

        Args:
            longest: No vector of the block is longer.
        """
        ...


class Float32Scan:
    """The scan of numpy: matrix products in float32."""

    least_queries = 1

    def __init__(self, segments: Sequence[Floats]) -> None:
        self._segments = segments

    def prepare(self, queries: Floats) -> Floats:
        """As they are."""
        return queries

    def scores(self, prepared: Floats, segment: int, begin: int, end: int) -> Floats:
        """One matrix product."""
        product: Floats = prepared @ self._segments[segment][begin:end].T
        return product

    def error(self, prepared: Floats, segment: int, begin: int, end: int, longest: float) -> NDArray[np.float64]:
        """None: the searcher allows for float32's rounding itself."""
        return np.zeros(len(prepared))


class DenseSearcher:
    """The vectors of an index's segments as one list of rows, 0 .. n-1 over all segments.

    Args:
        segments: (n_i, dim) float32 arrays, mapped files as well.
        live: Per segment which rows exist, (n_i,) bool; None for all.
        tie_ranks: Per segment the place of each row in the order of ties, smaller first. With it at most as many
            tied rows of one segment are returned as can be needed; without, all.
        max_norm: No vector is longer; None finds out during the first search.
        scan: Selects candidates; by default numpy's.

    Raises:
        ShapeError: Arrays that do not fit together.
    """

    def __init__(
        self,
        segments: Sequence[Floats],
        *,
        live: Sequence[NDArray[np.bool_] | None] | None = None,
        tie_ranks: Sequence[NDArray[np.integer[Any]]] | None = None,
        max_norm: float | None = None,
        scan: Scan | None = None,
    ) -> None:
        self._segments = list(segments)
        dims = {segment.shape[1:] for segment in self._segments}
        if len(dims) > 1 or any(segment.ndim != 2 for segment in self._segments):
            raise ShapeError(f"segments must have shape (n, dim) with one dim, got {[s.shape for s in self._segments]}")
        self.dim = self._segments[0].shape[1] if self._segments else 0
        sizes = [len(segment) for segment in self._segments]
        self._bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        _check_columns("live", live, sizes)
        _check_columns("tie_ranks", tie_ranks, sizes)
        self._live = list(live) if live is not None else [None] * len(sizes)
        self._ranks = tie_ranks
        self._max_norm = max_norm
        self._block_norms: dict[tuple[int, int], float] = {}
        self._plain = Float32Scan(self._segments)
        self._scan: Scan = self._plain if scan is None else scan

    def __len__(self) -> int:
        return int(self._bases[-1])

    def search(
        self,
        vectors: Floats,
        *,
        depth: int,
        excluded: Sequence[Iterable[int]] | None = None,
        within: NDArray[np.bool_] | None = None,
    ) -> list[Found]:
        """The best rows of each query by inner product.

        Args:
            vectors: (B, dim), finite.
            depth: Rows a query, >= 0. More are returned where rows tie with the last one, so that the caller can
                order ties across segments; fewer where there are fewer.
            excluded: Per query rows never to return; dropped before the cut.
            within: (n,) True where a row may be returned; None allows all.

        Returns:
            Per query rows and float64 scores, best first; ties of one segment in the order of `tie_ranks`.

        Raises:
            ShapeError: Arrays that do not fit together.
            UsageError: A vector that is not finite, or a negative depth.
        """
        queries = self._checked(vectors, depth, excluded, within)
        if depth == 0 or not len(self):
            return [(np.empty(0, np.int64), np.empty(0, np.float64)) for _ in queries]
        found: list[Found] = []
        for begin in range(0, len(queries), BATCH_QUERIES):
            batch = queries[begin : begin + BATCH_QUERIES]
            outside = ExcludedRows(None if excluded is None else excluded[begin : begin + BATCH_QUERIES])
            candidates = self._candidates(batch, depth, outside, within)
            found += [self._best(query, rows, depth) for query, rows in zip(batch, candidates, strict=True)]
        return found

    def score(self, vector: Floats, rows: NDArray[np.integer[Any]] | Sequence[int]) -> NDArray[np.float64]:
        """(len(rows),) exact inner products of a (dim,) vector with given rows, deleted ones too.

        Raises:
            ShapeError: Another length than dim.
            UsageError: A row that does not exist.
        """
        query = np.asarray(vector, dtype=np.float32)
        where = np.asarray(rows, dtype=np.int64)
        if query.shape != (self.dim,):
            raise ShapeError(f"the query vector must have shape ({self.dim},), got {query.shape}")
        if len(where) and not 0 <= where.min() <= where.max() < len(self):
            raise UsageError(f"rows must lie in [0, {len(self)}), got {where.min()} to {where.max()}")
        return self._exact(query, where)

    def _checked(
        self,
        vectors: Floats,
        depth: int,
        excluded: Sequence[Iterable[int]] | None,
        within: NDArray[np.bool_] | None,
    ) -> Floats:
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or (self._segments and queries.shape[1] != self.dim):
            raise ShapeError(f"query vectors must have shape (B, {self.dim}), got {queries.shape}")
        if not np.isfinite(queries).all():
            raise UsageError("a query vector holds NaN or infinity, so it is near to nothing")
        if depth < 0:
            raise UsageError(f"depth must be at least 0, got {depth}")
        if excluded is not None and len(excluded) != len(queries):
            raise ShapeError(f"excluded must hold {len(queries)} collections of rows, one a query, got {len(excluded)}")
        if within is not None and (within.shape != (len(self),) or within.dtype != np.bool_):
            raise ShapeError(f"within must be ({len(self)},) bool, got {within.shape} {within.dtype}")
        return queries

    def _candidates(
        self, queries: Floats, depth: int, outside: ExcludedRows, within: NDArray[np.bool_] | None
    ) -> list[NDArray[np.int64]]:
        """Per query the rows that can be among its best `depth`."""
        # Any order of a float32 sum of d products errs by at most d u / (1 - d u) |q| |v|, u = 2^-24 (Higham 2002, §3.1).
        unit = self.dim * 2.0**-24
        reach = unit / (1 - unit) * np.linalg.norm(queries.astype(np.float64), axis=1)
        coarse = len(queries) >= self._scan.least_queries and self._scan is not self._plain
        scan: Scan = self._scan if coarse else self._plain
        prepared = scan.prepare(queries)
        pool = CandidatePool(len(queries), depth)
        longest, error = 0.0, np.zeros(len(queries))
        for segment, begin, end in self._blocks(BLOCK_ROWS if coarse else _block_rows(len(queries))):
            allowed = self._allowed(segment, begin, end, within)
            longest = max(longest, self._norm(segment, begin, end))
            error = np.maximum(error, scan.error(prepared, segment, begin, end, longest))
            if allowed is not None and 2 * len(allowed) < end - begin:
                scores = queries @ self._segments[segment][begin:end][allowed].T
                rows = allowed + begin + self._bases[segment]
            else:
                scores = scan.scores(prepared, segment, begin, end)
                rows = np.arange(begin, end, dtype=np.int64) + self._bases[segment]
                if allowed is not None:
                    barred = np.ones(end - begin, np.bool_)
                    barred[allowed] = False
                    scores[:, barred] = -np.inf
            outside.bar(scores, rows)
            pool.add(scores, rows, 2 * (reach * longest + error))
        return pool.rows()

    def _blocks(self, rows: int) -> Iterator[tuple[int, int, int]]:
        """(segment, begin, end) of every block of at most so many rows."""
        for segment, vectors in enumerate(self._segments):
            for begin in range(0, len(vectors), rows):
                yield segment, begin, min(begin + rows, len(vectors))

    def _allowed(
        self, segment: int, begin: int, end: int, within: NDArray[np.bool_] | None
    ) -> NDArray[np.int64] | None:
        """Places in the block that may be returned, or None for all."""
        live = self._live[segment]
        mask = None if live is None else live[begin:end]
        if within is not None:
            base = int(self._bases[segment])
            wanted = within[base + begin : base + end]
            mask = wanted if mask is None else mask & wanted
        return None if mask is None or mask.all() else np.flatnonzero(mask)

    def _norm(self, segment: int, begin: int, end: int) -> float:
        """A bound on the lengths of a block's vectors, found out once."""
        if self._max_norm is not None:
            return self._max_norm
        bound = 0.0
        for at in range(begin, end, BLOCK_ROWS):
            if (segment, at) not in self._block_norms:
                block = self._segments[segment][at : min(at + BLOCK_ROWS, len(self._segments[segment]))]
                # The float32 sum errs by far less than one per cent.
                self._block_norms[segment, at] = 1.01 * float(np.sqrt(np.einsum("ij,ij->i", block, block).max()))
            bound = max(bound, self._block_norms[segment, at])
        return bound

    def _best(self, query: Floats, rows: NDArray[np.int64], depth: int) -> Found:
        """Candidates in their exact order, cut behind `depth` and the rows that tie there."""
        scores = self._exact(query, rows)
        if len(rows) > depth:
            bar = np.partition(scores, len(rows) - depth)[len(rows) - depth]
            kept = scores >= bar
            rows, scores = rows[kept], scores[kept]
        ranks = self._tie_ranks(rows)
        order = np.lexsort((ranks, -scores))
        rows, scores = rows[order], scores[order]
        if len(rows) > depth and self._ranks is not None:
            kept = self._needed(rows, scores, depth)
            rows, scores = rows[kept], scores[kept]
        return rows, scores

    def _tie_ranks(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The order of ties within a segment; the row itself where there is none."""
        if self._ranks is None:
            return rows
        ranks = np.empty(len(rows), np.int64)
        for segment, here in self._by_segment(rows):
            ranks[here] = self._ranks[segment][rows[here] - self._bases[segment]]
        return ranks

    def _needed(self, rows: NDArray[np.int64], scores: NDArray[np.float64], depth: int) -> NDArray[np.bool_]:
        """All above the last score, and of each segment as many tied with it as places are left."""
        kept: NDArray[np.bool_] = scores > scores[-1]
        places = depth - int(kept.sum())
        tied = np.flatnonzero(~kept)
        for _, here in self._by_segment(rows[tied]):
            kept[tied[here[:places]]] = True
        return kept

    def _by_segment(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(segment, places in `rows`) of every segment that holds any."""
        if len(self._segments) == 1:
            yield 0, np.arange(len(rows))
            return
        of = np.searchsorted(self._bases, rows, side="right") - 1
        for segment in np.unique(of).tolist():
            yield segment, np.flatnonzero(of == segment)

    def _exact(self, query: Floats, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Inner products in float64. A row's sum does not depend on its neighbours, so equal vectors tie."""
        wide = query.astype(np.float64)
        scores = np.empty(len(rows), np.float64)
        for segment, here in self._by_segment(rows):
            inner = rows[here] - self._bases[segment]
            for begin in range(0, len(here), RESCORE_ROWS):
                some = slice(begin, begin + RESCORE_ROWS)
                products = self._segments[segment][inner[some]].astype(np.float64)
                products *= wide
                scores[here[some]] = products.sum(axis=1)
        return scores


def _block_rows(queries: int) -> int:
    """Rows of a block in float32: a multiple of BLOCK_ROWS that gives a few queries as much work as a full batch."""
    return BLOCK_ROWS * max(1, min(16, BATCH_QUERIES // max(1, queries)))


def _check_columns(name: str, columns: Sequence[NDArray[Any] | None] | None, sizes: Sequence[int]) -> None:
    """One value per row of each segment, where there are any."""
    shapes = [(n,) if column is None else column.shape for column, n in zip(columns or [], sizes, strict=False)]
    if columns is not None and (len(columns) != len(sizes) or shapes != [(n,) for n in sizes]):
        raise ShapeError(f"{name} must have one value per row of each segment, {sizes}, got {shapes}")
