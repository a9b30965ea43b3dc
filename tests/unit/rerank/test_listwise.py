"""The listwise judge: what it asks, what it makes of every kind of answer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from judge_fakes import ALL, TEXT_ONLY, Silent, asked_twice, case_of, first, labelled, of_size, text, verdict_of

from sleuth.errors import BadReply, CapabilityMissing, UsageError
from sleuth.llm.chat import Capabilities
from sleuth.rerank.listwise import Listwise
from sleuth.rerank.parts import Again, ChatJudge, Verdict


def listwise(**options: Any) -> Listwise:
    return Listwise(Silent(), **options)


# ── asking ────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_chat_judge_of_orders() -> None:
    judge = listwise()
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.scale, judge.max_docs) == ("listwise/rankgpt", "order", "rank", None)


def test_one_request_shows_query_and_documents_in_the_order_given_and_says_what_it_is_for() -> None:
    (request,) = listwise().requests(case_of("the moon pulls", "하늘은 파랗다", query="tides?"))
    user = request.messages[-1].content
    assert user.index("[1] the moon pulls") < user.index("[2] 하늘은 파랗다")
    assert "tides?" in user
    assert (request.tags.stage, request.tags.query_id, request.tags.doc_ids) == ("rerank-1", "q1", ("d0", "d1"))
    assert (request.ask, request.sample, request.labels, request.prefill) == (0, 0, (), "")


def test_decoding_is_the_presets_and_part_of_the_request() -> None:
    (request,) = listwise(prompt="reasonrank").requests(of_size(3))
    assert (request.decoding.max_tokens, request.decoding.temperature) == (3172, 0.0)


def test_samples_of_one_list_are_requests_of_their_own() -> None:
    judge = listwise()
    one, two = (judge.requests(case_of("a", "b", sample=sample))[0] for sample in (0, 1))
    assert one.messages == two.messages
    assert one.digest() != two.digest()


def test_text_of_documents_and_queries_opens_no_slot_and_is_no_passage_number() -> None:
    (request,) = listwise().requests(case_of("{query} [2] {nonsense}", query="{passages} [1]"))
    user = request.messages[-1].content
    assert "{query} (2) {nonsense}" in user and "{passages} (1)" in user


def test_asking_twice_asks_the_same() -> None:
    judge, case = listwise(), of_size(4)
    assert judge.requests(case) == judge.requests(case)


def test_output_tokens_follow_the_template() -> None:
    assert listwise().output_tokens(of_size(20)) == 108
    assert listwise(prompt="reasonrank").output_tokens(of_size(20)) > 700


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_read() -> None:
    found = verdict_of(listwise(), of_size(3), text("[2] > [3] > [1]"))
    assert (found.order, found.ties, found.named, found.scores) == ((1, 2, 0), (), 3, None)
    assert found.counts == {"ok": 1}
    assert found.note["outcome"] == "ok"


def test_ties_are_kept() -> None:
    assert verdict_of(listwise(), of_size(3), text("[3] = [1] > [2]")).ties == ((0, 2),)


def test_missing_and_repeated_documents_are_repairs_that_are_counted() -> None:
    found = verdict_of(listwise(), of_size(4), text("[3] > [3] > [1]"))
    assert (found.order, found.named) == ((2, 0, 1, 3), 2)
    assert found.counts == {"repaired": 1, "repair/duplicate_ids": 1, "repair/missing_ids": 1}


def test_answers_that_return_the_given_order_are_counted() -> None:
    assert verdict_of(listwise(), of_size(3), text("[1] > [2] > [3]")).counts == {"ok": 1, "identity": 1}


def test_thoughts_go_into_the_note_and_not_into_the_order() -> None:
    found = verdict_of(
        listwise(prompt="reasonrank"), of_size(3), text("<think>[1] no</think><answer>[3] > [2] > [1]</answer>")
    )
    assert found.order == (2, 1, 0)
    assert found.note["reasoning"] == "[1] no"
    apart = verdict_of(listwise(), of_size(2), text("[2] > [1]", reasoning="because " * 200))
    assert len(apart.note["reasoning"]) == 500


def test_the_note_names_the_caches_key() -> None:
    judge, case = listwise(), of_size(2)
    (request,) = judge.requests(case)
    assert verdict_of(judge, case, text("[2] > [1]")).note["keys"] == [request.digest("silent")]


# ── bad replies ───────────────────────────────────────────────────────────────────────────────────

BAD = {
    "empty": text(""),
    "chatter": text("I cannot rank these."),
    "error text": text("Error code: 429 - rate limit 3 per 1 min"),
    "cut": text("[3] > [2", finish_reason="length"),
    "cut in its thought": text("<think>[3] looks good, then", finish_reason="length"),
    "prose": text("[2] is off topic and [1] is weak, so [3] wins."),
    "only a thought apart": text("", finish_reason="length", reasoning="[2] then [1]"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_reply_is_asked_about_once_more(bad: Any) -> None:
    again, found = asked_twice(listwise(), of_size(3), [bad], [text("[2] > [3] > [1]")])
    assert again.requests[0].ask == 1
    assert again.counts["asked_again"] == 1
    assert found.order == (1, 2, 0)
    assert found.counts == {"ok": 1, "retried": 1}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_errors_never_become_rankings(bad: Any) -> None:
    """Whatever is not an answer keeps the prior order and says so; peers parse the digits of an error message."""
    _, found = asked_twice(listwise(), of_size(5), [bad], [text("Error code: 429 - rate limit 3 per 1 min")])
    assert (found.order, found.usable) == ((0, 1, 2, 3, 4), False)
    assert found.counts == {"invalid": 1, "retried": 1, "fallback": 1}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_prior_keeps_the_order_without_asking(bad: Any) -> None:
    found = verdict_of(listwise(on_bad_reply="prior"), of_size(3), bad)
    assert not found.usable
    assert found.counts["fallback"] == 1 and "retried" not in found.counts


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_raise_names_query_judge_and_answer(bad: Any) -> None:
    with pytest.raises(BadReply, match=r"listwise/rankgpt, query 'q1'"):
        first(listwise(on_bad_reply="raise"), of_size(3), bad)


def test_after_the_retry_an_unfinished_answer_counts_as_far_as_it_goes() -> None:
    cut = text("[3] > [2] > ", finish_reason="length")
    _, found = asked_twice(listwise(), of_size(4), [cut], [cut])
    assert (found.order, found.named, found.usable) == ((2, 1, 0, 3), 2, True)


def test_after_the_retry_ids_in_prose_count_for_nothing() -> None:
    prose = BAD["prose"]
    _, found = asked_twice(listwise(), of_size(3), [prose], [prose])
    assert not found.usable
    assert found.counts["repair/order_of_mention"] == 1


def test_no_answer_is_asked_about_a_third_time() -> None:
    judge, case = listwise(), of_size(3)
    again = first(judge, case, text(""))
    assert isinstance(again, Again)
    assert isinstance(judge.read(case, again.requests, [text("")]), Verdict)


# ── thoughts without an end ───────────────────────────────────────────────────────────────────────


def test_a_thought_that_was_cut_is_closed_for_the_model() -> None:
    cut = text("<think>First I look at [1]. It is weak. Then [2", finish_reason="length")
    judge = listwise(prompt="reasonrank")
    again, found = asked_twice(judge, of_size(3), [cut], [text("<think>…</think> <answer>[3] > [1] > [2]</answer>")])
    assert again.requests[0].prefill == "<think>First I look at [1]. It is weak.</think> <answer>"
    assert (again.requests[0].ask, again.counts) == (1, {"unfinished": 1, "asked_again": 1, "forced": 1})
    assert found.order == (2, 0, 1)


def test_a_thought_delivered_apart_is_closed_too() -> None:
    again = first(listwise(), of_size(3), text("", finish_reason="length", reasoning="Let me see. [1] is"))
    assert isinstance(again, Again)
    assert again.requests[0].prefill == "<think>\nLet me see.\n</think>\n\n"


def test_the_closing_tag_is_the_one_that_was_opened() -> None:
    again = first(listwise(), of_size(3), text("<analysis>Hm", finish_reason="length"))
    assert isinstance(again, Again)
    assert again.requests[0].prefill == "<analysis>Hm\n</analysis>\n\n"


def test_without_prefill_the_question_is_only_repeated() -> None:
    judge = Listwise(Silent(TEXT_ONLY), prompt="reasonrank")
    again = first(judge, of_size(3), text("<think>Hm", finish_reason="length"))
    assert isinstance(again, Again)
    assert again.requests[0].prefill == "" and "forced" not in again.counts


def test_a_cut_thought_whose_opening_tag_the_prompt_swallowed_is_no_answer() -> None:
    """`2019, step 3` and `[7]` of a draft become ids in peers' parsers."""
    cut = text("In 2019, step 3 of 10: passages [3] > [2] are poor", finish_reason="length")
    judge = listwise(prompt="reasonrank", on_bad_reply="prior")
    assert not verdict_of(judge, of_size(3), cut).usable


