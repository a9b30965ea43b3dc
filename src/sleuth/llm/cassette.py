"""Replies as JSON, in the cache and in cassettes; and one line of a cassette.

A cassette is JSON lines, one rule a line:

    {"when": {"stage": "rerank-1", "query_id": "q1", "contains": "...", "request": "<sha256>"},
     "reply": {"text": "[2] > [1]", "finish_reason": "stop", "usage": {"prompt_tokens": 10, ...}}, "times": 1}
    {"when": {"stage": "rerank-1"}, "error": {"status": 429, "retry_after_s": 1}, "times": 2}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sleuth.errors import (
    AuthenticationFailed,
    ContextTooLong,
    LLMError,
    RequestRefused,
    TransportError,
    UsageError,
    nearest,
)
from sleuth.llm.chat import ChatRequest, Reply, Usage

__all__ = ["Rule", "reply_of", "reply_record", "rule_of", "without_surrogates"]

USAGE_COUNTS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
RETRIED_STATUS = {408, 409, 425, 429}
"""Statuses below 500 that asking again may help: timeout, conflict, too early, too many (as the OpenAI SDK's)."""

_WHEN = ("stage", "query_id", "contains", "request")
_RULE = ("when", "reply", "error", "times")
_REPLY = ("text", "reasoning", "finish_reason", "usage", "labels", "label_floor", "model", "latency_s", "attempts")
_ERROR = ("status", "retry_after_s", "message", "code")


# ── replies ───────────────────────────────────────────────────────────────────────────────────────


def reply_record(reply: Reply, *, history: bool = False) -> dict[str, Any]:
    """A reply as JSON. What is empty is left out; a log-probability of minus infinity is null.

    Args:
        history: With how long it took and how many attempts; cassettes leave that out.
    """
    usage = {name: value for name in USAGE_COUNTS if (value := getattr(reply.usage, name))}
    if reply.usage.estimated:
        usage["estimated"] = True
    record: dict[str, Any] = {"text": reply.text, "finish_reason": reply.finish_reason, "usage": usage}
    if reply.reasoning:
        record["reasoning"] = reply.reasoning
    if reply.labels:
        record["labels"] = dict(reply.labels)
    if reply.label_floor is not None:
        record["label_floor"] = reply.label_floor
    if reply.model:
        record["model"] = reply.model
    if history:
        record["latency_s"], record["attempts"] = round(reply.latency_s, 6), reply.attempts
    return record


def reply_of(record: Mapping[str, Any], *, cached: bool = False) -> Reply:
    """The reply that `reply_record` wrote, or that somebody wrote by hand.

    Left out: `finish_reason` is "stop"; `usage` is zero.

    Args:
        cached: What the reply says of itself.

    Raises:
        UsageError: A field of another name or kind.
    """
    _known("reply", _object("reply", record), _REPLY)
    reason = record.get("finish_reason", "stop")
    if reason is not None and not isinstance(reason, str):
        raise UsageError(f"reply.finish_reason must be text or null, got {reason!r}")
    labels = _object("reply.labels", record.get("labels", {}))
    floor = record.get("label_floor")
    return Reply(
        text=_text("reply.text", record.get("text")),
        reasoning=_text("reply.reasoning", record.get("reasoning", "")),
        finish_reason=reason,
        usage=_usage_of(_object("reply.usage", record.get("usage", {}))),
        labels={label: _log_probability(f"reply.labels.{label}", value) for label, value in labels.items()},
        label_floor=None if floor is None else _log_probability("reply.label_floor", floor),
        model=_text("reply.model", record.get("model", "")),
        latency_s=_number("reply.latency_s", record.get("latency_s", 0.0)),
        attempts=_count("reply.attempts", record.get("attempts", 1)),
        cached=cached,
    )


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for halves of characters, which a server may send and no file can hold."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage_of(record: Mapping[str, Any]) -> Usage:
    _known("reply.usage", record, (*USAGE_COUNTS, "total_tokens", "estimated"))
    counts = {name: _count(f"reply.usage.{name}", record.get(name, 0)) for name in USAGE_COUNTS}
    return Usage(**counts, estimated=bool(record.get("estimated", False)))


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rule:
    """What a cassette answers to which requests.

    Attributes:
        reply: The answer; None for a rule that fails.
        error: The failure; None for a rule that answers.
        stage, query_id: Of the request's tags; None matches any.
        contains: Text in a message, the raw prompt or the prefill; None matches any.
        request: The request's digest without identity; None matches any.
        times: How often the rule answers; None is without limit.
    """

    reply: Reply | None = None
    error: Mapping[str, Any] | None = None
    stage: str | None = None
    query_id: str | None = None
    contains: str | None = None
    request: str | None = None
    times: int | None = None

    def matches(self, request: ChatRequest, digest: str) -> bool:
        """Whether this rule is about the request with this digest (without identity)."""
        if self.request is not None and self.request != digest:
            return False
        if self.stage is not None and self.stage != request.tags.stage:
            return False
        if self.query_id is not None and self.query_id != request.tags.query_id:
            return False
        if self.contains is None:
            return True
        texts = (*(message.content for message in request.messages), request.prompt or "", request.prefill)
        return any(self.contains in text for text in texts)

    def failure(self) -> LLMError:
        """The error of a rule that fails, made anew; its kind follows the status as over HTTP."""
        error = self.error or {}
        status, message = error.get("status"), error.get("message") or "the cassette says so"
        text = f"{'connection dropped' if status is None else f'status {status}'}: {message}"
        if error.get("code") == "context_length_exceeded":
            return ContextTooLong(text)
        if status in (401, 403):
            return AuthenticationFailed(text)
        if status is None or status >= 500 or status in RETRIED_STATUS or 200 <= status < 300:
            return TransportError(text, status=status, retry_after_s=error.get("retry_after_s"))
        return RequestRefused(text)


def rule_of(record: Mapping[str, Any]) -> Rule:
    """The rule of one line. In Python `reply` may also be a `Reply` or just its text.

    Raises:
        UsageError: A field of another name or kind; neither a reply nor an error, or both.
    """
    _known("rule", _object("a rule", record), _RULE)
    if ("reply" in record) == ("error" in record):
        raise UsageError("a rule has either 'reply' or 'error', and not both")
    when = _object("when", record.get("when", {}))
    _known("when", when, _WHEN)
    conditions: dict[str, Any] = {name: _text(f"when.{name}", value) for name, value in when.items()}
    if "request" in conditions:
        conditions["request"] = conditions["request"].lower()
    times = record.get("times")
    if times is not None and _count("times", times) < 1:
        raise UsageError("times must be at least 1; leave it out for a rule without limit")
    if "error" in record:
        return Rule(error=_error_of(_object("error", record["error"])), times=times, **conditions)
    reply = record["reply"]
    if isinstance(reply, str):
        reply = Reply(reply, finish_reason="stop")
    elif not isinstance(reply, Reply):
        reply = reply_of(_object("reply", reply))
    return Rule(reply=reply, times=times, **conditions)


def _error_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    _known("error", record, _ERROR)
    if record.get("status") is not None:
        _count("error.status", record["status"])
    if record.get("retry_after_s") is not None:
        _number("error.retry_after_s", record["retry_after_s"])
    return dict(record)


# ── fields ────────────────────────────────────────────────────────────────────────────────────────


def _known(where: str, record: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in record:
        if name not in known:
            close = nearest(str(name), list(known))
            hint = f" Did you mean {close!r}?" if close else ""
            raise UsageError(f"{where} has no field {name!r}.{hint} Known: {', '.join(known)}")


def _object(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be an object, got {type(value).__name__}")
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be text, got {'nothing' if value is None else repr(value)}")
    return value


def _count(where: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{where} must be a whole number of 0 or more, got {value!r}")
    return value


def _number(where: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise UsageError(f"{where} must be a finite number, got {value!r}")
    return float(value)


def _log_probability(where: str, value: object) -> float:
    if value is None:
        return -math.inf
    return _number(where, value)
