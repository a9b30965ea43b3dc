"""The graded judge: written grades, expected grades, scales."""

from __future__ import annotations

import math
from typing import Any

import pytest
from judge_fakes import TEXT_ONLY, Silent, asked_twice, case_of, labelled, text, verdict_of

from sleuth.errors import CapabilityMissing, UsageError
from sleuth.llm.chat import Capabilities
from sleuth.rerank.graded import Graded
from sleuth.rerank.parts import ChatJudge

ONE = case_of("the moon pulls")


def test_it_is_a_pointwise_chat_judge_with_a_range() -> None:
    judge = Graded(Silent())
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.scale, judge.max_docs) == ("graded/graded", "scores", "grade", 1)
    assert judge.score_range == (0, 5)
    assert Graded(Silent(), prompt="graded-100").score_range == (0, 100)


@pytest.mark.parametrize(
    ("prompt", "answer", "score"),
    [
        ("graded", "Relevance score: 4", 4.0),
        ("graded", "Relevance score: 4.5.", 4.5),
        ("graded", "4", 4.0),
        ("graded", "<think>Relevance score: 1</think>Relevance score: 3", 3.0),
        ("graded-100", "Score: 85/100", 85.0),
    ],
)
def test_a_written_grade_stays_as_it_is(prompt: str, answer: str, score: float) -> None:
    assert verdict_of(Graded(Silent(), prompt=prompt), ONE, text(answer)).scores == (score,)


@pytest.mark.parametrize("bad", ["", "Relevance score: 9", "Relevance score: high", "Error: 3 tries", "<think>4"])
def test_a_grade_beyond_the_scale_or_none_is_no_score(bad: str) -> None:
    """Peers clamp, take the digits of an error message, or give 0 and sink the document."""
    again, found = asked_twice(Graded(Silent()), ONE, [text(bad)], [text(bad)])
    assert again.requests[0].ask == 1
    assert not found.usable and found.scores is not None and math.isnan(found.scores[0])


def test_an_unread_grade_shifts_no_other_documents_grade() -> None:
    """A verdict is about its own document: nothing is matched up by its place in a list of replies."""
    judge = Graded(Silent(), on_bad_reply="prior")
    replies = ["Relevance score: 5", "sorry", "Relevance score: 1"]
    scores = [verdict_of(judge, case_of(answer), text(answer)).scores[0] for answer in replies]  # type: ignore[index]
    assert scores[0] == 5 and math.isnan(scores[1]) and scores[2] == 1


# ── expected grades ───────────────────────────────────────────────────────────────────────────────


def expected(labels: dict[str, float]) -> Any:
    return verdict_of(Graded(Silent(), by="expected"), ONE, labelled(labels))


def test_the_expected_grade_weighs_grades_by_probability() -> None:
    found = expected({"5": math.log(0.3), "4": math.log(0.1), "0": math.log(0.1)})
    assert found.scores[0] == pytest.approx((5 * 0.3 + 4 * 0.1) / 0.5, abs=1e-12)
    assert found.counts["label_missing"] == 3
    assert found.note["mass"] == pytest.approx(0.5)


def test_both_spellings_of_a_grade_count() -> None:
    assert expected({"5": math.log(0.2), " 5": math.log(0.2), "1": math.log(0.4)}).scores[0] == pytest.approx(3.0)


def test_the_answer_is_begun_so_that_the_grade_is_the_next_token() -> None:
    (request,) = Graded(Silent(), by="expected").requests(ONE)
    assert request.prefill == "Relevance score: "
    assert request.decoding.max_tokens == 1
    assert set("012345") <= set(request.labels)


def test_no_grade_among_the_labels_is_no_score() -> None:
    _, found = asked_twice(Graded(Silent(), by="expected"), ONE, [labelled({})], [labelled({"x": -1.0})])
    assert not found.usable


@pytest.mark.parametrize(
    ("capabilities", "options", "error", "says"),
    [
        (Capabilities(prefill=True, label_logprobs=5), {"by": "expected"}, CapabilityMissing, "label_logprobs=6"),
        (Capabilities(label_logprobs=20), {"by": "expected"}, CapabilityMissing, "prefill"),
        (TEXT_ONLY, {"by": "expected", "prompt": "graded-100"}, UsageError, "one token each"),
        (TEXT_ONLY, {"by": "mode"}, UsageError, "mode"),
        (TEXT_ONLY, {"prompt": "yes-no"}, UsageError, "graded"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capabilities: Capabilities, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Graded(Silent(capabilities), **options)
