"""Text to the one passage that was chosen: what setwise and pairwise judges read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sleuth.replies.characters import without_markup
from sleuth.replies.embedded_json import json_values
from sleuth.replies.ids import ID_KEYS, find_ids, id_of
from sleuth.replies.outcome import Outcome
from sleuth.replies.permutation import candidate_count
from sleuth.replies.region import find_region

__all__ = ["Choice", "parse_choice"]

CHOICE_KEYS = ("choice", "answer", "best", "most_relevant", "result", "output", "winner", *ID_KEYS)

_LEADING = re.compile(
    r"(?:(?:the\s+|my\s+)?(?:final\s+)?(?:answer|choice|output|result)|(?:the\s+)?(?:best|most\s+relevant)(?:\s+(?:passage|document))?"
    r"|정답|답|선택|결과)\s*(:|\bis\b)\s*",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"(?:(?:passage|document|doc|문서|지문|단락|패시지)\s*(?:[#:]\s*)?)?(?:[\[(]\s*(?:(?:passage|document|doc)\s*)?)?"
    r"(?:([0-9]{1,4})번?|([A-Za-z]))\s*(?:\]|\))?",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\[\s*(?:[0-9]{1,4}|[A-Z])\s*\]"
    r"|\b(?i:passage|document|doc)\s*(?:\#\s*)?(?:[0-9]{1,4}|[A-HJ-Z])(?!\w)"  # "the document I saw" names none
    r"|(?:문서|지문|단락|패시지)\s*(?:[0-9]{1,4}|[A-Z](?![A-Za-z0-9]))|(?<!\w)[0-9]{1,4}번"
)
_NAME = re.compile(r"([0-9]+)|([A-Z])(?=\W*\Z)")


@dataclass(frozen=True, slots=True)
class Choice:
    """The passage that an answer chose.

    Attributes:
        position: Of the passage, 0-based as shown; None unless `outcome` is ok or repaired.
        outcome: `ok` if the answer is the passage and nothing else; `repaired` if it had to be found: the first place
            of a ranking, or the only passage that prose names. Prose that names several is `invalid`.
    """

    position: int | None
    outcome: Outcome


def parse_choice(text: str | None, n: int, *, finish_reason: str | None = None) -> Choice:
    """Read which of n passages an answer chose: `[3]`, `Passage C`, `B`, `Document 2`, `{"best": 2}`, `3번`.

    Passages were shown numbered from 1 or lettered from A. Thoughts, error messages and open answers are treated as
    in `parse_permutation`. Takes time linear in the text.

    Args:
        text: The answer. None, and anything else that is no str, counts as empty.
        n: How many passages were shown, >= 1.
        finish_reason: As the server gave it. With "length" an answer without a choice is `unfinished`, and so is a bare
            number at its very end that a further digit would leave in range.

    Raises:
        UsageError: n is no integer, or below 1. Never because of the text.
    """
    n = candidate_count(n)
    cut = finish_reason == "length"
    region = find_region(text)
    for part in region.texts:
        named = _named(part, n)
        if named is None:
            continue
        one, whole = named
        if not 1 <= one <= n:
            break
        if cut and one * 10 <= n and part.rstrip()[-1:].isdecimal():
            return Choice(None, Outcome.UNFINISHED)
        repaired = not whole or region.open or region.forced
        return Choice(one - 1, Outcome.REPAIRED if repaired else Outcome.OK)
    unfinished = region.ended is Outcome.UNFINISHED or region.open or (cut and not region.error)
    return Choice(None, Outcome.UNFINISHED if unfinished else Outcome.INVALID)


def _named(part: str, n: int) -> tuple[int, bool] | None:
    """(the 1-based id that this text chooses, whether the text says nothing else)."""
    for alone in (True, False):
        for value in json_values(part, in_prose=not alone):
            one = _json_choice(value, alone)
            if one is not None:
                return one, True
    text = without_markup(part).strip()
    leading = _LEADING.match(text)
    core = (text[leading.end() :] if leading else text).strip(" \t\r\n\"'").removesuffix(".").rstrip()
    one = _whole(core)
    if one is not None:
        return one, leading is None or leading[1] == ":"
    ranking = find_ids(part, n)
    if ranking is not None and not ranking.mention and len(ranking.ids) > 1:
        first, shared = ranking.ids[0], ranking.tied[1]
        return None if first is None or shared else (first, False)
    mentioned = set(_mentions(text))
    return (mentioned.pop(), False) if len(mentioned) == 1 else None


def _json_choice(value: Any, alone: bool) -> int | None:
    """The choice in an object or a list of one; the `[3]` of a sentence is no list but left to the text around it."""
    if isinstance(value, list):
        return _spelled(value[0]) if len(value) == 1 and (alone or not isinstance(value[0], int)) else None
    key = next((key for key in CHOICE_KEYS if key in value), None)
    return None if key is None else _spelled(value[key])


def _spelled(value: Any) -> int | None:
    one = id_of(value)
    return _whole(value.strip()) if one is None and isinstance(value, str) else one


def _whole(text: str) -> int | None:
    """The 1-based id that is all of a text."""
    found = _WHOLE.fullmatch(text)
    return None if found is None else int(found[1]) if found[1] else ord(found[2].upper()) - 64


def _mentions(text: str) -> Iterator[int]:
    for match in _MENTION.finditer(text):
        name = _NAME.search(match[0])
        if name:
            yield int(name[1]) if name[1] else ord(name[2]) - 64
