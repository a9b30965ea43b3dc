"""Keep user text from spelling a model's control tokens.

A server that reads a prompt as text can't know that `<|im_end|>` stood in a document. A zero-width space after the
first character changes nothing for a reader, and the string is no control token any more.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

__all__ = ["ZERO_WIDTH_SPACE", "neutralize", "replace_surrogates"]

ZERO_WIDTH_SPACE = "\u200b"
_SURROGATE = re.compile("[\ud800-\udfff]")


def neutralize(text: str, tokens: Collection[str], *, own: Collection[tuple[int, int]] = ()) -> tuple[str, int]:
    """The text with U+200B after the first character of every control token in it, and how many there were.

    Args:
        text: Any text.
        tokens: Control tokens; those of one character, which have no inside, are left as they are.
        own: Spans [start, end) of `text` that are a template's own words; a token that lies inside one stays.
    """
    if not tokens:
        return text, 0
    some, every = _patterns(frozenset(tokens))
    if some is None or every is None or some.search(text) is None:
        return text, 0
    starts = [
        found.start()
        for found in every.finditer(text)
        if not any(start <= found.start() and found.start() + len(found[1]) <= end for start, end in own)
    ]
    pieces, last = [], 0
    for start in starts:
        pieces.append(text[last : start + 1])
        last = start + 1
    return ZERO_WIDTH_SPACE.join([*pieces, text[last:]]), len(starts)


@lru_cache(maxsize=64)
def _patterns(tokens: frozenset[str]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """One that finds out fast whether there is any, and one that finds all, overlapping ones too (longest first)."""
    found = sorted((token for token in tokens if len(token) > 1), key=lambda token: (-len(token), token))
    if not found:
        return None, None
    either = "|".join(map(re.escape, found))
    return re.compile(either), re.compile(f"(?=({either}))")


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no tokenizer and no JSON can carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
