"""The byte path: words of UTF-8 text by a state machine over byte classes, and a hash table of distinct words.

A chunk (what stands between ASCII white space) that is all ASCII is cut here; one that holds any other byte is a row
of the table as a whole, and the regular expressions cut it once for all its occurrences. No analyzer's token reaches
over ASCII white space, so this gives the stream of the pure path exactly. Hits compare bytes, not only hashes.

The kernels are plain Python over arrays, compiled by numba when they are first needed (extra `fast`); without
numba they run as they are, slowly, which is how they are tested everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.text.encoding import MAX_PIECES, PieceTable
from sleuth.text.rules import Rules

__all__ = ["ByteTable", "byte_codes", "compiled"]

# Byte classes. JOINS_BOTH are "." and "'", which join letters and digits. The kernels use the numbers.
OTHER, LETTER, DIGIT, CONNECTOR, JOINS_LETTERS, JOINS_BOTH, JOINS_DIGITS, SPACE = range(8)
MAX_BYTES = 256_000_000
"""Bytes of distinct words kept; past it, the table starts anew at the next block. Ours."""

Kernels = tuple[Callable[..., int], Callable[..., int], Callable[..., None]]
"""`cut_words`, `find_rows` and `place_rows`, compiled or not."""


def cut_words(data, ends, plain, classes, fold, begins, stops, hashes, offsets):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915, PLR0917
    """Find the words of texts, and the chunks that hold a byte that is not ASCII.

    Args:
        data: The texts, each followed by one byte of white space, (bytes,) uint8.
        ends: Where each text ends, without that byte, (n,) int64.
        plain: Whether each text is all ASCII, which spares a look ahead, (n,) bool.
        classes: Byte -> class, (256,) uint8.
        fold: Byte -> byte as words are kept, (256,) uint8.
        begins: Filled with where each word begins in `data`, int64; a chunk has -1 - begin instead.
        stops: Filled with where each word ends, int64.
        hashes: Filled with the FNV-1a of each word as it is kept, 32 bits in an int64.
        offsets: Filled with the number of words before each text, (n + 1,) int64.

    Returns:
        The number of words and chunks.
    """
    n = 0
    at = 0
    for text in range(len(ends)):
        end = ends[text]
        while at < end:
            if classes[data[at]] == 7:
                at += 1
                continue
            stop = end
            if not plain[text]:
                stop = at
                high = 0
                while stop < end and classes[data[stop]] != 7:
                    high |= int(data[stop])
                    stop += 1
                if high >= 128:
                    begins[n] = -1 - at
                    h = 2166136261
                    while at < stop:
                        h = ((h ^ int(data[at])) * 16777619) & 4294967295
                        at += 1
                    stops[n] = stop
                    hashes[n] = h
                    n += 1
                    continue
            while at < stop:
                before = int(classes[data[at]])
                if not 1 <= before <= 3:
                    at += 1
                    continue
                begins[n] = at
                h = ((2166136261 ^ int(fold[data[at]])) * 16777619) & 4294967295
                at += 1
                while at < stop:
                    byte = data[at]
                    here = int(classes[byte])
                    if not 1 <= here <= 6:
                        break
                    if here >= 4:
                        after = int(classes[data[at + 1]]) if at + 1 < stop else 0
                        letters = here <= 5 and before == 1 and after == 1
                        digits = here >= 5 and before == 2 and after == 2
                        if not (letters or digits):
                            break
                    h = ((h ^ int(fold[byte])) * 16777619) & 4294967295
                    before = here
                    at += 1
                stops[n] = at
                hashes[n] = h
                n += 1
        at = end + 1
        offsets[text + 1] = n
    return n


def find_rows(data, fold, begins, stops, hashes, first, codes, slots, starts, row_hashes, chunks, arena, used):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0917
    """Look words up from number `first` on, adding those that are new, until all are done or the table is full.

    Args:
        data, fold, begins, stops, hashes: As in `cut_words`.
        first: The first word to look up.
        codes: Filled with the row of each word, int32.
        slots: Hash table, a power of two long: hash << 31 | row, or -1 where it is free, int64.
        starts: Where each row begins in `arena`, int64, one more than there may be rows.
        row_hashes: Hash of each row, int64.
        chunks: Whether each row is a chunk, bool.
        arena: The bytes of the rows, uint8.
        used: Number of rows in use; changed, (1,) int64.

    Returns:
        The first word that was not looked up; len(begins) when all were.
    """
    mask = len(slots) - 1
    n_rows = used[0]
    for word in range(first, len(begins)):
        begin = begins[word]
        chunk = begin < 0
        if chunk:
            begin = -1 - begin
        length = stops[word] - begin
        h = hashes[word]
        slot = h & mask
        row = -1
        while slots[slot] >= 0:
            entry = slots[slot]
            if entry >> 31 == h:
                # A chunk has a byte that no word has, so equal bytes are of one kind.
                other = entry & 2147483647
                kept = starts[other]
                if starts[other + 1] - kept == length:
                    i = 0
                    if chunk:
                        while i < length and arena[kept + i] == data[begin + i]:
                            i += 1
                    else:
                        while i < length and arena[kept + i] == fold[data[begin + i]]:
                            i += 1
                    if i == length:
                        row = other
                        break
            slot = (slot + 1) & mask
        if row < 0:
            start = starts[n_rows]
            if n_rows >= len(row_hashes) or start + length > len(arena):
                used[0] = n_rows
                return word
            row = n_rows
            slots[slot] = (h << 31) | row
            row_hashes[row] = h
            chunks[row] = chunk
            for i in range(length):
                arena[start + i] = data[begin + i] if chunk else fold[data[begin + i]]
            n_rows += 1
            starts[n_rows] = start + length
        codes[word] = row
    used[0] = n_rows
    return len(begins)


def place_rows(slots, row_hashes, n_rows):  # type: ignore[no-untyped-def]
    """Put rows into an empty hash table."""
    mask = len(slots) - 1
    for row in range(n_rows):
        h = row_hashes[row]
        slot = h & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = (h << 31) | row


@lru_cache(maxsize=1)
def compiled() -> Kernels:
    """The kernels, compiled; machine code is kept beside the source or in the user's cache folder.

    Raises:
        ImportError: numba is not installed.
    """
    import numba

    def compile_all(**options: bool) -> Kernels:
        jit = numba.njit(nogil=True, **options)
        return jit(cut_words), jit(find_rows), jit(place_rows)

    try:
        return compile_all(cache=True)
    except RuntimeError:  # no folder that numba may write to
        return compile_all()


class ByteTable:
    """The hash table of distinct words and chunks.

    Args:
        rules: Of the analyzer.
        kernels: Compiled or not.
        rows: How many rows there is room for at first. Default: ours, 64 Ki, 3 MB.
    """

    def __init__(self, rules: Rules, kernels: Kernels, *, rows: int = 1 << 16) -> None:
        self._cut_words, self._find_rows, self._place_rows = kernels
        self._first_rows = rows
        self._classes = _byte_classes(joins=rules.ascii_words == "uax29")
        self._fold = np.arange(256, dtype=np.uint8)
        if not rules.case_matters:
            self._fold[65:91] += 32
        self.forget()

    def forget(self) -> None:
        """Start anew with no rows."""
        self._used = np.zeros(1, dtype=np.int64)
        self._hashes = np.zeros(self._first_rows, dtype=np.int64)
        self._chunks = np.zeros(self._first_rows, dtype=np.bool_)
        self._starts = np.zeros(self._first_rows + 1, dtype=np.int64)
        self._arena = np.zeros(self._first_rows * 16, dtype=np.uint8)
        self._slots = np.full(_slots_for(self._first_rows), -1, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._used[0])

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows."""
        return int(self._starts[len(self)])

    def codes(
        self, data: bytes, ends: NDArray[np.int64], plain: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The row of every word and chunk of the texts, and how many there are before each text.

        Args:
            data: UTF-8 of the texts, each followed by one byte of white space.
            ends: Where each text ends, (n,).
            plain: Whether each text is all ASCII, (n,).
        """
        source = np.frombuffer(data, dtype=np.uint8)
        most = len(data) // 2 + 1  # two words have a byte between them that belongs to neither
        begins, stops, hashes = (np.empty(most, dtype=np.int64) for _ in range(3))
        offsets = np.zeros(len(ends) + 1, dtype=np.int64)
        n = self._cut_words(source, ends, plain, self._classes, self._fold, begins, stops, hashes, offsets)
        codes = np.empty(n, dtype=np.int32)
        words = (source, self._fold, begins[:n], stops[:n], hashes[:n])
        done = 0
        while True:
            table = (self._slots, self._starts, self._hashes, self._chunks, self._arena, self._used)
            done = self._find_rows(*words, done, codes, *table)
            if done == n:
                return codes, offsets
            self._grow()

    def pieces(self, start: int, cut: Callable[[str], list[str]]) -> Iterator[tuple[str, ...] | list[str]]:
        """The pieces that each row from `start` on stands for."""
        bounds = self._starts[start : len(self) + 1]
        low = int(bounds[0])
        raw = self._arena[low : int(bounds[-1])].tobytes()
        edges = (bounds - low).tolist()
        for chunk, (begin, end) in zip(self._chunks[start : len(self)].tolist(), pairwise(edges), strict=True):
            if chunk:
                yield cut(raw[begin:end].decode("utf-8", "surrogatepass"))
            else:
                yield (raw[begin:end].decode("ascii"),)

    def _grow(self) -> None:
        """Twice the rows where they are used up, else twice the bytes."""
        if len(self) < len(self._hashes):
            self._arena = _longer(self._arena, 2 * len(self._arena))
            return
        rows = 2 * len(self._hashes)
        self._hashes = _longer(self._hashes, rows)
        self._chunks = _longer(self._chunks, rows)
        self._starts = _longer(self._starts, rows + 1)
        self._slots = np.full(_slots_for(rows), -1, dtype=np.int64)
        self._place_rows(self._slots, self._hashes, len(self))


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
    kernels: Kernels | None = None,
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


def _utf8(block: list[str]) -> tuple[bytes, NDArray[np.int64], NDArray[np.bool_]]:
    """The texts in UTF-8, each followed by a line break; where each ends; whether it is ASCII. Lone surrogates stay."""
    plain = np.fromiter((text.isascii() for text in block), dtype=np.bool_, count=len(block))
    if plain.all():
        lengths = [len(text) for text in block]
        data = ("\n".join(block) + "\n").encode("ascii")
    else:
        encoded = [text.encode("utf-8", "surrogatepass") for text in block]
        lengths = [len(text) for text in encoded]
        data = b"\n".join(encoded) + b"\n"
    return data, np.cumsum(np.asarray(lengths, dtype=np.int64) + 1) - 1, plain
