"""What the reference scores leave open: scales, words of other languages, replies that were cut."""

from __future__ import annotations

import math

import pytest

from sleuth.errors import UsageError
from sleuth.replies.score import GradeScale, YesNo, parse_score

FIVE = GradeScale(0, 5, label="Relevance score")
HUNDRED = GradeScale(0, 100, label="SCORE")


@pytest.mark.parametrize(
    ("low", "high"), [(5, 0), (1, 1), (math.nan, 1), (0, math.inf), ("0", 5), (False, True), (None, 5)]
)
def test_a_scale_that_is_none(low: object, high: object) -> None:
    with pytest.raises(UsageError, match="from min up to max"):
        GradeScale(low, high)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["", "  ", "**", 3])
def test_a_label_that_is_none(label: object) -> None:
    with pytest.raises(UsageError, match="label"):
        GradeScale(0, 5, label=label)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("yes", "no", "says"),
    [
        ("yes", ["no"], "list of words"),
        (["yes"], [], "letter or digit"),
        (["yes"], ["--"], "letter or digit"),
        (["Yes."], ["yes"], "both sides of a YesNo: yes"),
        ([1], ["no"], "list of words"),
    ],
)
def test_words_that_make_no_sense(yes: list[str], no: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        YesNo(yes=yes, no=no)


def test_another_scale_is_refused() -> None:
    with pytest.raises(UsageError, match="GradeScale or a YesNo"):
        parse_score("4", (0, 5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("4", 4, "ok"),
        (" 4.5. ", 4.5, "ok"),
        ("**4**", 4, "ok"),
        ("4/5", 4, "repaired"),
        ("４", 4, "ok"),
        ("6", None, "invalid"),
        ("4 stars", None, "invalid"),
        ("Score: 4", None, "invalid"),
        ("4x", None, "invalid"),
        ("-0", 0, "ok"),
    ],
)
def test_a_scale_without_label_takes_a_number_alone(text: str, value: float | None, outcome: str) -> None:
    found = parse_score(text, GradeScale(0, 5))
    assert (found.value, found.outcome) == (value, outcome)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Relevance score: 4-5", None),
        ("Relevance score: 4a", None),
        ("Relevance score: 4.5.2", None),
        ("Relevance score: 4)", 4),
        ("Relevance score: 4 OUT OF 5!", 4),
        ("Relevance score: 4 / 5.0", 4),
        ("Relevance score: 4/", None),
        ("Relevance\n score\t=\n4", 4),
        ("Relevance score:: 4", None),
        ("Relevance score: 4; relevance score: unknown", 4),
    ],
)
def test_what_may_stand_around_a_grade(text: str, value: float | None) -> None:
    assert parse_score(text, FIVE).value == value


def test_labels_are_text_and_not_patterns() -> None:
    scale = GradeScale(-1, 1, label="score (a+b)*")
    assert parse_score("Score (A+B): -0.5", scale).normalized == 0.25
    assert parse_score("relevance_score: 1", GradeScale(0, 1, label="relevance_score")).value == 1
    assert parse_score("관련도: 3점", GradeScale(0, 5, label="관련도")).value is None
    assert parse_score("관련도: 3", GradeScale(0, 5, label="관련도")).outcome == "ok"


def test_a_thought_that_was_never_closed_is_unfinished_even_behind_an_answer() -> None:
    for text in ("<answer>4</answer><think>", "<think><answer>4</answer>"):
        assert parse_score(text, GradeScale(0, 5)).outcome == "unfinished"


def test_the_last_answer_that_is_not_blank_counts() -> None:
    assert parse_score("<answer>4</answer><answer> </answer>", GradeScale(0, 5)).value == 4
    assert parse_score("<answer>yes", YesNo()).value == 1


@pytest.mark.parametrize(
    ("text", "scale", "value", "outcome"),
    [
        ("4", GradeScale(0, 5), 4, "ok"),
        ("SCORE: 8", HUNDRED, None, "unfinished"),
        ("SCORE: 85", HUNDRED, 85, "ok"),
        ("SCORE: 0", HUNDRED, 0, "ok"),
        ("SCORE: 8, because", HUNDRED, 8, "repaired"),
        ("SCORE: 8/100", HUNDRED, 8, "repaired"),
        ("SCORE:", HUNDRED, None, "unfinished"),
        ("yes", YesNo(), 1, "ok"),
        ("The passage", YesNo(), None, "unfinished"),
        (None, YesNo(), None, "unfinished"),
        ("Error: no", YesNo(), None, "invalid"),
    ],
)
def test_a_reply_cut_at_its_limit(text: str, scale: GradeScale | YesNo, value: float | None, outcome: str) -> None:
    found = parse_score(text, scale, finish_reason="length")
    assert (found.value, found.outcome) == (value, outcome)


@pytest.mark.parametrize("text", [None, 4, b"4", ["4"]])
def test_what_is_no_text_is_an_empty_answer(text: object) -> None:
    assert parse_score(text, GradeScale(0, 5)).outcome == "invalid"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("ja", 1, "ok"),
        ("«Nein!»", 0, "ok"),
        ("Nicht relevant", 0, "ok"),
        ("nicht relevant, denn", 0, "repaired"),
        ("はい。", 1, "ok"),
        ("はい、関連します", 1, "repaired"),
        ("いいえ", 0, "ok"),
        ("Ja und nein", None, "invalid"),
        ("jaguar", None, "invalid"),
        ("yes", None, "invalid"),
    ],
)
def test_words_of_other_languages(text: str, value: float | None, outcome: str) -> None:
    words = YesNo(yes=["ja", "はい"], no=["nein", "nicht relevant", "いいえ"])
    found = parse_score(text, words)
    assert (found.value, found.outcome) == (value, outcome)


def test_a_very_long_number() -> None:
    assert parse_score("SCORE: " + "9" * 1_000_000, HUNDRED).outcome == "invalid"
    assert parse_score("SCORE: 1." + "0" * 1_000_000, HUNDRED).value == 1
