"""The driver and the stage: what is asked, in which order, under which limits, and what comes out."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.context import Budget, Context, Deadline, Trace
from sleuth.errors import LLMError, RequestRefused, TransportError, UsageError
from sleuth.llm.chat import ChatRequest
from sleuth.pipeline import Pipeline
from sleuth.stages import StageResult
from sleuth.types import Doc, Query, Ranking, Run


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("rerank_fakes", Path(__file__).with_name("fakes.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fakes = _load()
FakeBackend, FakeJudge, FakeScorer = fakes.FakeBackend, fakes.FakeJudge, fakes.FakeScorer
Windows, Scores = fakes.Windows, fakes.Scores


def world(n_queries: int = 2, n_docs: int = 7) -> tuple[list[Query], Run, dict[str, Doc]]:
    docs = {f"d{i}": Doc(f"d{i}", str(i)) for i in range(n_docs)}
    queries = [Query(f"q{i}", f"question {i}") for i in range(n_queries)]
    ranking = Ranking([f"d{i}" for i in range(n_docs)], np.linspace(9, 3, n_docs), scale="bm25")
    return queries, Run({query.query_id: ranking for query in queries}), docs


def backwards(request: ChatRequest) -> str:
    return " ".join(map(str, reversed(range(len(request.tags.doc_ids)))))


def test_windows_are_put_in_the_judges_order() -> None:
    queries, run, docs = world()
    backend = FakeBackend(backwards)
    result = Windows(FakeJudge(backend)).rerank(queries, run, docs)
    assert result.run["q0"].doc_ids == ("d2", "d1", "d0", "d5", "d4", "d3", "d6")
    assert result.run["q0"].scores.tolist() == [7, 6, 5, 4, 3, 2, 1]
    assert result.run["q0"].scale == "rank"
    assert result.run["q0"].parts["retrieve"].tolist() == [7, 8, 9, 4, 5, 6, 3]
    assert dict(result.counts) == {"comparisons": 6, "ok": 6, "serial_depth": 1}
    assert result.complete and {request.tags.stage for request in backend.asked} == {"rerank-1"}


def test_the_tail_follows_in_its_old_order_below_the_head() -> None:
    queries, run, docs = world(1)
    result = Windows(FakeJudge(FakeBackend(backwards)), depth=3).rerank(queries, run, docs, depth=5)
    ranking = result.run["q0"]
    assert ranking.doc_ids == ("d2", "d1", "d0", "d3", "d4", "d5", "d6")
    assert ranking.scores.tolist() == [3, 2, 1, 0, -1, -2, -3] and ranking.scale == "mixed"
    assert np.isnan(ranking.parts["rerank-1"][3:]).all()


def test_scores_are_the_judges_own_and_not_the_old_ones_by_position() -> None:
    queries, run, docs = world(1)
    result = Scores(FakeScorer(), name="ce").rerank(queries, run, docs)
    assert result.run["q0"].doc_ids == tuple(f"d{i}" for i in reversed(range(7)))
    assert result.run["q0"].scores.tolist() == [6, 5, 4, 3, 2, 1, 0] and result.run["q0"].scale == "logit"
    assert result.run["q0"].parts["ce"].tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_documents_with_one_text_stay_two_documents() -> None:
    docs = {"a": Doc("a", "same"), "b": Doc("b", "same")}
    run = Run({"q0": Ranking(["a", "b"], [2, 1])})
    result = Windows(FakeJudge(FakeBackend(backwards))).rerank([Query("q0", "?")], run, docs)
    assert result.run["q0"].doc_ids == ("b", "a")


def test_a_judge_in_process_gets_what_waits_grouped_by_query() -> None:
    queries, run, docs = world(3)
    judge = FakeScorer()
    Scores(judge).rerank(queries, run, docs)
    assert judge.batches == [["q0"] * 7 + ["q1"] * 7 + ["q2"] * 7]


def test_an_earlier_query_goes_first() -> None:
    queries, run, docs = world(3, 6)
    backend = FakeBackend(backwards, concurrency=1)
    Windows(FakeJudge(backend), rounds=2).rerank(queries, run, docs)
    asked = [request.tags.query_id for request in backend.asked]
    assert asked.index("q2") >= 6  # two comparisons are rendered ahead, then the first query's second round


def test_calls_in_flight_are_bounded_and_overlap() -> None:
    queries, run, docs = world(8)
    backend = FakeBackend(backwards, concurrency=3, delay_s=0.01)
    Windows(FakeJudge(backend)).rerank(queries, run, docs)
    assert 3 <= backend.most_in_flight <= 6


def test_a_bad_reply_keeps_the_current_order_not_the_order_as_shown() -> None:
    queries, run, docs = world(1, 3)
    answers = iter(["2 1 0", "bad"])
    result = Windows(FakeJudge(FakeBackend(lambda _: next(answers))), rounds=2).rerank(queries, run, docs)
    assert result.run["q0"].doc_ids == ("d2", "d1", "d0") and result.counts["fallback"] == 1


def test_asking_again_is_counted_and_lengthens_the_chain() -> None:
    queries, run, docs = world(1, 3)
    backend = FakeBackend(lambda request: "0 1 2" if request.ask else "again")
    result = Windows(FakeJudge(backend)).rerank(queries, run, docs)
    assert result.counts["retried"] == 1 and result.counts["serial_depth"] == 2
    assert [request.ask for request in backend.asked] == [0, 1]


def test_a_budget_leaves_finished_queries_and_the_best_order_so_far() -> None:
    queries, run, docs = world(3, 6)
    backend = FakeBackend(backwards, concurrency=1)
    context = Context(budget=Budget(calls=5))
    result = Windows(FakeJudge(backend), rounds=2).rerank(queries, run, docs, context=context)
    assert not result.complete and "calls" in result.reason and len(backend.asked) == 5
    assert result.run["q0"].doc_ids == ("d0", "d1", "d2", "d3", "d4", "d5")  # turned round twice
    assert result.run["q2"].doc_ids == run["q2"].doc_ids
    assert result.counts["unfinished_queries"] == 2


def test_a_deadline_ends_the_wait_at_once() -> None:
    queries, run, docs = world(2, 3)
    backend = FakeBackend(backwards, delay_s=5)
    start = time.monotonic()
    result = Windows(FakeJudge(backend)).rerank(queries, run, docs, context=Context(deadline=Deadline(0.05)))
    assert not result.complete and "deadline" in result.reason
    assert time.monotonic() - start < 4
    assert result.run["q1"].doc_ids == run["q1"].doc_ids


@pytest.mark.parametrize("error", [RequestRefused("no such model"), TransportError("gone", status=502)])
def test_errors_never_become_rankings(error: LLMError) -> None:
    queries, run, docs = world()

    def fail(request: ChatRequest) -> str:
        raise error

    with pytest.raises(type(error)):
        Windows(FakeJudge(FakeBackend(fail))).rerank(queries, run, docs)


def test_excluded_documents_are_dropped_and_unknown_queries_are_empty() -> None:
    queries, run, docs = world(1, 4)
    queries = [Query("q0", "?", excluded_ids=frozenset({"d1"})), Query("other", "?")]
    result = Windows(FakeJudge(FakeBackend(backwards))).rerank(queries, run, docs)
    assert set(result.run["q0"].doc_ids) == {"d0", "d2", "d3"} and len(result.run["other"]) == 0
    assert list(result.run) == ["q0", "other"]


def test_a_document_without_text_is_named() -> None:
    queries, run, docs = world(1)
    del docs["d3"]
    with pytest.raises(UsageError, match="'d3'"):
        Windows(FakeJudge(FakeBackend(backwards))).rerank(queries, run, docs)
    assert Windows(FakeJudge(FakeBackend(backwards)), depth=3).rerank(queries, run, docs).complete


def test_no_queries_give_no_lists() -> None:
    assert len(Windows(FakeJudge(FakeBackend(backwards))).rerank([], Run(), {}).run) == 0


def test_a_strategy_refuses_a_judge_it_cannot_use() -> None:
    judge = FakeJudge(FakeBackend(backwards))
    judge.kind = "choice"
    with pytest.raises(UsageError, match="choice"):
        Windows(judge)
    with pytest.raises(UsageError, match="depth"):
        Windows(FakeJudge(FakeBackend(backwards)), depth=0)


class Fixed:
    """A retriever of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        return StageResult(Run({q.query_id: self._run[q.query_id].head(depth) for q in queries}))

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        return run

    def explain(self, query: Query, doc_id: str) -> dict[str, Any]:
        return {"score": 1.0}


