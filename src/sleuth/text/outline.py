"""The structure of a text: its sections, and the blocks (paragraphs, code) they are made of.

Light readers of Markdown, reStructuredText, source code and plain text. They never fail: what they don't
understand is a paragraph. Every character that isn't white space belongs to exactly one block, blocks come
in the order of the text, and all work is linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Block", "BlockKind", "Outline", "TextKind", "structure_of"]

TextKind = Literal["plain", "markdown", "rst", "source"]
BlockKind = Literal["heading", "prose", "code"]

_LONGEST_TITLE = 200
_DEEPEST = 6
"""Levels of sections; deeper ones count as this level (Markdown and HTML have six)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of text that belongs together: `text[start:end]`.

    Attributes:
        path: The sections it lies in, outermost first, as numbers into `Outline.titles`.
    """

    start: int
    end: int
    path: tuple[int, ...] = ()
    kind: BlockKind = "prose"


@dataclass(slots=True)
class Outline:
    """Blocks in order, and the titles of the sections their paths name."""

    blocks: list[Block] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    _open: list[tuple[int, int]] = field(default_factory=list)

    def section(self, title: str, level: int) -> None:
        """Begin a section; those of the same level or deeper end here."""
        level = min(level, _DEEPEST)
        self.close(level)
        self.titles.append(" ".join(title[:_LONGEST_TITLE].split()))
        self._open.append((level, len(self.titles) - 1))

    def close(self, level: int) -> None:
        """End all sections of this level or deeper."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()

    def add(self, start: int, end: int, kind: BlockKind = "prose") -> None:
        """A block of the section that is open; none if it is empty or was never begun (start < 0)."""
        if 0 <= start < end:
            self.blocks.append(Block(start, end, tuple(number for _, number in self._open), kind))

    def heading(self, path: tuple[int, ...]) -> str:
        """A path as shown: "A > B"."""
        return " > ".join(self.titles[number] for number in path if self.titles[number])


def structure_of(text: str, kind: TextKind = "plain") -> Outline:
    """The structure of a text of this kind."""
    found = Outline()
    _READERS[kind](text, found)
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(position, line without its end) of every line."""
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


# ── plain text ────────────────────────────────────────────────────────────────────────────────────


def _plain(text: str, found: Outline) -> None:
    """Paragraphs: what stands between blank lines."""
    start = end = -1
    for at, line in _lines(text):
        if not line.strip():
            found.add(start, end)
            start = end = -1
        else:
            start, end = (at if start < 0 else start), at + len(line)
    found.add(start, end)


# ── Markdown ──────────────────────────────────────────────────────────────────────────────────────

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(r"\s*(?:[-*+>|]|\d+[.)])")
_FRONT_END = re.compile(r"^(?:---|\.\.\.)[ \t]*\n", re.MULTILINE)
_LONGEST_FRONT = 8192
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")


def _markdown(text: str, found: Outline) -> None:
    """ATX and setext headings, fenced code, front matter; the rest is paragraphs."""
    start = end = -1
    fence = ""
    last = ""
    body = _front_matter(text, found)
    for place, line in _lines(text[body:]):
        at = body + place
        if fence:
            end = at + len(line)
            if _closes(line, fence):
                found.add(start, end, "code")
                fence, start = "", -1
        elif opened := _FENCE.match(line):
            found.add(start, end)
            fence, start, end = opened.group(1), at, at + len(line)
        elif atx := _ATX.match(line):
            found.add(start, end)
            found.section(_title(line[atx.end() :].strip().rstrip("#")), len(atx.group(1)))
            found.add(at, at + len(line), "heading")
            start = -1
        elif start >= 0 and (under := _UNDERLINE.match(line)) and not _NO_TITLE.match(last):
            found.section(_title(text[start:end]), 1 if under.group(1)[0] == "=" else 2)
            found.add(start, at + len(line), "heading")
            start = -1
        elif not line.strip():
            found.add(start, end)
            start = -1
        else:
            start, end, last = (at if start < 0 else start), at + len(line), line
    if start >= 0:
        found.add(start, end, "code" if fence else "prose")


def _front_matter(text: str, found: Outline) -> int:
    """Take a `---` block at the very start as one block; returns where the body begins."""
    if not text.startswith("---\n"):
        return 0
    closing = _FRONT_END.search(text, 4, _LONGEST_FRONT)
    if closing is None:
        return 0
    found.add(0, closing.end() - 1)
    return closing.end()


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(line) - len(line.lstrip(" ")) <= 3 and len(bare) >= len(fence) and not bare.strip(fence[0])


def _title(text: str) -> str:
    """A heading's words without links and code marks."""
    return _LINK.sub(r"\1", text[: 2 * _LONGEST_TITLE]).replace("`", "").strip().strip("*").strip()


# ── reStructuredText ──────────────────────────────────────────────────────────────────────────────

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*$")


