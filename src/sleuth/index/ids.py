"""The document ids of one segment, looked up without reading them all.

    ids.bytes     uint8   all ids in UTF-8, in row order
    ids.offsets   int64   (n + 1,) where each begins
    ids.keys      uint64  (n,) a 64-bit hash of each id, ascending
    ids.rows      int32   (n,) the row of each key
    ids.rank      int32   (n,) place of each row's id in descending byte order, for breaking ties

A look-up is a binary search among the keys; the bytes are then compared, so a hash that two ids share
does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt, UsageError

__all__ = ["IdTable", "id_bytes", "id_keys"]

COLUMNS = {"bytes": np.uint8, "offsets": np.int64, "keys": np.uint64, "rows": np.int32, "rank": np.int32}


def id_bytes(doc_id: str) -> bytes:
    """An id in UTF-8.

    Raises:
        UsageError: It is empty or can't be written in UTF-8 (half of a surrogate pair).
    """
    if not isinstance(doc_id, str) or not doc_id:
        raise UsageError(f"a document's id must be a non-empty string, got {doc_id!r}")
    try:
        return doc_id.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"document id {doc_id!r} can't be written in UTF-8: {error.reason}") from error


def id_keys(ids: Iterable[bytes]) -> NDArray[np.uint64]:
    """A 64-bit hash of each id, the same on every machine."""
    digests = b"".join([blake2b(name, digest_size=8).digest() for name in ids])
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)


class IdTable:
    """Row <-> id of one segment.

    Args:
        columns: The arrays listed above, by name.

    Attributes:
        rank: (n,) int32, 0 for the id that comes last in byte order: among equal scores, the smaller wins.

    Raises:
        IndexCorrupt: A column is missing or has another type or length than the others ask for.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        for name, dtype in COLUMNS.items():
            if name not in columns or columns[name].dtype != dtype or columns[name].ndim != 1:
                raise IndexCorrupt(f"the column ids.{name} is missing or not {np.dtype(dtype).name}")
        self._bytes, self._offsets = columns["bytes"], columns["offsets"]
        self._keys, self._rows, self.rank = columns["keys"], columns["rows"], columns["rank"]
        n = len(self._keys)
        if len(self._offsets) != n + 1 or len(self._rows) != n or len(self.rank) != n:
            raise IndexCorrupt(f"the columns of ids have different lengths ({n:,} keys)")

    @staticmethod
    def columns(ids: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        """The arrays for these ids, which are distinct."""
        n = len(ids)
        offsets = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, ids), dtype=np.int64, count=n), out=offsets[1:])
        keys = id_keys(ids)
        rows = np.argsort(keys, kind="stable").astype(np.int32)
        rank = np.empty(n, dtype=np.int32)
        rank[np.fromiter(sorted(range(n), key=ids.__getitem__, reverse=True), dtype=np.int64, count=n)] = np.arange(n)
        text = np.frombuffer(b"".join(ids), dtype=np.uint8)
        return {"bytes": text, "offsets": offsets, "keys": keys[rows], "rows": rows, "rank": rank}

    def __len__(self) -> int:
        return len(self._keys)

    def names(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The ids of these rows."""
        starts, ends = self._offsets[rows].tolist(), self._offsets[rows + 1].tolist()
        return [self._bytes[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]

    def find(self, ids: Sequence[bytes], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The row of each id, -1 where it is not here.

        Args:
            ids: m ids.
            keys: Their hashes (`id_keys`), (m,).
        """
        found = np.full(len(ids), -1, dtype=np.int64)
        if len(self) == 0 or len(ids) == 0:
            return found
        at = np.searchsorted(self._keys, keys)
        hit = np.flatnonzero(self._keys[np.minimum(at, len(self) - 1)] == keys)
        rows = self._rows[np.minimum(at[hit], len(self) - 1)].astype(np.int64)
        for asked, row, name in zip(hit.tolist(), rows.tolist(), self.names(rows), strict=True):
            found[asked] = row if name == ids[asked] else self._find_next(ids[asked], int(at[asked]) + 1, keys[asked])
        return found

    def find_one(self, name: bytes) -> int:
        """As `find`, for one id."""
        if len(self) == 0:
            return -1
        key = np.uint64(int.from_bytes(blake2b(name, digest_size=8).digest(), "little"))
        return self._find_next(name, int(np.searchsorted(self._keys, key)), key)

    def _find_next(self, name: bytes, at: int, key: np.uint64) -> int:
        """The row of an id among the keys equal to its own, from this one on."""
        while at < len(self) and self._keys[at] == key:
            row = int(self._rows[at])
            if self._bytes[int(self._offsets[row]) : int(self._offsets[row + 1])].tobytes() == name:
                return row
            at += 1
        return -1
