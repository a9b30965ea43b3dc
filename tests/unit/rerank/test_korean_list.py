"""Twenty Korean documents through judges and strategies, with the forms that models answer Korean prompts in.

The shape (one question, twenty one-sentence documents, the prompts of the `tutorial-…-ko` presets) follows a Korean
tutorial on rerankers for RAG of 20 July 2025; the sentences are our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from sleuth.llm.chat import ChatRequest, Reply
from sleuth.llm.replay import Scripted
from sleuth.rerank.graded import Graded
from sleuth.rerank.group import Group
from sleuth.rerank.groups import Groups
from sleuth.rerank.heap import Heap
from sleuth.rerank.listwise import Listwise
from sleuth.rerank.pairwise import Pairwise
from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.setwise import Setwise
from sleuth.rerank.window import SlidingWindow
from sleuth.rerank.yes_no import YesNoJudge
from sleuth.types import Doc, Query, Ranking, Run

QUERY = Query("q1", "긴 글을 통째로 넣는 대신 검색을 쓰면 어떤 점이 좋은가요?")
DOCS = {
    str(n): Doc(str(n), f"[{n}] 검색은 질문과 관련된 문단만 골라 모델의 입력을 {n}만큼 줄인다.") for n in range(1, 21)
}
RUN = Run({"q1": Ranking(tuple(DOCS), tuple(float(-n) for n in range(20)), scale="cosine")})
BEST = [7, 3, 20, 1, 2, *(n for n in range(4, 20) if n != 7)]
"""The order that the script holds to be right; numbers of documents, best first."""


def reranked(strategy: Any) -> Any:
    return strategy.rerank([QUERY], RUN, DOCS)


def order(result: Any) -> list[int]:
    return [int(doc_id) for doc_id in result.run["q1"].doc_ids]


def places(request: ChatRequest) -> list[int]:
    """1-based numbers of the passages shown, best first."""
    shown = [int(doc_id) for doc_id in request.tags.doc_ids]
    return sorted(range(1, len(shown) + 1), key=lambda place: BEST.index(shown[place - 1]))


FORMS: dict[str, Callable[[list[int]], str]] = {
    "brackets": lambda found: " > ".join(f"[{n}]" for n in found),
    "with a heading": lambda found: "최종 순위: " + " > ".join(f"[{n}]" for n in found),
    "fullwidth": lambda found: " ＞ ".join(f"［{n}］" for n in found),
    "named": lambda found: " > ".join(f"[문서 {n}]" for n in found),
    "numbered lines": lambda found: "\n".join(f"{at}위: [{n}]" for at, n in enumerate(found, 1)),
    "bare": lambda found: " > ".join(f"{n}번" for n in found),
    "after a thought": lambda found: (
        "<think>[1]은 주제만 같다. [2]도 그렇다.</think>\n" + " > ".join(f"[{n}]" for n in found)
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("prompt", ["rankgpt", "tutorial-ko"])
def test_a_list_in_any_korean_form_gives_the_order(form: Callable[[list[int]], str], prompt: str) -> None:
    result = reranked(SlidingWindow(Listwise(Scripted(lambda r: form(places(r))), prompt=prompt), window=20))
    assert order(result) == BEST
    assert result.run["q1"].scores[0] == 20 and result.run["q1"].scale == "rank"
    assert result.counts["ok"] == 1


def test_the_number_in_front_of_a_document_is_no_passage_number() -> None:
    """The tutorial's documents begin with `[n] `; shown at another place that number would be another document's."""
    asked: list[str] = []

    def answer(request: ChatRequest) -> str:
        asked.append(request.messages[-1].content)
        return FORMS["brackets"](places(request))

    reranked(SlidingWindow(Listwise(Scripted(answer)), window=10, stride=5))
    assert "[1] (11) 검색은" in asked[0]


def test_the_answer_that_copies_its_example_is_counted() -> None:
    copied = " > ".join(f"[{n}]" for n in (20, *range(1, 20)))
    result = reranked(SlidingWindow(Listwise(Scripted(lambda _: copied), prompt="tutorial-ko"), window=20))
    assert result.counts["near_identity"] == 1


def probability(request: ChatRequest) -> Reply:
    yes = 0.99 - BEST.index(int(request.tags.doc_ids[0])) / 25
    return Reply("", labels={"Yes": math.log(yes), "No": math.log(1 - yes)})


@pytest.mark.parametrize("prompt", ["yes-no-ko", "tutorial-yes-no-ko"])
def test_yes_or_no_gives_probabilities(prompt: str) -> None:
    result = reranked(ScoreAndSort(YesNoJudge(Scripted(probability), prompt=prompt)))
    assert order(result) == BEST
    assert result.run["q1"].scale == "probability"
    assert result.run["q1"].scores[0] == pytest.approx(0.99)


def test_points_out_of_a_hundred() -> None:
    def answer(request: ChatRequest) -> str:
        return f"점수: {100 - BEST.index(int(request.tags.doc_ids[0]))}/100"

    result = reranked(ScoreAndSort(Graded(Scripted(answer), prompt="graded-100-ko")))
    assert (order(result)[:3], result.run["q1"].scale) == (BEST[:3], "grade")


def test_an_unreadable_answer_about_one_document_moves_no_other() -> None:
    def answer(request: ChatRequest) -> str:
        (doc_id,) = request.tags.doc_ids
        return "잘 모르겠습니다." if doc_id == "5" else f"점수: {100 - BEST.index(int(doc_id))}"

    result = reranked(ScoreAndSort(Graded(Scripted(answer), prompt="graded-100-ko")))
    assert [n for n in order(result) if n != 5] == [n for n in BEST if n != 5]
    assert order(result)[4] == 5
    assert result.counts["fallback"] == 1 and result.counts["asked_again"] == 1


def test_groups_of_shuffled_documents() -> None:
    def answer(request: ChatRequest) -> str:
        ranks = {place: BEST.index(int(doc_id)) for place, doc_id in enumerate(request.tags.doc_ids, 1)}
        return str({str(place): 10 - rank / 2 for place, rank in ranks.items()}).replace("'", '"')

    assert order(reranked(Groups(Group(Scripted(answer)), size=10))) == BEST


@pytest.mark.parametrize("judge", [Setwise, Pairwise])
@pytest.mark.parametrize("by", ["text", "logprob"])
def test_choices_make_the_best_few(judge: Any, by: str) -> None:
    def answer(request: ChatRequest) -> Reply:
        best = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[places(request)[0] - 1]
        return Reply(f"{best}", labels={label: -0.1 if label == best else -5.0 for label in request.labels})

    result = reranked(Heap(judge(Scripted(answer), by=by), k=5))
    assert order(result)[:5] == BEST[:5]
