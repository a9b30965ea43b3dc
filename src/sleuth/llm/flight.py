"""One call on its way: who waits for it, who pays for it, and what it came to.

Equal requests share a flight. The first to ask pays; if it leaves before anything was sent (cancelled, or its time is
up), the next one's budget takes over. All of this is changed under one lock, because askers come from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from sleuth.context import Context
from sleuth.errors import DeadlineExceeded, SleuthError
from sleuth.llm.chat import ChatRequest, Price, Reply, Usage
from sleuth.llm.estimate import request_tokens

__all__ = ["BOOKED", "Flight", "Flights", "Send", "Waiter", "book"]

Send = Callable[[ChatRequest], Awaitable[Reply]]
"""One attempt. Raises TransportError where asking again may help, RequestRefused where it can't."""

BOOKED = (
    "calls", "attempts", "cache_hits", "shared", "unknown", "failed", "tokens_in", "tokens_out", "tokens_reasoning",
    "tokens_cached", "seconds", "money",
)  # fmt: skip
"""What a stage's row of the ledger has from calls, each of them in every row."""

_NOTHING = dict.fromkeys(BOOKED, 0.0)


def book(context: Context, stage: str, *, latency_s: float | None = None, **amounts: float) -> None:
    """Add to a stage's row of the ledger (`BOOKED`)."""
    context.ledger.add(stage, latency_s=latency_s, **{**_NOTHING, **amounts})


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who asked.

    Attributes:
        context: Of the run it belongs to.
        stage: The ledger's row.
        future: What it was given.
        alarm: Rings at the run's deadline.
    """

    context: Context
    stage: str
    future: Future[Reply] = field(default_factory=Future)
    alarm: asyncio.TimerHandle | None = None

    def answer(self, reply: Reply) -> None:
        """Give it the reply, unless it was cancelled."""
        self.silence()
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(reply)

    def fail(self, error: BaseException) -> None:
        """Give it an error, unless it was cancelled."""
        self.silence()
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def silence(self) -> None:
        """Take its alarm off."""
        if self.alarm is not None:
            self.alarm.cancel()


class Flight:
    """A request, and everybody who waits for its reply.

    Attributes:
        place, key: Equal requests have the same; `key` is the cache's.
        identity: The backend's.
        request, send, price: What is asked, how, and what it costs.
        tokenizer: The model's, where it is known; the input is then counted instead of estimated.
        address: The server's, for messages; "" where there is none.
        payer: Whose budget and ledger it is on.
        waiters: Who asked and has not left; empty once the flight is over.
        attempts: Sends so far.
        working_s: How long they took.
        reply: Once it came.
        task: The work, once it has begun.
    """

    def __init__(
        self,
        *,
        place: object,
        key: str,
        identity: str,
        request: ChatRequest,
        send: Send,
        price: Price | None,
        payer: Waiter,
        tokenizer: str | None = None,
        address: str = "",
    ) -> None:
        self.place, self.key, self.identity = place, key, identity
        self.request, self.send, self.price, self.payer = request, send, price, payer
        self.tokenizer, self.address = tokenizer, address
        self.waiters = [payer]
        self.attempts = 0
        self.working_s = 0.0
        self.reply: Reply | None = None
        self.task: asyncio.Task[None] | None = None
        self._held: Mapping[str, float] | None = None
        self._input: int | None = None

    # ── budget ──

    @property
    def metered(self) -> bool:
        """The payer's budget limits tokens or money, so the input must be counted; most runs save that time."""
        return not self.payer.context.budget.limits.keys().isdisjoint(("tokens", "money"))

    def count_input(self) -> int:
        """The input's tokens, counted once.

        Raises:
            UsageError, ModelError: The backend's tokenizer can't be read.
        """
        if self._input is None:
            self._input = request_tokens(self.request, self.tokenizer)
        return self._input

    def reserve(self) -> None:
        """Set the largest cost aside: a call, the input (by the backend's tokenizer, else by estimate), the longest output.

        Raises:
            BudgetExceeded: There is not so much left; nothing is reserved.
            UsageError, ModelError: As of `count_input`.
        """
        budget = self.payer.context.budget
        tokens, money = 0, 0.0
        if self.metered:
            usage = Usage(self.count_input(), self.request.decoding.max_tokens)
            tokens = usage.prompt_tokens + usage.completion_tokens
            money = self.price.of(usage) if self.price is not None else 0.0
        self._held = budget.reserve(calls=1, tokens=tokens, money=money, seconds=0)

    def release(self) -> None:
        """Give the reservation back: nothing was sent."""
        self._settle()

    def hand_over(self) -> list[tuple[Waiter, SleuthError]]:
        """Nothing was sent and the payer left: the next one pays. Returns those whose budget could not."""
        self._settle()
        poor: list[tuple[Waiter, SleuthError]] = []
        while self.waiters:
            self.payer = self.waiters[0]
            try:
                self.reserve()
            except SleuthError as error:
                poor.append((self.waiters.pop(0), error))
            else:
                break
        return poor

    def _settle(self, **spent: float) -> None:
        held, self._held = self._held, None
        if held is not None:
            self.payer.context.budget.settle(held, **spent)

    # ── books ──

    def book_reply(self, reply: Reply) -> None:
        """Settle and book a call that was answered."""
        usage = reply.usage
        money = self.price.of(usage) if self.price is not None else 0.0
        tokens = usage.prompt_tokens + usage.completion_tokens
        self._settle(calls=1, tokens=tokens, money=money, seconds=self.working_s)
        book(
            self.payer.context,
            self.payer.stage,
            latency_s=reply.latency_s,
            calls=1,
            attempts=self.attempts,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            tokens_reasoning=usage.reasoning_tokens,
            tokens_cached=usage.cached_tokens,
            seconds=self.working_s,
            money=money,
        )

    def book_failure(self, *, broken_off: bool) -> None:
        """Settle and book a call without a reply.

        Args:
            broken_off: It was given up after it was sent. The server may charge for it, so its input is booked as spent,
                as it was counted for the budget, else by estimate.
        """
        if not self.attempts:
            self.release()
            return
        tokens = 0
        if broken_off:
            tokens = self._input if self._input is not None else request_tokens(self.request)
        money = self.price.of(Usage(tokens)) if self.price is not None else 0.0
        self._settle(calls=1, tokens=tokens, money=money, seconds=self.working_s)
        book(
            self.payer.context,
            self.payer.stage,
            calls=1,
            attempts=self.attempts,
            failed=1,
            tokens_in=tokens,
            seconds=self.working_s,
            money=money,
        )


