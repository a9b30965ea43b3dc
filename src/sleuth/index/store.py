"""The index folder: one manifest that changes, and immutable segments.

    manifest.json              which segments count; replaced by an atomic rename, never edited
    segments/<number>-<hash>/  see `sleuth.index.segments`
    lock                       only while a writer is at work
    unfinished                 from the start of the first build until its manifest is there

A reader opens the manifest, then maps every file it names; from then on it sees that snapshot and nothing
else. A writer makes new segments beside the old ones, renames a new manifest into place and only then
removes what no manifest names any more. A reader that lost a file between the two steps starts over with
the new manifest. So build, update, delete, compact, crash and snapshot are one mechanism.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import IndexCorrupt, IndexNotFound, IndexOutdated
from sleuth.index.lock import LOCK_FILE
from sleuth.index.segments import SegmentEntry
from sleuth.manifest import file_sha256, write_atomic

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "IndexManifest",
    "Settings",
    "begin",
    "check_files",
    "commit",
    "discard_beginning",
    "is_ours",
    "is_unfinished",
    "read_manifest",
    "segments_folder",
    "sweep",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SEGMENTS = "segments"
FORMAT = "sleuth index"
UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an index is made with; options left out of an update are these.

    Attributes:
        analyzer, analyzer_version: The analyzer of documents and queries.
        k1, b: BM25's parameters; nothing stored depends on them.
        encoder: {"name", "identity", "dim"} of the vectors, or None.
        corpus: What the index was made from, as its maker named it; None when not said.
        chunking: How files were cut, as the reader named it; None when not said.
    """

    analyzer: str
    analyzer_version: str
    k1: float
    b: float
    encoder: Mapping[str, Any] | None = None
    corpus: str | None = None
    chunking: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "analyzer": {"name": self.analyzer, "version": self.analyzer_version},
            "k1": self.k1,
            "b": self.b,
            "encoder": dict(self.encoder) if self.encoder else None,
            "corpus": self.corpus,
            "chunking": dict(self.chunking) if self.chunking is not None else None,
        }


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """The one file that changes.

    Attributes:
        generation: Rises by one with every commit.
        next_segment: The number the next segment gets; never used twice.
        settings: What the index is made with.
        segments: Oldest first.
    """

    generation: int
    next_segment: int
    settings: Settings
    segments: tuple[SegmentEntry, ...] = ()

    @property
    def documents(self) -> int:
        """Documents that are not deleted."""
        return sum(segment.live for segment in self.segments)

    @property
    def size_bytes(self) -> int:
        """Size of all files that count."""
        return sum(segment.size_bytes for segment in self.segments)

    def to_bytes(self) -> bytes:
        """The file's content, with a checksum over the rest of it."""
        record = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "generation": self.generation,
            "next_segment": self.next_segment,
            "documents": self.documents,
            **self.settings.to_json(),
            "segments": [segment.to_json() for segment in self.segments],
        }
        return orjson.dumps({**record, "checksum": _checksum(record)}, option=orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> IndexManifest:
        """Read back.

        Raises:
            ValueError, KeyError, TypeError: It is not such a manifest.
        """
        settings = Settings(
            record["analyzer"]["name"],
            record["analyzer"]["version"],
            float(record["k1"]),
            float(record["b"]),
            record["encoder"],
            record["corpus"],
            record["chunking"],
        )
        segments = tuple(SegmentEntry.from_json(segment) for segment in record["segments"])
        return cls(int(record["generation"]), int(record["next_segment"]), settings, segments)


def _checksum(record: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def segments_folder(path: Path) -> Path:
    """Where an index keeps its segments."""
    return path / SEGMENTS


def is_ours(path: Path) -> bool:
    """Whether a folder holds nothing but what an index is made of, so that a new one may take its place."""
    own = (MANIFEST, SEGMENTS, LOCK_FILE, UNFINISHED)
    return path.is_dir() and all(name in own or name.startswith(f".{MANIFEST}.") for name in os.listdir(path))


def is_unfinished(path: Path) -> bool:
    """Whether a first build was begun here and never finished: no manifest, and our mark or no segment yet.

    Segments without manifest and mark are those of a finished index that has lost its manifest.
    """
    if not is_ours(path) or (path / MANIFEST).exists() or not any(path.iterdir()):
        return False
    return (path / UNFINISHED).exists() or not _has_segments(path)


def _has_segments(path: Path) -> bool:
    folder = segments_folder(path)
    return folder.is_dir() and any(folder.iterdir())


def begin(path: Path) -> None:
    """Mark a first build as begun, before its first segment; its commit removes the mark."""
    (path / UNFINISHED).write_text(f"{FORMAT}: its first build has not finished\n", encoding="ascii")


def discard_beginning(path: Path) -> None:
    """Take the mark back where a first build ended before its first segment."""
    if not (path / MANIFEST).exists() and not _has_segments(path):
        (path / UNFINISHED).unlink(missing_ok=True)


def read_manifest(path: Path) -> IndexManifest:
    """The manifest of the index at this path.

    Raises:
        IndexNotFound: Nothing is there, or an empty folder.
        IndexCorrupt: A first build was not finished, the manifest is damaged or lost, or this is no index.
        IndexOutdated: Another format version made it.
    """
    try:
        content = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise _nothing_here(path) from None
    except NotADirectoryError:
        raise IndexCorrupt(
            f"{path} is a file; an index is a folder. Make one: sleuth index CORPUS -o NEW_FOLDER"
        ) from None
    rebuild = f"Make it anew: sleuth index CORPUS -o {path} --replace"
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise IndexCorrupt(f"{path / MANIFEST} is damaged ({error}). {rebuild}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise IndexCorrupt(f"{path} is not an index of Sleuth: its {MANIFEST} does not say format {FORMAT!r}")
    version = record.get("version")
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        help_ = f"Update Sleuth, or make it anew: sleuth index CORPUS -o {path} --replace" if newer else rebuild
        raise IndexOutdated(f"{path} has format version {version}, this Sleuth reads {FORMAT_VERSION}. {help_}")
    stated = record.pop("checksum", None)
    try:
        if stated != _checksum(record):
            raise ValueError("its checksum differs from its content")
        return IndexManifest.from_json(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexCorrupt(f"{path / MANIFEST} is damaged ({error}). {rebuild}") from error


def _nothing_here(path: Path) -> Exception:
    if is_unfinished(path):
        return IndexCorrupt(
            f"{path}: its first build was not finished (or is still at work). Run the same `sleuth index CORPUS -o {path}` again; it carries on"
        )
    if is_ours(path) and any(path.iterdir()):
        return IndexCorrupt(
            f"{path} is damaged: its segments are there, its {MANIFEST} is gone. Restore that file from a copy, or make "
            f"the index anew, with the options it was made with: sleuth index CORPUS -o {path} --replace"
        )
    if path.is_dir() and any(path.iterdir()):
        return IndexCorrupt(
            f"{path} is a folder with other files, not an index: it has no {MANIFEST}. Name an index, or a new folder to "
            "make one in: sleuth index CORPUS -o NEW_FOLDER"
        )
    return IndexNotFound(f"there is no index at {path}. Make one: sleuth index CORPUS -o {path}")


def commit(path: Path, manifest: IndexManifest) -> None:
    """Make a manifest the current one, then remove what it does not name.

    The caller holds the writer's lock. Removal on Windows fails for files a reader has open; the next
    commit removes them.
    """
    write_atomic(path / MANIFEST, manifest.to_bytes())
    sweep(path, manifest)


def sweep(path: Path, manifest: IndexManifest) -> None:
    """Remove segments, bitmaps and leftovers that the manifest does not name, and the mark of a first build."""
    (path / UNFINISHED).unlink(missing_ok=True)
    named = {segment.name: segment for segment in manifest.segments}
    for temporary in path.glob(f".{MANIFEST}.*.part"):
        temporary.unlink(missing_ok=True)
    folder = segments_folder(path)
    for child in folder.iterdir() if folder.is_dir() else ():
        segment = named.get(child.name)
        if segment is None:
            shutil.rmtree(child, ignore_errors=True)
            continue
        for bitmap in child.glob("deleted-*.npy"):
            if segment.deletions is None or bitmap.name != segment.deletions.file:
                try:
                    bitmap.unlink(missing_ok=True)
                except PermissionError:
                    continue


def check_files(path: Path) -> list[str]:
    """Every file of an index whose size or SHA-256 is not the manifest's, with what is wrong; empty when sound.

    Raises:
        IndexNotFound, IndexCorrupt, IndexOutdated: The manifest itself can't be read.
    """
    manifest = read_manifest(path)
    problems = []
    for segment in manifest.segments:
        for name, expected in segment.every_file():
            file = segments_folder(path) / segment.name / name
            shown = file.relative_to(path).as_posix()
            if not file.is_file():
                problems.append(f"{shown}: missing")
            elif file.stat().st_size != expected.bytes:
                problems.append(f"{shown}: {file.stat().st_size:,} bytes, expected {expected.bytes:,}")
            elif file_sha256(file) != expected.sha256:
                problems.append(f"{shown}: its bytes have changed")
    return problems
