"""The driver: runs the strategies of all queries at once and carries their comparisons to the judge.

A chat judge gets calls as they come: within one Ask in the order of shared prefixes, over queries the earlier query
first, so that a limit leaves finished queries behind and not many half-done ones. No query waits for another. A
judge in process gets all that waits once no strategy can step, grouped by query. When a budget or deadline ends the
work, nothing more is sent and the last order of every query stands.
"""

from __future__ import annotations

import heapq
import queue
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import Any

from sleuth.context import Context, Task
from sleuth.errors import ContextTooLong, DeadlineExceeded, Stopped, UsageError
from sleuth.llm.chat import ChatRequest, Reply
from sleuth.rerank.parts import Again, Ask, Case, ChatJudge, Comparison, LocalJudge, Order, Steps, Verdict
from sleuth.types import Doc, Query

__all__ = ["Walk", "drive"]

SHORTEST_CUT = 64
"""Characters below which no passage is cut to fit a model: less says nothing about a document (ours)."""
LOCAL_DOCS = 4_096
"""Documents that a judge in process gets at a time: enough for batches of like lengths, little memory (ours)."""


@dataclass
class Walk:
    """One query's strategy on its way.

    Attributes:
        query, query_text: What is asked.
        docs: The candidates' texts.
        steps: The strategy's generator.
        order: The best order so far; the strategy's end once `ended`.
        ended: Whether the strategy came to its end.
        depth: Calls that had to wait for each other so far.
        trace: What was shown and found, for `explain`.
    """

    query: Query
    query_text: str
    docs: Mapping[str, Doc]
    steps: Steps
    order: Order
    ended: bool = False
    depth: int = 0
    trace: list[dict[str, Any]] = field(default_factory=list)
    _ask: Ask | None = None
    _verdicts: list[Verdict | None] = field(default_factory=list)
    _waiting: int = 0
    _rounds: int = 0

    @property
    def waited(self) -> int:
        """Calls that had to wait for each other, those of an unfinished Ask included."""
        return self.depth + self._rounds

    def begin(self) -> None:
        """Run the strategy up to its first Ask."""
        self._step(None)

    def comparisons(self) -> list[tuple[int, Comparison]]:
        """(place, comparison) of the current Ask, equal beginnings next to each other."""
        if self._ask is None:
            return []
        return sorted(enumerate(self._ask.comparisons), key=lambda pair: (pair[1].doc_ids, pair[1].sample))

    def case(self, comparison: Comparison, stage: str) -> Case:
        """A comparison with its texts."""
        shown = tuple(self.docs[doc_id] for doc_id in comparison.doc_ids)
        return Case(self.query, self.query_text, shown, comparison, stage)

    def take(self, place: int, verdict: Verdict, *, rounds: int = 1) -> bool:
        """Put a verdict down; True if it was the Ask's last, and the strategy has stepped on.

        Args:
            place: Of the comparison within the Ask.
            rounds: How many times this comparison was asked one after another.
        """
        ask = self._ask
        if ask is None:
            raise UsageError(f"query {self.query.query_id!r} waits for no verdict")
        _check(verdict, ask.comparisons[place])
        self.trace.append(_event(ask.comparisons[place], verdict))
        self._verdicts[place] = verdict
        self._rounds = max(self._rounds, rounds)
        self._waiting -= 1
        if self._waiting:
            return False
        self.depth, self._rounds = self.depth + self._rounds, 0
        self._step(tuple(verdict for verdict in self._verdicts if verdict is not None))
        return True

    def _step(self, verdicts: tuple[Verdict, ...] | None) -> None:
        try:
            ask = next(self.steps) if verdicts is None else self.steps.send(verdicts)
            while not ask.comparisons:
                self.order = Order(ask.order)
                ask = self.steps.send(())
        except StopIteration as end:
            self.order, self.ended, self._ask = end.value, True, None
            return
        self.order, self._ask = Order(ask.order), ask
        self._verdicts, self._waiting, self._rounds = [None] * len(ask.comparisons), len(ask.comparisons), 0


