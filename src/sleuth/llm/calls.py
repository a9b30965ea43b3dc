"""What every chat backend has in common: cache, budget, deadline, ledger, concurrency and retries.

A backend brings one coroutine that makes one attempt; `Calls` does the rest. In the order in which a call meets them:

1. The deadline: after it nothing new is sent.
2. An equal request in flight: it is shared, over all runs of the process.
3. The cache: a hit is free.
4. The budget: one call, its input (by the backend's tokenizer, else by estimate) and the longest answer are reserved, in
   the order of submission.
5. One of `concurrency` places, first come first served; a call keeps its place while it waits to try again.
6. A note that it is in flight, before anything is sent.
7. Attempts, with waiting in between.
8. Budget and ledger: what was really used.
9. The reply, committed to the cache before anybody sees it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import orjson

from sleuth.context import Context
from sleuth.errors import AuthenticationFailed, SleuthError, TransportError, UsageError
from sleuth.llm.cache import Cache
from sleuth.llm.cassette import without_surrogates
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.llm.failures import exhausted
from sleuth.llm.flight import Flight, Flights, Send, Waiter, book
from sleuth.llm.loop import after_fork, current_loop

__all__ = ["Calls", "Retries", "Send"]

log = logging.getLogger(__name__)

WARN_EVERY_S = 60.0
"""A backend's first failures are a warning at most so often (ours: sixteen calls at once fail together)."""

