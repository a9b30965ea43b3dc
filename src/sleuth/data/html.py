"""A page of HTML as text with its structure. Needs the extra `files` (selectolax)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sleuth.errors import MissingExtra
from sleuth.text.clean import cleaned
from sleuth.text.outline import Outline

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

__all__ = ["Unreadable", "page_of"]

DEEPEST_NESTING = 5_000
"""Tags open inside each other; beyond it the parser's time grows with the square (0.05 s here, 30 s at 100,000)."""


class Unreadable(Exception):
    """Why a file gives no text; the folder's reader reports it. It never leaves this room."""


_SILENT = frozenset(
    ["script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object", "select", "datalist"]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "optgroup",
        "option",
        "p",
        "pre",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_HEADING = re.compile(r"h([1-6])$")
_HTML_SPACE = re.compile(r"[ \t\n]+")


_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NEVER_NEST = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "option",
        "td",
        "th",
        "tr",
    ]
)


def page_of(source: str) -> tuple[str, Outline, str]:
    """(visible text, its structure, the page's title) of HTML.

    Blocks are set apart by a blank line, headings begin sections; scripts, styles and the like are left out. In `pre`
    white space stays.

    Raises:
        Unreadable: The extra `files` is missing, or tags are nested without end.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise Unreadable(str(MissingExtra("reading HTML", "files", error))) from error
    _refuse_bottomless(source)
    parser = LexborHTMLParser(source)
    page, root = _Page(), parser.root
    if root is not None:
        for node, entering in _walk(root):
            page.see(node, entering=entering)
    page.end_block()
    title = parser.css_first("title")
    return "".join(page.parts), page.structure, _HTML_SPACE.sub(" ", cleaned(title.text())).strip() if title else ""


def _refuse_bottomless(source: str) -> None:
    """Estimate the nesting from tags that are opened and never closed."""
    open_tags: Counter[str] = Counter()
    depth = 0
    for match in _TAG.finditer(source):
        tag = match.group(2).lower()
        if tag in _NEVER_NEST:
            continue
        if not match.group(1):
            open_tags[tag] += 1
            depth += 1
        elif open_tags[tag]:
            open_tags[tag] -= 1
            depth -= 1
        if depth > DEEPEST_NESTING:
            raise Unreadable(f"more than {DEEPEST_NESTING:,} tags open inside each other")


def _walk(root: LexborNode) -> Iterator[tuple[Any, bool]]:
    """(node, True) on the way down and (node, False) on the way up, without recursion."""
    node: Any = root
    while True:
        silent = node.tag in _SILENT
        yield node, True
        if not silent and node.child is not None:
            node = node.child
            continue
        yield node, False
        while node.next is None:
            node = node.parent
            if node is None or node.mem_id == root.mem_id:
                return
            yield node, False
        node = node.next


class _Page:
    """Collects the text of a page block by block."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.structure = Outline()
        self._length = 0
        self._words: list[str] = []
        self._pre = 0
        self._level = 0

    def see(self, node: Any, *, entering: bool) -> None:
        """Take in one step of the walk."""
        tag = node.tag
        if tag == "-text":
            if entering:
                self._words.append(node.text_content or "")
        elif tag == "br":
            self._words.append("\n" if self._pre and entering else " ")
        elif tag in ("td", "th"):
            self._words.append(" ")
        elif tag in _BLOCKS:
            self.end_block()
            if tag == "pre":
                self._pre += 1 if entering else -1
            elif (heading := _HEADING.match(tag)) is not None:
                self._level = int(heading.group(1)) if entering else 0

    def end_block(self) -> None:
        """What was collected since the last block becomes a block."""
        text = cleaned("".join(self._words))
        self._words.clear()
        text = text.strip("\n").rstrip() if self._pre else _HTML_SPACE.sub(" ", text).strip()
        if not text.strip():
            return
        gap = "\n\n" if self.parts else ""
        start = self._length + len(gap)
        if self._level:
            self.structure.section(text, self._level)
        self.structure.add(start, start + len(text), "heading" if self._level else "code" if self._pre else "prose")
        self.parts.append(gap + text)
        self._length = start + len(text)
