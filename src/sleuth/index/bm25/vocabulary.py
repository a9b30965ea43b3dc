"""The terms of a segment, sorted, as bytes that may lie in a memory map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary"]

# Lookups by bisection before the prefix keys are built (ours: a one-shot query of 500 terms bisects, in about
# 10 µs a term, instead of reading the whole vocabulary; a server soon has the keys, at 1 to 2 µs a term).
BISECTED = 1_000
# Terms whose place is remembered (ours: about 10 MB).
REMEMBERED = 100_000


class Vocabulary:
    """Distinct terms in ascending byte order of their UTF-8 form (which is the order of `str`, too).

    Args:
        text: All terms' UTF-8 bytes, one after another, (bytes,) uint8.
        offsets: Term i is `text[offsets[i]:offsets[i + 1]]`, (n + 1,) uint32 or int64.
    """

    def __init__(self, text: NDArray[np.uint8], offsets: NDArray[np.unsignedinteger | np.signedinteger]) -> None:
        self.text, self.offsets = text, offsets
        self._asked = 0
        self._known: dict[str, int] = {}
        self._keys: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, terms: Sequence[str]) -> tuple[Vocabulary, NDArray[np.int64]]:
        """The vocabulary of distinct terms in any order, and their positions in `terms` from first to last in it."""
        joined = "".join(terms)
        sizes: Iterable[int] = map(len, terms)
        if not joined.isascii():
            sizes = (len(_bytes_of(term)) for term in terms)
        ends = np.zeros(len(terms) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(terms)), out=ends[1:])
        given = cls(np.frombuffer(_bytes_of(joined), dtype=np.uint8), ends)
        order = given._byte_order()
        return given.only(order), order

    def only(self, positions: NDArray[np.int64]) -> Vocabulary:
        """The terms at some positions, in that order."""
        ends = self.offsets.astype(np.int64)
        sizes = np.diff(ends)[positions]
        offsets = np.zeros(len(positions) + 1, dtype=np.int64)
        np.cumsum(sizes, out=offsets[1:])
        at = np.repeat(ends[positions] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return Vocabulary(self.text[at], offsets.astype(np.uint32) if offsets[-1] < 2**32 else offsets)

    def term(self, position: int) -> str:
        """The term at a position, 0 <= position < len(self)."""
        return self._raw(position).decode("utf-8", "surrogatepass")

    def all_terms(self) -> list[str]:
        """Every term, in order; reads the whole vocabulary."""
        text, ends = self.text.tobytes(), self.offsets.tolist()
        return [text[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]

    def find(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Position of each term, (n,) int64; -1 where it is not here."""
        known = self._known
        missing = [term for term in terms if term not in known]
        if missing:
            if len(known) > REMEMBERED:
                known = self._known = {}
                missing = list(terms)
            known.update(zip(missing, self._search(missing), strict=True))
        return np.array([known[term] for term in terms], dtype=np.int64)

    def _search(self, terms: Sequence[str]) -> list[int]:
        wanted = [_bytes_of(term) for term in terms]
        self._asked += len(wanted)
        if self._keys is None and self._asked > BISECTED:
            self._keys = self._prefix_keys()
        if self._keys is None:
            spans = [(0, len(self))] * len(wanted)
        else:
            heads = np.array([int.from_bytes(term[:8].ljust(8, b"\0"), "big") for term in wanted], dtype=np.uint64)
            low = np.searchsorted(self._keys, heads, side="left").tolist()
            spans = list(zip(low, np.searchsorted(self._keys, heads, side="right").tolist(), strict=True))
        return [self._bisect(term, *span) for term, span in zip(wanted, spans, strict=True)]

    def _bisect(self, term: bytes, low: int, high: int) -> int:
        stop = high
        while low < high:
            middle = (low + high) // 2
            if self._raw(middle) < term:
                low = middle + 1
            else:
                high = middle
        return low if low < stop and self._raw(low) == term else -1

    def _raw(self, position: int) -> bytes:
        return self.text[int(self.offsets[position]) : int(self.offsets[position + 1])].tobytes()

    def _byte_order(self) -> NDArray[np.int64]:
        """Positions of all terms in ascending byte order.

        Sixteen bytes as two numbers settle nearly every pair; what they leave equal is compared whole.
        """
        first, second = self._prefix_keys(), self._prefix_keys(8)
        order = np.lexsort((second, first))
        first, second = first[order], second[order]
        same = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2].tolist(), (edges[1::2] + 1).tolist(), strict=True):
            order[start:stop] = sorted(order[start:stop].tolist(), key=self._raw)
        return order

    def _prefix_keys(self, skip: int = 0) -> NDArray[np.uint64]:
        """Eight bytes of every term, after the first `skip`, as a number that sorts like them, (n,) uint64."""
        starts = np.asarray(self.offsets[:-1], dtype=np.int64)
        lengths = np.diff(np.asarray(self.offsets, dtype=np.int64))
        keys = np.zeros(len(self), dtype=np.uint64)
        for place in range(skip, skip + 8):
            longer = np.flatnonzero(lengths > place)
            keys[longer] |= self.text[starts[longer] + place].astype(np.uint64) << np.uint64(56 - 8 * (place - skip))
        return keys


def _bytes_of(term: str) -> bytes:
    # Lone surrogates reach an index through file names and broken JSON; they are terms like any other.
    return term.encode("utf-8", "surrogatepass")
