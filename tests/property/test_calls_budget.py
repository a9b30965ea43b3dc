"""Budgets of calls: reserved in the order of submission, never overdrawn, and given back to the last unit."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.context import Budget, Context
from sleuth.errors import BudgetExceeded, RequestRefused
from sleuth.llm.chat import ChatRequest, Decoding, Message, Price, Reply, Tags, Usage
from sleuth.llm.estimate import request_tokens
from sleuth.llm.replay import Scripted

CALLS = st.lists(
    st.tuples(
        st.integers(1, 60),  # characters of the question
        st.integers(1, 40),  # longest answer
        st.sampled_from(["answered", "refused", "cancelled"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(calls=CALLS, most=st.integers(0, 30), tokens=st.integers(0, 600), concurrency=st.integers(1, 5))
def test_what_is_sent_is_what_a_till_would_let_through(
    calls: list[tuple[int, int, str]], most: int, tokens: int, concurrency: int
) -> None:
    """All calls are submitted before the first one ends; so the model is a till that only takes."""
    gate: list[bool] = []
    asked: list[int] = []
    spent = 0

    async def answer(request: ChatRequest) -> Reply:
        nonlocal spent
        at = int(request.tags.query_id)
        asked.append(at)
        while not gate:
            await asyncio.sleep(0)
        if calls[at][2] == "refused":
            raise RequestRefused("no")
        usage = Usage(request_tokens(request), calls[at][1] // 2)
        spent += usage.prompt_tokens + usage.completion_tokens
        return Reply("x", usage=usage)

    budget = Budget(calls=most, tokens=tokens)
    context = Context(budget=budget)
    backend = Scripted(answer, concurrency=concurrency, price=Price(1.0, 1.0))
    requests = [
        ChatRequest((Message("user", f"{at:>60}"[-size:] + "x" * at),), decoding=Decoding(max_tokens=longest), sample=at, tags=Tags("s", str(at)))
        for at, (size, longest, _) in enumerate(calls)
    ]  # fmt: skip
    futures = [backend.submit(request, context=context) for request in requests]

    allowed, taken_calls, taken_tokens = [], 0, 0
    for at, request in enumerate(requests):
        needs = request_tokens(request) + request.decoding.max_tokens
        if taken_calls + 1 <= most and taken_tokens + needs <= tokens:
            allowed.append(at)
            taken_calls, taken_tokens = taken_calls + 1, taken_tokens + needs
    stopped = [at for at, future in enumerate(futures) if future.done()]
    assert stopped == [at for at in range(len(calls)) if at not in allowed]
    for at in stopped:
        with pytest.raises(BudgetExceeded):
            futures[at].result()

    queued = allowed[concurrency:]  # those can be cancelled before they are sent
    cancelled = [at for at in queued if calls[at][2] == "cancelled"]
    for at in cancelled:
        assert futures[at].cancel()
    gate.append(True)
    for at in allowed:
        if at not in cancelled:
            error = futures[at].exception(20)
            assert isinstance(error, RequestRefused) == (calls[at][2] == "refused")
    assert asked == [at for at in allowed if at not in cancelled]
    done = budget.spent()
    assert done["calls"] == len(asked)
    assert done["tokens"] == spent <= tokens
    budget.reserve(calls=most - len(asked), tokens=tokens - spent)  # nothing is held back, nothing given twice
    with pytest.raises(BudgetExceeded):
        budget.reserve(calls=1, tokens=1)