class Flights:
    """All calls of this process that are asked for and not yet answered, by place (a cache, or a backend's calls) and key.

    Attributes:
        lock: Held while a flight is looked for, joined or left.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._by_key: dict[tuple[object, str], Flight] = {}

    def find(self, place: object, key: str) -> Flight | None:
        """The flight of an equal request. Call it with the lock held."""
        return self._by_key.get((place, key))

    def add(self, flight: Flight) -> None:
        """Let equal requests find a flight. Call it with the lock held."""
        self._by_key[flight.place, flight.key] = flight

    def end(self, flight: Flight) -> list[Waiter]:
        """Take a flight out; returns who waited for it. From here on nobody can join."""
        with self.lock:
            self._remove(flight)
            waiters, flight.waiters = flight.waiters, []
            return waiters

    def leave(self, flight: Flight, waiter: Waiter, error: SleuthError | None = None) -> None:
        """Somebody waits no longer; where nobody is left, the call is broken off. In the loop's thread only."""
        failed = [(waiter, error)] if error is not None else []
        with self.lock:
            if waiter not in flight.waiters:
                return
            flight.waiters.remove(waiter)
            if waiter is flight.payer and not flight.attempts:
                failed += flight.hand_over()
            if deserted := not flight.waiters:
                self._remove(flight)
        waiter.silence()
        for one, reason in failed:
            one.fail(reason)
        if deserted and flight.task is not None:
            flight.task.cancel()

    def watch(self, flight: Flight, waiter: Waiter) -> None:
        """Let a waiter leave at its deadline. In the loop's thread only."""
        deadline = waiter.context.deadline
        if deadline.seconds is None or waiter not in flight.waiters:
            return
        left_s = deadline.left_s()
        if left_s > 0:
            waiter.alarm = asyncio.get_running_loop().call_later(left_s, self.watch, flight, waiter)
        else:
            self.leave(flight, waiter, DeadlineExceeded(f"the deadline of {deadline.seconds:g} s has passed"))

    def _remove(self, flight: Flight) -> None:
        if self._by_key.get((flight.place, flight.key)) is flight:
            del self._by_key[flight.place, flight.key]
