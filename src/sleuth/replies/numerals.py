"""Grades as models write them: `4`, `4.5`, `4/5`, `4 out of 5`, `80%`."""

from __future__ import annotations

import re

__all__ = ["GRADE", "GRADE_END", "could_go_on", "grade_value"]

GRADE = r"(?P<value>-?[0-9]+(?:\.[0-9]+)?)(?P<suffix>\s*/\s*(?P<over>[0-9]+(?:\.[0-9]+)?)|\s+out\s+of\s+(?P<of>[0-9]+(?:\.[0-9]+)?)|\s*%)?"
"""Pattern of a number with an optional denominator or percent sign (case is the user's flag)."""
GRADE_END = r"(?=\Z|[\s,;:)!\]\"']|\.(?![0-9]))"
"""What may follow it: never a digit, a letter, a dash, or a decimal point."""


def grade_value(match: re.Match[str], low: float, high: float) -> float | None:
    """The value of a match of GRADE; None where it lies outside [low, high] or its denominator isn't `high`.

    `%` is read only where `high` is 100.
    """
    over = match["over"] or match["of"]
    if over is not None:
        if float(over) != high:
            return None
    elif match["suffix"] and high != 100:
        return None
    value = float(match["value"])
    return value if low <= value <= high else None


def could_go_on(match: re.Match[str], low: float, high: float) -> bool:
    """Whether a grade that ends a cut text may have lost digits: "8" of 0 to 100 may have been 85, "4" of 0 to 5 not.

    Ours: a further digit makes ten times the value and more, so it was whole if that is out of range. Decimals that
    may be lost are ignored: they change little.
    """
    if match.end() < len(match.string.rstrip()) or match["suffix"] or "." in match["value"]:
        return False
    value = abs(float(match["value"]))
    return 0 < value * 10 <= max(abs(low), abs(high))
