"""Small judges, backends and strategies for tests of the driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from sleuth.context import Context
from sleuth.errors import BudgetExceeded
from sleuth.llm.chat import Capabilities, ChatRequest, Message, Price, Reply, Tags
from sleuth.rerank.parts import Again, Ask, Case, Comparison, Order, Steps, Task, Verdict
from sleuth.rerank.strategy import Strategy


class FakeBackend:
    """Answers from a function, in threads of its own when it has a delay; books calls on the budget."""

    name = identity = "fake"
    capabilities = Capabilities()
    price: Price | None = None
    tokenizer: str | None = None
    family: str | None = None

    def __init__(self, answer: Callable[[ChatRequest], str], *, concurrency: int = 4, delay_s: float = 0.0) -> None:
        self.answer, self.concurrency, self.delay_s = answer, concurrency, delay_s
        self.asked: list[ChatRequest] = []
        self.in_flight = self.most_in_flight = 0
        self._lock = threading.Lock()

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        future: Future[Reply] = Future()
        try:
            if context is not None:
                context.budget.settle(context.budget.reserve(calls=1), calls=1)
        except BudgetExceeded as error:
            future.set_exception(error)
            return future
        with self._lock:
            self.asked.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.delay_s:
            threading.Timer(self.delay_s, self._finish, (future, request)).start()
        else:
            self._finish(future, request)
        return future

    def _finish(self, future: Future[Reply], request: ChatRequest) -> None:
        with self._lock:
            self.in_flight -= 1
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(Reply(self.answer(request)))
        except Exception as error:
            future.set_exception(error)


class FakeJudge:
    """A listwise chat judge whose answers are positions joined by spaces; `again` answers are asked once more."""

    name, kind, scale, max_docs, min_docs = "fake", "order", "rank", None, 1

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        tags = Tags(case.stage, case.query.query_id, case.comparison.doc_ids)
        content = f"{case.query_text}\n" + "\n".join(doc.text for doc in case.docs)
        return (ChatRequest((Message("user", content),), sample=case.comparison.sample, tags=tags),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        if replies[0].text == "again":
            first = requests[0]
            return Again((ChatRequest(first.messages, ask=first.ask + 1, tags=first.tags),), {"retried": 1})
        if replies[0].text == "bad":
            return Verdict(tuple(range(len(case.docs))), usable=False, counts={"fallback": 1})
        return Verdict(tuple(map(int, replies[0].text.split())), counts={"ok": 1}, note={"reasoning": "why"})

    def output_tokens(self, case: Case) -> int:
        return 5 * len(case.docs)


class FakeScorer:
    """A pointwise judge in process: a document's score is the number its text holds."""

    name, kind, scale, max_docs, min_docs = "scorer", "scores", "logit", 1, 1

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]]:
        self.batches.append([case.query.query_id for case in cases])
        for at in reversed(range(len(cases))):
            yield at, Verdict((0,), scores=(float(cases[at].docs[0].text),))


class Windows(Strategy):
    """All candidates in windows of `size` side by side, `rounds` times; each window is put in its order."""

    def __init__(self, judge: Any, *, size: int = 3, rounds: int = 1, **options: Any) -> None:
        super().__init__(judge, **options)
        self.size, self.rounds = size, rounds

    def calls(self, n: int) -> tuple[int, int]:
        return (-(-n // self.size) * self.rounds,) * 2

    def steps(self, task: Task) -> Steps:
        order = list(task.doc_ids)
        for _ in range(self.rounds):
            cuts = [tuple(order[at : at + self.size]) for at in range(0, len(order), self.size)]
            asked = tuple(Comparison(cut) for cut in cuts)
            verdicts = yield Ask(asked, tuple(order))
            order = [d for c, v in zip(asked, verdicts, strict=True) for d in v.settled(c, order)]
        return Order(tuple(order))


class Scores(Strategy):
    """Every candidate alone, sorted by score."""

    def calls(self, n: int) -> tuple[int, int]:
        return n, n

    def steps(self, task: Task) -> Steps:
        verdicts = yield Ask(tuple(Comparison((doc_id,)) for doc_id in task.doc_ids), task.doc_ids)
        scored = sorted(
            zip((v.scores[0] for v in verdicts if v.scores), task.doc_ids, strict=True), key=lambda pair: -pair[0]
        )
        return Order(tuple(d for _, d in scored), tuple(s for s, _ in scored), self.judge.scale)