def test_a_pipeline_names_its_stages_and_explains_windows() -> None:
    queries, run, docs = world(1)
    judge = FakeJudge(FakeBackend(backwards))
    pipeline = Pipeline(retrieve=Fixed(run), rerank=[Windows(judge), Windows(judge, name="second", depth=2)], docs=docs)
    result = pipeline.run(queries)
    assert list(result.stages) == ["retrieve", "rerank-1", "second"]
    assert set(result.run["q0"].parts) == {"retrieve", "rerank-1", "second"}
    told = result.explain("q0", "d2")["stages"][1]["windows"]
    assert told == [{"of": 3, "shown_at": 3, "found_at": 1, "usable": True, "reasoning": "why"}]
    assert math.isnan(result.run["q0"].parts["second"][-1])
    with pytest.raises(UsageError, match="two stages"):
        Pipeline(retrieve=Fixed(run), rerank=[Windows(judge, name="x"), Windows(judge, name="x")], docs=docs)


def test_overlapping_async_runs_give_what_sync_ones_give() -> None:
    queries, run, docs = world(2)
    pipeline = Pipeline(
        retrieve=Fixed(run), rerank=[Windows(FakeJudge(FakeBackend(backwards, delay_s=0.01)))], docs=docs
    )

    async def several() -> list[Any]:
        return await asyncio.gather(*(pipeline.arun(queries) for _ in range(4)))

    alone = pipeline.run(queries).run
    assert all(dict(result.run) == dict(alone) for result in asyncio.run(several()))


