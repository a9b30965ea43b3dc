"""A request that is longer than the model reads: an error, or one cut for all passages."""

from __future__ import annotations

import pytest

import sleuth
from sleuth.errors import ContextTooLong, UsageError
from sleuth.llm.chat import ChatRequest
from sleuth.types import Doc, Query, Ranking, Run

DOCS = {"long": Doc("long", "x" * 4_000), "short": Doc("short", "y" * 150)}
RUN = Run({"q": Ranking(["long", "short"], [2.0, 1.0])})


def model_of(characters: int, seen: list[int]) -> sleuth.Scripted:
    """A model that reads so many characters."""

    def answer(request: ChatRequest) -> str:
        length = sum(len(message.content) for message in request.messages)
        seen.append(length)
        if length > characters:
            raise ContextTooLong(f"{length} characters, at most {characters}")
        return "[2] > [1]"

    return sleuth.Scripted(answer)


def test_it_is_an_error_unless_cutting_is_asked_for() -> None:
    with pytest.raises(ContextTooLong):
        sleuth.SlidingWindow(sleuth.Listwise(model_of(2_500, []))).rerank([Query("q", "?")], RUN, DOCS)


def test_all_passages_are_cut_to_one_length_until_it_fits() -> None:
    seen: list[int] = []
    judge = sleuth.Listwise(model_of(2_500, seen), on_too_long="cut")
    result = sleuth.SlidingWindow(judge).rerank([Query("q", "?")], RUN, DOCS)
    assert result.run["q"].doc_ids == ("short", "long")
    assert result.counts["cut"] == 2 and len(seen) == 3
    assert result.truncations == {"truncated": 1}
    assert seen[0] - seen[1] == 2_000 and seen[1] - seen[2] == 1_000  # 4,000, 2,000, 1,000; the short one stays whole


def test_a_query_that_does_not_fit_is_an_error_all_the_same() -> None:
    judge = sleuth.Listwise(model_of(100, []), on_too_long="cut")
    with pytest.raises(ContextTooLong):
        sleuth.SlidingWindow(judge).rerank([Query("q", "?" * 200)], RUN, DOCS)


@pytest.mark.parametrize(
    "judge", [sleuth.Listwise, sleuth.YesNoJudge, sleuth.Graded, sleuth.Group, sleuth.Setwise, sleuth.Pairwise]
)
def test_every_chat_judge_takes_the_policy(judge: type) -> None:
    backend = model_of(100, [])
    assert judge(backend, on_too_long="cut").on_too_long == "cut"
    with pytest.raises(UsageError, match="on_too_long"):
        judge(backend, on_too_long="perhaps")
