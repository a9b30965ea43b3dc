"""A language model of transformers in this process, as a chat backend (extra `models`).

    llm = sleuth.Transformers("path/to/checkpoint", dtype="bfloat16")

Requests arrive one by one, from any thread; those that wait together are answered together, beginnings that their
prompts share are computed once, and no answer depends on its batch mates beyond rounding. It takes raw prompts,
prefills and choices, samples by seed, and gives the log-probability of every label.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import orjson

from sleuth.context import Context
from sleuth.errors import ContextTooLong, ModelError, SleuthError, UsageError
from sleuth.llm.cache import Cache, open_cache
from sleuth.llm.calls import Calls
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply, Usage
from sleuth.llm.micro_batches import Job, MicroBatches
from sleuth.models.answer import Answer, TokenRequest
from sleuth.models.causal_lm import CausalLM
from sleuth.models.next_token import Drawing

__all__ = ["Transformers"]

EVERY_LABEL = 10**9
"""What `label_logprobs` says where any label can be asked for."""

BATCHES_IN_FLIGHT = 8
"""Calls in flight by default, in batches: prompts that share a beginning share it within what waits (ours)."""


class Transformers:
    """A ChatBackend over a causal language model in this process.

    Args:
        path: The checkpoint's folder, or its name on the model hub (extra `hub`).
        dtype: "float32" (default), "bfloat16", "float16", or "auto" for the checkpoint's own.
        device: Of torch; by default a GPU if there is one.
        batch_size: Prompts of one forward pass at most, and answers written side by side. Default: 8, ours.
        name: As shown; by default the folder's or the hub's name.
        revision: A branch, tag or commit of the hub; for a folder there is none.
        family: As its card names it ("qwen3-reranker", …); presets made for another are refused.
        price: Where an hour of this machine is to be accounted for by tokens.
        cache: Where replies are kept: the user's default, a cache, or None.
        concurrency: Requests that wait or are worked on at a time, over all runs. Default: 8 · `batch_size`.
        chat_options: Values that the chat template reads, `{"enable_thinking": False}` for Qwen3, say.
        share: Whether beginnings that prompts share are computed once (`CausalLM`).

    Attributes:
        name, identity, capabilities, concurrency, price, tokenizer, family: As every ChatBackend's. `tokenizer` is
            the checkpoint's folder; `identity` hashes weights, tokenizer, template and precision.
        control_tokens: Texts that are control tokens in a raw prompt; in messages they are text.
        window: Longest prompt and answer together, in tokens, or None.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: Files that are missing or not what they should be. (Weights are loaded at the first request.)
        UnknownName, UsageError: Another dtype; a revision of a folder; numbers below 1.
    """

    tokenizer: str | None
    family: str | None
    price: Price | None

    capabilities = Capabilities(raw=True, prefill=True, label_logprobs=EVERY_LABEL, choices=True, seed=True)

    def __init__(
        self,
        path: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int = 8,
        name: str | None = None,
        revision: str | None = None,
        family: str | None = None,
        price: Price | None = None,
        cache: Cache | Literal["default"] | None = "default",
        concurrency: int | None = None,
        chat_options: Mapping[str, Any] | None = None,
        share: bool = True,
    ) -> None:
        folder = _locate(path, revision)
        self._lm = CausalLM(folder, dtype=dtype, device=device, batch_size=batch_size, share=share)
        self._options = dict(chat_options or {})
        self.name = name or (str(path) if folder != Path(path) else folder.resolve().name)
        self.identity = f"transformers/{_identity(self._lm, self._options)}"
        self.price, self.family, self.tokenizer = price, family, str(folder)
        self.control_tokens, self.window = self._lm.files.tokens.control_tokens, self._lm.files.window
        self.concurrency = BATCHES_IN_FLIGHT * batch_size if concurrency is None else concurrency
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise UsageError(f"concurrency must be a whole number of 1 or more, got {concurrency!r}")
        kept = open_cache() if isinstance(cache, str) else cache
        self._calls = Calls(concurrency=self.concurrency, cache=kept)
        work = _Work(self._lm, self._options, self.name)
        self._line: MicroBatches[ChatRequest, Reply] = MicroBatches(work, most=self.concurrency)
        self._closing = weakref.finalize(self, self._line.close)

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask. The future can be cancelled, also while the answer is being written.

        It raises ContextTooLong where the prompt leaves no room for an answer, RequestRefused where the chat template
        refuses the messages, UsageError for a label of several tokens, ModelError where the model can't be run.
        """
        return self._calls.submit(self, self._send, request, context)

    def close(self) -> None:
        """End the model's thread once what it is answering is done; a later request starts another."""
        self._line.close()

    async def _send(self, request: ChatRequest) -> Reply:
        """One attempt."""
        return await asyncio.wrap_future(self._line.submit(request))