_flights = Flights()


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when a failed attempt is made again (`TransportError` only).

    The k-th wait is drawn evenly from 0 to base_s · 2^(k-1), at most longest_s ("full jitter": M. Brooker, Exponential
    Backoff And Jitter, AWS Architecture Blog 2015), and not shorter than what the server asks for.

    Attributes:
        most: Attempts after the first. Default: 6, ours: about 16 s of waiting in the mean, beyond a short outage.
        base_s: Default: 0.5, as the OpenAI SDK's first wait.
        longest_s: Of a wait that the server did not ask for. Default: 30 (ours).
        longest_asked_s: Of a wait that it did ask for (`retry-after`). Default: 120 (ours: limits a minute are usual).
    """

    most: int = 6
    base_s: float = 0.5
    longest_s: float = 30.0
    longest_asked_s: float = 120.0

    def __post_init__(self) -> None:
        if self.most < 0:
            raise UsageError(f"retries: most must be 0 or more, got {self.most}")
        for name in ("base_s", "longest_s", "longest_asked_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"retries: {name} must be a finite number of 0 or more, got {value}")

    def wait_s(self, failures: int, asked_s: float | None, drawn: float) -> float:
        """How long to wait after so many failures.

        Args:
            failures: So far, >= 1.
            asked_s: What the server asked for, if anything.
            drawn: An even draw from [0, 1].
        """
        longest = min(self.longest_s, self.base_s * 2.0 ** min(failures - 1, 60))
        asked = asked_s if asked_s is not None and asked_s > 0 else 0.0  # also for nan
        return max(drawn * longest, min(asked, self.longest_asked_s))


class Calls:
    """One backend's calls. A backend makes one of these and passes each request through `submit`.

    Args:
        concurrency: Calls in flight at most, over all runs of this process, >= 1.
        cache: Where replies are kept; None asks every time.
        retries: None: as `Retries` has them.

    Raises:
        UsageError: `concurrency` is below 1.
    """

    def __init__(self, *, concurrency: int, cache: Cache | None, retries: Retries | None = None) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise UsageError(f"concurrency must be a whole number of 1 or more, got {concurrency!r}")
        self.concurrency, self.cache, self.retries = concurrency, cache, retries or Retries()
        self._place: object = self if cache is None else cache.path
        self._queue: deque[Flight] = deque()
        self._busy = 0
        self._home: asyncio.AbstractEventLoop | None = None
        self._warned = -math.inf

    def submit(self, backend: ChatBackend, send: Send, request: ChatRequest, context: Context | None) -> Future[Reply]:
        """Ask.

        Args:
            backend: Its identity and price count.
            send: Makes one attempt; runs in the background loop, so it must not block. It raises TransportError
                where asking again may help, another LLMError where it can't.
            request: What to ask. `request.tags.stage` (else the context's) is the row of the ledger.
            context: Limits and sinks.

        Returns:
            A future with the reply. It raises Stopped where a limit ended the call, LLMError where it failed, and
            UsageError where the request holds text that is no valid Unicode. Cancelling it breaks the call off, unless
            another run waits for the same one. Its callbacks may run in the background loop and must not block.
        """
        context = Context.of(context)
        waiter = Waiter(context, request.tags.stage or context.stage)
        try:
            context.deadline.check()
            reply = self._look_up(backend, send, request, waiter)
        except SleuthError as error:
            waiter.fail(error)
        else:
            if reply is not None:
                waiter.answer(reply)
        return waiter.future

    def _look_up(self, backend: ChatBackend, send: Send, request: ChatRequest, waiter: Waiter) -> Reply | None:
        """A reply that is there already, else None after the call is under way."""
        key = _key(backend, request)
        own = Flight(
            place=self._place,
            key=key,
            identity=backend.identity,
            request=request,
            send=send,
            price=backend.price,
            payer=waiter,
            tokenizer=backend.tokenizer,
            address=getattr(backend, "base_url", ""),  # of those that speak to a server
        )
        if own.metered:
            with _flights.lock:
                there = self._there(key)
            if there is None:
                own.count_input()  # outside of the lock: it takes milliseconds, and the loop's thread may need it
        with _flights.lock:
            there = self._there(key)
            if isinstance(there, Reply):
                book(waiter.context, waiter.stage, cache_hits=1)
                return there
            if there is not None:
                flight = there
                flight.waiters.append(waiter)
                begin = partial(_flights.watch, flight, waiter)
            else:
                flight = own
                flight.reserve()
                _flights.add(flight)
                begin = partial(self._admit, flight)
            current_loop().call_soon_threadsafe(begin)
        if flight is not own:
            book(waiter.context, waiter.stage, shared=1)
        waiter.future.add_done_callback(partial(_leave_if_cancelled, flight, waiter))
        return None

    def _there(self, key: str) -> Flight | Reply | None:
        """An equal request in flight, else the cache's reply. Call it with the flights' lock held."""
        flight = _flights.find(self._place, key)
        if flight is not None or self.cache is None:
            return flight
        return self.cache.get(key)

    # ── in the loop's thread ──

    def _admit(self, flight: Flight) -> None:
        here = asyncio.get_running_loop()
        if here is not self._home:  # the first call, or the first one after a fork
            self._home, self._queue, self._busy = here, deque(), 0
        self._queue.append(flight)
        _flights.watch(flight, flight.payer)
        self._begin_next(here)

    def _begin_next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._queue and self._busy < self.concurrency:
            flight = self._queue.popleft()
            if flight.waiters:
                self._busy += 1
                flight.task = loop.create_task(self._fly(flight))
                flight.task.add_done_callback(lambda _: self._end_one(loop))

    def _end_one(self, loop: asyncio.AbstractEventLoop) -> None:
        self._busy -= 1
        self._begin_next(loop)

    async def _fly(self, flight: Flight) -> None:
        try:
            reply = await self._answer(flight)
        except asyncio.CancelledError:  # nobody waits any more, or the process ends
            self._break_off(flight)
            for waiter in _flights.end(flight):
                waiter.future.cancel()
        except Exception as error:  # noqa: BLE001 (whoever waits is told, whatever it is)
            if flight.reply is None:
                flight.book_failure(broken_off=False)
                if self.cache is not None:
                    self.cache.end(flight.key)
            self._fail(flight, error)
            if isinstance(error, AuthenticationFailed):
                self._fail_queue(error)
        else:
            for waiter in _flights.end(flight):
                waiter.answer(reply)

    def _break_off(self, flight: Flight) -> None:
        if flight.reply is not None:  # it came, is booked and on its way into the cache
            return
        flight.book_failure(broken_off=True)
        if self.cache is not None and flight.attempts:
            self.cache.give_up(flight.key)

    def _fail(self, flight: Flight, error: Exception) -> None:
        for waiter in _flights.end(flight):
            waiter.fail(error)

    def _fail_queue(self, error: AuthenticationFailed) -> None:
        """A key that was refused once would be refused for all that wait."""
        waiting, self._queue = self._queue, deque()
        for flight in waiting:
            flight.release()
            self._fail(flight, error)

    async def _answer(self, flight: Flight) -> Reply:
        if self.cache is not None:
            begun = self.cache.begin(flight.key)
            if begun.reply is not None:
                flight.release()
                book(flight.payer.context, flight.payer.stage, cache_hits=1)
                return begun.reply
            if begun.unknown:
                book(flight.payer.context, flight.payer.stage, unknown=begun.unknown)
        reply = flight.reply = await self._attempts(flight)
        flight.book_reply(reply)
        if self.cache is None:
            return reply
        kept = self.cache.keep(flight.key, flight.identity, flight.request, reply)
        return await asyncio.shield(asyncio.wrap_future(kept))  # a reply that came is kept, whoever left

    async def _attempts(self, flight: Flight) -> Reply:
        while True:
            flight.attempts += 1
            begun_s = time.perf_counter()
            try:
                reply = await flight.send(flight.request)
            except TransportError as error:
                if flight.attempts > self.retries.most:
                    raise exhausted(
                        error, flight.request, flight.attempts, flight.address, kept=self.cache is not None
                    ) from error
                wait_s = self.retries.wait_s(flight.attempts, error.retry_after_s, random.random())
                log.log(self._level(flight), "%s (attempt %d; the next one in %.1f s)", error, flight.attempts, wait_s)
            else:
                return _finished(reply, time.perf_counter() - begun_s, flight.attempts)
            finally:
                flight.working_s += time.perf_counter() - begun_s
            await asyncio.sleep(wait_s)

    def _level(self, flight: Flight) -> int:
        """Of the log's line on a failed attempt: whoever waits is told now and then, not for every call and attempt."""
        now = time.monotonic()
        if flight.attempts > 1 or now - self._warned < WARN_EVERY_S:
            return logging.INFO
        self._warned = now
        return logging.WARNING


def _key(backend: ChatBackend, request: ChatRequest) -> str:
    try:
        return request.digest(backend.identity)
    except orjson.JSONEncodeError as error:
        query = request.tags.query_id
        raise UsageError(
            f"a request of query {query!r} can't be written as JSON ({error}): a half of a character (a lone surrogate) "
            "in a document or query? Read the file with errors='replace'"
        ) from error


def _finished(reply: Reply, took_s: float, attempts: int) -> Reply:
    return replace(
        reply,
        text=without_surrogates(reply.text),
        reasoning=without_surrogates(reply.reasoning),
        model=without_surrogates(reply.model),
        latency_s=took_s,
        attempts=attempts,
        cached=False,
    )


def _leave_if_cancelled(flight: Flight, waiter: Waiter, future: Future[Reply]) -> None:
    if future.cancelled():
        current_loop().call_soon_threadsafe(_flights.leave, flight, waiter)


def _forget() -> None:
    """What was in flight stays the parent's."""
    global _flights  # noqa: PLW0603
    _flights = Flights()


after_fork(_forget)
