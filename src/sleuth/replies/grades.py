"""Text to a grade for each passage: what groupwise judges read.

A grade that is missing is NaN, never 0: one bad answer must not sink a group of good documents. No grade is given to a
passage by its place in a list that has not exactly n numbers, because one unreadable entry would shift all after it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sleuth.errors import UsageError
from sleuth.replies.characters import without_markup
from sleuth.replies.embedded_json import json_values
from sleuth.replies.ids import ID_KEYS, id_of
from sleuth.replies.numerals import GRADE, could_go_on, grade_value
from sleuth.replies.outcome import Outcome
from sleuth.replies.permutation import candidate_count
from sleuth.replies.region import Region, find_region

__all__ = ["Grades", "parse_grades"]

WRAPPERS = ("scores", "grades", "ratings", "relevance", "result", "results", "passages", "documents", "answer")
DEEPEST = 4
"""Wrappers within wrappers that are opened; `{"result": {"scores": [{"id": …}]}}` has 3. Ours."""
GRADE_KEYS = ("score", "grade", "rating", "relevance", "relevance_score", "relevancescore", "value", "점수")

_LINE = re.compile(
    r"[ \t]*(?:\|[ \t]*)?(?:[-+•·][ \t]*)?(?:\#[ \t]*)?"
    r"(?:(?:passage|document|doc|id|문서|지문|단락|패시지)[ \t]*(?:[:#][ \t]*)?)?"
    r"(?P<bracket>\[[ \t]*)?(?:(?:passage|document|doc|문서|지문)[ \t]*(?:\#[ \t]*)?)?"
    r"(?P<id>[0-9]{1,9})(?P<close>[ \t]*\])?번?(?P<rest>[^\r\n]*)",
    re.IGNORECASE,
)
_SEPARATED = re.compile(
    r"[ \t]*(?:(?P<mark>->|=>|[:=|,–-])[ \t]*)?"
    r"(?P<word>(?:relevance[ \t]+score|relevance|score|grade|rating|점수)[ \t]*(?:[:=][ \t]*)?)?"
    + GRADE
    + r"(?:[ \t]*점)?[ \t]*(?P<more>[.,;:](?:[ \t].*)?|[-–(|].*)?\Z",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"[ \t]*[:=]")
_GRADE = re.compile(GRADE, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grades:
    """A grade for each passage of a group.

    Attributes:
        values: For each of n passages as shown; NaN where the answer gives none that can be used.
        outcome: `ok` if every passage has one and nothing had to be dropped; `repaired` if some are there.
        repairs: Sorted: `duplicate_ids` (the first counts), `missing_values`, `out_of_range_ids`,
            `out_of_range_values` (never clamped), `rejected_values`, `unclosed_answer`, `unclosed_thought`. Empty where
            no value was read.
    """

    values: tuple[float, ...]
    outcome: Outcome
    repairs: tuple[str, ...]


def parse_grades(text: str | None, n: int, *, low: float, high: float, finish_reason: str | None = None) -> Grades:
    """Read the grades of n passages that were shown numbered from 1.

    JSON `{"1": 7, "[2]": 3}`, `[{"id": 1, "score": 7}]`, a list of exactly n numbers, each alone, fenced, in prose or
    under a key like "scores"; or lines `[1]: 7`, `[1] 7/10`, `Passage 1: 7`, `Doc: 1, Relevance: 7`, `| 1 | 7 |`.
    Thoughts, error messages and open answers are treated as in `parse_permutation`. Takes time linear in the text.

    Args:
        text: The answer. None, and anything else that is no str, counts as empty.
        n: How many passages were shown, >= 1.
        low, high: The scale; both count as on it.
        finish_reason: As the server gave it. With "length" an answer without all grades is `unfinished`.

    Raises:
        UsageError: n is no integer or below 1, or the scale is none. Never because of the text.
    """
    n = candidate_count(n)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"grades run from low up to high, both finite; got low={low}, high={high}")
    cut = finish_reason == "length"
    region = find_region(text)
    for part in region.texts:
        sheet = _sheet(part, n, low, high, cut)
        if sheet.given:
            return sheet.grades(region, cut)
    unfinished = region.ended is Outcome.UNFINISHED or region.open or (cut and not region.error)
    return Grades((math.nan,) * n, Outcome.UNFINISHED if unfinished else Outcome.INVALID, ())


class _Sheet:
    """Grades as they are entered, and what had to be done."""

    def __init__(self, n: int, low: float, high: float) -> None:
        self.n, self.low, self.high = n, low, high
        self.given: dict[int, float] = {}
        self.seen: set[int] = set()
        self.repairs: set[str] = set()

    def enter(self, one: int, value: float | None) -> None:
        """A grade for a 1-based id; None is one that could not be read."""
        if not 1 <= one <= self.n:
            self.repairs.add("out_of_range_ids")
        elif one in self.seen:
            self.repairs.add("duplicate_ids")
        else:
            self.seen.add(one)
            if value is None:
                self.repairs.add("rejected_values")
            elif not self.low <= value <= self.high:
                self.repairs.add("out_of_range_values")
            else:
                self.given[one] = value

    def grades(self, region: Region, cut: bool) -> Grades:
        missing = len(self.given) < self.n
        noted = {"missing_values": missing, "unclosed_answer": region.open, "unclosed_thought": region.forced}
        repairs = self.repairs | {name for name, happened in noted.items() if happened}
        outcome = Outcome.REPAIRED if repairs else Outcome.OK
        if missing and (cut or region.open):
            outcome = Outcome.UNFINISHED
        values = tuple(self.given.get(one, math.nan) for one in range(1, self.n + 1))
        return Grades(values, outcome, tuple(sorted(repairs)))


def _sheet(part: str, n: int, low: float, high: float, cut: bool) -> _Sheet:
    """Lines if they grade every passage; else JSON; else what lines there are."""
    lines = _Sheet(n, low, high)
    for one, grade in _lines(without_markup(part), low, high, cut):
        lines.enter(one, grade)
    if len(lines.given) == n:
        return lines
    for value in (*json_values(part, _load, in_prose=False), *filter(_is_keyed, json_values(part, _load))):
        sheet = _Sheet(n, low, high)
        _enter_json(sheet, value)
        if sheet.given:
            return sheet
    return lines


def _is_keyed(value: Any) -> bool:
    """Whether JSON says which passage a grade is for; the `[1]` of a sentence is no list of grades."""
    return isinstance(value, _Pairs) or any(isinstance(entry, _Pairs) for entry in value)


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated keys: the first one counts, where a dict would keep the last."""


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_Pairs)


