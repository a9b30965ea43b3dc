"""Ids in an answer: in brackets (`[3] > [1]`, lists, letters), bare (`3 > 1`), or in JSON.

This is rules 6 and 7 of `tests/golden/parsing/README.md`. Ids are as the answer spells them: 1-based, unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sleuth.replies.characters import without_markup
from sleuth.replies.embedded_json import json_values
from sleuth.replies.listing import is_list

__all__ = [
    "CONNECTORS",
    "ID_KEYS",
    "Brackets",
    "Named",
    "Value",
    "bare_ids",
    "bracket_tokens",
    "find_ids",
    "id_of",
    "token_ids",
]

CONNECTORS = {
    **dict.fromkeys((">", ">>", "≻", "->", "→", "=>"), False),
    **dict.fromkeys(("=", "==", "≈"), True),
}
"""What joins two ids -> whether it says that they are equal."""
RANKING_KEYS = (
    *("ranking", "ranked_passages", "ranked", "order", "permutation", "result", "results"),
    *("documents", "passages", "answer", "ids"),
)
ID_KEYS = ("id", "index", "passage_id", "document_id", "doc_id", "passage", "document", "identifier")
PLAIN_CHARACTERS = 4096
"""Up to this length the plain form `[3] > [1] > …` is tried first; 100 passages take 700. Ours."""
TOO_LARGE = 10**9
"""Stands for a number of more digits than any id has; int() of a million digits would take minutes."""

_LABEL = r"(?:(?:passage|document|doc|no\.|id|\#|문서|지문|단락|패시지)\s*(?:[:\#]\s*)?)"
_PLAIN = re.compile(r"\s*\[[0-9]{1,9}\](?:\s*>\s*\[[0-9]{1,9}\])*\s*")
_TOKEN = re.compile(r"\[(?:([0-9]{1,9})\]|([^\[\]\n]{1,24})\]|(\s*[0-9]+(?:\s*[,>]\s*[0-9]+)+\s*)\])")
_ID = re.compile(_LABEL + r"?([0-9]{1,9})", re.IGNORECASE)
_ID_LIST = re.compile(r"[0-9]+(?:\s*[,>]\s*[0-9]+)+")
_JSON_ID = re.compile(rf"{_LABEL}?(?:\[\s*{_LABEL}?([0-9]{{1,9}})\s*\]|([0-9]{{1,9}}))", re.IGNORECASE)
_MAY_HOLD_IDS = re.compile(r"[0-9A-Z]")
_NUMBER = re.compile(r"[0-9]+")

_LEADING = re.compile(
    r"(?:(?:final\s+)?(?:ranking|ranked\s+list|answer|order|result|output)|최종\s+순위|순위|정답|답|결과|순서)\s*:",
    re.IGNORECASE,
)
_ELEMENT = re.compile(r"(?i:(?:passage|document|doc|문서|지문|단락|패시지)\s*)?(?:\#\s*)?([0-9]{1,4})번?|([A-Z])")
_SEPARATOR = re.compile(r"\s*(>>|->|=>|==|[>≻→=≈,;|])\s*|\s+")


Value = int | tuple[int, ...] | str | None
"""What a bracket token holds: an id, a list of ids, a letter; "" or None where it is rejected, None with a digit."""


class Brackets(NamedTuple):
    """The bracket tokens of a text, in order: where they start and end, and what they hold.

    Columns, not objects: an answer that loops may hold a million.
    """

    starts: list[int]
    ends: list[int]
    values: list[Value]


@dataclass(frozen=True, slots=True)
class Named:
    """Ids as an answer names them.

    Attributes:
        ids: In order; None where a token was rejected in the middle of a chain.
        tied: Whether each is said to equal the one before it.
        rejected: A token that is no id was left out.
        mention: They stand in prose, so their order may mean nothing.
    """

    ids: tuple[int | None, ...]
    tied: tuple[bool, ...] = ()
    rejected: bool = False
    mention: bool = False


def find_ids(text: str, n: int) -> Named | None:
    """The ids of an answer region; None where there is no usable token.

    Args:
        text: Folded text without thoughts.
        n: How many candidates there are, to tell which chain says most and whether `BAC` is an answer.
    """
    if not _MAY_HOLD_IDS.search(text):
        return None
    for value in json_values(text):
        named = _json_ids(value, n)
        if named is not None:
            return named
    return _written_ids(text, n)


def _written_ids(text: str, n: int) -> Named | None:
    if len(text) <= PLAIN_CHARACTERS and _PLAIN.fullmatch(text):
        ids = tuple(map(int, _NUMBER.findall(text)))
        return Named(ids, (False,) * len(ids))
    text = without_markup(text)
    tokens = bracket_tokens(text)
    numeric = any(value.__class__ is not str and value is not None for value in tokens.values)
    if numeric or any(tokens.values):
        return _bracketed_ids(text, tokens, numeric, n)
    return bare_ids(text, n)


# ── brackets ──────────────────────────────────────────────────────────────────────────────────────


def bracket_tokens(text: str) -> Brackets:
    """All bracket tokens, in order: `[...]` of up to 24 characters, or a list of any length."""
    starts: list[int] = []
    ends: list[int] = []
    values: list[Value] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        starts.append(start)
        ends.append(end)
        digits = match[1]
        values.append(int(digits) if digits else _value((match[2] or match[3]).strip()))
    return Brackets(starts, ends, values)


def token_ids(value: Value, numeric: bool) -> tuple[int, ...]:
    """The ids of a token, none where it is rejected; letters count (A = 1) only where there are no numbers."""
    if isinstance(value, str):
        return (ord(value) - 64,) if value and not numeric else ()
    if value is None or not numeric:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _value(content: str) -> Value:
    if len(content) == 1 and "A" <= content <= "Z":
        return content
    labelled = _ID.fullmatch(content)
    if labelled:
        return int(labelled[1])
    if _ID_LIST.fullmatch(content):
        return tuple(map(_whole, _NUMBER.findall(content)))
    return None if _NUMBER.search(content) else ""


def _whole(digits: str) -> int:
    return int(digits) if len(digits) <= 9 else TOO_LARGE


def _bracketed_ids(text: str, tokens: Brackets, numeric: bool, n: int) -> Named:
    chain = _best_chain(text, tokens, numeric, n)
    if chain is not None:
        return chain
    read = [token_ids(value, numeric) for value in tokens.values]
    counted = [at for at, ids in enumerate(read) if ids or not isinstance(tokens.values[at], str)]
    ids = tuple(one for here in read for one in here)
    listed = is_list(text, [tokens.starts[at] for at in counted], [tokens.ends[at] for at in counted])
    return Named(ids, (False,) * len(ids), any(not read[at] for at in counted), mention=not listed)


def _best_chain(text: str, tokens: Brackets, numeric: bool, n: int) -> Named | None:
    """The chain of two tokens or more with most distinct ids in range; of equals the last."""
    best: Named | None = None
    most = -1
    for first, last, joins in _chains(text, tokens):
        ids: list[int | None] = []
        tied: list[bool] = []
        for value, tie in zip(tokens.values[first : last + 1], (False, *joins), strict=True):
            here = token_ids(value, numeric)
            ids += here or (None,)
            tied += (tie, *(False,) * (len(here) - 1)) if len(here) > 1 else (tie,)
        distinct = len({one for one in ids if one is not None and 1 <= one <= n})
        if distinct >= most and any(one is not None for one in ids):
            best, most = Named(tuple(ids), tuple(tied), rejected=None in ids), distinct
    return best


def _chains(text: str, tokens: Brackets) -> Iterable[tuple[int, int, list[bool]]]:
    """(first token, last token, is each join a tie) of the longest runs of tokens joined by connectors."""
    first, joins = 0, []
    starts, ends, _ = tokens
    for at in range(1, len(starts)):
        tie = CONNECTORS.get(text[ends[at - 1] : starts[at]].strip())
        if tie is not None:
            joins.append(tie)
            continue
        if joins:
            yield first, at - 1, joins
            joins = []
        first = at
    if joins:
        yield first, len(starts) - 1, joins


# ── no brackets ───────────────────────────────────────────────────────────────────────────────────


def bare_ids(text: str, n: int) -> Named | None:
    """Ids of a text that consists of nothing else: `Ranking: 3 > 1`, `Passage 2, Passage 1`, `B A`, `BAC`."""
    text = text.strip()
    leading = _LEADING.match(text)
    if leading:
        text = text[leading.end() :].strip()
    text = text.removesuffix(".").rstrip()
    if 2 <= n <= 26 and len(text) == n and set(text) == {chr(65 + k) for k in range(n)}:
        return Named(tuple(ord(letter) - 64 for letter in text), (False,) * n)
    ids: list[int] = []
    tied: list[bool] = []
    at, apart, tie, letters = 0, True, False, None
    while at < len(text):
        separator = _SEPARATOR.match(text, at)
        if separator:
            tie = tie or CONNECTORS.get(separator[1] or "") is True
            at, apart = separator.end(), True
            continue
        element = _ELEMENT.match(text, at)
        if element is None or not apart or letters not in (None, element[2] is not None):
            return None
        letters = element[2] is not None
        ids.append(ord(element[2]) - 64 if letters else int(element[1]))
        tied.append(tie and len(ids) > 1)
        at, apart, tie = element.end(), False, False
    return Named(tuple(ids), tuple(tied)) if ids else None


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


def _json_ids(value: Any, n: int) -> Named | None:
    if isinstance(value, dict):
        value = next((value[key] for key in RANKING_KEYS if isinstance(value.get(key), list | str)), None)
        if isinstance(value, str):
            return _written_ids(value, n)
    if not isinstance(value, list):
        return None
    read = [id_of(element[0] if isinstance(element, list) and len(element) == 1 else element) for element in value]
    ids = tuple(one for one in read if one is not None)
    return Named(ids, (False,) * len(ids), rejected=len(ids) < len(read)) if ids else None


def id_of(value: Any) -> int | None:
    """The id that a JSON value spells: an integer, `"3"`, `"[3]"`, `"Passage 3"`, or an object that has one."""
    if isinstance(value, dict):
        key = next((key for key in ID_KEYS if key in value), None)
        value = None if key is None else value[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        match = _JSON_ID.fullmatch(value.strip())
        return int(match[1] or match[2]) if match else None
    return None
