"""One segment: a folder of files that never change once they are whole.

    docs.jsonl         the documents (`sleuth.index.records`)
    rows.npys          what belongs to each row: ids.* (`sleuth.index.ids`), docs.offsets, and hashes, (n, 32) uint8:
                       16 bytes of each text's hash, 16 of each record's
    postings.npys      what BM25 needs (`sleuth.index.bm25.postings`)
    vectors.npy        (n, dim) float32, where the index has an encoder
    segment.json       names, sizes and SHA-256 of all of the above; written last, so its presence means "whole"
    deleted-<g>.npy    from generation g on: a bitmap of deleted rows (the manifest says which one counts)

A segment's folder is called `<number>-<content>`: numbers are never used twice once committed, and
`content` is a hash of what goes in. A build that was killed finds the segments it had finished under
their content and does not make them again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt
from sleuth.index.arrays import map_array, map_arrays, map_bytes, save_array, save_arrays
from sleuth.index.ids import COLUMNS, IdTable
from sleuth.index.records import HASH_BYTES, Records
from sleuth.manifest import file_sha256, sync_folder, write_atomic

if TYPE_CHECKING:
    from sleuth.index.bm25.postings import Postings

__all__ = [
    "Deletions",
    "FileEntry",
    "Segment",
    "SegmentEntry",
    "SegmentWriter",
    "finished",
    "make_durable",
    "merge_segments",
]

DOCS, ROWS, POSTINGS, VECTORS = "docs.jsonl", "rows.npys", "postings.npys", "vectors.npy"
SUMMARY = "segment.json"
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
SEGMENT_NAME = re.compile(r"\d{6,}-[0-9a-f]{16}")
COPY_BYTES = 1 << 24
"""How much of a file is copied at once: large enough for the disk, small beside everything else (ours)."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file's size and SHA-256 (hex)."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileEntry:
        """Measure a file."""
        return cls(path.stat().st_size, file_sha256(path))


@dataclass(frozen=True, slots=True)
class Deletions:
    """Which rows of a segment are deleted: the bitmap's file, and how many rows it marks."""

    file: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """What the manifest says about a segment.

    Attributes:
        name: Its folder.
        documents: Rows, deleted ones included.
        files: File name -> size and checksum.
        deletions: The bitmap that counts, or None where nothing is deleted.
    """

    name: str
    documents: int
    files: Mapping[str, FileEntry]
    deletions: Deletions | None = None

    @property
    def live(self) -> int:
        """Documents that are not deleted."""
        return self.documents - (self.deletions.count if self.deletions else 0)

    @property
    def size_bytes(self) -> int:
        """Size on disk."""
        return sum(entry.bytes for entry in self.files.values()) + (self.deletions.bytes if self.deletions else 0)

    def every_file(self) -> Iterator[tuple[str, FileEntry]]:
        """All files, the bitmap included."""
        yield from self.files.items()
        if self.deletions:
            yield self.deletions.file, FileEntry(self.deletions.bytes, self.deletions.sha256)

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "name": self.name,
            "documents": self.documents,
            "files": {name: asdict(entry) for name, entry in sorted(self.files.items())},
            "deletions": asdict(self.deletions) if self.deletions else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SegmentEntry:
        """Read back; names that could leave the folder are refused.

        Raises:
            ValueError, KeyError, TypeError: It is not such an entry.
        """
        files = {name: FileEntry(int(f["bytes"]), str(f["sha256"])) for name, f in record["files"].items()}
        gone = record["deletions"]
        deletions = Deletions(gone["file"], int(gone["count"]), int(gone["bytes"]), gone["sha256"]) if gone else None
        names = [*files, deletions.file] if deletions else [*files]
        if not SEGMENT_NAME.fullmatch(record["name"]) or not all(FILE_NAME.fullmatch(name) for name in names):
            raise ValueError(f"segment {record['name']!r} has a name that is not ours")
        return cls(record["name"], int(record["documents"]), files, deletions)


