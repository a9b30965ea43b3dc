"""A chat backend over HTTP: any server that speaks OpenAI's API.

The official SDK sends (extra `llm`); it never retries (`max_retries=0`), because retries, the cache, budgets and
concurrency are one layer above (`sleuth.llm.calls`), where every attempt is counted. Requests are written, and answers
read, by `servers.py`, `completion.py`, `stream.py` and `failures.py`, which need no SDK.

A key is held in memory only: it is in no identity, error, log, cache or repr.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

import orjson

from sleuth.context import Context
from sleuth.errors import AuthenticationFailed, CapabilityMissing, LLMError, RequestRefused, TransportError, UsageError
from sleuth.llm.cache import Cache, open_cache
from sleuth.llm.calls import Calls, Retries
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply
from sleuth.llm.completion import read_completion, reply_of
from sleuth.llm.failures import excerpt, failure_of
from sleuth.llm.loop import current_loop, run
from sleuth.llm.sdk import http_error, import_sdk, root_words, said
from sleuth.llm.servers import Server, chat_body, check_capabilities, raw_body, server_named
from sleuth.llm.stream import gather

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAI"]

T = TypeVar("T")

TIMEOUT_S = 600.0
"""Longest wait for one whole answer: the SDK's own default; a reasoning model writes for minutes."""

CONNECT_S = 10.0
"""Longest wait for a connection (ours: a server that is there answers within its accept queue)."""

RESERVED = ("model", "messages", "prompt", "stream", "n")
"""Fields of a request that can be neither set nor omitted: they are the request itself."""


