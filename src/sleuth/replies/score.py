"""Text to score: a grade ("Relevance score: 4") or a yes or no.

The rules are the second half of `tests/golden/parsing/README.md`: values are never clamped, prose is never mined for
numbers, and a thought is no answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sleuth.errors import UsageError
from sleuth.replies.characters import without_markup
from sleuth.replies.numerals import GRADE, GRADE_END, could_go_on, grade_value
from sleuth.replies.outcome import Outcome
from sleuth.replies.region import Region, find_region

__all__ = ["GradeScale", "ScoreReply", "YesNo", "parse_score"]

YES = ("yes", "true", "예", "네")
NO = ("no", "false", "아니오", "아니요")

_CORE = re.compile(r"[^\W_](?:.*[^\W_])?", re.DOTALL)
_AFTER_WORD = re.compile(r"[\s,.:;!\-、。]")


@dataclass(frozen=True, slots=True)
class GradeScale:
    """A scale of numbers.

    Attributes:
        min: The worst grade.
        max: The best grade, above `min`. Both count as on the scale.
        label: What the prompt asks the model to write before the number ("Relevance score"); None where it asks for a
            number alone.
    """

    min: float
    max: float
    label: str | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.min) and _is_number(self.max) and self.min < self.max):
            raise UsageError(f"a GradeScale runs from min up to max, both finite; got min={self.min}, max={self.max}")
        if self.label is not None and not (isinstance(self.label, str) and without_markup(self.label).strip()):
            raise UsageError(f"a GradeScale's label is text or None, got {self.label!r}")


@dataclass(frozen=True, slots=True)
class YesNo:
    """Two words, or several for each side.

    Attributes:
        yes, no: Words that mean it, compared without case and without what is no letter or digit around them. Default:
            yes, true, 예, 네 and no, false, 아니오, 아니요; give your own for other languages.
    """

    yes: Sequence[str] = YES
    no: Sequence[str] = NO

    def __post_init__(self) -> None:
        for side in ("yes", "no"):
            words = getattr(self, side)
            if isinstance(words, str) or not all(isinstance(word, str) for word in words):
                raise UsageError(f"YesNo({side}=…) takes a list of words, got {words!r}")
            object.__setattr__(self, side, tuple(words))
            empty = [word for word in words if not _core(word)]
            if empty or not words:
                raise UsageError(f"YesNo({side}=…) needs words with a letter or digit, got {list(words)!r}")
        both = {_core(word) for word in self.yes} & {_core(word) for word in self.no}
        if both:
            raise UsageError(f"these words stand on both sides of a YesNo: {', '.join(sorted(both))}")


@dataclass(frozen=True, slots=True)
class ScoreReply:
    """What a pointwise judge said of one document.

    Attributes:
        value: On the scale as asked; 1 or 0 for yes or no; None unless `outcome` is ok or repaired.
        normalized: `value` in [0, 1].
        outcome: How well the answer could be read.
    """

    value: float | None
    normalized: float | None
    outcome: Outcome


def parse_score(text: str | None, scale: GradeScale | YesNo, *, finish_reason: str | None = None) -> ScoreReply:
    """Read a model's judgement of one document. Takes time linear in the text.

    Args:
        text: The answer. None, and anything else that is no str, counts as empty.
        scale: What was asked for.
        finish_reason: As the server gave it. With "length" an answer without a value is `unfinished`, and so is a grade
            at its very end that a further digit would leave on the scale (an "8" of 100 may have been 85). Judges that
            ask for one token get "length" with every good answer.

    Raises:
        UsageError: `scale` is no scale. Never because of the text.
    """
    if not isinstance(scale, GradeScale | YesNo):
        raise UsageError(f"a scale is a GradeScale or a YesNo, got {scale!r}")
    cut = finish_reason == "length"
    region = find_region(text)
    if region.unclosed or region.ended is Outcome.UNFINISHED:
        return ScoreReply(None, None, Outcome.UNFINISHED)
    answer = _answer(region)
    if isinstance(scale, GradeScale):
        value, outcome = _grade(without_markup(answer), scale, cut)
    else:
        value, outcome = _yes_or_no(answer, scale)
    if outcome is Outcome.INVALID and cut and not region.error:
        outcome = Outcome.UNFINISHED
    if value is None:
        return ScoreReply(None, None, outcome)
    low, high = (scale.min, scale.max) if isinstance(scale, GradeScale) else (0, 1)
    return ScoreReply(value, (value - low) / (high - low), outcome)


def _answer(region: Region) -> str:
    return next((text for text in region.texts if text.strip()), "").strip()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# ── grades ────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=64)
def _patterns(label: str | None) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None, re.Pattern[str]]:
    """The label; label, separator and grade; and what the whole answer must be to be `ok`."""
    if label is None:
        return None, None, re.compile(r"(?P<value>-?[0-9]+(?:\.[0-9]+)?)\.?")
    words = without_markup(label).split()
    loose, exact = r"\s+".join(map(re.escape, words)), " ".join(map(re.escape, words))
    labelled = re.compile(rf"{loose}\s*(?::|=|\bis\b:?)\s*{GRADE}{GRADE_END}", re.IGNORECASE)
    return (
        re.compile(loose, re.IGNORECASE),
        labelled,
        re.compile(rf"{exact}:\s*-?[0-9]+(?:\.[0-9]+)?\.?", re.IGNORECASE),
    )


_ALONE = re.compile(rf"{GRADE}\.?", re.IGNORECASE)


def _grade(answer: str, scale: GradeScale, cut: bool) -> tuple[float | None, Outcome]:
    label, labelled, exact = _patterns(scale.label)
    match = None
    if label is not None and labelled is not None and label.search(answer):
        for match in labelled.finditer(answer):  # noqa: B007 - the last one counts
            pass
    else:
        match = _ALONE.fullmatch(answer)
    if match is None:
        return None, Outcome.INVALID
    value = grade_value(match, scale.min, scale.max)
    if value is None:
        return None, Outcome.INVALID
    if cut and could_go_on(match, scale.min, scale.max):
        return None, Outcome.UNFINISHED
    return value, Outcome.OK if exact.fullmatch(answer) else Outcome.REPAIRED


# ── yes or no ─────────────────────────────────────────────────────────────────────────────────────


def _core(text: str) -> str:
    """Text in lower case without non-word characters and underscores at its ends, inner white space single."""
    found = _CORE.search(text)
    return " ".join(found[0].lower().split()) if found else ""


@lru_cache(maxsize=64)
def _words(yes: tuple[str, ...], no: tuple[str, ...]) -> tuple[dict[str, float], tuple[re.Pattern[str], ...]]:
    """Word -> 1 or 0, longest first; and what finds any word of `no` and any of `yes`, in this order."""
    values = {_core(word): value for words, value in ((yes, 1.0), (no, 0.0)) for word in words}
    return dict(sorted(values.items(), key=lambda item: -len(item[0]))), (_any_of(no), _any_of(yes))


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(_core(word)) for word in words)})(?!\w)")


def _yes_or_no(answer: str, scale: YesNo) -> tuple[float | None, Outcome]:
    values, (no_words, yes_words) = _words(tuple(scale.yes), tuple(scale.no))
    core = _core(answer)
    if core in values:
        return values[core], Outcome.OK
    for word, value in values.items():
        if core.startswith(word) and _AFTER_WORD.match(core, len(word)):
            opposite = no_words if value else yes_words
            if opposite.search(core, len(word)):
                break
            return value, Outcome.REPAIRED
    return None, Outcome.INVALID
