"""Streams gathered, and closed where the answer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from sleuth.errors import TransportError
from sleuth.llm.stream import Gathered, answer_end, gather


def chunk(text: str | None = None, *, thought: str | None = None, finish: str | None = None, usage: Any = None) -> Any:
    told = None if usage is None else SimpleNamespace(model_dump=lambda: usage)
    delta = SimpleNamespace(content=text, reasoning_content=thought)
    return SimpleNamespace(model="tiny", usage=told, choices=[SimpleNamespace(delta=delta, finish_reason=finish)])


def gathered(chunks: list[Any], prefill: str = "") -> tuple[Gathered, int]:
    taken = 0

    async def flow() -> AsyncIterator[Any]:
        nonlocal taken
        for piece in chunks:
            taken += 1
            yield piece

    async def whole() -> Gathered:
        source = flow()
        try:
            return await gather(source, prefill=prefill, where="m at u")
        finally:
            await source.aclose()  # type: ignore[attr-defined]

    return asyncio.run(whole()), taken


def test_whole_stream() -> None:
    tail = SimpleNamespace(model="tiny", usage=SimpleNamespace(model_dump=lambda: {"a": 1}), choices=[])
    found, taken = gathered([chunk("[2]"), chunk(" > [1]"), chunk(finish="stop"), tail])
    assert found == Gathered("[2] > [1]", "", "stop", {"a": 1}, "tiny", False)
    assert taken == 4


@pytest.mark.parametrize("cut", range(1, 40))
def test_closed_behind_the_answer_wherever_chunks_are_cut(cut: int) -> None:
    text = "<think>hm</think>\n<answer>[2] > [1]</answer> and furthermore, let me explain at length"
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    found, taken = gathered([*map(chunk, pieces), chunk(finish="stop")])
    assert found.text == "<think>hm</think>\n<answer>[2] > [1]</answer>"
    assert (found.finish_reason, found.closed_early) == ("stop", True)
    assert taken <= len(pieces)


def test_an_end_tag_inside_thoughts_ends_nothing() -> None:
    text = "I must write <answer>[1] > [2]</answer>. Let me think again.</think><answer>[2] > [1]</answer> bye"
    found, _ = gathered([*(chunk(text[at : at + 7]) for at in range(0, len(text), 7)), chunk(finish="stop")])
    assert found.text.endswith("<answer>[2] > [1]</answer>")
    assert found.closed_early


def test_thoughts_in_their_own_field() -> None:
    found, taken = gathered(
        [chunk(thought="say </answer>?"), chunk("so <answer>[1]</answer>"), chunk("more"), chunk(finish="stop")]
    )
    assert (found.text, found.reasoning, taken) == ("so <answer>[1]</answer>", "say </answer>?", 2)


def test_a_prefill_counts_but_is_not_repeated() -> None:
    found, _ = gathered([chunk("[1]</answer> blah"), chunk("blah"), chunk(finish="stop")], prefill="<answer>")
    assert (found.text, found.closed_early) == ("[1]</answer>", True)


@pytest.mark.parametrize(
    ("chunks", "lacks"),
    [
        ([], "choice"),
        ([SimpleNamespace(model="tiny", usage=None, choices=[])], "choice"),
        ([chunk("[2] > [1]")], "finish reason"),
        ([chunk("<think>[2] > [1]"), chunk(" no: </answer>")], "finish reason"),
    ],
)
def test_a_stream_that_breaks_off_is_never_an_answer(chunks: list[Any], lacks: str) -> None:
    with pytest.raises(TransportError, match=f"without a {lacks}"):
        gathered(chunks)


def test_where_an_answer_ends() -> None:
    assert answer_end("x</answer>", apart=False) is None  # who knows whether that is a thought
    assert answer_end("x</answer>y", apart=True) == 10
    assert answer_end(" <answer>x</answer>y", apart=False) == 19
    assert answer_end("</answer></think>", apart=False) is None