class _Work:
    """Answers jobs; it knows nothing of the backend, so that one that is dropped can end its thread."""

    def __init__(self, lm: CausalLM, options: Mapping[str, Any], name: str) -> None:
        self._lm, self._options, self._name = lm, options, name

    def __call__(self, jobs: list[Job[ChatRequest, Reply]]) -> None:
        ready: list[tuple[Job[ChatRequest, Reply], TokenRequest]] = []
        for job in jobs:
            try:
                ready.append((job, self._in_tokens(job.question)))
            except SleuthError as error:
                job.fail(error)
        requests = [request for _, request in ready]
        for at, answer in self._lm.answers(requests, cancelled=lambda at: ready[at][0].cancelled):
            job = ready[at][0]
            job.give(self._reply(job, answer))

    def _in_tokens(self, request: ChatRequest) -> TokenRequest:
        """The request in token ids.

        Raises:
            ContextTooLong: The prompt leaves no room for an answer.
            RequestRefused: The chat template refuses the messages.
            UsageError: A label that is not one token, an empty choice, an empty prompt.
        """
        tokens, decoding = self._lm.files.tokens, request.decoding
        if request.prompt is not None:
            ids = tokens.raw(request.prompt, prefill=request.prefill)
        else:
            turns = [(message.role, message.content) for message in request.messages]
            ids = tokens.chat(turns, prefill=request.prefill, options=self._options)
        if not ids:
            raise UsageError(f"{self._name} can't go on from an empty prompt; it needs at least one token")
        window = self._lm.files.window
        if window is not None and len(ids) >= window:
            raise ContextTooLong(
                f"{self._name}: the prompt{_of(request)} has {len(ids):,} tokens, the model reads {window:,}, answer "
                "included; show fewer or shorter passages (window, max_passage_tokens)"
            )
        return TokenRequest(
            ids=tuple(ids),
            max_tokens=decoding.max_tokens,
            drawing=Drawing(decoding.temperature, decoding.top_k, decoding.top_p, _seed(request)),
            labels=tuple(tokens.label(label) for label in request.labels),
            choices=tuple(tokens.choice(choice) for choice in request.choices),
            stop=tuple(text for text in decoding.stop if text),
            continues=bool(request.prefill),
        )

    def _reply(self, job: Job[ChatRequest, Reply], answer: Answer) -> Reply:
        request = job.question
        return Reply(
            text=request.prefill + answer.text,
            finish_reason=answer.finish,
            usage=Usage(
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                cached_tokens=answer.cached_tokens,
            ),
            labels=dict(zip(request.labels, answer.labels, strict=True)),
            model=self._name,
            latency_s=time.perf_counter() - job.began,
        )


def _seed(request: ChatRequest) -> int:
    """From the whole content, the decoding's seed, `sample` and `ask` included: equal requests draw alike, others apart."""
    return int(request.digest()[:16], 16)


def _of(request: ChatRequest) -> str:
    return f" for query {request.tags.query_id!r}" if request.tags.query_id else ""


def _identity(lm: CausalLM, options: Mapping[str, Any]) -> str:
    """Model and precision, and the chat template's values where there are any."""
    found = f"{lm.files.identity}/{lm.files.dtype}"
    if not options:
        return found
    try:
        record = orjson.dumps(options, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise UsageError(f"chat_options must be JSON-like, got {options!r}: {error}") from error
    return f"{found}/{hashlib.sha256(record).hexdigest()}"


def _locate(path: str | Path, revision: str | None) -> Path:
    """The folder of a checkpoint."""
    if not isinstance(path, (str, Path)) or not str(path).strip():
        raise UsageError(f"a checkpoint is a folder or a name on the model hub, got {path!r}")
    if Path(path).is_dir():
        if revision is not None:
            raise UsageError(f"{path} is a folder, and revision {revision!r} is the hub's; leave one out")
        return Path(path)
    name = str(path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(f"{name} is neither a folder nor a name on the model hub")
    from sleuth.models.download import local_files

    return local_files(name, revision=revision)
