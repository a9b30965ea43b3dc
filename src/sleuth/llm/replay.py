"""Backends without a model: a cassette of recorded replies, and answers from a function.

Both go through the same calls as every backend, so budgets, ledger, retries and deadlines can be tried without a
server. Their replies are not cached unless a cache is given.
"""

from __future__ import annotations

import hashlib
import heapq
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from sleuth.context import Context
from sleuth.data.lines import BadRecord, Lines, json_object
from sleuth.errors import FormatError, NoRule, UsageError
from sleuth.llm.cache import Cache
from sleuth.llm.calls import Calls, Retries
from sleuth.llm.cassette import Rule, reply_record, rule_of
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply, Usage
from sleuth.llm.estimate import estimate_tokens, request_tokens

__all__ = ["EVERYTHING", "Replay", "Scripted"]

EVERYTHING = Capabilities(raw=True, prefill=True, label_logprobs=sys.maxsize, choices=True, seed=True)
"""Recorded and scripted answers can be to any request."""

Answer = Callable[[ChatRequest], "Reply | str | Awaitable[Reply | str]"]


class Replay:
    """Answers from a cassette: the first rule that matches and has uses left; none is an error.

    Args:
        cassette: A file of rules (JSON lines, as `sleuth cache export` writes them), or rules as dicts, where `reply`
            may also be a `Reply` or just its text: `Replay([{"reply": "[2] > [1]"}])`.
        name: As shown.
        concurrency: Calls in flight at most. Default: 16, as of the HTTP backend.
        cache: Where replies are kept; by default they are not.
        capabilities: What it says it can do; everything by default.
        price, tokenizer, family: As of `ChatBackend`.
        retries: For rules with an error that asking again may help.

    Attributes:
        identity: Names the rules by their hash.

    Raises:
        UsageError: There is no such file; a rule given as a dict makes no sense.
        FormatError: A line of the file makes no sense.
    """

    def __init__(
        self,
        cassette: str | Path | Iterable[Mapping[str, Any]],
        *,
        name: str = "replay",
        concurrency: int = 16,
        cache: Cache | None = None,
        capabilities: Capabilities = EVERYTHING,
        price: Price | None = None,
        tokenizer: str | None = None,
        family: str | None = None,
        retries: Retries | None = None,
    ) -> None:
        if isinstance(cassette, str | Path):
            self._source = str(cassette)
            rules = _rules_of_file(Path(cassette))
        else:
            self._source = "the cassette"
            rules = _rules_of_list(cassette)
        self.name, self.concurrency, self.capabilities = name, concurrency, capabilities
        self.price, self.tokenizer, self.family = price, tokenizer, family
        self.identity = f"replay/{_digest(rules)}"
        self._rules = rules
        self._left = [rule.times for rule in rules]
        self._anywhere = [at for at, rule in enumerate(rules) if rule.request is None]
        self._by_request: dict[str, list[int]] = {}
        for at, rule in enumerate(rules):
            if rule.request is not None:
                self._by_request.setdefault(rule.request, []).append(at)
        self._calls = Calls(concurrency=concurrency, cache=cache, retries=retries)

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask (`ChatBackend.submit`); the future raises NoRule where no rule answers."""
        return self._calls.submit(self, self._send, request, context)

    async def _send(self, request: ChatRequest) -> Reply:
        digest = request.digest()
        used_up = 0
        for at in heapq.merge(self._anywhere, self._by_request.get(digest, ())):
            rule, left = self._rules[at], self._left[at]
            if not rule.matches(request, digest):
                continue
            if left == 0:
                used_up += 1
                continue
            if left is not None:
                self._left[at] = left - 1
            if rule.reply is None:
                raise rule.failure()
            return _counted(rule.reply, request)
        raise NoRule(self._no_rule(request, digest, used_up))

    def _no_rule(self, request: ChatRequest, digest: str, used_up: int) -> str:
        tags = request.tags
        spent = f" ({used_up} that match are used up)" if used_up else ""
        return (
            f"{self._source} has no rule for stage {tags.stage!r}, query {tags.query_id!r}, documents "
            f"{list(tags.doc_ids)}, request {digest}{spent}; record it again, or add a rule"
        )


class Scripted:
    """Answers from a function: for tests and demonstrations.

    Args:
        answer: Gives a `Reply` or just its text, at once or awaited, or raises an LLMError. It runs in the background
            loop and must not block.
        name: As shown.
        identity: For the cache's key; by default from the name, so give functions that differ different names.
        concurrency, cache, capabilities, price, tokenizer, family, retries: As of `Replay`.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        name: str = "scripted",
        identity: str | None = None,
        concurrency: int = 16,
        cache: Cache | None = None,
        capabilities: Capabilities = EVERYTHING,
        price: Price | None = None,
        tokenizer: str | None = None,
        family: str | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.name, self.identity = name, identity if identity is not None else f"scripted/{name}"
        self.concurrency, self.capabilities = concurrency, capabilities
        self.price, self.tokenizer, self.family = price, tokenizer, family
        self._answer = answer
        self._calls = Calls(concurrency=concurrency, cache=cache, retries=retries)

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask (`ChatBackend.submit`); the future raises what the function raises."""
        return self._calls.submit(self, self._send, request, context)

    async def _send(self, request: ChatRequest) -> Reply:
        answer = self._answer(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, str):
            answer = Reply(answer, finish_reason="stop")
        if not isinstance(answer, Reply):
            raise UsageError(f"{self.name} must answer with a Reply or its text, got {type(answer).__name__}")
        return _counted(answer, request)


def _counted(reply: Reply, request: ChatRequest) -> Reply:
    """The reply, its tokens estimated where it does not say them, so that budgets count."""
    if reply.usage != Usage():
        return reply
    written = estimate_tokens(reply.text) + estimate_tokens(reply.reasoning)
    return replace(reply, usage=Usage(request_tokens(request), written, estimated=True))


def _rules_of_list(records: Iterable[Mapping[str, Any]]) -> list[Rule]:
    rules = []
    for number, record in enumerate(records, 1):
        try:
            rules.append(rule_of(record))
        except UsageError as error:
            raise UsageError(f"rule {number}: {error}") from error
    return rules


def _rules_of_file(path: Path) -> list[Rule]:
    rules = []
    for number, line in Lines(path):
        try:
            rules.append(rule_of(json_object(line)))
        except (UsageError, BadRecord) as error:
            raise FormatError(path, str(error), line=number) from error
    return rules


def _digest(rules: Sequence[Rule]) -> str:
    whole = hashlib.sha256()
    for rule in rules:
        reply = None if rule.reply is None else reply_record(rule.reply)
        told = [rule.stage, rule.query_id, rule.contains, rule.request, rule.times, reply, rule.error]
        whole.update(orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))
    return whole.hexdigest()[:16]