class SegmentWriter:
    """Writes one segment's folder; `finish` makes it count.

    Args:
        folder: The segment's folder; made if it is not there, whatever an earlier try left is overwritten.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def rows(self, names: Sequence[bytes], lengths: Iterable[int], hashes: NDArray[np.uint8]) -> None:
        """Write what belongs to each row: its id, the length of its document's line, its hashes."""
        offsets = np.zeros(len(names) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(lengths, dtype=np.int64, count=len(names)), out=offsets[1:])
        ids = {f"ids.{name}": column for name, column in IdTable.columns(names).items()}
        save_arrays(self._new(ROWS), {**ids, "docs.offsets": offsets, "hashes": hashes})

    def documents(self, chunks: Iterable[bytes]) -> None:
        """Write the document lines, in any division into chunks."""
        with self._new(DOCS).open("wb") as handle:
            handle.writelines(chunks)

    def postings(self, postings: Postings) -> None:
        """Write the postings."""
        save_arrays(self._new(POSTINGS), postings.arrays())

    def vectors(self, blocks: Iterable[NDArray[np.float32]], rows: int, dim: int) -> None:
        """Write the vectors, block after block."""
        target = np.lib.format.open_memmap(self._new(VECTORS), "w+", np.float32, (rows, dim))
        at = 0
        for block in blocks:
            target[at : at + len(block)] = block
            at += len(block)
        target.flush()

    def finish(self, documents: int) -> SegmentEntry:
        """Write the summary that makes the segment whole. It counts when a manifest names it (`make_durable`)."""
        entry = SegmentEntry(
            self.folder.name, documents, {n: FileEntry.of(self.folder / n) for n in sorted(self._files)}
        )
        write_atomic(self.folder / SUMMARY, orjson.dumps(entry.to_json()), sync=False)
        return entry

    def _new(self, name: str) -> Path:
        self._files.append(name)
        return self.folder / name


