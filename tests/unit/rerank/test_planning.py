"""A plan says what a run sends, before anything is sent."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.llm.chat import Price
from sleuth.types import Doc, Query, Ranking, Run


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("rerank_fakes_planning", Path(__file__).with_name("fakes.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fakes = _load()


def world(n_queries: int, n_docs: int) -> tuple[list[Query], Run, dict[str, Doc]]:
    docs = {f"d{i}": Doc(f"d{i}", f"text of document {i}") for i in range(n_docs)}
    ranking = Ranking(list(docs), np.linspace(2, 1, n_docs), scale="bm25")
    queries = [Query(f"q{i}", "a question") for i in range(n_queries)]
    return queries, Run({query.query_id: ranking for query in queries}), docs


@pytest.mark.parametrize(("n_docs", "rounds"), [(7, 1), (7, 3), (3, 1), (0, 1)])
def test_a_plan_equals_what_the_run_sends(n_docs: int, rounds: int) -> None:
    queries, run, docs = world(4, n_docs)
    backend = fakes.FakeBackend(lambda request: " ".join(map(str, range(len(request.tags.doc_ids)))))
    stage = fakes.Windows(fakes.FakeJudge(backend), rounds=rounds)
    plan = stage.plan(queries, run, docs)
    assert backend.asked == []
    result = stage.rerank(queries, run, docs)
    assert plan.calls_expected == plan.calls_min == plan.calls_max == len(backend.asked)
    assert plan.exact and plan.serial_depth == result.counts["serial_depth"]
    assert plan.passages == sum(len(request.tags.doc_ids) for request in backend.asked)
    assert plan.tokens_out == 5 * plan.passages and plan.queries == (4 if n_docs else 0)


def test_a_price_gives_money_and_none_gives_none() -> None:
    queries, run, docs = world(1, 3)
    backend = fakes.FakeBackend(lambda _: "0 1 2")
    stage = fakes.Windows(fakes.FakeJudge(backend))
    assert stage.plan(queries, run, docs).money is None
    backend.price = Price(input=1e6, output=2e6)
    plan = stage.plan(queries, run, docs)
    assert plan.money == plan.tokens_in + 2 * plan.tokens_out and plan.tokens_in > 0 and plan.estimated


def test_a_judge_in_process_is_planned_without_tokens() -> None:
    queries, run, docs = world(2, 5)
    plan = fakes.Scores(fakes.FakeScorer()).plan(queries, run, docs)
    assert (plan.calls_expected, plan.serial_depth, plan.tokens_in, plan.tokens_out) == (10, 1, 0, 0)
