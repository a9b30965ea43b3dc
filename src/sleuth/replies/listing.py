"""Is it a list, or do its ids stand in prose?

Between the tokens of a list there is nothing but white space, separators and list marks. What is between the tokens of
"[2] is off topic and [1] is weak, so [3] wins" is not, and there the order of mention may mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["is_list"]

LONGEST_MARK = 32
"""Characters in front of a token in which its list number is looked for; "| Rank #1234위). |" has 18. Ours."""

_BULLET = re.compile(r"(\n[ \t]*)[-+•·]")
_APART = re.compile(r"[\s,;、|]*")
_LIST_NUMBER = re.compile(
    r"(?P<before>(?:\brank\s*\#?|\#)\s*)?(?P<open>\()?(?<![0-9])(?P<number>[0-9]{1,4})\s?(?P<behind>위)?"
    r"(?P<close>\))?(?P<end>[.):])?\Z",
    re.IGNORECASE,
)


def is_list(text: str, starts: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether tokens that start and end at these places are a list; one alone is.

    List numbers (`1.`, `2)`, `#3`, `Rank 4:`, `5위`, a table cell) may stand in front of tokens. If one stands between
    tokens, every token must have one, and they must count up by one.
    """
    if len(starts) < 2:
        return True
    numbers = [_split_number(text[max(0, starts[0] - LONGEST_MARK) : starts[0]])[1]]
    for end, start in zip(ends[:-1], starts[1:], strict=True):
        gap = text[end:start]
        rest, number = ("", None) if not gap or _APART.fullmatch(gap) else _split_number(gap)
        numbers.append(number)
        if rest and not _APART.fullmatch(_BULLET.sub(r"\1", rest)):
            return False
    if all(number is None for number in numbers[1:]):
        return True
    return all(a is not None and b == a + 1 for a, b in pairwise(numbers))


def _split_number(gap: str) -> tuple[str, int | None]:
    """A gap without the list number at its end, and that number; the gap as it is where there is none."""
    body = gap.rstrip(" \t\r\n|")
    if not body or body[-1] not in "0123456789위).:":
        return gap, None
    match = _LIST_NUMBER.search(body, max(0, len(body) - LONGEST_MARK))
    if match is None:
        return gap, None
    rest = body[: match.start()]
    bracketed = bool(match["open"]) and bool(match["close"] or match["end"] == ")")
    cell = "|" in gap[len(body) :] and rest.rstrip(" \t").endswith("|")
    if bool(match["open"]) != bracketed or not (
        match["before"] or match["behind"] or match["end"] or bracketed or cell
    ):
        return gap, None
    return rest, int(match["number"])
