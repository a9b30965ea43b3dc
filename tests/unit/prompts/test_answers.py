"""The answer that each preset asks for is one that its judge's parser takes without repair."""

from __future__ import annotations

import pytest

from sleuth.prompts.template import list_templates, load_template
from sleuth.replies.choice import parse_choice
from sleuth.replies.grades import parse_grades
from sleuth.replies.permutation import parse_permutation
from sleuth.replies.score import GradeScale, YesNo, parse_score

ORDERS = {
    "bright": 'Essential: light.\n\n```json\n["2", "3", "1"]\n```',
    "json": '{"ranking": [2, 3, 1]}',
    "letters": "[B] > [C] > [A]",
    "rankgpt": "[2] > [3] > [1]",
    "reasonrank": "<think> [1] is off. </think> <answer> [2] > [3] > [1] </answer>",
    "reasonrank-qwen3": "<think>\nno\n</think>\n\n<answer> [2] > [3] > [1] </answer>",
    "tutorial": "[2] > [3] > [1]",
    "tutorial-ko": "[2] > [3] > [1]",
}
GRADES = {
    "graded": ("Relevance score: 4", 0.8),
    "graded-ko": ("관련성 점수: 4", 0.8),
    "graded-100": ("Score: 85", 0.85),
    "graded-100-ko": ("점수: 85", 0.85),
}
WORDS = {
    "bge-reranker-llm": "No",
    "qwen3-reranker": "no",
    "rank1": "<think> off topic </think> false",
    "tutorial-yes-no-ko": "No",
    "yes-no": "No",
    "yes-no-ko": "No",
}


def test_every_preset_that_a_judge_reads_is_here() -> None:
    read = {*ORDERS, *GRADES, *WORDS, "group", "setwise", "pairwise"}
    assert read == {name for name in list_templates() if load_template(name).reply != "text"}


@pytest.mark.parametrize("name", ORDERS)
def test_orders(name: str) -> None:
    found = parse_permutation(ORDERS[name], 3, finish_reason="stop")
    assert (found.order, found.outcome) == ((1, 2, 0), "ok")


@pytest.mark.parametrize("name", GRADES)
def test_grades(name: str) -> None:
    scale = load_template(name).scale
    assert scale is not None
    found = parse_score(GRADES[name][0], GradeScale(*scale))
    assert (found.normalized, found.outcome) == (pytest.approx(GRADES[name][1]), "ok")


@pytest.mark.parametrize("name", GRADES)
def test_a_begun_grade(name: str) -> None:
    template = load_template(name)
    if template.labels:
        assert template.scale is not None
        found = parse_score(template.label_prefill + "5", GradeScale(*template.scale))
        assert (found.value, found.outcome) == (5, "ok")
        assert sorted(template.labels) == list("012345")


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    words = load_template(name).words
    found = parse_score(WORDS[name], YesNo(**words) if words else YesNo())
    assert (found.value, found.outcome) == (0, "ok")


def test_scores_of_a_group() -> None:
    scale = load_template("group").scale
    assert scale is not None
    found = parse_grades('{"1": 0, "2": 10, "3": 4}', 3, low=scale.min, high=scale.max)
    assert (found.values, found.outcome) == ((0, 10, 4), "ok")


def test_choices() -> None:
    for text in ("B", "[B]", "Passage [B]"):
        found = parse_choice(text, 2)
        assert (found.position, found.outcome) == (1, "ok")
