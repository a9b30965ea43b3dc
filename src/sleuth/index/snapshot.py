"""One state of an index, open for reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt
from sleuth.index.ids import id_keys
from sleuth.index.records import HASH_BYTES
from sleuth.index.segments import Segment
from sleuth.index.store import IndexManifest, read_manifest, segments_folder
from sleuth.types import Doc

__all__ = ["Snapshot"]

OPEN_ATTEMPTS = 100
"""Each attempt is lost only to a commit that falls into the milliseconds of opening (ours)."""


class Snapshot:
    """One state of an index: a manifest and its segments, mapped.

    Positions are 0-based over all segments in order, deleted rows included: a segment's rows begin at its
    `base`. They mean something only within one snapshot.

    Args:
        path: The index folder.
        manifest: The state to open.
        segments: Its segments, in order.
    """

    def __init__(self, path: Path, manifest: IndexManifest, segments: Sequence[Segment]) -> None:
        self.path, self.manifest, self.segments = path, manifest, tuple(segments)
        sizes = [len(segment.ids) for segment in self.segments]
        self.bases: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)

    @classmethod
    def open(cls, path: Path) -> Snapshot:
        """The current state.

        Raises:
            IndexNotFound, IndexCorrupt, IndexOutdated: As `read_manifest`, and IndexCorrupt for a file that is
                missing or of another size than the manifest says.
        """
        manifest = read_manifest(path)
        for _ in range(OPEN_ATTEMPTS):
            try:
                return cls(path, manifest, [Segment(segments_folder(path) / s.name, s) for s in manifest.segments])
            except (FileNotFoundError, IndexCorrupt) as error:
                again = read_manifest(path)
                if again == manifest:
                    problem = f"{error.filename} is missing" if isinstance(error, FileNotFoundError) else str(error)
                    raise IndexCorrupt(
                        f"{problem}. Restore it from a copy, or make the index anew: sleuth index CORPUS -o {path} --replace"
                    ) from error
                manifest = again
        raise IndexCorrupt(f"{path} changed {OPEN_ATTEMPTS} times while it was opened; try again when its writer rests")

    @property
    def size(self) -> int:
        """Rows of all segments, deleted ones included."""
        return int(self.bases[-1])

    def live(self) -> NDArray[np.bool_]:
        """(size,) True for documents that are not deleted."""
        mask = np.ones(self.size, dtype=np.bool_)
        for base, segment in zip(self.bases, self.segments, strict=False):
            if segment.live is not None:
                mask[base : base + len(segment.ids)] = segment.live
        return mask

    def positions(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The position of each id, -1 for those that are not in the index."""
        return self.positions_of_bytes([doc_id.encode("utf-8", "surrogatepass") for doc_id in ids])

    def positions_of_bytes(self, names: Sequence[bytes]) -> NDArray[np.int64]:
        """As `positions`, for ids in UTF-8."""
        found = np.full(len(names), -1, dtype=np.int64)
        keys = id_keys(names)
        for base, segment in zip(self.bases, self.segments, strict=False):
            rows = segment.ids.find(names, keys)
            here = rows >= 0
            if segment.live is not None:
                here[here] = segment.live[rows[here]]
            found[here] = rows[here] + base
        return found

    def position(self, doc_id: str) -> int:
        """The position of one id, -1 if it is not in the index."""
        name = doc_id.encode("utf-8", "surrogatepass")
        for base, segment in zip(self.bases.tolist(), self.segments, strict=False):
            row = segment.ids.find_one(name)
            if row >= 0 and (segment.live is None or segment.live[row]):
                return int(base + row)
        return -1

    def hashes(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, 32) hashes of text and record at these positions."""
        rows = np.zeros((len(positions), 2 * HASH_BYTES), dtype=np.uint8)
        which = np.searchsorted(self.bases, positions, side="right") - 1
        for at in np.unique(which).tolist():
            here = np.flatnonzero(which == at)
            rows[here] = self.segments[at].hashes[positions[here] - self.bases[at]]
        return rows

    def place(self, position: int) -> tuple[Segment, int]:
        """The segment and row of a position."""
        at = int(np.searchsorted(self.bases, position, side="right")) - 1
        return self.segments[at], position - int(self.bases[at])

    def ids(self, positions: NDArray[np.int64]) -> list[str]:
        """The ids at these positions."""
        if len(self.segments) == 1:
            return [name.decode() for name in self.segments[0].ids.names(positions)]
        which = np.searchsorted(self.bases, positions, side="right") - 1
        names = np.empty(len(positions), dtype=object)
        for at in np.unique(which).tolist():
            here = np.flatnonzero(which == at)
            rows = positions[here] - self.bases[at]
            names[here] = [name.decode() for name in self.segments[at].ids.names(rows)]
        return names.tolist()

    def doc(self, position: int) -> Doc:
        """The document at this position."""
        segment, row = self.place(position)
        return segment.records.doc(row)

    def vectors(self, positions: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
        """(n, dim) vectors at these positions; rows of NaN where the position is -1."""
        rows = np.full((len(positions), dim), np.nan, dtype=np.float32)
        which = np.searchsorted(self.bases, positions, side="right") - 1
        for at in np.unique(which[positions >= 0]).tolist():
            here = np.flatnonzero((which == at) & (positions >= 0))
            vectors = self.segments[at].vectors
            if vectors is not None:
                rows[here] = vectors[positions[here] - self.bases[at]]
        return rows
