"""Grades of a group: every form, and what must never become a grade."""

from __future__ import annotations

import math

import pytest

from sleuth.errors import UsageError
from sleuth.replies.grades import Grades, parse_grades

NAN = math.nan


def graded(text: object, n: int = 3, **options: str) -> Grades:
    return parse_grades(text, n, low=0, high=10, **options)  # type: ignore[arg-type]


def same(found: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    return len(found) == len(expected) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"1": 7, "2": 3.5, "3": 0}',
        '{"[3]": 0, "[1]": 7, "[2]": "3.5"}',
        '{"Passage 1": "7/10", "doc_2": 3.5, "#3": {"score": 0, "reason": "9"}}',
        '[{"id": 1, "score": 7}, {"id": "[2]", "Score": 3.5}, {"index": 3, "relevance": 0}]',
        '{"scores": {"1": 7, "2": 3.5, "3": 0}, "note": 5}',
        '{"results": [{"passage": 1, "grade": 7}, {"passage": 2, "grade": 3.5}, {"passage": 3, "grade": 0}]}',
        '[{"1": 7}, {"2": 3.5}, {"3": 0}]',
        "[7, 3.5, 0]",
        '{"scores": [7, 3.5, 0]}',
        "```json\n[7, 3.5, 0]\n```",
        'Here: {"1": 7, "2": 3.5, "3": 0}. Done with 3.',
        "[1]: 7\n[2]: 3.5\n[3]: 0",
        "[1] 7/10\n[2] 3.5/10\n[3] 0/10",
        "[3] = 0\n[2] -> 3.5\n[1] - 7",
        "Grades of 3 passages:\n- **[1]**: 7 (has the proof of 2)\n- **[2]**: 3.5. Weak.\n- **[3]**: 0 - off topic",
        "Passage 1: 7\nPassage 2: 3.5\nPassage 3: 0",
        "Doc: 1, Relevance: 7\nDoc: 2, Relevance: 3.5\nDoc: 3, Relevance: 0",
        "id: 1, score: 7\nid: 2, score: 3.5\nid: 3, score: 0",
        "| # | grade |\n|---|---|\n| 1 | 7 |\n| 2 | 3.5 |\n| 3 | 0 |",
        "문서 1: 7점\n문서 2: 3.5점\n문서 3: 0점",
        "［１］：７\n［２］：３.５\n［３］：０",
        '<think>[1]: 1</think><answer>{"1": 7, "2": 3.5, "3": 0}</answer>',
    ],
)
def test_forms(text: str) -> None:
    assert graded(text) == Grades((7, 3.5, 0), "ok", ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "values", "repairs"),
    [
        ('{"1": 7, "3": 0}', (7, NAN, 0), ("missing_values",)),
        ('{"1": 7, "1": 2, "2": 3, "[3]": 1, "3": 2}', (7, 3, 1), ("duplicate_ids",)),
        ('{"1": 11, "2": 3, "3": -1}', (NAN, 3, NAN), ("missing_values", "out_of_range_values")),
        ('{"1": 11, "1": 5, "2": 3, "3": 1}', (NAN, 3, 1), ("duplicate_ids", "missing_values", "out_of_range_values")),
        ('{"0": 1, "1": 7, "2": 3, "3": 1, "4": 2}', (7, 3, 1), ("out_of_range_ids",)),
        ('{"1": true, "2": null, "3": 1}', (NAN, NAN, 1), ("missing_values", "rejected_values")),
        ('{"1": "7/5", "2": "high", "3": NaN, "3": 2}', None, ()),
        ("[7, null, 1]", (7, NAN, 1), ("missing_values", "rejected_values")),
        ("[1]: 7\n[2]: great\n[3]: 8/5", (7, NAN, NAN), ("missing_values", "rejected_values")),
        ("[1]: 7\n[1]: 2\n[3]: 12", (7, NAN, NAN), ("duplicate_ids", "missing_values", "out_of_range_values")),
        ('<think>so <answer>{"1": 7, "2": 3, "3": 1}</answer>', (7, 3, 1), ("unclosed_thought",)),
        ('<answer>{"1": 7, "2": 3, "3": 1}', (7, 3, 1), ("unclosed_answer",)),
    ],
)
def test_what_has_to_be_repaired(text: str, values: tuple[float, ...] | None, repairs: tuple[str, ...]) -> None:
    found = graded(text)
    assert same(found.values, values or (NAN, NAN, NAN))
    assert (found.outcome, found.repairs) == ("repaired" if values else "invalid", repairs)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            None,
            7,
            b"[1]: 7",
            "no",
            "[3] > [1] > [2]",
            "3 > 1 > 2",
            "3, 1, 2",
            "[7, 3]",
            "[7, 3, 1, 0]",
            "[1] is good",
        ),
        *(
            "1. 7\n2. 3\n3. 1",
            "1 7\n2 3",
            "Error code: 429 [1]: 7",
            '{"error": {"1": 7}}',
            "1-2 passages are good",
            "{}",
        ),
        *("On 1: 3 of the passages fit", '{"a": ' * 2000, "[" * 100_000, '{"scores":' * 900 + "[7,3,1]" + "}" * 900),
    ],
)
def test_what_holds_no_grades(text: object) -> None:
    found = graded(text)
    assert same(found.values, (NAN, NAN, NAN))
    assert (found.outcome, found.repairs) == ("invalid", ())


def test_a_list_of_numbers_in_prose_is_not_a_list_of_grades() -> None:
    assert graded("The years [1, 2, 3] are mentioned.").outcome == "invalid"
    assert graded("[1] is good", 1).outcome == "invalid"
    assert graded("[1]: 7", 1).values == (7,)


@pytest.mark.parametrize(
    ("text", "values", "outcome"),
    [
        ("[1]: 7\n[2]: 3\n[3]: 1", (7, 3, NAN), "unfinished"),
        ("[1]: 7\n[2]: 3\n[3]: 2", (7, 3, 2), "ok"),
        ("[1]: 7\n[2]", (7, NAN, NAN), "unfinished"),
        ('{"1": 7, "2": 3', (NAN, NAN, NAN), "unfinished"),
        ("<think>[1]: 7", (NAN, NAN, NAN), "unfinished"),
        ("Error code: 500", (NAN, NAN, NAN), "invalid"),
    ],
)
def test_a_reply_cut_at_its_limit(text: str, values: tuple[float, ...], outcome: str) -> None:
    found = parse_grades(text, 3, low=0, high=20 if "[3]: 1" in text else 10, finish_reason="length")
    assert same(found.values, values)
    assert found.outcome == outcome


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (NAN, 1), (0, math.inf)])
def test_the_scale_is_checked(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="low up to high"):
        parse_grades("[1]: 7", 1, low=low, high=high)


def test_n_is_checked() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        graded("[1]: 7", 0)
