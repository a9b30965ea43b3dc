"""Cache, budget, deadline, ledger, concurrency and retries of calls, against scripted backends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sleuth.context import Budget, Context, Deadline
from sleuth.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    ContextTooLong,
    DeadlineExceeded,
    LLMError,
    RequestRefused,
    TransportError,
    UsageError,
)
from sleuth.llm.cache import Cache
from sleuth.llm.calls import Calls, Retries
from sleuth.llm.chat import ChatBackend, ChatRequest, Decoding, Message, Price, Reply, Tags, Usage
from sleuth.llm.estimate import MESSAGE_TOKENS, request_tokens
from sleuth.llm.loop import run
from sleuth.llm.replay import Scripted

AT_ONCE = Retries(base_s=0.0)
PATIENCE_S = 20.0
"""Longer than any future here takes; a hang fails."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = Cache(tmp_path / "llm.sqlite")
    yield made
    made.close()


def ask(text: str, *, stage: str = "rerank-1", query_id: str = "q", **fields: object) -> ChatRequest:
    return ChatRequest((Message("user", text),), tags=Tags(stage, query_id), **fields)  # type: ignore[arg-type]


def result(future: Future[Reply]) -> Reply:
    return future.result(PATIENCE_S)


class Gate:
    """An answer that waits until it is opened, and counts who came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken_off: list[str] = []
        self.arrived = threading.Semaphore(0)
        self._open = threading.Event()

    async def __call__(self, request: ChatRequest) -> Reply:
        text = request.messages[0].content
        self.asked.append(text)
        self.arrived.release()
        try:
            while not self._open.is_set():
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.broken_off.append(text)
            raise
        return Reply(f"to {text}", usage=Usage(10, 5))

    def wait_for(self, calls: int = 1) -> None:
        for _ in range(calls):
            assert self.arrived.acquire(timeout=PATIENCE_S)

    def open(self) -> None:
        self._open.set()


def failing(*errors: Exception, then: str = "done"):
    """An answer that fails with these errors, one a call, and then works."""
    left = list(errors)

    def answer(request: ChatRequest) -> Reply:
        if left:
            raise left.pop(0)
        return Reply(then, usage=Usage(10, 5, 2, 4))

    return answer


def eventually(holds) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


class TestBooks:
    def test_a_call_is_booked_on_its_stage(self) -> None:
        context = Context()
        backend = Scripted(failing(), price=Price(input=1.0, output=2.0, cached=0.5))
        reply = result(backend.submit(ask("a"), context=context))
        assert (reply.text, reply.cached, reply.attempts) == ("done", False, 1)
        row = context.ledger.table()["rerank-1"]
        assert {name: row[name] for name in row if not name.endswith("_s") and name != "seconds"} == {
            "calls": 1, "attempts": 1, "cache_hits": 0, "shared": 0, "unknown": 0, "failed": 0, "tokens_in": 10,
            "tokens_out": 5, "tokens_reasoning": 2, "tokens_cached": 4, "money": pytest.approx((6 + 2 + 10) / 1e6),
        }  # fmt: skip
        assert row["p50_s"] == pytest.approx(reply.latency_s)
        assert 0 < row["seconds"] < PATIENCE_S

    def test_without_a_stage_in_its_tags_the_contexts_counts(self) -> None:
        context = Context(stage="rewrite")
        result(Scripted(lambda _: "x").submit(ask("a", stage=""), context=context))
        assert context.ledger.table()["rewrite"]["calls"] == 1

    def test_a_budget_is_settled_with_what_was_used(self) -> None:
        context = Context(budget=Budget(calls=5, tokens=100_000, money=1.0))
        backend = Scripted(failing(), price=Price(input=1.0, output=2.0))
        result(backend.submit(ask("a" * 360), context=context))
        spent = context.budget.spent()
        assert (spent["calls"], spent["tokens"], spent["money"]) == (1, 15, pytest.approx(20 / 1e6))
        assert spent["seconds"] > 0
        context.budget.reserve(calls=4, tokens=100_000 - 15)  # nothing is held back

    def test_a_budget_counts_by_the_tokenizer_where_there_is_one(self, tmp_path: Path) -> None:
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({"word": 0, "?": 1}, unk_token="?"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        request = ask("word " * 100, decoding=Decoding(max_tokens=10))
        counted = request_tokens(request, tmp_path)
        assert counted == 100 + 2 * MESSAGE_TOKENS < request_tokens(request)

        def spend(tokens: int, **fields: object) -> Future[Reply]:
            backend = Scripted(failing(), **fields)  # type: ignore[arg-type]
            return backend.submit(request, context=Context(budget=Budget(tokens=tokens)))

        assert result(spend(counted + 10, tokenizer=str(tmp_path))).text == "done"
        with pytest.raises(BudgetExceeded, match=f"the next step needs {counted + 10}"):
            result(spend(counted + 9, tokenizer=str(tmp_path)))
        with pytest.raises(BudgetExceeded):
            result(spend(counted + 10))
        money = Context(budget=Budget(money=(counted + 10) / 1e6))
        priced = Scripted(failing(), tokenizer=str(tmp_path), price=Price(1.0, 1.0))
        assert result(priced.submit(request, context=money)).text == "done"

    def test_only_a_limit_of_tokens_or_money_needs_the_tokenizer(self, tmp_path: Path) -> None:
        backend = Scripted(lambda _: "x", tokenizer=str(tmp_path / "none"))
        assert result(backend.submit(ask("a"), context=Context(budget=Budget(calls=1)))).text == "x"
        context = Context(budget=Budget(tokens=100_000))
        with pytest.raises(UsageError, match="tokenizer"):
            result(backend.submit(ask("b"), context=context))
        assert _reserves(context, tokens=100_000)

    def test_a_cached_reply_is_not_counted(self, cache: Cache, tmp_path: Path) -> None:
        result(Scripted(lambda _: "x", cache=cache).submit(ask("a")))
        backend = Scripted(lambda _: "y", cache=cache, tokenizer=str(tmp_path / "none"))
        assert result(backend.submit(ask("a"), context=Context(budget=Budget(tokens=1)))).cached

    def test_it_is_a_backend(self) -> None:
        assert isinstance(Scripted(lambda _: "x"), ChatBackend)

    def test_no_context_is_fine(self) -> None:
        assert result(Scripted(lambda _: "x").submit(ask("a"))).text == "x"

    @pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "4"])
    def test_a_concurrency_below_one_is_refused(self, concurrency: object) -> None:
        with pytest.raises(UsageError, match="concurrency must be"):
            Calls(concurrency=concurrency, cache=None)  # type: ignore[arg-type]


class TestCache:
    def test_a_hit_is_free_and_says_so(self, cache: Cache) -> None:
        asked: list[str] = []
        backend = Scripted(lambda r: asked.append(r.messages[0].content) or "답 → ok", cache=cache)  # type: ignore[func-returns-value]
        first = result(backend.submit(ask("질문")))
        context = Context(budget=Budget(calls=0, tokens=0, money=0))
        again = result(backend.submit(ask("질문", query_id="another"), context=context))
        assert asked == ["질문"]
        assert (first.cached, again.cached) == (False, True)
        assert (again.text, again.usage, again.attempts) == (first.text, first.usage, first.attempts)
        row = context.ledger.table()["rerank-1"]
        assert (row["cache_hits"], row["calls"], row["attempts"], row["tokens_in"]) == (1, 0, 0, 0)

    def test_samples_and_asks_are_calls_of_their_own(self, cache: Cache) -> None:
        backend = Scripted(lambda r: f"{r.sample}/{r.ask}", cache=cache)
        wanted = [(0, 0), (1, 0), (0, 1), (1, 1)]
        texts = [result(backend.submit(ask("a", sample=sample, ask=again))).text for sample, again in wanted]
        assert texts == ["0/0", "1/0", "0/1", "1/1"]

    def test_a_reply_is_committed_before_it_is_handed_out(self, cache: Cache, tmp_path: Path) -> None:
        backend = Scripted(lambda _: "x", cache=cache)
        found: list[Reply | None] = []
        future = backend.submit(ask("a"))
        other = Cache(cache.path)
        future.add_done_callback(lambda _: found.append(other.get(ask("a").digest(backend.identity))))
        result(future)
        eventually(lambda: found)
        other.close()
        assert found[0] is not None
        assert found[0].text == "x"

    def test_a_failed_call_is_not_kept(self, cache: Cache) -> None:
        backend = Scripted(failing(RequestRefused("no")), cache=cache)
        with pytest.raises(RequestRefused):
            result(backend.submit(ask("a")))
        context = Context()
        assert result(backend.submit(ask("a"), context=context)).text == "done"
        assert context.ledger.table()["rerank-1"]["unknown"] == 0

    def test_what_another_process_answered_while_a_call_waited_is_not_asked(self, cache: Cache) -> None:
        gate = Gate()
        backend = Scripted(gate, cache=cache, concurrency=1)
        first = backend.submit(ask("first"))
        context = Context(budget=Budget(calls=1))
        second = backend.submit(ask("second"), context=context)
        gate.wait_for()
        other = Cache(cache.path)
        other.keep(ask("second").digest(backend.identity), backend.identity, ask("second"), Reply("theirs")).result()
        other.close()
        gate.open()
        result(first)
        assert (result(second).text, result(second).cached) == ("theirs", True)
        assert gate.asked == ["first"]
        assert context.ledger.table()["rerank-1"]["cache_hits"] == 1
        context.budget.reserve(calls=1)

    def test_two_backends_with_one_identity_share_a_reply_and_others_do_not(self, cache: Cache) -> None:
        first = Scripted(lambda _: "1", cache=cache, identity="m")
        same = Scripted(lambda _: "2", cache=cache, identity="m")
        other = Scripted(lambda _: "3", cache=cache, identity="n")
        assert [result(b.submit(ask("a"))).text for b in (first, same, other)] == ["1", "1", "3"]

    def test_halves_of_characters_in_a_reply_become_replacement_characters(self, cache: Cache) -> None:
        backend = Scripted(lambda _: Reply("cut \ud83d", reasoning="\ude00 half", usage=Usage(1, 1)), cache=cache)
        for reply in (result(backend.submit(ask("a"))), result(backend.submit(ask("a")))):
            assert (reply.text, reply.reasoning) == ("cut �", "� half")

    def test_a_request_that_is_no_text_is_refused(self, cache: Cache) -> None:
        with pytest.raises(UsageError, match=r"query 'q7'.*surrogate"):
            result(Scripted(lambda _: "x", cache=cache).submit(ask("\ud800", query_id="q7")))

    def test_ids_with_halves_of_characters_are_kept_somehow(self, cache: Cache) -> None:
        assert result(Scripted(lambda _: "x", cache=cache).submit(ask("a", query_id="\ud800"))).text == "x"


class TestSharing:
    def test_equal_requests_in_flight_are_one_call(self, cache: Cache) -> None:
        gate = Gate()
        backend = Scripted(gate, cache=cache)
        mine, theirs = Context(), Context(budget=Budget(calls=0))
        first = backend.submit(ask("a"), context=mine)
        gate.wait_for()
        second = backend.submit(ask("a", stage="rerank-2"), context=theirs)
        gate.open()
        assert result(first).text == result(second).text == "to a"
        assert gate.asked == ["a"]
        assert mine.ledger.table()["rerank-1"]["calls"] == 1
        row = theirs.ledger.table()["rerank-2"]
        assert (row["shared"], row["calls"], row["tokens_in"]) == (1, 0, 0)

    def test_backends_of_one_identity_and_cache_share_too(self, cache: Cache) -> None:
        gate = Gate()
        backends = [Scripted(gate, cache=cache, identity="m") for _ in range(2)]
        futures = [backend.submit(ask("a")) for backend in backends]
        gate.open()
        assert {result(future).text for future in futures} == {"to a"}
        assert gate.asked == ["a"]

    def test_the_call_goes_on_for_those_who_stay(self) -> None:
        gate = Gate()
        backend = Scripted(gate)
        context = Context()
        first, second = backend.submit(ask("a"), context=context), backend.submit(ask("a"))
        gate.wait_for()
        assert first.cancel()
        gate.open()
        assert result(second).text == "to a"
        assert gate.broken_off == []
        assert context.ledger.table()["rerank-1"]["calls"] == 1  # it was sent for the first one

    def test_who_stays_pays_if_nothing_was_sent(self) -> None:
        gate = Gate()
        backend = Scripted(gate, concurrency=1)
        blocker = backend.submit(ask("blocker"))
        gate.wait_for()
        gone, rich, poor = (
            Context(budget=Budget(calls=1)),
            Context(budget=Budget(calls=1)),
            Context(budget=Budget(calls=0)),
        )
        futures = [backend.submit(ask("a"), context=context) for context in (gone, poor, rich)]
        futures[0].cancel()
        with pytest.raises(BudgetExceeded):
            result(futures[1])
        gate.open()
        assert result(futures[2]).text == "to a"
        result(blocker)
        assert gone.budget.spent()["calls"] == 0
        gone.budget.reserve(calls=1)
        assert rich.budget.spent()["calls"] == 1
        assert rich.ledger.table()["rerank-1"]["calls"] == 1

    def test_all_get_the_error(self) -> None:
        release = threading.Event()

        async def answer(request: ChatRequest) -> Reply:
            while not release.is_set():
                await asyncio.sleep(0.001)
            raise RequestRefused("no")

        backend = Scripted(answer)
        futures = [backend.submit(ask("a")) for _ in range(3)]
        release.set()
        for future in futures:
            with pytest.raises(RequestRefused, match="no"):
                result(future)


class TestLimits:
    def test_a_budget_stops_in_the_order_of_submission(self) -> None:
        gate = Gate()
        context = Context(budget=Budget(calls=3))
        backend = Scripted(gate, concurrency=1)
        futures = [backend.submit(ask(str(at)), context=context) for at in range(5)]
        stopped = [future.done() and isinstance(future.exception(), BudgetExceeded) for future in futures]
        assert stopped == [False, False, False, True, True]
        gate.open()
        assert [result(future).text for future in futures[:3]] == ["to 0", "to 1", "to 2"]
        assert gate.asked == ["0", "1", "2"]

    def test_the_largest_answer_is_reserved(self) -> None:
        context = Context(budget=Budget(tokens=1000))
        backend = Scripted(lambda _: "x")
        with pytest.raises(BudgetExceeded, match="tokens"):
            result(backend.submit(ask("a", decoding=Decoding(max_tokens=1000)), context=context))
        assert result(backend.submit(ask("a", decoding=Decoding(max_tokens=900)), context=context)).text == "x"

    def test_money_is_reserved_by_the_price(self) -> None:
        context = Context(budget=Budget(money=0.5))
        decoding = Decoding(max_tokens=1000)
        free, dear = Scripted(lambda _: "x"), Scripted(lambda _: "x", price=Price(output=1000.0))
        assert result(free.submit(ask("a", decoding=decoding), context=context)).text == "x"
        with pytest.raises(BudgetExceeded, match="money"):
            result(dear.submit(ask("a", decoding=decoding), context=context))

    def test_nothing_is_sent_after_the_deadline(self) -> None:
        asked: list[ChatRequest] = []
        context = Context(deadline=Deadline(1e-9))
        with pytest.raises(DeadlineExceeded):
            result(Scripted(lambda r: asked.append(r) or "x").submit(ask("a"), context=context))  # type: ignore[func-returns-value]
        assert asked == []

    def test_a_deadline_ends_waiting_for_a_reply_a_place_and_a_retry(self) -> None:
        gate = Gate()
        backend = Scripted(gate, concurrency=1)
        busy = Scripted(failing(*[TransportError("busy", status=429, retry_after_s=100.0)] * 9))
        context = Context(deadline=Deadline(0.1), budget=Budget(calls=3))
        futures = [backend.submit(ask("sent"), context=context), backend.submit(ask("queued"), context=context)]
        futures.append(busy.submit(ask("retrying"), context=context))
        for future in futures:
            with pytest.raises(DeadlineExceeded, match=r"0\.1 s has passed"):
                result(future)
        eventually(lambda: gate.broken_off == ["sent"])
        assert gate.asked == ["sent"]
        eventually(lambda: context.budget.spent()["calls"] == 2)  # "queued" was never sent, and costs nothing
        assert context.budget.spent()["calls"] == 2
        gate.open()

    def test_another_run_is_not_held_up(self) -> None:
        gate = Gate()
        backend = Scripted(gate)
        hurried = backend.submit(ask("a"), context=Context(deadline=Deadline(0.05)))
        patient = backend.submit(ask("a"), context=Context(deadline=Deadline(PATIENCE_S)))
        with pytest.raises(DeadlineExceeded):
            result(hurried)
        gate.open()
        assert result(patient).text == "to a"


class TestCancelling:
    def test_a_call_in_flight_is_broken_off(self, cache: Cache) -> None:
        gate = Gate()
        context = Context(budget=Budget(calls=2, tokens=10_000))
        backend = Scripted(gate, cache=cache)
        future = backend.submit(ask("a" * 36), context=context)
        gate.wait_for()
        assert future.cancel()
        with pytest.raises(CancelledError):
            result(future)
        eventually(lambda: gate.broken_off)
        eventually(lambda: context.budget.spent()["calls"] == 1)
        assert context.budget.spent()["tokens"] == 18  # its input, which the server may charge for
        row = context.ledger.table()["rerank-1"]
        assert (row["calls"], row["failed"], row["attempts"], row["tokens_out"]) == (1, 1, 1, 0)

    def test_asked_again_it_is_counted_as_unknown_once(self, cache: Cache) -> None:
        gate = Gate()
        backend = Scripted(gate, cache=cache)
        future = backend.submit(ask("a"))
        gate.wait_for()
        future.cancel()
        eventually(lambda: gate.broken_off)
        gate.open()
        context = Context()
        result(backend.submit(ask("a"), context=context))
        assert context.ledger.table()["rerank-1"]["unknown"] == 1
        assert cache.stats().unknown == 0

    def test_a_queued_call_leaves_without_a_trace(self) -> None:
        gate = Gate()
        context = Context(budget=Budget(calls=2))
        backend = Scripted(gate, concurrency=1)
        sent, queued = (backend.submit(ask(text), context=context) for text in ("sent", "queued"))
        gate.wait_for()
        queued.cancel()
        eventually(lambda: _reserves(context, calls=1))
        gate.open()
        result(sent)
        assert gate.asked == ["sent"]

    def test_a_finished_call_can_not_be_cancelled(self) -> None:
        future = Scripted(lambda _: "x").submit(ask("a"))
        result(future)
        assert not future.cancel()

    def test_a_place_is_free_again(self) -> None:
        gate = Gate()
        backend = Scripted(gate, concurrency=1)
        first = backend.submit(ask("a"))
        gate.wait_for()
        second = backend.submit(ask("b"))
        first.cancel()
        gate.wait_for()
        gate.open()
        assert result(second).text == "to b"


def _reserves(context: Context, **amounts: float) -> bool:
    try:
        held = context.budget.reserve(**amounts)
    except BudgetExceeded:
        return False
    context.budget.settle(held)
    return True


class TestRetries:
    @pytest.mark.parametrize("status", [429, 500, 503, None])
    def test_transport_errors_are_tried_again_and_counted(self, status: int | None) -> None:
        context = Context()
        backend = Scripted(failing(*[TransportError("lost", status=status)] * 5), retries=AT_ONCE)
        reply = result(backend.submit(ask("a"), context=context))
        assert (reply.text, reply.attempts) == ("done", 6)
        row = context.ledger.table()["rerank-1"]
        assert (row["calls"], row["attempts"], row["failed"]) == (1, 6, 0)

    def test_in_the_end_it_fails_and_says_how_often_it_tried(self) -> None:
        context = Context(budget=Budget(tokens=5000))
        backend = Scripted(failing(*[TransportError("lost", status=502)] * 99), retries=Retries(most=5, base_s=0))
        with pytest.raises(TransportError, match="query 'q': no reply after 6 attempts; the last one: lost") as caught:
            result(backend.submit(ask("a"), context=context))
        assert caught.value.status == 502
        row = context.ledger.table()["rerank-1"]
        assert (row["calls"], row["attempts"], row["failed"], row["tokens_in"]) == (1, 6, 1, 0)
        assert _reserves(context, tokens=5000)

    def test_a_dead_server_is_named_and_what_a_cache_keeps_is_said(self, cache: Cache) -> None:
        def failed(error: TransportError, *, address: str = "", kept: Cache | None = None) -> str:
            backend = Scripted(failing(*[error] * 99), retries=Retries(most=1, base_s=0), cache=kept)
            backend.base_url = address  # type: ignore[attr-defined]
            with pytest.raises(TransportError) as caught:
                result(backend.submit(ask("a")))
            return str(caught.value)

        url = "http://127.0.0.1:1/v1"
        dead, busy = TransportError("refused."), TransportError("busy", status=503)
        begun = "stage 'rerank-1', query 'q': no reply after 2 attempts; the last one: "
        hint = f" Is the server at {url} running?"
        carries = " The replies so far are kept in the cache; the same command carries on from there."
        assert failed(dead) == f"{begun}refused."
        assert failed(dead, address=url) == f"{begun}refused.{hint}"
        assert failed(dead, address=url, kept=cache) == f"{begun}refused.{hint}{carries}"
        assert failed(busy, address=url, kept=cache) == f"{begun}busy.{carries}"

    def test_the_first_wait_is_a_warning_and_the_others_are_not(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", logger="sleuth.llm.calls")
        backend = Scripted(failing(*[TransportError("lost")] * 3), retries=AT_ONCE)
        for text in "ab":
            result(backend.submit(ask(text)))
        told = [(record.levelname, record.getMessage()) for record in caplog.records]
        assert [level for level, _ in told] == ["WARNING", "INFO", "INFO"]
        assert told[0][1].startswith("lost (attempt 1; the next one in ")

    def test_by_default_at_least_five_times(self) -> None:
        assert Retries().most >= 5

    @pytest.mark.parametrize("error", [RequestRefused("bad"), AuthenticationFailed("key"), ContextTooLong("long")])
    def test_what_can_not_help_is_not_tried_again(self, error: LLMError) -> None:
        context = Context()
        with pytest.raises(type(error)):
            result(Scripted(failing(error)).submit(ask("a"), context=context))
        assert context.ledger.table()["rerank-1"]["attempts"] == 1

    def test_a_refused_key_fails_all_that_wait(self) -> None:
        asked: Counter[str] = Counter()
        release = threading.Event()

        async def answer(request: ChatRequest) -> Reply:
            asked[request.messages[0].content] += 1
            while not release.is_set():
                await asyncio.sleep(0.001)
            raise AuthenticationFailed("status 401")

        context = Context(budget=Budget(calls=50))
        backend = Scripted(answer, concurrency=2)
        futures = [backend.submit(ask(str(at)), context=context) for at in range(50)]
        release.set()
        for future in futures:
            with pytest.raises(AuthenticationFailed):
                result(future)
        assert sum(asked.values()) <= 3
        assert _reserves(context, calls=47)

    def test_an_error_that_is_not_ours_comes_through(self) -> None:
        with pytest.raises(ZeroDivisionError):
            result(Scripted(lambda _: str(1 / 0)).submit(ask("a")))

    def test_something_that_is_no_reply_is_refused(self) -> None:
        with pytest.raises(UsageError, match="got int"):
            result(Scripted(lambda _: 3).submit(ask("a")))  # type: ignore[arg-type, return-value]

    def test_waits_grow_are_capped_and_honour_the_server(self) -> None:
        retries = Retries(base_s=0.5, longest_s=8.0, longest_asked_s=60.0)
        assert [retries.wait_s(n, None, 1.0) for n in (1, 2, 3, 5, 6, 5000)] == [0.5, 1.0, 2.0, 8.0, 8.0, 8.0]
        assert retries.wait_s(3, None, 0.25) == 0.5
        assert retries.wait_s(1, 7.0, 0.5) == 7.0
        assert retries.wait_s(1, 3600.0, 0.5) == 60.0
        assert retries.wait_s(1, -5.0, 0.0) == 0.0
        assert retries.wait_s(1, float("nan"), 1.0) == 0.5

    @pytest.mark.parametrize("options", [{"most": -1}, {"base_s": float("nan")}, {"longest_s": -1.0}])
    def test_settings_that_make_no_sense_are_refused(self, options: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="retries"):
            Retries(**options)  # type: ignore[arg-type]


class TestConcurrency:
    def test_never_more_in_flight_and_first_come_first_served(self) -> None:
        now, most, order = 0, 0, []

        async def answer(request: ChatRequest) -> str:
            nonlocal now, most
            order.append(int(request.messages[0].content))
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            return "x"

        backend = Scripted(answer, concurrency=4)
        for future in [backend.submit(ask(str(at))) for at in range(100)]:
            result(future)
        assert most == 4
        assert order == list(range(100))

    def test_runs_in_threads_and_event_loops_share_the_limit(self) -> None:
        now, most = 0, 0

        async def answer(request: ChatRequest) -> str:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            return request.messages[0].content

        backend = Scripted(answer, concurrency=3)

        def in_thread(name: int) -> list[str]:
            return [result(future).text for future in [backend.submit(ask(f"{name}/{at}")) for at in range(20)]]

        def in_loop(name: int) -> list[str]:
            async def main() -> list[str]:
                futures = [asyncio.wrap_future(backend.submit(ask(f"{name}/{at}"))) for at in range(20)]
                return [reply.text for reply in await asyncio.gather(*futures)]

            return asyncio.run(main())

        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(in_loop if name % 2 else in_thread, name) for name in range(6)]
            for name, job in enumerate(jobs):
                assert job.result(PATIENCE_S) == [f"{name}/{at}" for at in range(20)]
        assert most == 3

    def test_a_callback_may_submit(self) -> None:
        backend = Scripted(lambda r: r.messages[0].content, concurrency=1)
        second: list[Future[Reply]] = []
        backend.submit(ask("a")).add_done_callback(lambda _: second.append(backend.submit(ask("b"))))
        eventually(lambda: second)
        assert result(second[0]).text == "b"


class TestLoop:
    def test_cancelling_the_future_cancels_the_coroutine(self) -> None:
        state: list[str] = []

        async def work() -> None:
            state.append("begun")
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                state.append("cancelled")
                raise

        future = run(work())
        eventually(lambda: state == ["begun"])
        future.cancel()
        eventually(lambda: state == ["begun", "cancelled"])

    def test_errors_and_results_come_back(self) -> None:
        async def work(value: int) -> float:
            return 1 / value

        assert run(work(2)).result(PATIENCE_S) == 0.5
        with pytest.raises(ZeroDivisionError):
            run(work(0)).result(PATIENCE_S)

    def test_one_thread_serves_all(self) -> None:
        async def where() -> str:
            return threading.current_thread().name

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: run(where()).result(PATIENCE_S), range(8))) == {"sleuth-calls"}


def in_new_process(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_has_its_own_loop_and_the_parent_keeps_its_own(tmp_path: Path) -> None:
    out = in_new_process(
        """
        import asyncio, os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork with threads
        from sleuth.context import Context
        from sleuth.llm.cache import Cache
        from sleuth.llm.chat import ChatRequest, Message
        from sleuth.llm.replay import Scripted

        async def answer(request):
            await asyncio.sleep(0.01)
            return f"{os.getpid()}"

        cache = Cache(sys.argv[1])
        backend = Scripted(answer, cache=cache, concurrency=2)
        def ask(n): return backend.submit(ChatRequest((Message("user", str(n)),)))
        ask("before").result(20)
        open_calls = [ask(f"open {n}") for n in range(8)]
        children = []
        for child in range(3):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    assert ask("before").result(20).cached
                    mine = [ask(f"{child} {n}") for n in range(8)]
                    assert {f.result(20).text for f in mine} == {str(os.getpid())}
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        assert {f.result(20).text for f in open_calls} == {str(os.getpid())}
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        again = [ask(f"{child} {n}").result(20) for child in range(3) for n in range(8)]
        assert all(reply.cached for reply in again)
        assert cache.stats().replies == 1 + 8 + 24
        print("fine", cache.stats().unknown)
        """,
        str(tmp_path / "llm.sqlite"),
    )
    assert out == "fine 0\n"


def test_a_process_ends_at_once_and_quietly_with_calls_in_flight(tmp_path: Path) -> None:
    program = """
        import asyncio, sys
        from sleuth.llm.cache import Cache
        from sleuth.llm.chat import ChatRequest, Message
        from sleuth.llm.replay import Scripted

        async def answer(request):
            print("sent", flush=True)
            await asyncio.sleep(1000)

        future = Scripted(answer, cache=Cache(sys.argv[1])).submit(ChatRequest((Message("user", "a"),)))
        try:
            future.result(0.2)
        except TimeoutError:
            pass
        except Exception as error:  # Python 3.10: concurrent.futures.TimeoutError
            assert type(error).__name__ == "TimeoutError"
    """
    assert in_new_process(program, str(tmp_path / "llm.sqlite")) == "sent\n"
    with_left_over = Cache(tmp_path / "llm.sqlite")
    assert with_left_over.stats().unknown == 1
    with_left_over.close()


def test_nothing_is_left_behind_by_a_dropped_backend() -> None:
    before = threading.active_count()
    for at in range(3):
        result(Scripted(lambda _: "x").submit(ask(str(at))))
    gc.collect()
    assert threading.active_count() <= before + 1  # the loop's own
