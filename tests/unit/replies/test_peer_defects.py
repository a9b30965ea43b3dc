"""Defects of other toolkits' parsers, one test each, named after what went wrong.

The left column of each pair of comments is what rank_llm's parser makes of the text (measured), where it differs.
"""

from __future__ import annotations

import math

import pytest

from sleuth.replies.grades import parse_grades
from sleuth.replies.permutation import parse_permutation
from sleuth.replies.score import GradeScale, YesNo, parse_score


def ranked(text: str, n: int = 5) -> list[int]:
    return [position + 1 for position in parse_permutation(text, n).order]


def test_a_number_in_the_introduction_is_no_id() -> None:
    assert ranked("Here are the top 5 passages: [3] > [1]") == [3, 1, 2, 4, 5]  # 5, 3, 1, 2, 4


def test_years_and_counts_in_prose_are_no_ids() -> None:
    assert ranked("Passage 2 from 2019 covers 4 topics. [3] > [1] > [2]") == [3, 1, 2, 4, 5]  # 2, 4, 3, 1, 5


def test_list_numbers_are_no_ids() -> None:
    assert ranked("1. [3]\n2. [1]\n3. [2]") == [3, 1, 2, 4, 5]  # 1, 3, 2, …


def test_text_after_the_answer_changes_nothing() -> None:
    assert ranked("<answer>[2] > [1]</answer> because [1] > [4]") == [2, 1, 3, 4, 5]


def test_a_thought_that_was_cut_off_is_no_ranking() -> None:
    found = parse_permutation("<think> [2] is best, then [1]", 5)  # 2, 1, … from the thought
    assert (found.outcome, found.identity) == ("unfinished", True)


def test_an_error_message_is_no_ranking() -> None:
    found = parse_permutation("Error code: 429 - rate limit 3 per 1 min, 5 used, 2 left, 4 s", 5)  # 3, 1, 5, 2, 4
    assert (found.outcome, found.identity) == ("invalid", True)


def test_ties_are_not_lost() -> None:
    found = parse_permutation("[3] = [1] > [2]", 5)
    assert (found.order, found.ties) == ((0, 2, 1, 3, 4), ((0, 2),))


def test_letters_need_brackets_or_must_be_everything() -> None:
    assert ranked("Ranking: [B] > [A]") == [2, 1, 3, 4, 5]
    assert ranked("BAC", 3) == [2, 1, 3]  # lost
    assert parse_permutation("A good answer", 3).outcome == "invalid"


def test_a_decimal_is_no_pair_of_ids() -> None:
    found = parse_permutation("[3.5] > [1]", 5)  # 3, 5, 1
    assert (found.order[0], found.repairs) == (0, ("missing_ids", "rejected_tokens"))


def test_two_numbers_in_one_bracket_are_refused_rather_than_guessed() -> None:
    found = parse_permutation("[1 0] > [2]", 12)
    assert (found.order[:2], found.repairs) == ((1, 0), ("missing_ids", "rejected_tokens"))


def test_circled_numbers_above_nine() -> None:
    assert ranked("⑩ > ②", 12)[:2] == [10, 2]  # ⑩ is lost


def test_a_superscript_is_no_id() -> None:
    assert ranked("²[3]") == [3, 1, 2, 4, 5]  # 2, 3


def test_minus_one_is_not_one() -> None:
    found = parse_permutation("[2]>[3]>[2]>[9]>[0]>[-1]", 5)
    assert found.named == 2  # 2, 3, 1: -1 is read as 1
    assert found.repairs == ("duplicate_ids", "missing_ids", "out_of_range_ids", "rejected_tokens")


@pytest.mark.parametrize("text", ["［３］", "[٣]", "[3]", '{"documents":[{"index":3}]}', "【3】"])
def test_other_scripts_and_json(text: str) -> None:
    assert ranked(text) == [3, 1, 2, 4, 5]


def test_a_failed_pointwise_call_is_no_score() -> None:
    """One toolkit gives -1, another 0.5; both then rank by it."""
    for scale in (GradeScale(0, 5, label="Relevance score"), YesNo()):
        found = parse_score("Error code: 500 - score 3", scale)
        assert (found.value, found.normalized, found.outcome) == (None, None, "invalid")


def test_a_failed_group_does_not_become_zeros() -> None:
    found = parse_grades("I am sorry, I cannot grade these.", 3, low=0, high=10)
    assert all(map(math.isnan, found.values))
    assert found.outcome == "invalid"


def test_an_unreadable_score_does_not_shift_the_ones_after_it() -> None:
    found = parse_grades("Doc: 1, Relevance: 9\nDoc: 2, Relevance: high\nDoc: 3, Relevance: 2", 3, low=0, high=10)
    assert (found.values[0], found.values[2]) == (9, 2)
    assert math.isnan(found.values[1])
    assert all(map(math.isnan, parse_grades("[9, 2]", 3, low=0, high=10).values))


def test_chatty_grades_do_not_crash() -> None:
    text = "Sure! Here are the grades:\n\nDoc: 2, Relevance: 7\n(because it matches)\nDoc: 1, Relevance: 3\n\nHope it helps 10/10!"
    assert parse_grades(text, 2, low=0, high=10).values == (3, 7)


def test_equal_texts_are_told_apart_by_position() -> None:
    """Ids are places in the window, so two documents of the same text can't collapse into one."""
    assert sorted(parse_permutation("[2] > [1] > [2]", 3).order) == [0, 1, 2]
