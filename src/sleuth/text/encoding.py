"""From texts to token streams: each distinct piece is analyzed once, texts go through in blocks.

Two paths give the same stream. The pure one cuts texts with regular expressions and looks every piece up in a
dictionary. The byte path (`byte_words`, extra `fast`) works on UTF-8 and is two to three times as fast; loading its
compiled code takes most of a second, so it is used only where there is enough text to win that back.
"""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import MissingExtra, UsageError
from sleuth.text.rules import Rules
from sleuth.text.stream import TokenStream

__all__ = ["FAST_FROM_CHARACTERS", "PieceTable", "RuleAnalyzer"]

FAST_FROM_CHARACTERS = 20_000_000
"""Below this many characters the pure path is used even where numba is installed. Ours: measured on the synthetic
corpus, where the pure path takes a second and a half for it, about what loading and running compiled code takes."""

BLOCK_CHARACTERS = 8_000_000
"""Texts go through in blocks of about this size, so that memory for pieces stays flat. Ours: larger gains nothing."""

MAX_PIECES = 2_000_000
"""Distinct pieces kept while encoding; past it, the table starts anew at the next block (terms keep their ids). Ours:
about 300 MB in the pure path."""

CACHED_PIECES = 50_000
"""Distinct pieces that `tokens` remembers; past it, it forgets all. Ours: about 10 MB."""


class PieceTable:
    """What each distinct piece stands for: a row of term ids, in the order in which pieces were first seen.

    Attributes:
        starts: Row i is `ids[starts[i]:starts[i + 1]]`; (pieces + 1,) int64.
        ids: (all terms of all pieces,) int32.
        place: Term -> id, for every term seen since the start, also of forgotten pieces.
    """

    def __init__(self, rules: Rules) -> None:
        self.place: dict[str, int] = {}
        self._rules = rules
        self.forget()

    def forget(self) -> None:
        """Start anew with no pieces; ids of terms stay."""
        self.starts = np.zeros(1, dtype=np.int64)
        self.ids = np.zeros(0, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def extend(self, rows: Iterable[Iterable[str]]) -> None:
        """Append rows; each is given as the pieces that it stands for (one, or those of a chunk)."""
        forms: list[str] = []
        ends: list[int] = []
        forms_of = self._rules.forms
        for pieces in rows:
            for piece in pieces:
                forms += forms_of(piece)
            ends.append(len(forms))
        terms = self._rules.stems(forms)
        place = self.place
        new = np.fromiter((place.setdefault(term, len(place)) for term in terms), dtype=np.int32, count=len(terms))
        self.starts = np.concatenate([self.starts, len(self.ids) + np.asarray(ends, dtype=np.int64)])
        self.ids = np.concatenate([self.ids, new])

    def expand(
        self, codes: NDArray[np.int32], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Term ids and offsets of texts that are given as rows.

        Args:
            codes: Rows, (pieces of all texts,).
            offsets: Text i has `codes[offsets[i]:offsets[i + 1]]`, (n + 1,).
        """
        counts = np.diff(self.starts)[codes]
        ends = np.zeros(len(codes) + 1, dtype=np.int64)
        np.cumsum(counts, out=ends[1:])
        if len(codes) and counts.max() > 1:
            at = np.repeat(self.starts[codes] - ends[:-1], counts) + np.arange(ends[-1])
        else:
            at = self.starts[codes[counts > 0]]
        return self.ids[at], ends[offsets]


class _Codes(dict[str, int]):
    """Piece -> row; a piece that is new gets the next row and is noted."""

    def __init__(self) -> None:
        self.new: list[str] = []

    def __missing__(self, piece: str) -> int:
        code = len(self)
        self[piece] = code
        self.new.append(piece)
        return code


class RuleAnalyzer:
    """An analyzer made of rules (`rules.Rules`).

    Attributes:
        name: Its name in `analyzer.ANALYZERS`.
        version: Raised when its tokens change.
        rules: How it cuts and what it makes of a piece.
    """

    def __init__(self, name: str, version: int, rules: Rules) -> None:
        self.name, self.version, self.rules = name, version, rules
        self._cache: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"get_analyzer({self.name!r})"

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        from sleuth.text.analyzer import get_analyzer

        return get_analyzer, (self.name,)

    def tokens(self, text: str) -> list[str]:
        """The terms of one text, in order.

        Raises:
            UsageError: `text` is not a string.
        """
        if not isinstance(text, str):
            raise UsageError(f"tokens takes a string, got {type(text).__name__}")
        cache = self._cache
        found: list[str] = []
        for piece in self.rules.pieces(text):
            terms = cache.get(piece)
            if terms is None:
                terms = tuple(self.rules.stems(list(self.rules.forms(piece))))
                if len(cache) >= CACHED_PIECES:
                    cache.clear()
                cache[piece] = terms
            found += terms
        return found

    def encode(self, texts: Sequence[str], *, fast: bool | None = None) -> TokenStream:
        """The terms of many texts as one stream; `tokens` of each text, with terms numbered.

        Args:
            texts: n strings of any length, also empty.
            fast: Whether to use the byte path. None: where numba is installed and there is much text
                (`FAST_FROM_CHARACTERS`).

        Raises:
            UsageError: `texts` is one string, or holds something else than strings.
            MissingExtra: `fast=True` without numba.
        """
        _check_texts(texts)
        if fast is None:
            fast = _much_text(texts) and importlib.util.find_spec("numba") is not None
        table = PieceTable(self.rules)
        if fast:
            from sleuth.text.byte_words import byte_codes

            try:
                blocks = byte_codes(_blocks(texts), self.rules, table)
            except ImportError as error:
                raise MissingExtra("the byte tokenizer", "fast", error) from error
        else:
            blocks = _codes(_blocks(texts), self.rules, table)
        ids: list[NDArray[np.int32]] = []
        offsets = [np.zeros(1, dtype=np.int64)]
        done = 0
        for codes, ends in blocks:
            block_ids, block_offsets = table.expand(codes, ends)
            ids.append(block_ids)
            offsets.append(block_offsets[1:] + done)
            done += len(block_ids)
        flat = np.concatenate(ids) if ids else np.zeros(0, dtype=np.int32)
        return TokenStream(flat, np.concatenate(offsets), list(table.place))


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise UsageError("encode takes a sequence of texts, got one string; pass [text]")
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"texts must be strings, got {type(text).__name__} at position {at}")


def _much_text(texts: Sequence[str]) -> bool:
    characters = 0
    for text in texts:
        characters += len(text)
        if characters >= FAST_FROM_CHARACTERS:
            return True
    return False


def _blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in lists of about `BLOCK_CHARACTERS`."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text) + 1
        if size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _codes(
    blocks: Iterable[list[str]], rules: Rules, table: PieceTable
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """The pure path: per block the row of every piece, and where each text ends; fills the table on its way."""
    codes = _Codes()
    for block in blocks:
        rows = array("i")
        ends = np.zeros(len(block) + 1, dtype=np.int64)
        for at, text in enumerate(block, start=1):
            if not rules.case_matters and text.isascii():
                text = text.lower()  # noqa: PLW2901  fewer distinct pieces
            rows.extend(map(codes.__getitem__, rules.pieces(text)))
            ends[at] = len(rows)
        table.extend((piece,) for piece in codes.new)
        codes.new.clear()
        yield np.frombuffer(rows, dtype=np.int32), ends
        if len(codes) > MAX_PIECES:
            codes = _Codes()
            table.forget()
