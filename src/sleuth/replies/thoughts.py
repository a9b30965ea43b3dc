"""Thoughts in an answer: `<think>…</think>` and its like, closed, unclosed, or begun by the prompt.

Ids and grades inside a thought are drafts. Every parser of this room reads what is left when thoughts are gone; judges
read the thought for the trace, and `unclosed` to force an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Thoughts", "answer_pairs", "split_thoughts", "without_thoughts"]

_TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning|analysis)>", re.IGNORECASE | re.ASCII)
_OPENING = re.compile(r"<(think|thinking|thought|reasoning|analysis)>", re.IGNORECASE | re.ASCII)
_CLOSING = re.compile(r"</(think|thinking|thought|reasoning|analysis)>", re.IGNORECASE | re.ASCII)
_ANSWER = re.compile(r"<(/?)answer>", re.IGNORECASE | re.ASCII)
LONGEST_TAG = len("</reasoning>")


@dataclass(frozen=True, slots=True)
class Thoughts:
    """An answer and what was thought before it.

    Attributes:
        answer: The text without thoughts and their tags, not stripped.
        thought: The thoughts without tags, stripped, a line break between two.
        unclosed: A thought was begun and not ended: the answer never came, or stands inside the thought.
        forced: The thought was not ended but the text ends with `<answer>…</answer>`, which is then the answer.
    """

    answer: str
    thought: str = ""
    unclosed: bool = False
    forced: bool = False


def split_thoughts(text: str) -> Thoughts:
    """Take thoughts out of a model's answer.

    Tags are think, thinking, thought, reasoning, analysis, in any case, without attributes. Balanced ones go first
    (the same name, nearest close, leftmost first, until none is left); then everything up to the last closing tag that
    is left, because prompts may begin the thought; and an opening tag that is left takes everything after it, unless
    that ends with `<answer>…</answer>`. Takes time linear in the text, however tags are nested or broken.

    Args:
        text: The whole answer. Not folded here: parsers fold `＜think＞` and `&lt;think&gt;` before.
    """
    found = _parts(text)
    thoughts = (*_left_out(text, found.kept, found.begin), found.behind)
    joined = "\n".join(stripped for thought in thoughts if (stripped := _TAG.sub("", thought).strip()))
    return Thoughts(found.answer, joined, found.unclosed, found.forced)


def without_thoughts(text: str) -> Thoughts:
    """As `split_thoughts`, with `thought` left empty: parsers need the answer alone."""
    found = _parts(text)
    return Thoughts(found.answer, "", found.unclosed, found.forced)


class _Parts(NamedTuple):
    """An answer, and where its thoughts are.

    Attributes:
        answer, unclosed, forced: As in Thoughts.
        kept: Ranges of the text outside of balanced thoughts.
        begin: How many characters of those a closing tag without an opening one takes away.
        behind: What an opening tag without a closing one takes away.
    """

    answer: str
    unclosed: bool
    forced: bool
    kept: list[tuple[int, int]]
    begin: int = 0
    behind: str = ""


def _parts(text: str) -> _Parts:
    whole = [(0, len(text))]
    if "<" not in text or _TAG.search(text) is None:
        return _Parts(text, False, False, whole)
    balanced = "</" in text and _OPENING.search(text) is not None
    kept = _Scan(text).run() if balanced else whole
    rest = "".join([text[start:end] for start, end in kept])
    begin = _last_closing(rest)
    opened = _TAG.search(rest, begin)
    if opened is None:
        return _Parts(rest[begin:], False, False, kept, begin)
    before, after = rest[begin : opened.start()], rest[opened.end() :]
    answer = _last_answer(after)
    if answer is not None:
        return _Parts(after[answer:], True, True, kept, begin, after[:answer])
    return _Parts(before, True, False, kept, begin, after)


def answer_pairs(text: str) -> tuple[list[str], str | None]:
    """The contents of all complete `<answer>…</answer>`, in order, and what follows an open one if none is complete.

    A pair is a closing tag and the nearest opening tag before it, so a mention of `<answer>` in front of the answer
    does no harm.
    """
    if "<" not in text:
        return [], None
    pairs: list[str] = []
    opened: int | None = None
    for tag in _ANSWER.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            pairs.append(text[opened : tag.start()])
            opened = None
    return pairs, text[opened:] if opened is not None and not pairs else None


def _last_answer(text: str) -> int | None:
    """Where the last `<answer>` begins, if the text ends with `</answer>` (white space aside)."""
    if not text.rstrip().lower().endswith("</answer>"):
        return None
    return max((tag.start() for tag in _ANSWER.finditer(text) if not tag[1]), default=None)


def _left_out(text: str, kept: list[tuple[int, int]], begin: int) -> Iterator[str]:
    """What is not kept, in order, where the first `begin` characters of what is kept are not kept either."""
    at = 0
    for start, end in kept:
        if begin >= end - start:
            begin -= end - start
            continue
        yield text[at : start + begin]
        at, begin = end, 0
    yield text[at:]


def _last_closing(text: str) -> int:
    """Where the last closing tag ends; 0 without one."""
    at = text.rfind("</")
    while at >= 0:
        closing = _CLOSING.match(text, at)
        if closing:
            return closing.end()
        at = text.rfind("</", 0, at)
    return 0


@dataclass
class _Scan:
    """Deletes balanced pairs in one walk.

    What deletion brings together may be a tag of its own (`<thi<think>x</think>nk>`). Only the characters around a
    seam can be one, so each deletion looks there, and what is kept are ranges of the text, cut without copying.
    """

    text: str
    kept: list[tuple[int, int]] = field(default_factory=list)
    at: int = 0
    closes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    opened: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The leftmost opening tag kept of each name: which range it begins in, and where. It has no close ahead."""

    def run(self) -> list[tuple[int, int]]:
        """The (start, end) of what is kept, in order."""
        for closing in _CLOSING.finditer(self.text):
            self.closes.setdefault(closing[1].lower(), []).append(closing.span())
        for ahead in self.closes.values():
            ahead.reverse()
        for tag in _OPENING.finditer(self.text):
            start = tag.start()
            if start < self.at:
                continue
            name = tag[1].lower()
            if self._close_ahead(name, start):
                self._keep(start)
                self._jump(name)
                while self._seam():
                    pass
            elif name not in self.opened:
                self._keep(start)
                self.opened[name] = (len(self.kept), start)
        self._keep(len(self.text))
        return self.kept

    def _keep(self, end: int) -> None:
        if end > self.at:
            self.kept.append((self.at, end))
            self.at = end

    def _close_ahead(self, name: str, begin: int) -> bool:
        """Whether a closing tag of this name begins at or after a place; places never go back."""
        ahead = self.closes.get(name, [])
        while ahead and ahead[-1][0] < begin:
            ahead.pop()
        return bool(ahead)

    def _jump(self, name: str) -> None:
        """Go behind the closing tag that `_close_ahead` found."""
        self.at = self.closes[name].pop()[1]

    def _seam(self) -> bool:
        """Treat a tag that a deletion brought together; True if it took more away, so that there is a new seam."""
        found = self._seam_tag()
        if found is None:
            return False
        piece, start, end, closing, name = found
        if closing and name in self.opened:
            self._cut(*self.opened[name])
            self.at = end
            return True
        if not closing and self._close_ahead(name, end):
            self._cut(piece, start)
            self._jump(name)
            return True
        if not closing:
            self.opened.setdefault(name, (piece, start))
        self._keep(end)
        return False

    def _seam_tag(self) -> tuple[int, int, int, bool, str] | None:
        """(range it begins in, where, where it ends, is it closing, name) of a tag over the seam."""
        stop = self.text.find(">", self.at, self.at + LONGEST_TAG)
        if stop < 0:
            return None
        spelled = self.text[self.at : stop + 1]
        for piece in range(len(self.kept) - 1, -1, -1):
            start, end = self.kept[piece]
            near = max(start, end - LONGEST_TAG)
            part = self.text[near:end]
            spelled = part + spelled
            opening = part.rfind("<")
            if opening >= 0:
                tag = _TAG.fullmatch(spelled, opening)
                return None if tag is None else (piece, near + opening, stop + 1, bool(tag[1]), tag[2].lower())
            if ">" in part or len(spelled) > LONGEST_TAG:
                return None
        return None

    def _cut(self, piece: int, start: int) -> None:
        """Keep only what stands before a place."""
        begin = self.kept[piece][0]
        del self.kept[piece:]
        if start > begin:
            self.kept.append((begin, start))
        self.opened = {name: place for name, place in self.opened.items() if place < (piece, start)}
