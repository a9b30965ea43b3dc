"""How well an answer could be read: one word for every parser of this room."""

from __future__ import annotations

from enum import Enum

__all__ = ["Outcome"]


class Outcome(str, Enum):
    """`ok | repaired | unfinished | invalid`; equal to its word (`Outcome.OK == "ok"`), and printed as it.

    Attributes:
        OK: The answer is what was asked for.
        REPAIRED: It holds an answer, but something had to be dropped, added or guessed at.
        UNFINISHED: It ends before its answer does: asking again with more room may help.
        INVALID: It holds no answer.
    """

    OK = "ok"
    REPAIRED = "repaired"
    UNFINISHED = "unfinished"
    INVALID = "invalid"

    __str__ = str.__str__
