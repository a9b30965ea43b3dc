"""What a plan says against what a scripted run sends, on real pools of passages."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import sleuth
from sleuth.context import Context
from sleuth.llm.chat import ChatRequest, Reply, Usage
from sleuth.llm.estimate import request_tokens
from sleuth.rerank.strategy import Strategy
from sleuth.types import Doc, Qrels, Query, Ranking, Run

World = tuple[list[Query], Run, dict[str, Doc]]


@pytest.fixture(scope="module", params=["noveleval", "wikiqa_rerank"])
def world(request: pytest.FixtureRequest, shared_data: Path) -> World:
    """Each query with its own labelled candidates, in file order."""
    folder = shared_data / request.param
    docs = {doc.doc_id: doc for doc in sleuth.read_corpus(folder)}
    split = "test" if request.param == "noveleval" else "dev"
    qrels: Qrels = sleuth.read_qrels(folder / "qrels" / f"{split}.tsv")
    queries = [query for query in sleuth.read_queries(folder) if query.query_id in qrels]
    lists = {
        query_id: Ranking(list(judged), [float(-at) for at in range(len(judged))]) for query_id, judged in qrels.items()
    }
    return queries, Run(lists), docs


def confirm(request: ChatRequest) -> str:
    """A permutation, or a choice, that keeps the order as shown."""
    if "most relevant" in request.messages[-1].content and ">" not in request.messages[-1].content[-200:]:
        return "[1]"
    return " > ".join(f"[{at + 1}]" for at in range(len(request.tags.doc_ids)))


def shuffle(request: ChatRequest) -> str:
    places = list(range(1, len(request.tags.doc_ids) + 1))
    random.Random(request.digest()).shuffle(places)
    return " > ".join(f"[{at}]" for at in places)


class Counting:
    """A scripted backend that adds up what it is sent."""

    def __init__(self, answer: Callable[[ChatRequest], str]) -> None:
        self.calls = self.tokens = 0

        def counted(request: ChatRequest) -> Reply:
            self.calls += 1
            tokens = request_tokens(request)
            self.tokens += tokens
            return Reply(answer(request), finish_reason="stop", usage=Usage(tokens, 10))

        self.backend = sleuth.Scripted(counted)


def strategies() -> dict[str, Callable[[sleuth.Scripted], Strategy]]:
    return {
        "window 5/2": lambda llm: sleuth.SlidingWindow(sleuth.Listwise(llm), window=5, stride=2),
        "funnel": lambda llm: sleuth.Funnel(sleuth.Listwise(llm), rounds=["20", "10x2"], window=5),
        "partition": lambda llm: sleuth.Partition(sleuth.Listwise(llm), window=5),
        "heap": lambda llm: sleuth.Heap(sleuth.Setwise(llm), k=5, size=4),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", strategies())
def test_calls_and_depth_are_as_planned_when_the_order_is_confirmed(name: str, world: World) -> None:
    queries, run, docs = world
    sent = Counting(confirm)
    stage = strategies()[name](sent.backend)
    plan = stage.plan(queries, run, docs)
    assert sent.calls == 0
    context = Context()
    result = stage.rerank(queries, run, docs, context=context)
    assert sent.calls == plan.calls_expected == context.ledger.table()["rerank-1"]["calls"]
    assert result.counts["serial_depth"] == plan.serial_depth
    assert sent.tokens == plan.tokens_in
    assert plan.queries == len(queries) and plan.calls_min <= plan.calls_expected <= plan.calls_max


@pytest.mark.slow
@pytest.mark.parametrize("name", ["window 5/2", "funnel", "partition", "heap"])
def test_a_judge_that_shuffles_stays_within_the_plan(name: str, world: World) -> None:
    queries, run, docs = world
    sent = Counting(lambda request: re.split(" > ", shuffle(request))[0] if name == "heap" else shuffle(request))
    stage = strategies()[name](sent.backend)
    plan = stage.plan(queries, run, docs)
    result = stage.rerank(queries, run, docs)
    assert plan.calls_min <= sent.calls <= plan.calls_max
    if plan.exact:
        assert sent.calls == plan.calls_expected and result.counts["serial_depth"] == plan.serial_depth
        assert sent.tokens == pytest.approx(plan.tokens_in, rel=0.02)


def test_a_hundred_candidates_of_103_queries_take_927_calls() -> None:
    docs = {f"d{at}": Doc(f"d{at}", "a passage of some words") for at in range(100)}
    ranking = Ranking(list(docs), [float(-at) for at in range(100)])
    queries = [Query(f"q{at}", "a question") for at in range(103)]
    run = Run({query.query_id: ranking for query in queries})
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(confirm), prompt="reasonrank"))
    plan = stage.plan(queries, run, docs)
    assert (plan.calls_expected, plan.serial_depth, plan.exact) == (927, 9, True)
