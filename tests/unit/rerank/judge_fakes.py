"""A backend that is never asked, cases and replies: what tests of judges need, since judges do no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sleuth.context import Context
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply
from sleuth.rerank.parts import Again, Case, Comparison, Verdict
from sleuth.types import Doc, Query

ALL = Capabilities(raw=True, prefill=True, label_logprobs=20, choices=True, seed=True)
TEXT_ONLY = Capabilities()


class Silent:
    """A chat backend that must not be asked."""

    concurrency = 1
    price: Price | None = None

    def __init__(
        self,
        capabilities: Capabilities = ALL,
        *,
        tokenizer: str | None = None,
        family: str | None = None,
        name: str = "silent",
    ) -> None:
        self.capabilities, self.tokenizer, self.family = capabilities, tokenizer, family
        self.name = self.identity = name

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        raise AssertionError("a judge does no I/O")


def case_of(*texts: str, query: str = "왜 밀물이 생기나요?", sample: int = 0, **of_query: Any) -> Case:
    """A case of documents d0, d1, … with these texts."""
    docs = tuple(Doc(f"d{at}", text) for at, text in enumerate(texts))
    comparison = Comparison(tuple(doc.doc_id for doc in docs), sample)
    return Case(Query("q1", query, **of_query), query, docs, comparison, "rerank-1")


def of_size(n: int) -> Case:
    """A case of n documents."""
    return case_of(*(f"text {at}" for at in range(n)))


def text(answer: str, finish_reason: str | None = "stop", reasoning: str = "") -> Reply:
    return Reply(answer, reasoning=reasoning, finish_reason=finish_reason)


def labelled(labels: Mapping[str, float], floor: float | None = None) -> Reply:
    return Reply("x", finish_reason="length", labels=labels, label_floor=floor)


def first(judge: Any, case: Case, *replies: Reply) -> Verdict | Again:
    """What the judge reads of the first replies."""
    return judge.read(case, judge.requests(case), replies)  # type: ignore[no-any-return]


def asked_twice(judge: Any, case: Case, bad: Sequence[Reply], then: Sequence[Reply]) -> tuple[Again, Verdict]:
    """What the judge asks after bad replies, and what it reads of the replies to that."""
    again = first(judge, case, *bad)
    assert isinstance(again, Again)
    verdict = judge.read(case, again.requests, then)
    assert isinstance(verdict, Verdict)
    return again, verdict


def verdict_of(judge: Any, case: Case, *replies: Reply) -> Verdict:
    """The judge's verdict after replies that need no retry."""
    found = first(judge, case, *replies)
    assert isinstance(found, Verdict)
    return found
