"""Which passage an answer chose, and answers that choose none."""

from __future__ import annotations

import pytest

from sleuth.errors import UsageError
from sleuth.replies.choice import parse_choice


@pytest.mark.parametrize(
    "text",
    [
        *("[2]", "2", "B", "b", "2.", "(B)", "B)", '"B"', "**B**", "［２］", "[٢]", "②", "2번"),
        *("Passage B", "passage 2", "Document 2", "doc #2", "[Passage 2]", "Passage [B]", "문서 2", "지문 [2]"),
        *("Answer: B", "Final answer: [2]", "정답: 2번", "Most relevant passage: B", "Output: Passage B."),
        *(
            '{"best": 2}',
            '{"answer": "B"}',
            '{"choice": "[2]", "why": "1"}',
            '["B"]',
            '[{"id": 2}]',
            "```json\n[2]\n```",
        ),
        *("<think>[1] or C</think><answer>[2]</answer>", "[1] is best</think>\nB", "&lt;answer&gt;2&lt;/answer&gt;"),
    ],
)
def test_an_answer_that_is_a_passage(text: str) -> None:
    found = parse_choice(text, 3)
    assert (found.position, found.outcome) == (1, "ok")


@pytest.mark.parametrize(
    "text",
    [
        *("The most relevant passage is [2].", "The answer is B", "I choose [2] because [2] has the proof."),
        *("Passage B explains it best.", "문서 2가 가장 좋습니다.", "2번이 가장 관련 있습니다."),
        *("[2] > [1] > [3]", "2 > 1", "[2], [1]", "[2, 1, 3]", "1. [2]\n2. [3]", '{"ranking": [2, 1]}'),
        *("<answer>[2]", "<think>hm <answer>[2]</answer>", "It is [2], I think; [x] is not."),
    ],
)
def test_an_answer_that_has_to_be_found(text: str) -> None:
    found = parse_choice(text, 3)
    assert (found.position, found.outcome) == (1, "repaired")


@pytest.mark.parametrize(
    "text",
    [
        *("", None, 2, "none", "Both are equal.", "A good answer", "I think so", "The document I saw says little."),
        *("[2] is better than [1]", "Passage A beats Passage B", "[1] = [2]", "[1] = [2] > [3]", "[x] > [2]"),
        *("[9]", "[0]", "Z", '{"best": 9}', '{"best": null}', "Error code: 429 [2]", "In 2019, 2 of 3", "2.5", "AB"),
    ],
)
def test_an_answer_that_chooses_nothing(text: str) -> None:
    found = parse_choice(text, 3)
    assert (found.position, found.outcome) == (None, "invalid")


@pytest.mark.parametrize("text", ["<think>[2]", "<think>[2]</think>", "<answer>", "<answer> hm"])
def test_an_answer_that_never_came(text: str) -> None:
    found = parse_choice(text, 3)
    assert (found.position, found.outcome) == (None, "unfinished")


@pytest.mark.parametrize(
    ("text", "n", "position", "outcome"),
    [
        ("B", 20, 1, "ok"),
        ("2", 9, 1, "ok"),
        ("2", 20, None, "unfinished"),
        ("3", 20, 2, "ok"),
        ("[2]", 20, 1, "ok"),
        ("I would", 20, None, "unfinished"),
        ("Error code: 500", 20, None, "invalid"),
    ],
)
def test_a_reply_cut_at_its_limit(text: str, n: int, position: int | None, outcome: str) -> None:
    found = parse_choice(text, n, finish_reason="length")
    assert (found.position, found.outcome) == (position, outcome)


def test_n_is_checked() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        parse_choice("B", 0)