def _first(pairs: _Pairs, keys: tuple[str, ...]) -> Any:
    """The value of the first of these keys that the object has, whatever its case; None without one."""
    folded = {key.lower(): value for key, value in reversed(pairs)}
    return next((folded[key] for key in keys if key in folded), None)


def _enter_json(sheet: _Sheet, value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        return
    if isinstance(value, _Pairs):
        numbered = [(one, held) for key, held in value if (one := id_of(without_markup(key))) is not None]
        inner = None if numbered else _first(value, WRAPPERS)
        for one, held in numbered:
            sheet.enter(one, _json_grade(held, sheet))
        if isinstance(inner, list):
            _enter_json(sheet, inner, depth + 1)
        elif not numbered and _first(value, ID_KEYS) is not None:
            _enter_record(sheet, value)
    elif value and all(isinstance(entry, _Pairs) for entry in value):
        for entry in value:
            _enter_json(sheet, entry, depth + 1)
    elif len(value) == sheet.n:
        for one, held in enumerate(value, 1):
            sheet.enter(one, _json_grade(held, sheet))


def _enter_record(sheet: _Sheet, entry: _Pairs) -> None:
    one = id_of(_first(entry, ID_KEYS))
    if one is None:
        sheet.repairs.add("rejected_values")
    else:
        sheet.enter(one, _json_grade(entry, sheet))


def _json_grade(held: Any, sheet: _Sheet) -> float | None:
    """A grade from a number, a string like "7" or "7/10", or an object that has one."""
    if isinstance(held, _Pairs):
        held = _first(held, GRADE_KEYS)
    if isinstance(held, int | float) and not isinstance(held, bool):
        try:
            value = float(held)
        except OverflowError:
            return None
        return None if math.isnan(value) else value
    match = _GRADE.fullmatch(held.strip()) if isinstance(held, str) else None
    return None if match is None else _scaled(match, sheet.low, sheet.high)


def _scaled(match: re.Match[str], low: float, high: float) -> float | None:
    """The value as written, on the scale or not; None with a denominator that isn't the scale's."""
    value = float(match["value"])
    return value if not low <= value <= high else grade_value(match, low, high)


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────


def _lines(text: str, low: float, high: float, cut: bool) -> Iterator[tuple[int, float | None]]:
    """(id, grade) of the lines that begin with an id; None where what follows is no grade."""
    lines = text.rstrip().split("\n")
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None or bool(found["bracket"]) != bool(found["close"]):
            continue
        grade = _SEPARATED.match(found["rest"].rstrip())
        bracketed = bool(found["close"])
        if grade is not None and not (grade["word"] or ((grade["mark"] or bracketed) and grade["mark"] != ",")):
            grade = None  # "1 7" and "3, 1" say nothing, or are a ranking
        if grade is None:
            if bracketed and _ASSIGNED.match(found["rest"]):
                yield int(found["id"]), None
            continue
        if cut and number == len(lines) - 1 and not grade["more"] and could_go_on(grade, low, high):
            continue
        yield int(found["id"]), _scaled(grade, low, high)