# ── the order of first tokens ─────────────────────────────────────────────────────────────────────


def test_first_tokens_order_by_probability_in_one_token() -> None:
    judge, case = listwise(prompt="letters", by="first-token"), of_size(3)
    (request,) = judge.requests(case)
    assert (request.labels, request.prefill, request.decoding.max_tokens) == (("A", "B", "C"), "[", 1)
    found = verdict_of(judge, case, labelled({"A": -2.0, "B": -0.5, "C": -1.0}))
    assert (found.order, found.named) == ((1, 2, 0), 3)
    assert judge.output_tokens(case) == 1


def test_equal_first_tokens_tie_and_absent_ones_keep_their_prior_place() -> None:
    found = verdict_of(
        listwise(prompt="letters", by="first-token"), of_size(4), labelled({"D": -1.0, "B": -1.0}, floor=-9.0)
    )
    assert (found.order, found.ties, found.named) == ((1, 3, 0, 2), ((1, 3),), 2)
    assert found.counts == {"ok": 1, "label_missing": 2}


def test_no_letter_among_the_first_tokens_is_a_bad_reply() -> None:
    judge = listwise(prompt="letters", by="first-token")
    again, found = asked_twice(judge, of_size(2), [labelled({})], [labelled({"A": math.nan})])
    assert again.requests[0].prefill == "["
    assert not found.usable


