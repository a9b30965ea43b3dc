"""How documents are grouped into segments: parts while they stream in, merges afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["PART_CHARACTERS", "PART_DOCUMENTS", "PART_VECTOR_BYTES", "Part", "merge_plan"]

PART_DOCUMENTS = 65_536
"""Documents of a part (ours): 64k of 500 bytes peak below 1 GB while they are analyzed, and a killed build
loses at most this much work."""

PART_CHARACTERS = 1 << 25
"""Characters of a part, for long documents (ours: 65,536 documents of 512)."""

PART_VECTOR_BYTES = 1 << 28
"""Vectors of a part held in memory (ours)."""


class Part:
    """Documents gathered for one segment."""

    def __init__(self, seed: bytes) -> None:
        self.names: list[bytes] = []
        self.lines: list[bytes] = []
        self.texts: list[str] = []
        self.hashes: list[bytes] = []
        self.characters = 0
        self.taken: set[bytes] = set()
        self._content = sha256(seed)

    def append(self, name: bytes, line: bytes, text: str, hashes: bytes) -> None:
        self.names.append(name)
        self.lines.append(line)
        self.texts.append(text)
        self.hashes.append(hashes)
        self.taken.add(name)
        self.characters += len(text)
        self._content.update(b"%d:%b%b" % (len(name), name, hashes))

    @property
    def content(self) -> str:
        """A name for what is in it."""
        return self._content.hexdigest()[:16]


def merge_plan(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Which neighbouring segments to merge, as half-open ranges in ascending order.

    The newest segments are merged while the one before them is no larger than they are together, so an index
    grown by n small additions has about log2(n) segments and each document is copied about log2(n) times. A
    segment of which more than half is deleted is written anew.

    Args:
        sizes: (live documents, all documents) of each segment, oldest first.
    """
    start = len(sizes)
    together = 0
    while start and (start == len(sizes) or sizes[start - 1][0] <= together):
        start -= 1
        together += sizes[start][0]
    plan = [(at, at + 1) for at in range(min(start, len(sizes))) if _mostly_deleted(sizes[at])]
    tail = len(sizes) - start
    if tail > 1 or (tail == 1 and _mostly_deleted(sizes[start])):
        plan.append((start, len(sizes)))
    return plan


def _mostly_deleted(size: tuple[int, int]) -> bool:
    return 2 * size[0] < size[1]
