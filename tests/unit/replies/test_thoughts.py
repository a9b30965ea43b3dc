"""Taking thoughts out of an answer, and what that must never bring in."""

from __future__ import annotations

import pytest

from sleuth.replies.thoughts import Thoughts, answer_pairs, split_thoughts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2] > [1]", Thoughts("[2] > [1]")),
        ("", Thoughts("")),
        ("1 < 2 > 0", Thoughts("1 < 2 > 0")),
        ("<think> a </think>[1]", Thoughts("[1]", "a")),
        ("<THINK>a</Think>[1]", Thoughts("[1]", "a")),
        ("<thinking>a</thinking> x <analysis>b</analysis>[1]", Thoughts(" x [1]", "a\nb")),
        ("<think>a</think><think>", Thoughts("", "a", unclosed=True)),
        ("a thought</think>[1]", Thoughts("[1]", "a thought")),
        ("a</think>b</think>[1]", Thoughts("[1]", "ab")),
        ("[1] <think> hm", Thoughts("[1] ", "hm", unclosed=True)),
        ("<think>a <answer>[1]</answer>\n", Thoughts("<answer>[1]</answer>\n", "a", unclosed=True, forced=True)),
        ("<think>a <answer>[1]</answer> or", Thoughts("", "a <answer>[1]</answer> or", unclosed=True)),
        ("<think>a <answer> <ANSWER>[1]</Answer>", Thoughts("<ANSWER>[1]</Answer>", "a <answer>", True, True)),
        ("<think lang='en'>a</think>[1]", Thoughts("[1]", "<think lang='en'>a")),
        ("<thinker>a</thinker>", Thoughts("<thinker>a</thinker>")),
        ("<ｔhink>", Thoughts("<ｔhink>")),
        ("<thınk>a</thınk>", Thoughts("<thınk>a</thınk>")),
    ],
)
def test_what_is_answer_and_what_is_thought(text: str, expected: Thoughts) -> None:
    assert split_thoughts(text) == expected


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a<think>b</think>c</think>d", "d"),
        ("<think>a<thought>b</think>c</thought>d", "d"),
        ("<thi<think>x</think>nk>y</think>d", "d"),
        ("<thi<thi<think>x</think>nk>y</think>nk>z</think>d", "d"),
        ("<think>x</thi<thought>y</thought>nk>d", "d"),
        ("k<think>x</thi<thought>y</thought>nk>d", "kd"),
        ("<thi<think>x</think>nk>y", ""),
        ("<<think>x</think>think>y</think>d", "d"),
    ],
)
def test_tags_that_deletion_brings_together_are_tags(text: str, answer: str) -> None:
    assert split_thoughts(text).answer == answer


def test_a_thought_has_no_tags_and_comes_in_order() -> None:
    assert split_thoughts("<think>a<think>b</think>c</think>d").thought == "abc"
    assert split_thoughts("<think>a</think>b<thought>c</thought>d<think>e").thought == "a\nc\ne"


@pytest.mark.parametrize(
    ("text", "pairs", "opened"),
    [
        ("[1]", [], None),
        ("<answer>a</answer> x <Answer>b</ANSWER>", ["a", "b"], None),
        ("in <answer> tags: <answer>a</answer>", ["a"], None),
        ("<answer>a", [], "a"),
        ("<answer>a<answer>b", [], "b"),
        ("<answer>a</answer><answer>b", ["a"], None),
        ("a</answer>", [], None),
    ],
)
def test_answer_pairs(text: str, pairs: list[str], opened: str | None) -> None:
    assert answer_pairs(text) == (pairs, opened)
