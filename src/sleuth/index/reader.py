"""What one snapshot of an index answers: documents, BM25, vectors. Everything is opened when first asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import IndexOutdated, UsageError
from sleuth.index.records import Filters
from sleuth.index.snapshot import Snapshot
from sleuth.index.store import Settings
from sleuth.types import Doc, tie_order

if TYPE_CHECKING:
    from sleuth.index.bm25.scorer import BM25
    from sleuth.index.dense import DenseSearcher, Scan
    from sleuth.text.analyzer import Analyzer

__all__ = ["Found", "Reader", "StoredDocs", "analyzer_of"]

TORCH_BATCH = 16
"""Queries from which torch's scan is used (ours: a lone query takes as long in numpy, a batch half as long)."""

Found = list[tuple[list[str], NDArray[np.float64]]]
"""Per query, ids and scores, best first; equal scores by id in descending byte order."""


class StoredDocs(Mapping[str, Doc]):
    """doc_id -> Doc, read from disk one at a time.

    Args:
        snapshot: Where they lie.
        within: (size,) True for the documents of a view; None for all.
    """

    def __init__(self, snapshot: Snapshot, within: NDArray[np.bool_] | None = None) -> None:
        self._snapshot, self._within = snapshot, within

    def __getitem__(self, doc_id: str) -> Doc:
        position = self._position(doc_id)
        if position < 0:
            raise KeyError(doc_id)
        return self._snapshot.doc(position)

    def __contains__(self, doc_id: object) -> bool:
        return self._position(doc_id) >= 0

    def __iter__(self) -> Iterator[str]:
        """Ids in the order in which they were indexed."""
        for base, segment in zip(self._snapshot.bases.tolist(), self._snapshot.segments, strict=False):
            rows = segment.live_rows
            if self._within is not None:
                rows = rows[self._within[rows + base]]
            for at in range(0, len(rows), 4096):
                yield from (name.decode() for name in segment.ids.names(rows[at : at + 4096]))

    def __len__(self) -> int:
        if self._within is not None:
            return int(self._within.sum())
        return self._snapshot.manifest.documents

    def __repr__(self) -> str:
        return f"StoredDocs({len(self):,} documents of {str(self._snapshot.path)!r})"

    def _position(self, doc_id: object) -> int:
        if not isinstance(doc_id, str):
            return -1
        position = self._snapshot.position(doc_id)
        return -1 if position >= 0 and self._within is not None and not self._within[position] else position


class Reader:
    """Searches one snapshot.

    Args:
        snapshot: The state to search; it never changes under a reader.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._making = threading.Lock()
        self._bm25: BM25 | None = None
        self._dense: dict[bool, DenseSearcher] = {}

    @cached_property
    def _rank(self) -> list[NDArray[np.int32]]:
        return [segment.ids.rank for segment in self.snapshot.segments]

    @property
    def bm25(self) -> BM25:
        """The scorer over all segments."""
        with self._making:
            if self._bm25 is None:
                from sleuth.index.bm25.scorer import BM25

                snapshot, settings = self.snapshot, self.snapshot.manifest.settings
                self._bm25 = BM25(
                    [segment.postings for segment in snapshot.segments],
                    live=[segment.live for segment in snapshot.segments],
                    tie_ranks=self._rank,
                    k1=settings.k1,
                    b=settings.b,
                )
            return self._bm25

    def dense(self, queries: int = 1) -> DenseSearcher:
        """The searcher over all vectors: in numpy, or by torch's low-precision scan for a batch of queries.

        torch is never imported for a search, which would take longer than most searches; it is used where this
        process has loaded it already (a bi-encoder has, say) and `queries` reach `TORCH_BATCH`.
        """
        by_torch = queries >= TORCH_BATCH and "torch" in sys.modules
        with self._making:
            if by_torch not in self._dense:
                from sleuth.index.dense import DenseSearcher

                vectors = [segment.vectors for segment in self.snapshot.segments if segment.vectors is not None]
                live = [segment.live for segment in self.snapshot.segments]
                self._dense[by_torch] = DenseSearcher(
                    vectors, live=live, tie_ranks=self._rank, scan=_torch_scan(vectors) if by_torch else None
                )
            return self._dense[by_torch]

    def where(self, filters: Filters) -> NDArray[np.bool_]:
        """(size,) True for live documents whose metadata pass."""
        mask = np.zeros(self.snapshot.size, dtype=np.bool_)
        for base, segment in zip(self.snapshot.bases.tolist(), self.snapshot.segments, strict=False):
            mask[segment.records.rows_where(filters) + base] = True
        return mask & self.snapshot.live()

    def positions_of_each(self, excluded: Sequence[Collection[str]] | None, queries: int) -> Any:
        """Per query, the positions of ids that must not be returned; ids that are not here don't matter.

        Raises:
            UsageError: Not one collection for each query, or a bare string.
        """
        if excluded is None:
            return None
        if len(excluded) != queries:
            raise UsageError(
                f"excluded must hold one collection of ids per query: got {len(excluded)}, {queries} queries"
            )
        if any(isinstance(ids, str) for ids in excluded):
            raise UsageError("excluded must hold a collection of ids per query, got a plain string")
        found = [self.snapshot.positions(list(ids)) for ids in excluded]
        return [positions[positions >= 0] for positions in found]

    def ordered(self, found: Sequence[tuple[NDArray[np.int64], NDArray[Any]]], depth: int) -> Found:
        """Positions and scores as ids and scores in their final order, cut to `depth`."""
        result: Found = []
        for positions, scores in found:
            ids = self.snapshot.ids(np.asarray(positions, dtype=np.int64))
            values = np.asarray(scores, dtype=np.float64)
            order = tie_order(ids, values)[:depth]
            result.append(([ids[at] for at in order.tolist()], values[order]))
        return result


def analyzer_of(path: Path, settings: Settings) -> Analyzer:
    """The analyzer an index is made with.

    Raises:
        IndexOutdated: This Sleuth's analyzer of that name gives other terms than the index holds.
    """
    from sleuth.text.analyzer import get_analyzer

    analyzer = get_analyzer(settings.analyzer)
    if str(analyzer.version) != settings.analyzer_version:
        raise IndexOutdated(
            f"{path} holds terms of analyzer {settings.analyzer!r} version {settings.analyzer_version}, this Sleuth has "
            f"version {analyzer.version}. Make it anew: sleuth index CORPUS -o {path} --replace"
        )
    return analyzer


def _torch_scan(vectors: Sequence[NDArray[np.float32]]) -> Scan:
    from sleuth.index.scan_torch import TorchScan

    return TorchScan(vectors)