def finished(folder: Path) -> SegmentEntry | None:
    """The entry of a segment that was made whole, or None for one that a killed process left behind.

    Checksums decide, because what was never committed may not have reached the disk.
    """
    try:
        entry = SegmentEntry.from_json(orjson.loads((folder / SUMMARY).read_bytes()))
        whole = all(FileEntry.of(folder / name) == file for name, file in entry.files.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return entry if whole and entry.name == folder.name else None


def make_durable(folder: Path, entry: SegmentEntry) -> None:
    """Bring a segment's files to the disk, before a manifest names it."""
    for name in (*entry.files, SUMMARY):
        with (folder / name).open("rb+") as handle:
            os.fsync(handle.fileno())
    sync_folder(folder)
    sync_folder(folder.parent)


class Segment:
    """A whole segment, mapped for reading.

    Everything is opened here and nothing is read, so a segment stays readable for as long as this object
    lives, even when a writer removes its files.

    Args:
        folder: The segment's folder.
        entry: What the manifest says about it.

    Attributes:
        live: (n,) bool, False where deleted; None when all are live.

    Raises:
        FileNotFoundError: A file is gone (a writer may have replaced the segment meanwhile).
        IndexCorrupt: A file has another size than the manifest says, or does not fit the others.
    """

    def __init__(self, folder: Path, entry: SegmentEntry) -> None:
        self.entry, self.folder = entry, folder
        for name, file in entry.every_file():
            size = (folder / name).stat().st_size
            if size != file.bytes:
                raise IndexCorrupt(f"{folder / name} has {size:,} bytes, the manifest says {file.bytes:,}")
        if not {DOCS, ROWS, POSTINGS} <= entry.files.keys():
            raise IndexCorrupt(f"{folder}: a segment without documents, rows or postings")
        rows = map_arrays(folder / ROWS)
        if not {"docs.offsets", "hashes"} <= rows.keys():
            raise IndexCorrupt(f"{folder / ROWS} has no offsets or hashes")
        self.ids = IdTable({name: rows[f"ids.{name}"] for name in COLUMNS if f"ids.{name}" in rows})
        self.records = Records(map_bytes(folder / DOCS), rows["docs.offsets"], str(folder / DOCS))
        self.hashes = rows["hashes"]
        self.vectors: NDArray[np.float32] | None = map_array(folder / VECTORS) if VECTORS in entry.files else None
        self._postings = map_arrays(folder / POSTINGS)
        self.live = self._read_live()
        n = entry.documents
        if len(self.ids) != n or len(self.records) != n or self.hashes.shape != (n, 2 * HASH_BYTES):
            raise IndexCorrupt(f"{folder}: ids, documents and hashes are not all {n:,} rows")
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != n):
            raise IndexCorrupt(f"{folder / VECTORS} has shape {self.vectors.shape}, expected ({n}, dim)")

    @cached_property
    def postings(self) -> Postings:
        """The segment's postings, over the mapped arrays."""
        from sleuth.index.bm25.postings import Postings

        try:
            return Postings.from_arrays(self._postings)
        except (KeyError, ValueError) as error:
            raise IndexCorrupt(f"{self.folder}: its postings do not fit together ({error})") from error

    @property
    def live_rows(self) -> NDArray[np.int64]:
        """Rows that are not deleted, ascending."""
        return np.arange(self.entry.documents) if self.live is None else np.flatnonzero(self.live)

    def without(self, dead: NDArray[np.bool_]) -> Segment:
        """The same segment with more rows deleted, in memory only."""
        other = object.__new__(Segment)
        other.__dict__.update(self.__dict__)
        other.live = ~dead if self.live is None else self.live & ~dead
        return other

    def write_deletions(self, generation: int) -> SegmentEntry:
        """Write the bitmap of what is deleted now; the entry that names it."""
        if self.live is None or self.live.all():
            return self.entry
        path = self.folder / f"deleted-{generation:06d}.npy"
        save_array(path, np.packbits(~self.live))
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
        sync_folder(self.folder)
        size = FileEntry.of(path)
        deletions = Deletions(path.name, int((~self.live).sum()), size.bytes, size.sha256)
        return SegmentEntry(self.entry.name, self.entry.documents, self.entry.files, deletions)

    def _read_live(self) -> NDArray[np.bool_] | None:
        gone = self.entry.deletions
        if gone is None:
            return None
        n = self.entry.documents
        bits = map_array(self.folder / gone.file)
        if bits.dtype != np.uint8 or bits.shape != ((n + 7) // 8,):
            raise IndexCorrupt(f"{self.folder / gone.file} is not a bitmap of {n:,} rows")
        live: NDArray[np.bool_] = np.unpackbits(bits, count=n) == 0
        return live


def merge_segments(folder: Path, segments: Sequence[Segment]) -> SegmentEntry:
    """Write one segment with the live documents of several, in their order.

    Args:
        folder: The new segment's folder.
        segments: At least one live document in all; all with vectors or all without.
    """
    from sleuth.index.bm25.postings import Postings

    rows = [segment.live_rows for segment in segments]
    pairs = list(zip(segments, rows, strict=True))
    total = sum(map(len, rows))
    writer = SegmentWriter(folder)
    writer.documents(_lines(segments, rows))
    writer.rows(
        [name for segment, kept in pairs for name in segment.ids.names(kept)],
        (int(length) for segment, kept in pairs for length in np.diff(segment.records.offsets)[kept]),
        np.concatenate([segment.hashes[kept] for segment, kept in pairs]),
    )
    writer.postings(Postings.merge([segment.postings for segment in segments], [segment.live for segment in segments]))
    first = segments[0].vectors
    if first is not None:
        writer.vectors(_vector_blocks(segments, rows), total, first.shape[1])
    return writer.finish(total)


def _lines(segments: Sequence[Segment], rows: Sequence[NDArray[np.int64]]) -> Iterator[bytes]:
    """The lines of the kept rows; neighbours are copied together."""
    for segment, kept in zip(segments, rows, strict=True):
        breaks = np.flatnonzero(np.diff(kept) != 1) + 1
        for run in np.split(kept, breaks):
            if len(run):
                start, end = int(segment.records.offsets[run[0]]), int(segment.records.offsets[run[-1] + 1])
                for at in range(start, end, COPY_BYTES):
                    yield segment.records.lines[at : min(at + COPY_BYTES, end)]


def _vector_blocks(segments: Sequence[Segment], rows: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.float32]]:
    for segment, kept in zip(segments, rows, strict=True):
        if segment.vectors is None:
            raise IndexCorrupt(f"{segment.folder} has no vectors, the index's other segments do")
        step = max(1, COPY_BYTES // (4 * segment.vectors.shape[1]))
        for at in range(0, len(kept), step):
            yield segment.vectors[kept[at : at + step]]