def test_first_tokens_never_show_more_than_the_server_returns() -> None:
    judge = Listwise(Silent(Capabilities(prefill=True, label_logprobs=5)), prompt="letters", by="first-token")
    assert judge.max_docs == 5
    with pytest.raises(UsageError, match="at most 5"):
        judge.requests(of_size(6))


@pytest.mark.parametrize(
    ("capabilities", "options", "error", "says"),
    [
        (TEXT_ONLY, {"prompt": "letters", "by": "first-token"}, CapabilityMissing, "label_logprobs=2"),
        (Capabilities(label_logprobs=20), {"prompt": "letters", "by": "first-token"}, CapabilityMissing, "prefill"),
        (ALL, {"by": "first-token"}, UsageError, "letters"),
        (ALL, {"by": "magic"}, UsageError, "magic"),
        (ALL, {"prompt": "yes-no"}, UsageError, "rankgpt"),
        (ALL, {"prompt": "rankgbt"}, UsageError, "Did you mean 'rankgpt'"),
        (ALL, {"on_bad_reply": "ignore"}, UsageError, "ignore"),
        (ALL, {"max_passage_tokens": 100}, UsageError, "tokenizer"),
        (ALL, {"prompt": "reasonrank", "instruction": "be kind"}, UsageError, "no place for an instruction"),
    ],
)
def test_what_makes_no_sense_is_refused_at_construction(
    capabilities: Capabilities, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Listwise(Silent(capabilities), **options)


def test_more_letters_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="26"):
        listwise(prompt="letters").requests(of_size(27))


def test_a_backend_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="got str"):
        Listwise("gpt-4o")  # type: ignore[arg-type]


def test_identical_texts_stay_two_documents() -> None:
    case = case_of("same text", "same text", "other")
    (request,) = listwise().requests(case)
    assert request.messages[-1].content.count("same text") == 2
    assert verdict_of(listwise(), case, text("[2] > [3] > [1]")).order == (1, 2, 0)


def test_scores_are_not_old_scores_by_position() -> None:
    """A list has an order and no scores: who wants numbers gives n - rank, never the first stage's by place."""
    assert verdict_of(listwise(), of_size(3), text("[3] > [1] > [2]")).scores is None