def drive(
    judge: ChatJudge | LocalJudge, walks: Sequence[Walk], *, context: Context, stage: str
) -> tuple[Counter[str], str]:
    """Run all walks to their end, or until a limit ends the work.

    Args:
        judge: Who compares.
        walks: One a query, in the order in which a budget serves them.
        context: Limits and sinks.
        stage: The stage's name.

    Returns:
        The summed counts, and why it ended early ("" when it did not).

    Raises:
        LLMError: A call failed for good. What was answered until then is in the cache.
    """
    with context.progress.task(stage, len(walks)) as progress:
        for walk in walks:
            walk.begin()
            if walk.ended:
                progress.advance()
        if isinstance(judge, ChatJudge):
            return _Chat(judge, walks, context, stage, progress).run()
        return _drive_local(judge, walks, context, stage, progress)


def _event(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    """What a trace says about one verdict."""
    own = {"shown": list(comparison.doc_ids), "order": list(verdict.order), "usable": verdict.usable}
    if verdict.scores is not None:
        own["scores"] = list(verdict.scores)
    return {**verdict.note, **own}


def _check(verdict: Verdict, comparison: Comparison) -> None:
    n, order = len(comparison.doc_ids), verdict.order
    if len(set(order)) != len(order) or any(not 0 <= at < n for at in order):
        raise UsageError(f"a verdict's order must hold distinct positions below {n}, got {order}")
    if verdict.scores is not None and len(verdict.scores) != n:
        raise UsageError(f"a verdict needs a score for each of {n} documents, got {len(verdict.scores)}")


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Question:
    """A comparison on its way through the backend."""

    walk: Walk
    place: int
    case: Case
    requests: tuple[ChatRequest, ...]
    replies: list[Reply | None]
    rounds: int = 1
    futures: dict[int, Future[Reply]] = field(default_factory=dict)


class _Chat:
    """The loop around a chat judge; all of it runs in the caller's thread."""

    def __init__(self, judge: ChatJudge, walks: Sequence[Walk], context: Context, stage: str, progress: Task) -> None:
        self.judge, self.context, self.stage, self.progress = judge, context, stage, progress
        self.counts: Counter[str] = Counter()
        self.reason = ""
        self.error: BaseException | None = None
        self.ready: list[tuple[int, int, Walk, int, Comparison]] = []
        self.place_of = {id(walk): at for at, walk in enumerate(walks)}
        self.serial = 0
        self.open: set[int] = set()
        self.questions: dict[int, _Question] = {}
        self.done: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        for walk in walks:
            self._enqueue(walk)

    def run(self) -> tuple[Counter[str], str]:
        # Twice the backend's concurrency is rendered ahead, so that it never waits and memory stays flat.
        most = max(2, 2 * self.judge.backend.concurrency)
        try:
            while True:
                while self.ready and len(self.questions) < most and not self._stopped():
                    _, _, walk, place, comparison = heapq.heappop(self.ready)
                    self._ask(walk, place, comparison)
                if not self.questions:
                    break
                self._wait()
        except BaseException:
            self._cancel()
            raise
        if self.error is not None:
            raise self.error
        return self.counts, self.reason

    def _stopped(self) -> bool:
        return bool(self.reason) or self.error is not None

    def _enqueue(self, walk: Walk) -> None:
        for place, comparison in walk.comparisons():
            self.serial += 1
            heapq.heappush(self.ready, (self.place_of[id(walk)], self.serial, walk, place, comparison))

    def _ask(self, walk: Walk, place: int, comparison: Comparison) -> None:
        try:
            self.context.deadline.check()
        except DeadlineExceeded as stopped:
            self.reason = str(stopped)
            return
        case = walk.case(comparison, self.stage)
        requests = self.judge.requests(case)
        self.counts["comparisons"] += 1
        self._send(_Question(walk, place, case, requests, [None] * len(requests)))

    def _send(self, question: _Question) -> None:
        if all(reply is not None for reply in question.replies):
            raise UsageError(f"{self.judge.name} asked nothing new about {question.case.comparison.doc_ids}")
        self.serial += 1
        ticket = self.serial
        self.questions[ticket] = question
        for at, request in enumerate(question.requests):
            if question.replies[at] is None:
                future = self.judge.backend.submit(request, context=self.context)
                question.futures[at] = future
                future.add_done_callback(lambda _, at=at: self.done.put((ticket, at)))  # type: ignore[misc]

    def _wait(self) -> None:
        """One finished call, or the deadline."""
        left = self.context.deadline.left_s()
        try:
            ticket, at = self.done.get(timeout=None if left == float("inf") else max(left, 0.001))
        except queue.Empty:
            self.reason = self.reason or f"the deadline of {self.context.deadline.seconds:g} s has passed"
            self._cancel()
            return
        question = self.questions.get(ticket)
        if question is None:
            return
        try:
            question.replies[at] = question.futures[at].result()
        except Stopped as stopped:
            self.reason = self.reason or str(stopped)
            self._drop(ticket)
        except CancelledError:
            self._drop(ticket)
        except ContextTooLong as error:
            self._drop(ticket)
            self._shorten(question, error)
        except Exception as error:  # noqa: BLE001 (whatever a backend raises ends the stage, after the calls in flight)
            self.error = self.error or error
            self._drop(ticket)
        else:
            if all(reply is not None for reply in question.replies):
                del self.questions[ticket]
                self._read(question)

    def _shorten(self, question: _Question, error: ContextTooLong) -> None:
        """Ask again with all passages cut to one length, where the judge wants that."""
        case = question.case
        longest = case.longest or max((len(doc.full_text) for doc in case.docs), default=0)
        if getattr(self.judge, "on_too_long", "raise") != "cut" or longest // 2 < SHORTEST_CUT:
            self.error = self.error or error
            return
        if self._stopped():
            return
        self.counts["cut"] += 1
        shorter = replace(case, longest=longest // 2)
        requests = tuple(
            replace(request, ask=asked.ask)
            for request, asked in zip(self.judge.requests(shorter), question.requests, strict=True)
        )
        rounds = question.rounds + 1
        self._send(_Question(question.walk, question.place, shorter, requests, [None] * len(requests), rounds))

    def _read(self, question: _Question) -> None:
        replies = [reply for reply in question.replies if reply is not None]
        verdict = self.judge.read(question.case, question.requests, replies)
        self.counts.update(verdict.counts)
        if isinstance(verdict, Again):
            if self._stopped():
                return
            # What was answered well is not asked again, with or without a cache.
            known = dict(zip(question.requests, replies, strict=True))
            kept = [known.get(request) for request in verdict.requests]
            self._send(
                _Question(question.walk, question.place, question.case, verdict.requests, kept, question.rounds + 1)
            )
            return
        walk, comparison = question.walk, question.case.comparison
        self.context.trace.record(self.stage, walk.query.query_id, **_event(comparison, verdict))
        if walk.take(question.place, verdict, rounds=question.rounds):
            if walk.ended:
                self.progress.advance()
            self._enqueue(walk)

    def _drop(self, ticket: int) -> None:
        """Give a question up; its walk keeps its last order."""
        for future in self.questions.pop(ticket).futures.values():
            future.cancel()

    def _cancel(self) -> None:
        for ticket in list(self.questions):
            self._drop(ticket)


# ── in process ────────────────────────────────────────────────────────────────────────────────────


def _drive_local(
    judge: LocalJudge, walks: Sequence[Walk], context: Context, stage: str, progress: Task
) -> tuple[Counter[str], str]:
    counts: Counter[str] = Counter()
    while waiting := [(walk, place, one) for walk in walks for place, one in walk.comparisons()]:
        for part in _portions(waiting):
            try:
                context.deadline.check()
                held = context.budget.reserve(calls=len(part))
            except Stopped as stopped:
                return counts, str(stopped)
            cases = [walk.case(comparison, stage) for walk, _, comparison in part]
            answered = 0
            with context.ledger.timed(stage, comparisons=len(part), calls=len(part)):
                for at, verdict in judge.verdicts(cases):
                    walk, place, comparison = part[at]
                    counts.update(verdict.counts)
                    context.trace.record(stage, walk.query.query_id, **_event(comparison, verdict))
                    answered += 1
                    if walk.take(place, verdict) and walk.ended:
                        progress.advance()
            context.budget.settle(held, calls=len(part))
            counts["comparisons"] += len(part)
            if answered != len(part):
                raise UsageError(f"{judge.name} gave {answered} verdicts for {len(part)} cases")
    return counts, ""


def _portions(waiting: list[tuple[Walk, int, Comparison]]) -> Iterator[list[tuple[Walk, int, Comparison]]]:
    """Runs of comparisons with about LOCAL_DOCS documents each, in the order given."""
    part: list[tuple[Walk, int, Comparison]] = []
    docs = 0
    for entry in waiting:
        part.append(entry)
        docs += len(entry[2].doc_ids)
        if docs >= LOCAL_DOCS:
            yield part
            part, docs = [], 0
    if part:
        yield part
