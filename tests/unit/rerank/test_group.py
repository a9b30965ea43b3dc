"""The groupwise judge: a score for each document of a group, none for those that the answer leaves out."""

from __future__ import annotations

import math

import pytest
from judge_fakes import Silent, asked_twice, of_size, text, verdict_of

from sleuth.errors import UsageError
from sleuth.rerank.group import Group
from sleuth.rerank.parts import ChatJudge, Comparison


def test_it_is_a_chat_judge_of_groups_with_a_range() -> None:
    judge = Group(Silent())
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.scale, judge.max_docs) == ("group/group", "scores", "grade", None)
    assert judge.score_range == (0, 10)
    assert judge.output_tokens(of_size(10)) == 86


def test_every_document_gets_the_score_of_its_own_number() -> None:
    found = verdict_of(Group(Silent()), of_size(3), text('{"2": 9, "1": 0, "3": 4}'))
    assert (found.scores, found.order) == ((0.0, 9.0, 4.0), (1, 2, 0))
    assert found.counts == {"ok": 1}


def test_equal_scores_are_a_tie() -> None:
    assert verdict_of(Group(Silent()), of_size(3), text('{"1": 7, "2": 9, "3": 7}')).ties == ((0, 2),)


def test_a_document_left_out_has_no_score_and_keeps_its_place_in_the_current_order() -> None:
    found = verdict_of(Group(Silent()), of_size(3), text('{"1": 2, "3": 8}'))
    assert found.scores is not None and math.isnan(found.scores[1])
    assert (found.order, found.named) == ((2, 0, 1), 2)
    assert found.settled(Comparison(("a", "b", "c")), ("b", "a", "c")) == ("c", "a", "b")


@pytest.mark.parametrize("bad", ["", "All are fine.", '{"error": "overloaded"}', "<think>[1]: 9"])
def test_a_failed_group_sinks_nobody(bad: str) -> None:
    """Peers give 0 to all documents of a group whose answer could not be read, and good ones fall to the bottom."""
    again, found = asked_twice(Group(Silent()), of_size(3), [text(bad)], [text(bad)])
    assert again.counts["asked_again"] == 1
    assert not found.usable
    assert found.scores is not None and all(map(math.isnan, found.scores))
    assert found.settled(Comparison(("a", "b", "c")), ("c", "a", "b")) == ("c", "a", "b")


def test_after_the_retry_a_cut_answer_counts_as_far_as_it_goes() -> None:
    cut = text("[1]: 3\n[2]: 9\n[3", finish_reason="length")
    _, found = asked_twice(Group(Silent()), of_size(4), [cut], [cut])
    assert found.usable
    assert found.scores is not None and found.scores[:2] == (3.0, 9.0) and math.isnan(found.scores[3])


def test_another_template_is_refused() -> None:
    with pytest.raises(UsageError, match="group"):
        Group(Silent(), prompt="graded")
