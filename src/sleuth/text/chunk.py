"""Cut a text into chunks along its own structure, none longer than a budget of tokens.

The largest section that fits the budget is a chunk. A section that doesn't fit is cut into its subsections and
into runs of whole paragraphs; a paragraph that is too long by itself is cut after sentences, then at
line ends, white space, and at last anywhere between two tokens. Code is cut at blank lines and line ends. A
heading without text of its own, or with very little, joins what follows it.

A **token** here is a run of letters, digits and underscores, every 32 characters of a longer run counting
as one, or a single Han, Kana or Hangul character; every 32 other visible characters in a row, and every 64 characters of
white space, count as one too, so that no chunk is without bound. English prose has about 1.3 tokens of a
language model to one of these.

A chunk is always `text[start:end]`; nothing but white space lies outside all chunks.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from sleuth.errors import UsageError
from sleuth.text.outline import Block, Outline, TextKind, structure_of

__all__ = ["CHUNK_TOKENS", "OVERLAP", "Chunk", "budget_of", "count_tokens", "cut", "cut_along"]

CHUNK_TOKENS = 180
"""Default budget (ours): with its title, English prose of this length stays within the 256 word pieces that the small
encoder reads in 95 of 100 chunks (measured on web text and textbooks). Code has about 2.4 pieces to a token and dense
tables 2.1: a quarter of Python chunks are longer, and that encoder cuts them; of 100 tokens, 4 in 100 are."""

OVERLAP = 0
"""Default overlap (ours): cuts lie at the text's own boundaries, and a repeated passage is a repeated hit."""

_CJK = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u318f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]{{1,32}}|[^\w\s]{{32}}|\s{{64}}")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]{0,3}(?=\s)|[。！？｡][\"'”’」』）]{0,3}")
_LINE_END = re.compile(r"\n")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_SPACE = re.compile(r"\s+")
_LITTLE = 10
"""A section's own text of less than a tenth of the budget is not worth a chunk of its own (ours)."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text.

    Attributes:
        text: `whole[start:end]`.
        start, end: Positions in characters, 0-based, end exclusive.
        heading: The headings it lies under, outermost first: "A > B"; "" where there are none.
    """

    text: str
    start: int
    end: int
    heading: str = ""


def cut(text: str, *, kind: TextKind = "plain", max_tokens: int = CHUNK_TOKENS, overlap: int = OVERLAP) -> list[Chunk]:
    """Cut a text along its structure (module docstring).

    Args:
        text: Any text; white space alone gives no chunk.
        kind: How to read its structure.
        max_tokens: No chunk has more tokens, >= 1.
        overlap: Up to this many tokens of the end of a chunk are repeated at the start of the next one of the
            same section, from the start of a sentence where there is one; in [0, max_tokens).

    Raises:
        UsageError: A budget out of range.
    """
    return cut_along(text, structure_of(text, kind), max_tokens=max_tokens, overlap=overlap)


def cut_along(text: str, found: Outline, *, max_tokens: int = CHUNK_TOKENS, overlap: int = OVERLAP) -> list[Chunk]:
    """Cut a text along a structure that is known already; else as `cut`."""
    budget_of(max_tokens, overlap)
    pieces = _Cutter(text, max_tokens, overlap).section(found.blocks, 0)
    return [Chunk(text[start:end], start, end, found.heading(path)) for start, end, path in pieces]


def budget_of(max_tokens: int | None, overlap: int | None) -> tuple[int, int]:
    """Budget and overlap with the defaults filled in.

    Raises:
        UsageError: max_tokens < 1, or overlap outside [0, max_tokens).
    """
    max_tokens = CHUNK_TOKENS if max_tokens is None else max_tokens
    overlap = OVERLAP if overlap is None else overlap
    if max_tokens < 1:
        raise UsageError(f"a chunk needs at least 1 token, got {max_tokens}")
    if not 0 <= overlap < max_tokens:
        raise UsageError(
            f"the overlap must be at least 0 and less than the {max_tokens} tokens of a chunk, got {overlap}"
        )
    return max_tokens, overlap


def count_tokens(text: str) -> int:
    """How many tokens a text has (module docstring)."""
    return sum(1 for _ in _TOKEN.finditer(text))


