"""JSON in an answer: alone, in a fenced block, or in the middle of prose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

__all__ = ["json_values"]

_INFO = re.compile(r"[A-Za-z0-9+-]*\s*")


def json_values(text: str, load: Callable[[str], Any] = orjson.loads, *, in_prose: bool = True) -> Iterator[Any]:
    """Lists and objects that parse, in this order.

    The whole text; the last fenced block; from the first `{` to the last `}`; from the first `[` to the last `]`.

    Args:
        text: An answer.
        load: Parses, and raises ValueError or RecursionError. orjson's refuses depths above 1,024, so a text of a
            hundred thousand brackets is refused at once.
        in_prose: Also look for what stands in the middle of other text (the last two of the four).
    """
    seen = set()
    for candidate in _candidates(text, in_prose):
        if candidate in seen:
            continue
        seen.add(candidate)
        try:
            value = load(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list | dict | tuple):
            yield value


def _candidates(text: str, in_prose: bool) -> Iterator[str]:
    stripped = text.strip()
    if stripped.startswith(("{", "[")) and stripped.endswith(("}", "]")):
        yield stripped
    block = _last_block(stripped)
    if block:
        yield block
    for first, last in ("{}", "[]") if in_prose else ():
        start, end = stripped.find(first), stripped.rfind(last)
        if 0 <= start < end:
            yield stripped[start : end + 1]


def _last_block(text: str) -> str:
    """What stands between the last two matching fences, without the word behind the opening one."""
    parts = text.split("```")
    if len(parts) < 3:
        return ""
    inside = parts[len(parts) - 2] if len(parts) % 2 else parts[len(parts) - 3]
    info = _INFO.match(inside)
    return inside[info.end() if info else 0 :].strip()
