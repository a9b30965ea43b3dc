"""The backend over real HTTP: faults, capabilities, streams, keys. No wrong text, no lost call, honest counters."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from sleuth.context import Context
from sleuth.errors import (
    AuthenticationFailed,
    CapabilityMissing,
    ContextTooLong,
    LLMError,
    RequestRefused,
    TransportError,
)
from sleuth.llm.calls import Retries
from sleuth.llm.chat import Capabilities, ChatRequest, Decoding, Message, Tags
from sleuth.llm.openai import OpenAI

if TYPE_CHECKING:
    from chat_server import ChatServer

pytestmark = pytest.mark.slow

pytest.importorskip("openai")
pytest.importorskip("fastapi")

Servers = Callable[..., "ChatServer"]


def ask(text: str = "which?", **settings: Any) -> ChatRequest:
    return ChatRequest(messages=(Message("user", text),), tags=Tags("rerank-1", "q1", ("a", "b")), **settings)


# ── what goes over and comes back ─────────────────────────────────────────────────────────────────


def test_one_call(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    context = Context()
    reply = backend(server).submit(ask("한국어 질문 [1]"), context=context).result(20)
    assert (reply.text, reply.finish_reason, reply.model, reply.attempts) == ("[2] > [1]", "stop", "tiny", 1)
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens, reply.usage.reasoning_tokens) == (100, 64, 4)
    assert 0 < reply.latency_s < 20
    [seen] = server.seen
    assert seen["path"] == "/v1/chat/completions"
    assert seen["body"] == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "한국어 질문 [1]"}],
        "max_tokens": 1024,
        "temperature": 0.0,
    }
    assert "authorization" not in seen["headers"]
    row = context.ledger.table()["rerank-1"]
    assert (row["calls"], row["attempts"], row["tokens_in"], row["tokens_out"]) == (1, 1, 100, 10)


@pytest.mark.parametrize("shape", ["vllm", "openai"])
def test_reasoning_apart(chat_server: Servers, backend: Any, shape: str) -> None:
    from chat_server import Answer

    server = chat_server(shape=shape)
    server.answer = lambda body: Answer("[1]", reasoning="the second [2] is worse")
    reply = backend(server).submit(ask()).result(20)
    assert (reply.text, reply.reasoning) == ("[1]", "the second [2] is worse")


def test_truncated_thought_is_a_whole_reply_that_says_so(chat_server: Servers, backend: Any) -> None:
    from chat_server import Answer

    server = chat_server()
    server.answer = lambda body: Answer("<think> first [3], then", finish_reason="length")
    reply = backend(server).submit(ask()).result(20)
    assert (reply.text, reply.finish_reason) == ("<think> first [3], then", "length")


@pytest.mark.parametrize("shape", ["vllm", "openai"])
def test_label_logprobs(chat_server: Servers, backend: Any, shape: str) -> None:
    from chat_server import Answer

    server = chat_server(shape=shape)
    tokens = {"yes": -0.2, "no": -1.9, **{f"t{i}": -3.0 - i for i in range(30)}}
    server.answer = lambda body: Answer("yes", logprobs=tokens)
    reply = backend(server).submit(ask(labels=("yes", "no", "t25"))).result(20)
    assert reply.labels == {"yes": -0.2, "no": -1.9}  # t25 is not among the 20 likeliest
    assert reply.label_floor == -3.0 - 17
    assert server.seen[0]["body"]["top_logprobs"] == 20


def test_labels_of_a_raw_prompt(chat_server: Servers, backend: Any) -> None:
    from chat_server import Answer

    server = chat_server(shape="vllm")
    server.answer = lambda body: Answer("yes", logprobs={"yes": -0.2, "no": -1.9})
    request = ChatRequest(prompt="<|im_start|>user\nx", prefill="<think>\n\n</think>", labels=("yes", "no"))
    reply = backend(server).submit(request).result(20)
    assert (reply.text, reply.labels) == ("<think>\n\n</think>yes", {"yes": -0.2, "no": -1.9})
    assert server.seen[0]["path"] == "/v1/completions"
    assert server.seen[0]["body"]["prompt"] == "<|im_start|>user\nx<think>\n\n</think>"


def test_no_logprobs_came(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    with pytest.raises(RequestRefused, match="none came"):
        backend(server).submit(ask(labels=("yes",))).result(20)
    assert len(server.seen) == 1


def test_choices_prefill_top_k_and_seed(chat_server: Servers, backend: Any) -> None:
    server = chat_server(shape="vllm")
    decoding = Decoding(temperature=0.7, top_k=5, seed=1, stop=("\n",))
    reply = backend(server).submit(ask(choices=("A", "B"), prefill="Best: ", decoding=decoding)).result(20)
    assert reply.text == "Best: A"
    body = server.seen[0]["body"]
    assert body["messages"][-1] == {"role": "assistant", "content": "Best: "}
    assert (body["top_k"], body["seed"], body["stop"]) == (5, 1, ["\n"])


def test_missing_capability_sends_nothing(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    with pytest.raises(CapabilityMissing, match="prefill"):
        backend(server).submit(ask(prefill="["))
    assert not server.seen
    reply = backend(server, capabilities=Capabilities(prefill=True)).submit(ask(prefill="[")).result(20)
    assert reply.text == "[2] > [1]"  # the server repeats what it was given


def test_extra_body_wins_and_fields_can_be_omitted(chat_server: Servers, backend: Any) -> None:
    server = chat_server(shape="vllm")
    extra = {"max_tokens": 7, "chat_template_kwargs": {"enable_thinking": False}}
    backend(server, extra_body=extra, omit=["temperature"]).submit(ask()).result(20)
    body = server.seen[0]["body"]
    assert "temperature" not in body
    assert (body["max_tokens"], body["chat_template_kwargs"]) == (7, {"enable_thinking": False})


def test_five_megabytes(chat_server: Servers, backend: Any) -> None:
    from chat_server import Answer

    text = "<think>" + "가나다 [1] " * 400_000 + "</think>[2] > [1]"
    server = chat_server()
    server.answer = lambda body: Answer(text, usage=False)
    reply = backend(server).submit(ask()).result(60)
    assert reply.text == text
    assert reply.usage.estimated
    assert reply.usage.completion_tokens > 1_000_000


# ── faults ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_storms_pass(chat_server: Servers, backend: Any, status: int) -> None:
    server = chat_server()
    server.fail(status, times=5)
    context = Context()
    reply = backend(server).submit(ask(), context=context).result(30)
    assert (reply.text, reply.attempts, len(server.seen)) == ("[2] > [1]", 6, 6)
    row = context.ledger.table()["rerank-1"]
    assert (row["calls"], row["attempts"]) == (1, 6)


@pytest.mark.parametrize("kind", ["page", "empty", "error", "cut"])
@pytest.mark.parametrize("raw", [False, True])
def test_what_is_no_answer_is_asked_again(chat_server: Servers, backend: Any, kind: str, raw: bool) -> None:
    server = chat_server(shape="vllm")
    server.fault(kind, times=2)
    request = ChatRequest(prompt="which?") if raw else ask()
    reply = backend(server).submit(request).result(30)
    assert (reply.text, reply.attempts) == ("[2] > [1]", 3)


@pytest.mark.parametrize("kind", ["page", "empty", "error", "cut"])
def test_what_is_never_an_answer_fails(chat_server: Servers, backend: Any, kind: str) -> None:
    server = chat_server()
    server.fault(kind, times=99)
    with pytest.raises(TransportError):
        backend(server, retries=Retries(most=2, base_s=0.001)).submit(ask()).result(30)
    assert len(server.seen) == 3


def test_timeouts_are_asked_again(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    server.fault("hang", seconds=30)
    reply = backend(server, timeout_s=0.5).submit(ask()).result(30)
    assert (reply.text, reply.attempts) == ("[2] > [1]", 2)


def test_a_dripping_stream_can_not_outlast_the_time(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    server.fault("slow", seconds=0.3)
    with pytest.raises(TransportError, match=r"within 0\.8 s"):
        backend(server, timeout_s=0.8, stream=True, retries=Retries(most=0)).submit(ask()).result(30)


def test_the_server_says_how_long_to_wait(chat_server: Servers, backend: Any) -> None:
    from sleuth.llm.loop import run

    server = chat_server()
    server.fail(429, headers={"retry-after": "0.25"})
    server.fail(503, headers={"retry-after": formatdate(time.time() + 3600, usegmt=True)})
    server.fail(429, headers={"retry-after-ms": "40", "retry-after": "9"})
    one = backend(server)
    asked = []
    for _ in range(3):
        with pytest.raises(TransportError) as caught:
            run(one._send(ask())).result(20)
        asked.append(caught.value.retry_after_s)
    assert (asked[0], asked[2]) == (0.25, 0.04)
    assert 3000 < asked[1] <= 3600


def test_nobody_listens() -> None:
    backend = OpenAI(model="m", base_url="http://127.0.0.1:9/v1", retries=Retries(most=1, base_s=0.001), cache=None)
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:9.*connection failed"):
        backend.submit(ask()).result(30)
    backend.close()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "Unrecognized request argument: foo"}}, RequestRefused),
        (404, {"error": {"message": "The model `tiny` does not exist.", "code": "model_not_found"}}, RequestRefused),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, RequestRefused),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, RequestRefused),
        (400, {"object": "error", "message": "prompt is too long: 9 tokens > 8 maximum"}, ContextTooLong),
        (413, "<html>413 Request Entity Too Large</html>", ContextTooLong),
        (403, {"error": "forbidden"}, AuthenticationFailed),
    ],
)
def test_refusals_are_final(
    chat_server: Servers, backend: Any, status: int, body: Any, expected: type[LLMError]
) -> None:
    server = chat_server()
    server.fail(status, body=body)
    with pytest.raises(LLMError) as caught:
        backend(server).submit(ask()).result(30)
    assert type(caught.value) is expected
    assert len(server.seen) == 1


@pytest.mark.parametrize("shape", ["vllm", "openai"])
def test_too_long_names_the_query(chat_server: Servers, backend: Any, shape: str) -> None:
    server = chat_server(shape=shape)
    server.limit_characters = 50
    with pytest.raises(ContextTooLong, match="query 'q1', 2 documents, 60 characters"):
        backend(server).submit(ask("x" * 60)).result(30)
    assert len(server.seen) == 1


# ── streams ───────────────────────────────────────────────────────────────────────────────────────

LONG = "<think>hm [3]</think><answer>[2] > [1]</answer>" + " and let me explain that at length." * 40


@pytest.mark.parametrize("shape", ["vllm", "openai"])
def test_a_stream_is_closed_behind_the_answer(chat_server: Servers, backend: Any, shape: str) -> None:
    from chat_server import Answer

    server = chat_server(shape=shape)
    server.answer = lambda body: Answer(LONG, pieces=200)
    reply = backend(server, stream=True).submit(ask()).result(30)
    assert reply.text == "<think>hm [3]</think><answer>[2] > [1]</answer>"
    assert reply.finish_reason == "stop"
    assert reply.usage.estimated is (shape == "openai")  # vLLM tells tokens with every piece
    assert 0 < reply.usage.completion_tokens < 50
    deadline = time.monotonic() + 5
    while server.in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.seen[0]["closed_early"]


def test_a_stream_read_to_its_end(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    reply = backend(server, stream=True).submit(ask()).result(30)
    assert (reply.text, reply.finish_reason, reply.usage.prompt_tokens) == ("[2] > [1]", "stop", 100)
    assert server.seen[0]["body"]["stream_options"] == {"include_usage": True}
    raw = backend(chat_server(shape="vllm"), stream=True).submit(ChatRequest(prompt="x")).result(30)
    assert (raw.text, raw.finish_reason) == ("[2] > [1]", "stop")


@pytest.mark.parametrize("kind", ["no-finish", "no-choice", "mid-error", "cut", "page"])
def test_a_stream_that_breaks_off_is_asked_again(chat_server: Servers, backend: Any, kind: str) -> None:
    server = chat_server()
    server.fault(kind, times=2)
    reply = backend(server, stream=True).submit(ask()).result(30)
    assert (reply.text, reply.attempts) == ("[2] > [1]", 3)


# ── many at a time ────────────────────────────────────────────────────────────────────────────────


def test_a_storm_over_many_calls_loses_and_mixes_up_nothing(chat_server: Servers, backend: Any) -> None:
    from chat_server import Answer

    server = chat_server()
    server.answer = lambda body: Answer("answer to " + body["messages"][0]["content"])
    for kind in ("cut", "page", "error"):
        server.fault(kind, times=7)
        server.fail(429, times=7)
        server.fail(503, headers={"retry-after": "0"}, times=5)
    context = Context()
    one = backend(server, concurrency=8, retries=Retries(most=50, base_s=0.001, longest_s=0.01))
    futures = {name: one.submit(ask(name), context=context) for name in (f"question {i}" for i in range(150))}
    replies = {name: future.result(60) for name, future in futures.items()}
    assert {name: reply.text for name, reply in replies.items()} == {name: f"answer to {name}" for name in futures}
    assert server.most_in_flight <= 8
    row = context.ledger.table()["rerank-1"]
    assert row["calls"] == 150
    assert row["attempts"] == sum(reply.attempts for reply in replies.values()) == len(server.seen) == 150 + 57


def test_threads_and_event_loops_share_one_backend(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    one = backend(server, concurrency=4)

    async def inside(name: str) -> str:
        futures = [asyncio.wrap_future(one.submit(ask(f"{name} {i}"))) for i in range(10)]
        return "".join(reply.text for reply in await asyncio.gather(*futures))

    got: list[str] = []
    threads = [threading.Thread(target=lambda n=n: got.append(asyncio.run(inside(f"loop {n}")))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == ["[2] > [1]" * 10] * 4
    assert server.most_in_flight <= 4


def test_a_cancelled_call_lets_its_connection_go(chat_server: Servers, backend: Any) -> None:
    server = chat_server()
    server.fault("hang", seconds=30)
    one = backend(server, concurrency=1)
    hanging = one.submit(ask("first"))
    deadline = time.monotonic() + 10
    while not server.seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert hanging.cancel()
    assert one.submit(ask("second")).result(10).text == "[2] > [1]"
