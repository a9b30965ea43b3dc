"""The judges that choose: the best of a set, the better of two."""

from __future__ import annotations

import math
from typing import Any

import pytest
from judge_fakes import TEXT_ONLY, Silent, asked_twice, case_of, first, labelled, of_size, text, verdict_of

from sleuth.errors import BadReply, CapabilityMissing, UsageError
from sleuth.llm.chat import Capabilities
from sleuth.rerank.pairwise import Pairwise
from sleuth.rerank.parts import Again, ChatJudge
from sleuth.rerank.setwise import Setwise

PAIR = case_of("the moon pulls", "the sky is blue")

# ── setwise ───────────────────────────────────────────────────────────────────────────────────────


def test_setwise_is_a_chat_judge_of_choices() -> None:
    judge = Setwise(Silent())
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.max_docs, judge.min_docs) == ("setwise/setwise", "choice", 26, 2)


@pytest.mark.parametrize("answer", ["B", "[B]", "Passage B", "<think>A?</think>B"])
def test_the_written_choice_is_the_best_and_nothing_is_said_of_the_others(answer: str) -> None:
    found = verdict_of(Setwise(Silent()), of_size(3), text(answer))
    assert (found.order, found.ties, found.scores) == ((1,), (), None)


@pytest.mark.parametrize("bad", ["", "None of them", "Z", "Error code: 429 - rate limit", "<think>B"])
def test_no_choice_is_asked_about_again_and_then_none(bad: str) -> None:
    """Peers take the first document where they can't read an answer."""
    _, found = asked_twice(Setwise(Silent()), of_size(3), [text(bad)], [text(bad)])
    assert not found.usable and found.counts["fallback"] == 1


def test_the_likeliest_letter_is_the_choice() -> None:
    judge = Setwise(Silent(), by="logprob")
    assert judge.requests(of_size(3))[0].labels == ("A", "B", "C")
    found = verdict_of(judge, of_size(3), labelled({"A": -3.0, "C": -0.2}, floor=-7.0))
    assert (found.order, found.counts["label_missing"]) == ((2,), 1)
    assert judge.output_tokens(of_size(3)) == 1


def test_equally_likely_letters_are_a_tie() -> None:
    found = verdict_of(Setwise(Silent(), by="logprob"), of_size(3), labelled({"A": -1.0, "B": -1.0, "C": -2.0}))
    assert (found.order, found.ties) == ((), ((0, 1),))


@pytest.mark.parametrize("labels", [{}, {"A": math.nan}])
def test_no_letter_is_no_choice(labels: dict[str, float]) -> None:
    _, found = asked_twice(Setwise(Silent(), by="logprob"), of_size(3), [labelled(labels)], [labelled(labels)])
    assert not found.usable


def test_one_document_is_no_set() -> None:
    with pytest.raises(UsageError, match="setwise"):
        Setwise(Silent()).requests(of_size(1))


# ── pairwise ──────────────────────────────────────────────────────────────────────────────────────


def test_pairwise_asks_in_both_orders() -> None:
    judge = Pairwise(Silent())
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.max_docs, judge.min_docs) == ("pairwise/pairwise", "choice", 2, 2)
    one, other = judge.requests(PAIR)
    assert (one.tags.doc_ids, other.tags.doc_ids) == (("d0", "d1"), ("d1", "d0"))
    assert "[A]: the moon pulls" in one.messages[-1].content
    assert "[A]: the sky is blue" in other.messages[-1].content
    assert judge.output_tokens(PAIR) == 2 * 2


@pytest.mark.parametrize(
    ("answers", "order", "ties"),
    [(("A", "B"), (0,), ()), (("B", "A"), (1,), ()), (("A", "A"), (), ((0, 1),)), (("B", "B"), (), ((0, 1),))],
)
def test_who_wins_in_both_orders_wins_and_a_place_wins_nothing(
    answers: tuple[str, str], order: tuple[int, ...], ties: tuple[tuple[int, ...], ...]
) -> None:
    found = verdict_of(Pairwise(Silent()), PAIR, *map(text, answers))
    assert (found.order, found.ties, found.counts) == (order, ties, {"ok": 2})


def test_a_bad_answer_is_asked_again_and_the_good_one_stands() -> None:
    again, found = asked_twice(Pairwise(Silent()), PAIR, [text("A"), text("hm")], [text("A"), text("B")])
    assert [request.ask for request in again.requests] == [0, 1]
    assert again.counts == {"invalid": 1, "asked_again": 1}
    assert (found.order, found.counts) == ((0,), {"ok": 2, "retried": 1})


@pytest.mark.parametrize("answers", [("A", ""), ("", "B"), ("", "")])
def test_one_order_alone_decides_nothing(answers: tuple[str, str]) -> None:
    replies = [text(answer) for answer in answers]
    _, found = asked_twice(Pairwise(Silent()), PAIR, replies, replies)
    assert not found.usable
    assert found.counts["invalid"] == answers.count("")


def test_probabilities_are_averaged_over_both_orders() -> None:
    judge = Pairwise(Silent(), by="logprob")
    first_shown = labelled({"A": math.log(0.9), "B": math.log(0.1)})
    turned = labelled({"A": math.log(0.7), "B": math.log(0.3)})
    found = verdict_of(judge, PAIR, first_shown, turned)
    assert (found.order, found.note["first_wins"]) == ((0,), pytest.approx(0.6))


def test_a_pure_liking_for_the_first_place_is_a_tie() -> None:
    same = labelled({"A": -0.1, "B": -2.4})
    found = verdict_of(Pairwise(Silent(), by="logprob"), PAIR, same, same)
    assert (found.order, found.ties) == ((), ((0, 1),))


def test_a_missing_order_of_probabilities_decides_nothing() -> None:
    replies = [labelled({"A": -0.1}), labelled({})]
    _, found = asked_twice(Pairwise(Silent(), by="logprob"), PAIR, replies, replies)
    assert not found.usable


def test_raise_is_about_the_bad_one() -> None:
    with pytest.raises(BadReply, match="neither"):
        first(Pairwise(Silent(), on_bad_reply="raise"), PAIR, text("A"), text("neither"))


def test_two_documents_are_a_pair() -> None:
    for n in (1, 3):
        with pytest.raises(UsageError, match=f"two documents, got {n}"):
            Pairwise(Silent()).requests(of_size(n))


# ── both ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("judge", [Setwise, Pairwise])
@pytest.mark.parametrize(
    ("capabilities", "options", "error", "says"),
    [
        (TEXT_ONLY, {"by": "logprob"}, CapabilityMissing, "label_logprobs=2"),
        (Capabilities(label_logprobs=20), {"by": "vote"}, UsageError, "vote"),
        (TEXT_ONLY, {"prompt": "rankgpt"}, UsageError, "setwise"),
    ],
)
def test_what_makes_no_sense_is_refused(
    judge: Any, capabilities: Capabilities, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        judge(Silent(capabilities), **options)


def test_retries_of_choices_force_thoughts_too() -> None:
    cut = text("<think>A is. B", finish_reason="length")
    again = first(Pairwise(Silent()), PAIR, cut, text("B"))
    assert isinstance(again, Again)
    assert [request.prefill for request in again.requests] == ["<think>A is.\n</think>\n\n", ""]
    assert again.counts["forced"] == 1
