"""The yes/no judge: probabilities from log-probabilities, what stays away, written answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from judge_fakes import TEXT_ONLY, Silent, asked_twice, case_of, first, labelled, of_size, text, verdict_of

from sleuth.errors import BadReply, CapabilityMissing, UsageError
from sleuth.llm.chat import Capabilities
from sleuth.rerank.parts import Again, ChatJudge
from sleuth.rerank.yes_no import YesNoJudge

ONE = case_of("the moon pulls")


def scored(judge: YesNoJudge, labels: dict[str, float], floor: float | None = None) -> float:
    found = verdict_of(judge, ONE, labelled(labels, floor))
    assert found.scores is not None and found.usable
    return found.scores[0]


def test_it_is_a_pointwise_chat_judge() -> None:
    judge = YesNoJudge(Silent())
    assert isinstance(judge, ChatJudge)
    assert (judge.name, judge.kind, judge.scale, judge.max_docs) == ("yes-no/yes-no", "scores", "probability", 1)


def test_one_token_and_its_labels_are_asked_for() -> None:
    judge = YesNoJudge(Silent())
    (request,) = judge.requests(ONE)
    assert request.decoding.max_tokens == 1
    assert {"Yes", "No", " yes"} <= set(request.labels)
    assert judge.output_tokens(ONE) == 1


def test_by_is_logprob_where_the_backend_can_else_text() -> None:
    assert YesNoJudge(Silent()).by == "logprob"
    assert YesNoJudge(Silent(TEXT_ONLY)).by == "text"
    assert YesNoJudge(Silent(), prompt="rank1").by == "text"


# ── probabilities ─────────────────────────────────────────────────────────────────────────────────


def test_the_score_is_the_share_of_yes() -> None:
    judge = YesNoJudge(Silent(), prompt="qwen3-reranker")
    assert scored(judge, {"yes": math.log(0.3), "no": math.log(0.1)}) == pytest.approx(0.75, abs=1e-12)


def test_spellings_are_summed_for_our_preset() -> None:
    labels = {"Yes": math.log(0.2), " yes": math.log(0.1), "No": math.log(0.1)}
    assert scored(YesNoJudge(Silent()), labels) == pytest.approx(0.75, abs=1e-12)


def test_a_checkpoints_preset_takes_exactly_its_two_tokens() -> None:
    judge = YesNoJudge(Silent(), prompt="qwen3-reranker")
    assert judge.requests(ONE)[0].labels == ("yes", "no")
    assert scored(judge, {"yes": -1.0, "no": -1.0, "Yes": -0.1}) == 0.5


def test_an_unsure_no_and_an_unsure_yes_stand_next_to_each_other() -> None:
    """The sign of the written word times its probability would put .55 and -.55 far apart."""
    judge = YesNoJudge(Silent())
    doubtful_no = scored(judge, {"Yes": math.log(0.45), "No": math.log(0.55)})
    doubtful_yes = scored(judge, {"Yes": math.log(0.55), "No": math.log(0.45)})
    assert doubtful_yes - doubtful_no == pytest.approx(0.1)


def test_scores_near_one_do_not_collapse_into_ties() -> None:
    """In 16 bits all of these are 1."""
    judge = YesNoJudge(Silent())
    scores = [scored(judge, {"Yes": -math.exp(no), "No": no}) for no in (-12.0, -13.0, -14.0, -20.0, -30.0)]
    assert scores == sorted(scores) and len(set(scores)) == 5


def test_very_unlikely_labels_still_have_a_share() -> None:
    assert scored(YesNoJudge(Silent()), {"Yes": -900.0, "No": -900.0}) == 0.5


def test_a_server_that_wanted_to_say_something_else_is_seen_in_the_note() -> None:
    found = verdict_of(YesNoJudge(Silent()), ONE, labelled({"Yes": math.log(0.001), "No": math.log(0.001)}))
    assert found.note["mass"] == pytest.approx(0.002)


# ── labels that stay away ─────────────────────────────────────────────────────────────────────────


def test_an_absent_label_is_bounded_counts_as_nothing_and_is_counted() -> None:
    found = verdict_of(YesNoJudge(Silent()), ONE, labelled({"Yes": -0.01}, floor=-8.0))
    assert found.scores == (1.0,)
    assert found.counts == {"ok": 1, "label_missing": 1}
    assert found.note["label_missing"] == ["no"]
    assert found.note["label_at_most"] == pytest.approx(math.exp(-8.0))


@pytest.mark.parametrize("labels", [{}, {"Sure": -0.1}, {"Yes": math.nan}, {"Yes": -math.inf, "No": -math.inf}])
def test_without_any_label_there_is_no_score_neither_zero_nor_a_half(labels: dict[str, float]) -> None:
    again, found = asked_twice(YesNoJudge(Silent()), ONE, [labelled(labels)], [labelled(labels)])
    assert (again.requests[0].ask, again.requests[0].prefill) == (1, "")
    assert not found.usable
    assert found.scores is not None and math.isnan(found.scores[0])
    assert found.counts["fallback"] == 1


def test_own_labels_take_the_place_of_the_templates() -> None:
    judge = YesNoJudge(Silent(), labels={"yes": ["예"], "no": ["아니요"]})
    assert judge.requests(ONE)[0].labels == ("예", "아니요")
    assert scored(judge, {"예": math.log(0.6), "아니요": math.log(0.2)}) == pytest.approx(0.75)


# ── written answers ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "score"),
    [("Yes", 1.0), ("no.", 0.0), ("네", 1.0), ("<think>no?</think> Yes", 1.0), ("No, it is off", 0.0)],
)
def test_a_written_yes_or_no_is_one_or_zero(answer: str, score: float) -> None:
    assert verdict_of(YesNoJudge(Silent(), by="text"), ONE, text(answer)).scores == (score,)


def test_own_words_are_read_and_only_they() -> None:
    judge = YesNoJudge(Silent(), by="text", labels={"yes": ["oui"], "no": ["non"]})
    assert verdict_of(judge, ONE, text("Oui.")).scores == (1.0,)
    assert isinstance(first(judge, ONE, text("yes")), Again)


@pytest.mark.parametrize("bad", ["", "Perhaps", "Error code: 500", "Yes and no", "<think>Yes"])
def test_what_is_neither_is_asked_again_and_then_no_score(bad: str) -> None:
    _, found = asked_twice(YesNoJudge(Silent(), by="text"), ONE, [text(bad)], [text(bad)])
    assert found.scores is not None and math.isnan(found.scores[0])
    assert found.counts["retried"] == found.counts["fallback"] == 1


def test_prior_and_raise() -> None:
    assert not verdict_of(YesNoJudge(Silent(), by="text", on_bad_reply="prior"), ONE, text("Perhaps")).usable
    with pytest.raises(BadReply, match="Perhaps"):
        first(YesNoJudge(Silent(), by="text", on_bad_reply="raise"), ONE, text("Perhaps"))


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("capabilities", "options", "error", "says"),
    [
        (TEXT_ONLY, {"by": "logprob"}, CapabilityMissing, r"label_logprobs=2.*doctor"),
        (
            Capabilities(raw=True, label_logprobs=20),
            {"prompt": "rank1", "by": "logprob"},
            UsageError,
            "names no labels",
        ),
        (TEXT_ONLY, {"by": "vibes"}, UsageError, "vibes"),
        (TEXT_ONLY, {"prompt": "graded"}, UsageError, "yes-no"),
        (TEXT_ONLY, {"labels": {"yes": ["Yes"]}}, UsageError, "'yes' and 'no'"),
        (TEXT_ONLY, {"labels": {"yes": "Yes", "no": "No"}}, UsageError, "list of texts"),
        (TEXT_ONLY, {"labels": {"yes": [], "no": ["No"]}}, UsageError, "list of texts"),
        (TEXT_ONLY, {"labels": {"yes": ["x"], "no": ["x"]}}, UsageError, "both"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capabilities: Capabilities, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        YesNoJudge(Silent(capabilities), **options)


def test_two_documents_at_a_time_are_refused() -> None:
    with pytest.raises(UsageError, match="yes-no"):
        YesNoJudge(Silent()).requests(of_size(2))