class _Cutter:
    """Cuts one text; positions of all its tokens are known, so that counting is two bisections."""

    def __init__(self, text: str, max_tokens: int, overlap: int) -> None:
        self.text, self.max_tokens, self.overlap = text, max_tokens, overlap
        matches = list(_TOKEN.finditer(text))
        self._starts = [match.start() for match in matches]
        self._ends = [match.end() for match in matches]

    def count(self, start: int, end: int) -> int:
        """Tokens that lie in a span, those at its edge included."""
        return max(0, bisect_left(self._starts, end) - bisect_right(self._ends, start))

    # ── sections ──────────────────────────────────────────────────────────────────────────────────

    def section(self, blocks: list[Block], depth: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """(start, end, path) of each chunk of a section at this depth."""
        if not blocks:
            return
        path = blocks[0].path[:depth]
        if self.count(blocks[0].start, blocks[-1].end) <= self.max_tokens:
            alone = all(block.path[: depth + 1] == blocks[0].path[: depth + 1] for block in blocks)
            if alone and len(blocks[0].path) > depth:
                yield from self.section(blocks, depth + 1)
            else:
                yield from self._trimmed([(blocks[0].start, blocks[-1].end)], path, code=blocks[0].kind == "code")
            return
        parts = [list(part) for _, part in groupby(blocks, key=lambda block: block.path[: depth + 1])]
        carried: list[Block] = []
        for at, own in enumerate(parts):
            inner = own[0].path[: depth + 1]
            part = [replace(block, path=inner) for block in carried] + own
            carried = []
            if len(inner) > depth:
                yield from self.section(part, depth + 1)
            elif at + 1 < len(parts) and self._is_little(part):
                carried = part
            else:
                yield from self._run(part, path)

    def _is_little(self, blocks: list[Block]) -> bool:
        tokens = self.count(blocks[0].start, blocks[-1].end)
        only_headings = all(block.kind == "heading" for block in blocks)
        return tokens * 2 <= self.max_tokens if only_headings else tokens * _LITTLE < self.max_tokens

    def _run(self, blocks: list[Block], path: tuple[int, ...]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Blocks of one section, as many to a chunk as fit."""
        units: list[Span] = []
        for at, block in enumerate(blocks):
            limit = self.max_tokens
            if at and blocks[at - 1].kind == "heading":  # leave room for the headings that stand above
                limit = max(1, limit - self.count(blocks[0].start, blocks[at - 1].end))
            units += self._split((block.start, block.end), _CODE if block.kind == "code" else _PROSE, limit)
        code = blocks[0].kind == "code"
        spans = self._merged(units)
        yield from self._trimmed(self._overlapping(spans, _CODE if code else _PROSE), path, code=code)

    def _trimmed(
        self, spans: Iterable[Span], path: tuple[int, ...], *, code: bool
    ) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Without white space around; the indentation of a first line of code stays."""
        for start, end in spans:
            piece = self.text[start:end]
            bare = piece.strip()
            if not bare:
                continue
            lead = len(piece) - len(piece.lstrip())
            if code:
                lead = max(0, piece.rfind("\n", 0, lead) + 1)
            yield start + lead, start + len(piece.rstrip()), path

    # ── paragraphs ────────────────────────────────────────────────────────────────────────────────

    def _split(self, span: Span, cuts: tuple[re.Pattern[str], ...], limit: int) -> list[Span]:
        """A stretch of text in pieces of at most `limit` tokens, cut as gently as possible."""
        if self.count(*span) <= limit:
            return [span]
        if not cuts:
            return self._hard(span, limit)
        points = [match.end() for match in cuts[0].finditer(self.text, *span)]
        pieces: list[Span] = []
        for start, end in zip([span[0], *points], [*points, span[1]], strict=True):
            if end > start:
                pieces += self._split((start, end), cuts[1:], limit)
        return pieces

    def _hard(self, span: Span, limit: int) -> list[Span]:
        """Cut between tokens, or inside what counts as one only because it is long."""
        first = bisect_right(self._ends, span[0])
        last = bisect_left(self._starts, span[1])
        points = self._starts[first:last][limit::limit]
        return [(a, b) for a, b in zip([span[0], *points], [*points, span[1]], strict=True) if b > a]

    def _merged(self, units: list[Span]) -> list[Span]:
        """Neighbours joined from the left while they fit."""
        merged: list[Span] = []
        for start, end in units:
            if merged and self.count(merged[-1][0], end) <= self.max_tokens:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        return merged

    def _overlapping(self, spans: list[Span], cuts: tuple[re.Pattern[str], ...]) -> Iterator[Span]:
        """Each span but the first begins earlier, by up to `overlap` tokens of the one before."""
        for at, (start, end) in enumerate(spans):
            before = spans[at - 1] if at else (start, start)
            room = min(self.overlap, self.max_tokens - self.count(start, end))
            earlier = self._back(before, room, cuts[0]) if room > 0 else start
            yield (earlier if self.count(earlier, end) <= self.max_tokens else start), end

    def _back(self, before: Span, room: int, gentle: re.Pattern[str]) -> int:
        """Where the last `room` tokens of a span begin, if possible at the start of a sentence or block."""
        first = bisect_right(self._ends, before[0])
        last = bisect_left(self._starts, before[1])
        if last <= first:
            return before[1]
        earliest = self._starts[max(first, last - room)]
        match = gentle.search(self.text, earliest, before[1])
        gentle_start = match.end() if match is not None else before[1]
        return gentle_start if self.text[gentle_start : before[1]].strip() else earliest


_PROSE = (_SENTENCE_END, _LINE_END, _SPACE)
_CODE = (_BLANK_LINE, _LINE_END, _SPACE)
