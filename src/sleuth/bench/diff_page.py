"""A comparison as one HTML file that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sleuth.bench.diff import Move, RunDiff

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["render_page"]

EXCERPT_CHARACTERS = 400
"""How much of a document the page shows (ours: some five lines)."""


def render_page(diff: RunDiff) -> str:
    """The page. Every text of a run, query or document is escaped; ids stand apart from the reading direction."""
    return _template().render(diff=diff, counts=diff.counts(), excerpt=_excerpt, colour=_colour, signed=_signed)


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("sleuth.bench").joinpath("diff_page.html").read_text(encoding="utf-8"))


def _excerpt(move: Move) -> str:
    if move.doc is None:
        return ""
    text = " ".join(move.doc.text.split())
    return text if len(text) <= EXCERPT_CHARACTERS else text[:EXCERPT_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _colour(move: Move) -> str:
    """The class of a label: its grade up to 3, none or 0."""
    return "unjudged" if move.grade is None else f"grade{max(0, min(3, move.grade))}"


def _signed(value: Any) -> str:
    return f"{value:+.4f}".replace("-", "−")