def _rst(text: str, found: Outline) -> None:
    """Titles underlined (and perhaps overlined) with punctuation, levels in the order of first use."""
    lines = list(_lines(text))
    styles: list[tuple[str, bool]] = []
    start = end = -1
    skip = 0
    for number, (at, line) in enumerate(lines):
        if skip:
            skip -= 1
            continue
        title = _rst_title(lines, number) if start < 0 else None
        if title is not None:
            name, style, skip = title
            if style not in styles:
                styles.append(style)
            found.section(name, styles.index(style) + 1)
            last_at, last = lines[number + skip]
            found.add(at, last_at + len(last), "heading")
        elif not line.strip():
            found.add(start, end)
            start = -1
        else:
            start, end = (at if start < 0 else start), at + len(line)
    if start >= 0:
        found.add(start, end)


def _rst_title(lines: list[tuple[int, str]], number: int) -> tuple[str, tuple[str, bool], int] | None:
    """(title, its style, lines beyond the first) if a title begins on this line."""

    def rule(at: int) -> str:
        line = lines[at][1] if at < len(lines) else ""
        return line.rstrip() if _RULE.match(line) else ""

    name = lines[number][1]
    if (over := rule(number)) and (under := rule(number + 2)):
        inner = lines[number + 1][1].strip()
        if over == under and inner and len(inner) <= len(over):
            return inner, (over[0], True), 2
    under = rule(number + 1)
    if under and name.strip() and not name[0].isspace() and not rule(number) and len(name.rstrip()) <= len(under):
        return name.strip(), (under[0], False), 1
    return None


# ── source code ───────────────────────────────────────────────────────────────────────────────────

_MODIFIERS = (
    "export|default|public|private|protected|internal|static|final|abstract|async|pub|unsafe|extern|const|inline|"
    "override|open|sealed|data|virtual|local"
)
_DEFINITION = re.compile(
    rf"(?:(?:{_MODIFIERS})(?:\([a-z]{{1,9}}\))?[ \t]{{1,9}}){{0,6}}"
    r"(?:def|class|function\*?|func|fn|fun|struct|interface|trait|enum|impl|module|namespace|object|protocol|sub)"
    r"[ \t]{1,9}(?:\([^()\n]{0,80}\)[ \t]{0,9})?([A-Za-z_$][\w$.:]{0,120})"
)
_CLOSER = re.compile(r"\s*(?:[}\])]|end\b|\{[ \t]*$)")
_ATTACHED = ("#", "//", "/*", "*", "@", "--", ";", "[")

_LONGEST_DECORATOR = 20
"""Lines; a parenthesis that stays open longer is no decorator's."""


def _source(text: str, found: Outline) -> None:
    """Definitions are sections, nested by indentation; groups of lines between blank ones are blocks."""
    lines = list(_lines(text))
    heads = _definitions(lines)
    open_at: list[int] = []
    start = end = head_ends = -1
    for number, (at, line) in enumerate(lines):
        bare = line.strip()
        if not bare:
            found.add(start, end, "code")
            start = -1
            continue
        indent = _indent(line)
        leaves = 0
        if number > head_ends:
            leaves = sum(1 for width in open_at if indent < width or (indent == width and not _CLOSER.match(line)))
        if leaves or number in heads:
            found.add(start, end, "code")
            start = -1
            del open_at[len(open_at) - leaves :]
            found.close(len(open_at) + 1)
        if number in heads:
            name, head_ends = heads[number]
            found.section(name, len(open_at) + 1)
            open_at.append(indent)
            if len(open_at) > _DEEPEST:
                open_at.pop()
        start, end = (at if start < 0 else start), at + len(line)
    found.add(start, end, "code")


def _definitions(lines: list[tuple[int, str]]) -> dict[int, tuple[str, int]]:
    """First line of each definition (its decorators and comments included) -> (its name, the line that names it)."""
    heads: dict[int, tuple[str, int]] = {}
    top = -1  # where the comments and decorators begin that end on the line above
    depth = 0  # open parentheses of a decorator
    for number, (_, line) in enumerate(lines):
        bare = line.strip()
        if depth and number - top > _LONGEST_DECORATOR:
            depth = 0
        if depth or (bare and bare.startswith(_ATTACHED)):
            if top < 0 or (not depth and _indent(line) != _indent(lines[top][1])):
                top = number
            if depth or bare.startswith("@"):
                depth = max(0, depth + bare.count("(") - bare.count(")"))
            continue
        if (match := _DEFINITION.match(bare)) is not None:
            above = top >= 0 and _indent(lines[top][1]) == _indent(line)
            heads[top if above else number] = (match.group(1).rstrip(":."), number)
        top = -1
    return heads


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


_READERS: dict[str, Callable[[str, Outline], None]] = {
    "plain": _plain,
    "markdown": _markdown,
    "rst": _rst,
    "source": _source,
}
