"""What is told about an index: what it holds, and what a change did to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sleuth.index.store import FORMAT_VERSION, IndexManifest

__all__ = ["Counts", "IndexReport", "described"]


@dataclass(slots=True)
class Counts:
    """What an update did, in documents.

    Attributes:
        added: New ids.
        changed: Another text than before.
        updated: The same text, other metadata or another cut between title and text.
        unchanged: Left alone.
        removed: Deleted, or vanished from the corpus.
        kept: Vanished and kept: on request, or because their source could not be read.
        encoded: Texts the encoder was asked for.
        reused: New or updated documents whose vector was there already.
        truncated: Encoded texts that were longer than the encoder reads.
        resumed: Documents in parts that an earlier, killed run had finished.
    """

    added: int = 0
    changed: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    kept: int = 0
    encoded: int = 0
    reused: int = 0
    truncated: int = 0
    resumed: int = 0


class IndexReport:
    """What a build, update, addition or deletion did.

    Attributes:
        path: The index.
        manifest: Its state afterwards.
        counts: In documents; see `Counts`.
    """

    def __init__(self, path: Path, manifest: IndexManifest, counts: Counts) -> None:
        self.path, self.manifest, self.counts = path, manifest, counts

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it (schema sleuth.index/1)."""
        return {"schema": "sleuth.index/1", **described(self.manifest), **asdict(self.counts)}

    def rows(self) -> list[list[str]]:
        """As the terminal shows it: a name and a number a line, only what is not 0."""
        numbers = {"documents": self.manifest.documents, **asdict(self.counts), "bytes": self.manifest.size_bytes}
        return [[name, f"{n:,}"] for name, n in numbers.items() if n or name == "documents"]

    def __repr__(self) -> str:
        done = ", ".join(f"{n:,} {name}" for name, n in asdict(self.counts).items() if n)
        return f"IndexReport({str(self.path)!r}, {self.manifest.documents:,} documents: {done or 'nothing to do'})"


def described(manifest: IndexManifest) -> dict[str, Any]:
    """What an index holds, JSON-like."""
    settings = manifest.settings.to_json()
    segments = [
        {"name": s.name, "documents": s.live, "deleted": s.documents - s.live, "bytes": s.size_bytes}
        for s in manifest.segments
    ]
    return {
        "documents": manifest.documents,
        "segments": segments,
        **settings,
        "bytes": manifest.size_bytes,
        "generation": manifest.generation,
        "format_version": FORMAT_VERSION,
    }