def test_an_error_of_an_async_run_is_raised_where_it_is_awaited() -> None:
    queries, run, docs = world(1)
    pipeline = Pipeline(
        retrieve=Fixed(run), rerank=[Windows(FakeJudge(FakeBackend(backwards)))], docs={"d0": docs["d0"]}
    )
    with pytest.raises(UsageError, match="corpus"):
        asyncio.run(pipeline.arun(queries))


class TwoQuestions(FakeJudge):
    """Asks each comparison in both directions, and again about the answer that was bad."""

    def requests(self, case: Any) -> tuple[ChatRequest, ...]:
        (first,) = super().requests(case)
        return first, ChatRequest(first.messages, sample=1, tags=first.tags)

    def read(self, case: Any, requests: tuple[ChatRequest, ...], replies: Sequence[Any]) -> Any:
        if replies[1].text == "again":
            return fakes.Again((requests[0], ChatRequest(requests[1].messages, sample=1, ask=1, tags=requests[1].tags)))
        return super().read(case, requests[:1], replies[:1])


def test_what_was_answered_well_is_not_asked_again() -> None:
    queries, run, docs = world(1, 3)
    backend = FakeBackend(lambda request: "again" if request.sample and not request.ask else "2 1 0")
    result = Windows(TwoQuestions(backend)).rerank(queries, run, docs)
    assert [(request.sample, request.ask) for request in backend.asked] == [(0, 0), (1, 0), (1, 1)]
    assert result.run["q0"].doc_ids == ("d2", "d1", "d0")


# ── what is given ─────────────────────────────────────────────────────────────────────────────────


def test_documents_that_are_no_mapping_are_named_as_that() -> None:
    queries, run, docs = world(1)
    stage = Windows(FakeJudge(FakeBackend(backwards)))
    for given in (list(docs.values()), iter(docs.values())):
        with pytest.raises(UsageError, match=r"docs must map ids to documents, got list|got dict_valueiterator"):
            stage.rerank(queries, run, given)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="docs"):
            stage.plan(queries, run, given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a mapping of ids to documents, got list"):
        Pipeline(retrieve=Fixed(run), rerank=[stage], docs=list(docs.values()))  # type: ignore[arg-type]


def test_queries_runs_and_judges_of_another_kind_are_named() -> None:
    _, run, docs = world(1)
    stage = Windows(FakeJudge(FakeBackend(backwards)))
    with pytest.raises(UsageError, match=r"queries\[0\] is str 'x'"):
        stage.rerank(["x"], run, docs)  # type: ignore[list-item]
    with pytest.raises(UsageError, match="rankings"):
        stage.rerank([Query("q0", "?")], [run], docs)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a judge first"):
        Windows("listwise")


def test_a_query_without_words_keeps_its_list_and_costs_nothing() -> None:
    _, run, docs = world(1)
    backend = FakeBackend(backwards)
    result = Windows(FakeJudge(backend)).rerank([Query("q0", " \n")], run, docs)
    assert result.run["q0"].doc_ids == run["q0"].doc_ids and backend.asked == []
    assert result.counts["empty_queries"] == 1


def test_calls_of_an_unfinished_step_count_as_waited_for() -> None:
    queries, run, docs = world(1, 6)
    backend = FakeBackend(backwards, concurrency=1)
    result = Windows(FakeJudge(backend)).rerank(queries, run, docs, context=Context(budget=Budget(calls=1)))
    assert result.counts["serial_depth"] == 1 and result.counts["unfinished_queries"] == 1


def test_a_stage_that_reads_nothing_says_so(caplog: pytest.LogCaptureFixture) -> None:
    queries, run, docs = world(2)
    Windows(FakeJudge(FakeBackend(lambda _: "bad"))).rerank(queries, run, docs)
    assert "no answer could be read: 6 of 6 comparisons" in caplog.text


def test_equal_runs_write_equal_traces(tmp_path: Path) -> None:
    queries, run, docs = world(2)
    written = []
    for name in ("a.gz", "b.gz"):
        with Trace(tmp_path / name) as trace:
            Windows(FakeJudge(FakeBackend(backwards))).rerank(queries, run, docs, context=Context(trace=trace))
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] and len(written[0]) > 100