class OpenAI:
    """A model behind an OpenAI-compatible server.

    Args:
        model: Its name as the server knows it.
        base_url: The address up to and with `/v1`. Default: `OPENAI_BASE_URL`, else OpenAI's own for
            `server="openai"`.
        server: Its kind, which says what it can do and how it is asked (`sleuth.llm.servers`).
        api_key: Default: `OPENAI_API_KEY`. A local server needs none, and then none is sent; OpenAI's own is asked nothing
            without one (AuthenticationFailed at the first call, so that a plan and cached answers need no key).
        identity: The user's own name for the model behind the address: it keys the cache instead of address, model,
            revision, `extra_body` and `omit`, so that two addresses of one model share their answers.
        revision: Which weights, where the server doesn't say: part of the identity.
        tokenizer: Path or name of the model's tokenizer: for token caps, and for counting where the server doesn't.
        family: The model's family as its card names it; a preset made for another one is refused.
        concurrency: Calls in flight at most. Default: 16, ours: as many as a local vLLM batches without queueing.
        price: What it costs.
        capabilities: What it can do, where that is not what the table says of its kind.
        timeout_s: Longest wait for one whole answer, > 0.
        retries: How often, and how patiently, transport errors are retried.
        cache: "default" is the one that `SLEUTH_CACHE` names, None none.
        stream: Stream answers and close the stream once `</answer>` is there (`sleuth.llm.stream`).
        extra_body: Further fields of every request (`{"chat_template_kwargs": {"enable_thinking": False}}`); they win
            over ours.
        omit: Fields of ours that are not sent (`["temperature"]` for a model that takes none).

    Raises:
        UsageError: An argument makes no sense, or there is no address.
        UnknownName: There is no such server.
        CapabilityMissing: `capabilities` claims what no request form is known for.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        server: str = "openai",
        api_key: str | None = None,
        identity: str | None = None,
        revision: str | None = None,
        tokenizer: str | None = None,
        family: str | None = None,
        concurrency: int = 16,
        price: Price | None = None,
        capabilities: Capabilities | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        cache: Cache | Literal["default"] | None = "default",
        stream: bool = False,
        extra_body: Mapping[str, Any] | None = None,
        omit: Sequence[str] = (),
    ) -> None:
        self._server = server_named(server)
        if not model:
            raise UsageError("model must name a model; the server lists its own at GET /models")
        if not timeout_s > 0:
            raise UsageError(f"timeout_s must be positive, got {timeout_s}")
        self.base_url = _address(base_url, self._server)
        self._key = _checked_key(api_key)
        self._extra, self._omit = _checked_extra(extra_body), _checked_omit(omit)
        self.model, self.server, self.name = model, server, model
        self.identity = identity or _identity(self.base_url, model, revision, self._extra, self._omit)
        self.tokenizer, self.family, self.price = tokenizer, family, price
        self.capabilities = _checked_capabilities(capabilities, self._server)
        self.timeout_s, self.stream = timeout_s, stream
        self.concurrency = concurrency
        self._calls = Calls(
            concurrency=concurrency,
            cache=open_cache() if cache == "default" else cache,
            retries=retries or Retries(),
        )
        self._clients: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}

    def __repr__(self) -> str:
        return f"OpenAI(model={self.model!r}, base_url={self.base_url!r}, server={self.server!r})"

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask; see `ChatBackend.submit`.

        Raises:
            CapabilityMissing: The request needs what this server can't do; nothing is sent.
            MissingExtra: The SDK is not installed.
        """
        check_capabilities(request, self.capabilities, self._where)
        import_sdk()
        return self._calls.submit(self, self._send, request, context)

    def models(self) -> list[dict[str, Any]]:
        """What the server lists at `GET /models`, as it lists it.

        Raises:
            LLMError: It can't be reached, refuses, or answers with something else.
        """
        return run(self._guarded(self._listed())).result()

    def close(self) -> None:
        """Close the connections; the next request opens new ones. From any thread but the calls' own."""
        client = self._clients.pop(current_loop(), None)
        if client is not None:
            run(client.close()).result(CONNECT_S)

    @property
    def _where(self) -> str:
        return f"{self.model} at {self.base_url}"

    # ── one attempt ───────────────────────────────────────────────────────────────────────────────

    async def _send(self, request: ChatRequest) -> Reply:
        """One attempt, bounded by `timeout_s`; raises what went wrong."""
        started = time.perf_counter()
        attempt = self._streamed if self.stream and not request.labels else self._whole
        reply = await self._guarded(attempt(request), request)
        return replace(reply, latency_s=time.perf_counter() - started)

    async def _guarded(self, work: Coroutine[Any, Any, T], request: ChatRequest | None = None) -> T:
        """Await one exchange with the server; whatever goes wrong is one of Sleuth's errors."""
        openai = import_sdk()
        failure: LLMError
        try:
            return await asyncio.wait_for(work, self.timeout_s)
        except (asyncio.TimeoutError, openai.APITimeoutError):
            failure = TransportError(f"{self._where}: no whole answer within {self.timeout_s:g} s (timeout_s)")
        except openai.APIStatusError as error:
            failure = self._refusal(error, request)
        except openai.APIConnectionError as error:
            failure = TransportError(f"{self._where}: the connection failed: {self._hushed(root_words(error))}")
        except openai.APIError as error:
            failure = self._refusal_in_stream(error, request)
        except (http_error(), json.JSONDecodeError) as error:
            failure = TransportError(f"{self._where}: the answer broke off: {self._hushed(root_words(error))}")
        except UnicodeEncodeError:
            failure = RequestRefused(f"{self._where}: the request holds half a surrogate pair, which no JSON can carry")
        # Raised here, outside of the handlers, so that no SDK error (it holds the request's headers) travels along.
        raise failure

    async def _listed(self) -> list[dict[str, Any]]:
        raw = await self._client().models.with_raw_response.list(extra_headers=self._headers())
        try:
            found = orjson.loads(raw.content)["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise TransportError(f"{self._where}: GET /models gives no list of models", status=200) from None
        return [entry for entry in found or () if isinstance(entry, dict) and entry.get("id")]

    async def _whole(self, request: ChatRequest) -> Reply:
        client, fields = self._client(), self._fields(request)
        if request.prompt is not None:
            raw = await client.completions.with_raw_response.create(**fields)
        else:
            raw = await client.chat.completions.with_raw_response.create(**fields)
        return read_completion(raw.content, request, where=self._where, tokenizer=self.tokenizer)

    async def _streamed(self, request: ChatRequest) -> Reply:
        client, fields = self._client(), self._fields(request)
        if self._server.stream_usage:
            options = {"include_usage": True}
            if self._server.stream_usage == "every":
                options["continuous_usage_stats"] = True
            fields["extra_body"].setdefault("stream_options", options)
        create = client.completions.create if request.prompt is not None else client.chat.completions.create
        stream = await create(stream=True, **fields)
        try:
            found = await gather(stream.__aiter__(), prefill=request.prefill, where=self._where)
        finally:
            await stream.close()
        return reply_of(
            request,
            text=found.text,
            reasoning=found.reasoning,
            finish_reason=found.finish_reason,
            usage=found.usage,
            model=found.model,
            where=self._where,
            tokenizer=self.tokenizer,
        )

    def _fields(self, request: ChatRequest) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": self.model}
        if request.prompt is not None:
            fields["prompt"] = request.prompt + request.prefill
            body = raw_body(self._server, self.capabilities, request)
        else:
            # In the extra body, which replaces the field: the SDK walks through typed messages piece by piece, which
            # took a quarter of a whole call's CPU with 40 messages (benchmarks.llm_overhead).
            fields["messages"] = ()
            body = chat_body(self._server, self.capabilities, request, limit=self._limit)
        body = {name: value for name, value in body.items() if name not in self._omit}
        if request.prompt is None:
            body["messages"] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
            if request.prefill:
                body["messages"].append({"role": "assistant", "content": request.prefill})
        fields["extra_body"] = {**body, **self._extra}
        fields["extra_headers"] = self._headers()
        return fields

    def _headers(self) -> dict[str, Any]:
        """Without a key no authorization is sent, where the SDK would send an empty one.

        Raises:
            AuthenticationFailed: OpenAI's own server and no key.
        """
        if self._key is not None:
            return {}
        if self._at_openai:
            raise AuthenticationFailed(
                f"{self._where}: the server needs a key and there is none; set the environment variable OPENAI_API_KEY or "
                "pass api_key=. Nothing was sent"
            )
        return {"Authorization": import_sdk().Omit()}

    @property
    def _limit(self) -> str:
        # OpenAI's reasoning models refuse max_tokens; most servers that follow its API know nothing else.
        return "max_completion_tokens" if self._at_openai else "max_tokens"

    @property
    def _at_openai(self) -> bool:
        return urlsplit(self.base_url).hostname == "api.openai.com"

    def _client(self) -> AsyncOpenAI:
        """The SDK's client of the running loop. A new loop (after a fork) gets its own; the parent's is left alone."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            sdk = import_sdk()
            self._clients[loop] = sdk.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=self.base_url,
                max_retries=0,
                timeout=sdk.Timeout(self.timeout_s, connect=min(CONNECT_S, self.timeout_s)),
            )
        return self._clients[loop]

    # ── what went wrong ───────────────────────────────────────────────────────────────────────────

    def _refusal(self, error: Any, request: ChatRequest | None) -> LLMError:
        words = self._hushed(said(error.body) or error.response.text)
        return failure_of(error.status_code, error.response.headers, words, where=self._where, request=request)

    def _refusal_in_stream(self, error: Any, request: ChatRequest | None) -> LLMError:
        """An error object in the middle of a stream: too long stays too long, the rest may pass."""
        words = self._hushed(said(error.body) or str(error.message))
        found = failure_of(500, {}, words, where=self._where, request=request)
        return found if not isinstance(found, TransportError) else TransportError(f"{self._where}: {excerpt(words)}")

    def _hushed(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _address(base_url: str | None, server: Server) -> str:
    address = base_url or os.environ.get("OPENAI_BASE_URL") or (server.address if server.name == "openai" else "")
    if not address:
        raise UsageError(
            f"server={server.name!r} needs base_url= or OPENAI_BASE_URL; by default it listens at {server.address}"
        )
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("a base URL is scheme, host and path; give a key as api_key= or OPENAI_API_KEY, not in it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"a base URL looks like {server.address}, got {address!r}")
    return address.rstrip("/")


def _checked_key(api_key: str | None) -> str | None:
    key = (api_key if api_key is not None else os.environ.get("OPENAI_API_KEY", "")).strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError("the API key holds white space or characters that no header can carry; it is not shown here")
    return key or None


def _checked_extra(extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    extra = dict(extra_body or {})
    for name in RESERVED:
        if name in extra:
            raise UsageError(f"extra_body can't set {name!r}: it is part of the request itself")
    try:
        orjson.dumps(extra)
    except TypeError as error:
        raise UsageError(f"extra_body must be JSON-like: {error}") from None
    return extra


def _checked_omit(omit: Sequence[str]) -> frozenset[str]:
    if isinstance(omit, str):
        raise UsageError(f"omit is a list of fields, got {omit!r}")
    for name in omit:
        if name in RESERVED:
            raise UsageError(f"omit can't leave out {name!r}: it is part of the request itself")
    return frozenset(omit)


def _checked_capabilities(stated: Capabilities | None, server: Server) -> Capabilities:
    if stated is None:
        return server.capabilities
    if stated.choices and not server.choices:
        raise CapabilityMissing(
            f"server={server.name!r} has no known way to hold an answer to given texts; "
            f"take server='vllm', 'sglang' or 'llama.cpp' if it understands one of theirs"
        )
    return stated


def _identity(address: str, model: str, revision: str | None, extra: Mapping[str, Any], omit: frozenset[str]) -> str:
    parts = ["openai", address, model]
    if revision:
        parts.append(f"revision={revision}")
    if extra or omit:  # they may change every answer; hashed, because they may be long or hold what nobody should read
        changes = orjson.dumps([extra, sorted(omit)], option=orjson.OPT_SORT_KEYS)
        parts.append(f"changes={hashlib.sha256(changes).hexdigest()[:16]}")
    return " ".join(parts)
