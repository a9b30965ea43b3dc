"""Read Markdown pages: their blocks, the comments above them, their headings and links.

A fenced block in `python` or `bash` is run by `test_blocks.py`. An HTML comment on the line directly above
its fence says otherwise, or more:

    <!-- not run: reason -->     never run; the reason is required
    <!-- needs: minilm -->       run only where this is installed (the offline encoder, or a module's name)
    <!-- output -->              on a `text` block: what the block before it must have printed; [...] stands for anything
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "PageError", "anchors_of", "blocks_of", "links_of", "pages_of", "prose_of"]

RUN = ("python", "bash")
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)[ ]*$")
MARK = re.compile(r"^ *<!-- (?P<kind>not run|needs|output)(?::[ ]*(?P<value>.*?))?[ ]*-->$")
LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\((?P<target>[^)\s]+)\)")


class PageError(AssertionError):
    """A page that can't be read as this module's docstring says."""


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is the 1-based line of its first line of code."""

    page: Path
    line: int
    language: str
    code: str
    mark: str = ""
    value: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.name}, line {self.line}"


def pages_of(root: Path) -> list[Path]:
    """README and every page of the documentation."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    start, opening = 0, None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if opening is None and fence is not None:
            opening, start = fence, number
        elif opening is not None and line.strip() == "```":
            blocks.append(_block(page, lines, start, number, opening))
            opening = None
    if opening is not None:
        raise PageError(f"{page.name}, line {start}: this block is never closed")
    return blocks


def _block(page: Path, lines: list[str], start: int, end: int, fence: re.Match[str]) -> Block:
    indent = len(fence["indent"])
    code = "\n".join(line[indent:] for line in lines[start : end - 1]) + "\n"
    mark = MARK.match(lines[start - 2]) if start >= 2 else None
    kind, value = (mark["kind"], mark["value"] or "") if mark else ("", "")
    if kind in ("not run", "needs") and not value:
        raise PageError(f"{page.name}, line {start - 1}: '{kind}' needs a value after a colon")
    if kind == "output" and fence["language"] != "text":
        raise PageError(f"{page.name}, line {start}: an output block is a ```text block")
    return Block(page, start + 1, fence["language"], code, kind, value)


def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line) and not inside:
            inside = True
        elif inside and line.strip() == "```":
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links_of(page: Path) -> list[str]:
    """The targets of all links, code spans left out."""
    return [match["target"] for match in LINK.finditer(re.sub(r"`[^`\n]*`", "", prose_of(page)))]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, made as Python-Markdown's `toc` makes them."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose_of(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        unique, nth = slug, 1
        while unique in anchors:
            unique, nth = f"{slug}_{nth}", nth + 1
        anchors.add(unique)
    return anchors
