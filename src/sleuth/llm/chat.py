"""One call to a language model: the request, the reply, and what a backend is.

A request is data: building one does no I/O, and two requests with equal content are the same request
wherever they were made (`ChatRequest.digest`). Tags say what a request is for; they travel with it to the
ledger, the trace, cassettes and the oracle, and are not part of its content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import orjson

from sleuth.context import Context
from sleuth.errors import UsageError

__all__ = ["Capabilities", "ChatBackend", "ChatRequest", "Decoding", "Message", "Price", "Reply", "Tags", "Usage"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """How an answer is drawn. All of it is part of a request's content.

    Attributes:
        max_tokens: Longest answer, thoughts included, >= 1. Default: 1,024, ours: a permutation of 20
            needs about 100, an answer of one word 1; presets that reason set their own.
        temperature: >= 0; 0 takes the likeliest token. Default: 0, as every ranking paper decodes.
        top_p: In (0, 1]; None leaves it to the server.
        top_k: >= 1; None leaves it to the server. Only some servers take it.
        stop: Texts that end the answer; they are not part of it.
        seed: For servers that have one; None leaves it to the server.
    """

    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must lie in (0, 1], got {self.top_p}")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k must be at least 1, got {self.top_k}")


@dataclass(frozen=True, slots=True)
class Tags:
    """What a request is for.

    Attributes:
        stage: The stage's name.
        query_id: The query.
        doc_ids: The documents in the order shown.
        reply: What kind of answer the asker reads ("permutation", "grade", …; a prompt template's `reply`); "" where
            it doesn't say.
    """

    stage: str = ""
    query_id: str = ""
    doc_ids: tuple[str, ...] = ()
    reply: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a model is asked.

    Attributes:
        messages: The conversation (chat); empty where `prompt` is given.
        prompt: A raw prompt for text completion; None for chat. Needs the capability `raw`.
        prefill: With what the answer begins; `Reply.text` begins with it too. Needs the capability `prefill`.
        decoding: How the answer is drawn.
        labels: Strings of one token each whose log-probabilities as the answer's first token are wanted. Needs the
            capability `label_logprobs`.
        choices: The only answers allowed (guided decoding). Needs the capability `choices`.
        sample: Tells n equal questions apart: each is a call of its own.
        ask: 0 at first; a question that is asked again after a bad reply counts up, so that the cache does not
            answer a retry with what it retries.
        tags: What it is for; not part of its content.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    prefill: str = ""
    decoding: Decoding = field(default_factory=Decoding)
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    sample: int = 0
    ask: int = 0
    tags: Tags = field(default_factory=Tags, compare=False)

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.prompt is not None):
            raise UsageError("a ChatRequest has either messages or a prompt, and not both")

    def content(self) -> dict[str, Any]:
        """Everything but the tags, JSON-like; defaults are left out, so that a new field changes no digest."""
        decoding = {
            name: value
            for name in Decoding.__slots__
            if (value := getattr(self.decoding, name)) not in (None, ()) or name == "temperature"
        }
        found: dict[str, Any] = {"decoding": decoding}
        if self.messages:
            found["messages"] = [[message.role, message.content] for message in self.messages]
        for name in ("prompt", "prefill", "labels", "choices", "sample", "ask"):
            value = getattr(self, name)
            if value not in (None, "", (), 0):
                found[name] = value
        if self.prompt == "":
            found["prompt"] = ""
        return found

    def digest(self, identity: str = "") -> str:
        """SHA-256, in hex, of the content, and of a backend's identity where one is given (the cache's key)."""
        whole = {"identity": identity, **self.content()} if identity else self.content()
        return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call.

    Attributes:
        prompt_tokens: Read, the cached ones included.
        completion_tokens: Written, thoughts included.
        reasoning_tokens: Written as thoughts, where the server says so.
        cached_tokens: Read from the server's prefix cache, where it says so.
        estimated: The server reported none; counted from characters.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        text: The whole answer, a prefill included. It may hold thoughts in tags: `replies` reads those.
        reasoning: Thoughts that the server delivers apart from the answer.
        finish_reason: "stop", "length" (cut at the token limit) or what the server says.
        usage: Tokens.
        labels: Label -> natural log-probability as the answer's first token, of those that came back.
        label_floor: The smallest log-probability among the returned ones: no absent label has more. None where
            the returned ones are complete (a backend in process, or no labels asked).
        model: The model's name as the server gives it.
        latency_s: Of the attempt that succeeded.
        attempts: Sends that this reply took; more than 1 after transport errors.
        cached: It came from the cache, so nothing was sent.
    """

    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    labels: Mapping[str, float] = field(default_factory=dict)
    label_floor: float | None = None
    model: str = ""
    latency_s: float = 0.0
    attempts: int = 1
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond answering messages with text.

    Attributes:
        raw: Text completion of a raw prompt.
        prefill: The answer can be begun for the model.
        label_logprobs: How many of the likeliest first tokens come back with log-probabilities; 0 is none. A
            backend in process gives every label asked for, whatever this says (it is then very large).
        choices: The answer can be held to given texts.
        seed: Sampling takes a seed.
    """

    raw: bool = False
    prefill: bool = False
    label_logprobs: int = 0
    choices: bool = False
    seed: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs: the user's currency a million tokens. `cached` is for cached input; None: as `input`."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def of(self, usage: Usage) -> float:
        """The price of one call."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.input + usage.cached_tokens * cached + usage.completion_tokens * self.output) / 1e6


@runtime_checkable
class ChatBackend(Protocol):
    """Something that answers requests.

    Attributes:
        name: As shown.
        identity: Of the model behind it (kind, address, model, revision, or the user's own name for it): with a
            request's content it keys the cache.
        capabilities: What it can do.
        concurrency: Calls in flight at most, over all runs of this process that use this backend.
        price: What it costs, where the user said so.
        tokenizer: Path or name of the model's tokenizer, which token caps need; None where it isn't known.
        family: The model's family as its card names it ("qwen3-reranker", …); a preset made for another family
            is refused. None where it isn't known.
    """

    name: str
    identity: str
    capabilities: Capabilities
    concurrency: int
    price: Price | None
    tokenizer: str | None
    family: str | None

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask. The future raises what went wrong (`sleuth.errors.LLMError`, `Stopped`); it can be cancelled."""
        ...
