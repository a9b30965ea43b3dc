"""Whole reranking stages over real HTTP, with faults: the same rankings as without, or an error; never another order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import sleuth
from sleuth.context import Context
from sleuth.errors import TransportError
from sleuth.llm.cache import Cache
from sleuth.llm.calls import Retries
from sleuth.llm.chat import ChatRequest, Decoding, Message
from sleuth.types import Doc, Query, Ranking, Run

if TYPE_CHECKING:
    from chat_server import ChatServer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

pytest.importorskip("openai")
pytest.importorskip("fastapi")

Servers = Callable[..., "ChatServer"]
SHOWN = re.compile(r"^\[(\d+)\] passage (\d+)$", re.MULTILINE)


def world(n_queries: int = 12, n_docs: int = 40) -> tuple[list[Query], Run, dict[str, Doc]]:
    docs = {f"d{at}": Doc(f"d{at}", f"passage {(at * 17) % n_docs}") for at in range(n_docs)}
    queries = [Query(f"q{at}", f"question {at}") for at in range(n_queries)]
    ranking = Ranking(list(docs), np.linspace(2, 1, n_docs), scale="cosine")
    return queries, Run({query.query_id: ranking for query in queries}), docs


def by_number(body: dict[str, Any]) -> str:
    """Passages in the order of the numbers that they hold."""
    shown = SHOWN.findall(body["messages"][-1]["content"])
    return " > ".join(f"[{place}]" for place, _ in sorted(shown, key=lambda pair: int(pair[1])))


def answering(server: ChatServer, text: Callable[[dict[str, Any]], str], **more: Any) -> ChatServer:
    from chat_server import Answer

    server.answer = lambda body: Answer(text(body), **more)
    return server


def test_storms_change_no_ranking_and_are_counted(chat_server: Servers, backend: Any) -> None:
    queries, run, docs = world()
    patient = Retries(most=50, base_s=0.001, longest_s=0.01)
    calm = answering(chat_server(), by_number)
    stage = sleuth.Funnel(sleuth.Listwise(backend(calm)), window=10)
    expected = stage.rerank(queries, run, docs).run

    stormy = answering(chat_server(), by_number)
    for kind in ("cut", "page", "error", "empty"):
        stormy.fault(kind, times=5)
        stormy.fail(429, headers={"retry-after": "0"}, times=5)
        stormy.fail(500, times=5)
    context = Context()
    stage = sleuth.Funnel(sleuth.Listwise(backend(stormy, retries=patient)), window=10)
    result = stage.rerank(queries, run, docs, context=context)
    assert dict(result.run) == dict(expected)
    row = context.ledger.table()["rerank-1"]
    planned = stage.plan(queries, run, docs).calls_expected
    assert row["calls"] == planned == result.counts["ok"] and row["attempts"] == planned + 60 == len(stormy.seen)


def test_a_server_that_dies_in_the_middle_loses_no_reply(chat_server: Servers, backend: Any, tmp_path: Path) -> None:
    queries, run, docs = world()
    expected = sleuth.Funnel(sleuth.Listwise(sleuth.Scripted(lambda _: ""))).plan(queries, run, docs).calls_expected
    cache = Cache(tmp_path / "llm.sqlite")
    try:
        dying = answering(chat_server(), by_number)
        alive = 30

        def until_dead(body: dict[str, Any]) -> str:
            nonlocal alive
            alive -= 1
            if alive <= 0:
                dying.fault("cut", times=10_000)
            return by_number(body)

        answering(dying, until_dead)
        quick = Retries(most=1, base_s=0.001)
        first = backend(dying, cache=cache, identity="one model", retries=quick, concurrency=4)
        with pytest.raises(TransportError):
            sleuth.Funnel(sleuth.Listwise(first)).rerank(queries, run, docs)
        kept = cache.stats().replies
        assert 0 < kept < expected

        healthy = answering(chat_server(), by_number)
        context = Context()
        second = backend(healthy, cache=cache, identity="one model")
        result = sleuth.Funnel(sleuth.Listwise(second)).rerank(queries, run, docs, context=context)
        row = context.ledger.table()["rerank-1"]
        assert row["cache_hits"] == kept and row["calls"] == expected - kept == len(healthy.seen)
    finally:
        cache.close()
    clean = sleuth.Funnel(sleuth.Listwise(backend(answering(chat_server(), by_number)))).rerank(queries, run, docs)
    assert dict(result.run) == dict(clean.run)


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        ("<think> [3] is best, then [1] and 12 more", "length"),
        ("Error code: 429 - rate limit, try again in 20 s [7]", "stop"),
        ("<html><body>[4] > [2]</body></html>" + "x" * 5_000_000 + "<think>", "length"),
    ],
)
def test_answers_that_mean_nothing_keep_the_prior_order(
    chat_server: Servers, backend: Any, text: str, finish: str
) -> None:
    queries, run, docs = world(2, 10)
    server = answering(chat_server(), lambda _: text, finish_reason=finish)
    result = sleuth.SlidingWindow(sleuth.Listwise(backend(server))).rerank(queries, run, docs)
    assert all(result.run[query.query_id].doc_ids == run[query.query_id].doc_ids for query in queries)
    assert result.counts["fallback"] == 2 and result.counts["asked_again"] == 2
    assert len(server.seen) == 4


# ── log-probabilities of a real model ─────────────────────────────────────────────────────────────


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("torch")
    from test_transformers_serve import build_checkpoint

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_checkpoint(tmp_path / "tiny")
    backend = sleuth.Transformers(tmp_path / "tiny", cache=None)
    yield backend
    backend.close()


@pytest.mark.parametrize("shape", ["openai", "vllm"])
def test_log_probabilities_over_http_are_those_of_the_model(
    chat_server: Servers, backend: Any, model: Any, shape: str
) -> None:
    from chat_server import Answer

    queries, run, docs = world(3, 8)
    here = sleuth.YesNoJudge(model, prompt="yes-no", by="logprob", labels={"yes": ["1"], "no": ["2"]})
    spellings = ("0", "1", "2", "3", "4", "5", "A", "B", "C", "D")

    def likelihoods(body: dict[str, Any]) -> Answer:
        messages = tuple(Message(turn["role"], turn["content"]) for turn in body["messages"])
        one_token = ChatRequest(messages, labels=spellings, decoding=Decoding(max_tokens=1))
        reply = model.submit(one_token).result(60)
        return Answer("1", logprobs=dict(reply.labels))

    server = chat_server(shape=shape)
    server.answer = likelihoods
    there = sleuth.YesNoJudge(backend(server), prompt="yes-no", by="logprob", labels={"yes": ["1"], "no": ["2"]})
    expected = sleuth.ScoreAndSort(here).rerank(queries, run, docs)
    found = sleuth.ScoreAndSort(there).rerank(queries, run, docs)
    for query_id, ranking in expected.run.items():
        assert found.run[query_id].doc_ids == ranking.doc_ids
        np.testing.assert_allclose(found.run[query_id].scores, ranking.scores, atol=1e-6)
        assert len(set(ranking.scores.tolist())) > 1
    assert found.counts["ok"] == 24 and "label_missing" not in found.counts
