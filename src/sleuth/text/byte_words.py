"""The byte path: words of UTF-8 text by a state machine over byte classes, and a hash table of distinct words.

A chunk (what stands between ASCII white space) that is all ASCII is cut here; one that holds any other byte is a row
of the table as a whole, and the regular expressions cut it once for all its occurrences. No analyzer's token reaches
over ASCII white space, so this gives the stream of the pure path exactly. Hits compare bytes, not only hashes.

The two kernels are plain Python over arrays, compiled by numba when they are first needed (extra `fast`); without
numba they run as they are, slowly, which is how they are tested everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.text.encoding import MAX_PIECES, PieceTable
from sleuth.text.rules import Rules

__all__ = ["ByteTable", "byte_codes", "compiled"]

# Byte classes. JOINS_BOTH are "." and "'", which join letters and digits.
OTHER, LETTER, DIGIT, CONNECTOR, JOINS_LETTERS, JOINS_BOTH, JOINS_DIGITS, SPACE = range(8)
WORD, CHUNK = 0, 1  # kinds of rows
TEXT, AT, CODES, ROWS, BYTES = range(5)  # places in `state`
MAX_BYTES = 256_000_000
"""Bytes of distinct words kept; past it, the table starts anew at the next block. Ours."""


# One function because it is compiled: numba calls no plain Python function, and a tuple for the arrays costs time.
def scan(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915, PLR0917
    data, ends, classes, fold, state, codes, offsets, slots, starts, hashes, kinds, arena
):
    """Cut texts until they end or the table is full; the caller makes it larger and calls again.

    Args:
        data: The texts, each followed by one byte of white space, (bytes,) uint8.
        ends: Where each text ends, without that byte, (n,) int64.
        classes: Byte -> class, (256,) uint8.
        fold: Byte -> byte as words are kept, (256,) uint8.
        state: Text, byte in `data`, number of codes, of rows and of bytes in `arena`; changed, (5,) int64.
        codes: Filled with the row of each word, int32; large enough for every text.
        offsets: Filled with where each text begins in `codes`, (n + 1,) int64.
        slots: Hash table, a power of two: hash << 31 | row, or -1 where it is free, int64.
        starts: Filled with where each row begins in `arena`, int64, one more than there may be rows.
        hashes: Filled with the hash of each row, int64.
        kinds: Filled with the kind of each row, uint8.
        arena: Filled with the bytes of the rows, uint8.

    Returns:
        True when all texts are done, False when the table is full.
    """
    mask = len(slots) - 1
    text, at, n_codes, n_rows, n_bytes = state[0], state[1], state[2], state[3], state[4]
    while text < len(ends):
        end = ends[text]
        while at < end:
            if classes[data[at]] == 7:
                at += 1
                continue
            begin = at
            codes_before = n_codes
            high = 0
            stop = at
            while stop < end and classes[data[stop]] != 7:
                high |= int(data[stop])
                stop += 1
            kind = 1 if high >= 128 else 0
            while at < stop:
                first = at
                if kind == 1:
                    at = stop
                else:
                    before = int(classes[data[at]])
                    if before < 1 or before > 3:
                        at += 1
                        continue
                    at += 1
                    while at < stop:
                        here = int(classes[data[at]])
                        if here >= 4:
                            joined = False
                            if at + 1 < stop:
                                after = int(classes[data[at + 1]])
                                joined = (here <= 5 and before == 1 and after == 1) or (
                                    here >= 5 and before == 2 and after == 2
                                )
                            if not joined:
                                break
                        elif here == 0:
                            break
                        before = here
                        at += 1
                # FNV-1a, 32 bits; the kind goes in, so a chunk never meets a word.
                h = 2166136261 ^ kind
                if kind == 1:
                    for i in range(first, at):
                        h = ((h ^ int(data[i])) * 16777619) & 4294967295
                else:
                    for i in range(first, at):
                        h = ((h ^ int(fold[data[i]])) * 16777619) & 4294967295
                length = at - first
                slot = h & mask
                row = -1
                while slots[slot] >= 0:
                    entry = slots[slot]
                    if entry >> 31 == h:
                        other = entry & 2147483647
                        here_start = starts[other]
                        if starts[other + 1] - here_start == length and kinds[other] == kind:
                            same = True
                            for i in range(length):
                                byte = data[first + i] if kind == 1 else fold[data[first + i]]
                                if arena[here_start + i] != byte:
                                    same = False
                                    break
                            if same:
                                row = other
                                break
                    slot = (slot + 1) & mask
                if row < 0:
                    if n_rows >= len(hashes) or n_bytes + length > len(arena):
                        # Undo this chunk: with more room it is cut again from its beginning.
                        state[0], state[1], state[2], state[3], state[4] = text, begin, codes_before, n_rows, n_bytes
                        return False
                    row = n_rows
                    slots[slot] = (h << 31) | row
                    hashes[row] = h
                    kinds[row] = kind
                    for i in range(length):
                        arena[n_bytes + i] = data[first + i] if kind == 1 else fold[data[first + i]]
                    n_bytes += length
                    n_rows += 1
                    starts[n_rows] = n_bytes
                codes[n_codes] = row
                n_codes += 1
        text += 1
        offsets[text] = n_codes
        at = end + 1
    state[0], state[1], state[2], state[3], state[4] = text, at, n_codes, n_rows, n_bytes
    return True


def place_rows(slots, hashes, n_rows):  # type: ignore[no-untyped-def]
    """Put rows into an empty hash table."""
    mask = len(slots) - 1
    for row in range(n_rows):
        h = hashes[row]
        slot = h & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = (h << 31) | row


@lru_cache(maxsize=1)
def compiled() -> tuple[Callable[..., bool], Callable[..., None]]:
    """`scan` and `place_rows`, compiled; machine code is kept beside the source or in the user's cache folder.

    Raises:
        ImportError: numba is not installed.
    """
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(scan), numba.njit(cache=True, nogil=True)(place_rows)
    except RuntimeError:  # no folder that numba may write to
        return numba.njit(nogil=True)(scan), numba.njit(nogil=True)(place_rows)


class ByteTable:
    """The hash table of distinct words and chunks, and the scan that fills it.

    Args:
        rules: Of the analyzer.
        kernels: `scan` and `place_rows`, compiled or not.
        rows: How many rows there is room for at first. Default: ours, 64 Ki, 3 MB.
    """

    def __init__(self, rules: Rules, kernels: tuple[Callable[..., bool], Callable[..., None]], *, rows: int = 1 << 16):
        self._scan, self._place = kernels
        self._first_rows = rows
        self._classes = _byte_classes(joins=rules.ascii_words == "uax29")
        self._fold = np.arange(256, dtype=np.uint8)
        if not rules.case_matters:
            self._fold[65:91] += 32
        self.forget()

    def forget(self) -> None:
        """Start anew with no rows."""
        self._state = np.zeros(5, dtype=np.int64)
        self._hashes = np.zeros(self._first_rows, dtype=np.int64)
        self._kinds = np.zeros(self._first_rows, dtype=np.uint8)
        self._starts = np.zeros(self._first_rows + 1, dtype=np.int64)
        self._arena = np.zeros(self._first_rows * 16, dtype=np.uint8)
        self._slots = np.full(_slots_for(self._first_rows), -1, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._state[ROWS])

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows."""
        return int(self._state[BYTES])

    def codes(self, data: bytes, ends: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The row of every word of the texts, and where each text begins in them.

        Args:
            data: UTF-8 of the texts, each followed by one byte of white space.
            ends: Where each text ends, (n,).
        """
        self._state[[TEXT, AT, CODES]] = 0
        # Two words have a byte between them that belongs to neither.
        codes = np.empty(len(data) // 2 + 1, dtype=np.int32)
        offsets = np.zeros(len(ends) + 1, dtype=np.int64)
        source = np.frombuffer(data, dtype=np.uint8)
        while not self._scan(
            *(source, ends, self._classes, self._fold, self._state, codes, offsets),
            *(self._slots, self._starts, self._hashes, self._kinds, self._arena),
        ):
            self._grow()
        return codes[: self._state[CODES]], offsets

    def pieces(self, start: int, cut: Callable[[str], list[str]]) -> Iterator[tuple[str, ...] | list[str]]:
        """The pieces that each row from `start` on stands for."""
        bounds = self._starts[start : len(self) + 1]
        low = int(bounds[0])
        raw = self._arena[low : int(bounds[-1])].tobytes()
        edges = (bounds - low).tolist()
        for kind, begin, end in zip(self._kinds[start : len(self)].tolist(), edges, edges[1:], strict=False):
            if kind == WORD:
                yield (raw[begin:end].decode("ascii"),)
            else:
                yield cut(raw[begin:end].decode("utf-8", "surrogatepass"))

    def _grow(self) -> None:
        """Twice the rows where they are used up, else twice the bytes."""
        if len(self) < len(self._hashes):
            self._arena = _longer(self._arena, 2 * len(self._arena))
            return
        rows = 2 * len(self._hashes)
        self._hashes = _longer(self._hashes, rows)
        self._kinds = _longer(self._kinds, rows)
        self._starts = _longer(self._starts, rows + 1)
        self._slots = np.full(_slots_for(rows), -1, dtype=np.int64)
        self._place(self._slots, self._hashes, len(self))


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    """A copy with zeros at its end."""
    longer = np.zeros(length, dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def _slots_for(rows: int) -> int:
    """Slots of a hash table: a power of two, at most half of them used."""
    return 1 << max(1, 2 * rows - 1).bit_length()


def _byte_classes(*, joins: bool) -> NDArray[np.uint8]:
    classes = np.full(256, OTHER, dtype=np.uint8)
    classes[65:91] = classes[97:123] = LETTER
    classes[48:58] = DIGIT
    classes[ord("_")] = CONNECTOR
    classes[[9, 10, 11, 12, 13, 32]] = SPACE
    if joins:
        classes[ord(":")] = JOINS_LETTERS
        classes[[ord("."), ord("'")]] = JOINS_BOTH
        classes[[ord(","), ord(";")]] = JOINS_DIGITS
    return classes


def byte_codes(
    blocks: Iterable[list[str]],
    rules: Rules,
    table: PieceTable,
    *,
    kernels: tuple[Callable[..., bool], Callable[..., None]] | None = None,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """Per block the row of every word or chunk, and where each text begins; fills the table on its way.

    Args:
        blocks: Lists of texts.
        rules: Of the analyzer.
        table: What rows stand for; must be empty.
        kernels: Default: compiled.

    Raises:
        ImportError: numba is not installed and no kernels are given.
    """
    words = ByteTable(rules, kernels or compiled())
    return _scanned(blocks, rules, table, words)


def _scanned(
    blocks: Iterable[list[str]], rules: Rules, table: PieceTable, words: ByteTable
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    for block in blocks:
        codes, offsets = words.codes(*_utf8(block))
        table.extend(words.pieces(len(table), rules.pieces))
        yield codes, offsets
        if len(words) > MAX_PIECES or words.n_bytes > MAX_BYTES:
            words.forget()
            table.forget()


def _utf8(block: list[str]) -> tuple[bytes, NDArray[np.int64]]:
    """The texts in UTF-8, each followed by a line break, and where each ends. Lone surrogates are kept."""
    joined = "\n".join(block) + "\n"
    if joined.isascii():
        lengths = [len(text) for text in block]
        data = joined.encode("ascii")
    else:
        encoded = [text.encode("utf-8", "surrogatepass") for text in block]
        lengths = [len(text) for text in encoded]
        data = b"\n".join(encoded) + b"\n"
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64) + 1) - 1
    return data, ends
