"""A small OpenAI-compatible server for tests: scripted answers, the response shapes of OpenAI and vLLM, faults on demand.

It listens on a free port of the loopback, in a thread of this process, and lives as long as its `with` block:

    with ChatServer(shape="vllm") as server:
        server.fail(429, headers={"retry-after": "0"}, times=3)   # the next three requests
        server.answer = lambda body: Answer("[2] > [1]")          # all others
        ... server.url, server.seen
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

__all__ = ["Answer", "ChatServer", "Fault"]

PAGE = "<!doctype html><html><body><h1>Welcome to the proxy</h1>Please log in. [3] &gt; [1] &gt; [2]</body></html>"

STREAMED = ("cut", "no-finish", "no-choice", "mid-error", "slow")
"""Faults in the middle of a stream; the others come before it."""


@dataclass
class Answer:
    """What the server answers.

    Attributes:
        logprobs: Token -> natural log-probability of the first place, the likeliest drawn.
        usage: Whether tokens are told (100 read, 64 of them cached, 10 written, 4 of them thoughts).
        pieces: Into how many pieces a stream cuts the text.
    """

    text: str = "[2] > [1]"
    reasoning: str = ""
    finish_reason: str | None = "stop"
    logprobs: Mapping[str, float] = field(default_factory=dict)
    usage: bool = True
    pieces: int = 8


@dataclass
class Fault:
    """What goes wrong, and how often.

    Attributes:
        kind: "status", "hang" (sends nothing for `seconds`), "cut" (dies in mid-body), "page" (200 with HTML), "empty"
            (200 without choices), "error" (200 with an error object), "no-finish", "no-choice" and "mid-error"
            (streams), "slow" (a whole answer, one piece every `seconds`).
    """

    kind: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 0.0


class ChatServer:
    """The server; a context manager.

    Attributes:
        url: The base URL, with `/v1`.
        answer: Body of a request -> Answer; may be replaced at any time.
        key: The only key that is let in; None lets everybody in.
        limit_characters: Longer requests are refused as too long, in the shape's own words.
        seen: Every request that came: path, headers, body, and `closed_early` of a stream that the client closed.
    """

    def __init__(self, *, shape: str = "openai", model: str = "tiny") -> None:
        self.shape, self.model = shape, model
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: Answer()
        self.key: str | None = None
        self.limit_characters = math.inf
        self.seen: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self._faults: deque[Fault] = deque()
        self._stop = threading.Event()

    def fail(self, status: int, *, headers: Mapping[str, str] | None = None, body: Any = None, times: int = 1) -> None:
        """The next requests get this status."""
        self._faults.extend([Fault("status", status=status, headers=headers or {}, body=body)] * times)

    def fault(self, kind: str, *, times: int = 1, seconds: float = 0.0) -> None:
        """The next requests go wrong in this way."""
        self._faults.extend([Fault(kind, seconds=seconds)] * times)

    def __enter__(self) -> ChatServer:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(
            self._app(), log_level="critical", lifespan="off", ws="none", http="h11", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline, "the test server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    # ── routes ────────────────────────────────────────────────────────────────────────────────────

    def _app(self) -> FastAPI:
        app = FastAPI()
        owner = {"vllm": "vllm", "openai": "system"}[self.shape]

        @app.get("/v1/models")
        async def models() -> dict[str, Any]:
            return {"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": owner}]}

        app.post("/v1/chat/completions")(self._chat)
        app.post("/v1/completions")(self._text)
        return app

    async def _chat(self, request: Request) -> Response:
        return await self._handle(request, raw=False)

    async def _text(self, request: Request) -> Response:
        return await self._handle(request, raw=True)

    async def _handle(self, request: Request, *, raw: bool) -> Response:
        body = await request.json()
        entry = {"path": request.url.path, "headers": dict(request.headers), "body": body, "closed_early": False}
        self.seen.append(entry)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            fault = self._faults.popleft() if self._faults else None
            if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
                return self._refuse(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
            refused = self._refused(body, raw=raw)
            if refused is not None:
                return refused
            answer = self.answer(body)
            await asyncio.sleep(0)
            if body.get("stream") and (fault is None or fault.kind in STREAMED):
                pieces = self._pieces(answer, body, fault, entry, raw=raw)
                return StreamingResponse(pieces, media_type="text/event-stream")
            return await self._whole(answer, body, fault, raw=raw)
        finally:
            self.in_flight -= 1

    async def _whole(self, answer: Answer, body: dict[str, Any], fault: Fault | None, *, raw: bool) -> Response:
        kind = fault.kind if fault else ""
        if fault and kind == "status":
            found = {"error": {"message": "scripted", "type": "server_error"}} if fault.body is None else fault.body
            if isinstance(found, str):
                return Response(found, status_code=fault.status, headers=dict(fault.headers), media_type="text/html")
            return JSONResponse(found, status_code=fault.status, headers=dict(fault.headers))
        if fault and kind == "hang":
            await self._pause(fault.seconds)
        if kind == "page":
            return HTMLResponse(PAGE)
        if kind == "empty":
            return JSONResponse({"id": "x", "object": "chat.completion", "choices": []})
        if kind == "error":
            return JSONResponse({"error": {"message": "upstream provider fell over", "code": 502}})
        found = self._completion(answer, body, raw=raw)
        if kind == "cut":
            return self._cut(json.dumps(found).encode())
        return JSONResponse(found)

    def _cut(self, whole: bytes) -> Response:
        async def half() -> AsyncIterator[bytes]:
            yield whole[: len(whole) // 2]
            raise ConnectionResetError  # uvicorn closes the connection: less came than the header promised

        return StreamingResponse(
            half(), headers={"content-length": str(len(whole)), "content-type": "application/json"}
        )

    def _refused(self, body: dict[str, Any], *, raw: bool) -> Response | None:
        length = len(body["prompt"]) if raw else sum(len(m["content"]) for m in body["messages"])
        if length > self.limit_characters:
            openai = (
                f"This model's maximum context length is {self.limit_characters} tokens. However, your messages "
                f"resulted in {length} tokens. Please reduce the length of the messages."
            )
            vllm = (
                f"The decoder prompt (length {length}) is longer than the maximum model length of "
                f"{self.limit_characters}. Make sure that `max_model_len` is no smaller than the number of text tokens."
            )
            return self._refuse(400, vllm if self.shape == "vllm" else openai, code="context_length_exceeded")
        if (body.get("top_logprobs") or 0) > 20:
            return self._refuse(400, "Requested sample logprobs of 21, which is greater than max allowed: 20")
        if self.shape == "openai" and ("top_k" in body or "continue_final_message" in body):
            return self._refuse(400, "Unrecognized request argument supplied: top_k")
        if body.get("continue_final_message") and body.get("add_generation_prompt", True):
            return self._refuse(400, "Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
        return None

    def _refuse(self, status: int, message: str, *, code: str | None = None) -> Response:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        return JSONResponse({"error": error}, status_code=status)

    # ── bodies ────────────────────────────────────────────────────────────────────────────────────

    def _completion(self, answer: Answer, body: dict[str, Any], *, raw: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": answer.finish_reason, "logprobs": None}
        text = self._allowed(answer.text, body)
        if raw:
            choice |= {"text": text, "logprobs": self._text_logprobs(answer, body)}
        else:
            message: dict[str, Any] = {"role": "assistant", "content": text}
            if answer.reasoning:
                message["reasoning_content" if self.shape == "openai" else "reasoning"] = answer.reasoning
            choice |= {"message": message, "logprobs": self._chat_logprobs(answer, body)}
        found = {"id": "x", "object": "chat.completion", "created": 1, "model": self.model, "choices": [choice]}
        return found | ({"usage": self._usage()} if answer.usage else {})

    def _allowed(self, text: str, body: dict[str, Any]) -> str:
        if self.shape == "vllm" and body.get("structured_outputs"):
            choices = body["structured_outputs"]["choice"]
            text = text if text in choices else choices[0]
        for stop in body.get("stop") or ():
            text = text.partition(stop)[0]
        return text

    def _chat_logprobs(self, answer: Answer, body: dict[str, Any]) -> dict[str, Any] | None:
        if not body.get("logprobs") or not answer.logprobs:
            return None
        listed = [
            {"token": token, "logprob": value, "bytes": list(token.encode())}
            for token, value in _likeliest(answer.logprobs, body.get("top_logprobs") or 0)
        ]
        return {"content": [{**listed[0], "top_logprobs": listed}]}

    def _text_logprobs(self, answer: Answer, body: dict[str, Any]) -> dict[str, Any] | None:
        if not body.get("logprobs") or not answer.logprobs:
            return None
        listed = dict(_likeliest(answer.logprobs, body["logprobs"]))
        drawn = next(iter(listed))
        return {"tokens": [drawn], "token_logprobs": [listed[drawn]], "top_logprobs": [listed], "text_offset": [0]}

    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 4},
        }

    # ── streams ───────────────────────────────────────────────────────────────────────────────────

    async def _pieces(
        self, answer: Answer, body: dict[str, Any], fault: Fault | None, entry: dict[str, Any], *, raw: bool
    ) -> AsyncIterator[bytes]:
        kind = fault.kind if fault else ""
        options = body.get("stream_options") or {}
        text = self._allowed(answer.text, body)
        step = max(1, -(-len(text) // answer.pieces))
        cuts = [text[at : at + step] for at in range(0, len(text), step)]
        entry["closed_early"] = True  # until the last piece is out
        if kind != "no-choice":
            if answer.reasoning:
                yield self._event(self._delta({"reasoning_content": answer.reasoning}, None, raw=raw))
            for at, cut in enumerate(cuts):
                if kind == "mid-error" and at == len(cuts) // 2:
                    yield self._event({"error": {"message": "the engine died", "code": 500}})
                    return
                if kind == "cut" and at == len(cuts) // 2:
                    raise ConnectionResetError
                chunk = self._delta({"content": cut}, None, raw=raw)
                if options.get("continuous_usage_stats"):
                    chunk["usage"] = {"prompt_tokens": 100, "completion_tokens": at + 1, "total_tokens": 101 + at}
                yield self._event(chunk)
                await self._pause(fault.seconds if fault and kind == "slow" else 0.005)
            if kind != "no-finish":
                yield self._event(self._delta({}, answer.finish_reason, raw=raw))
        if options.get("include_usage") and answer.usage:
            yield self._event(
                {"id": "x", "object": "chunk", "model": self.model, "choices": [], "usage": self._usage()}
            )
        entry["closed_early"] = False
        yield b"data: [DONE]\n\n"

    def _delta(self, delta: dict[str, Any], finish: str | None, *, raw: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        choice |= {"text": delta.get("content", "")} if raw else {"delta": delta}
        return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": self.model, "choices": [choice]}

    def _event(self, chunk: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than the server lives."""
        end = time.monotonic() + seconds
        while not self._stop.is_set() and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.05))


def _likeliest(logprobs: Mapping[str, float], n: int) -> list[tuple[str, float]]:
    return sorted(logprobs.items(), key=lambda pair: -pair[1])[: max(1, n)]
