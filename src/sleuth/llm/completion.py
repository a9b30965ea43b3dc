"""What a server's answer says: a body, or the pieces of a stream, become a `Reply`.

A body is an answer only if it is JSON with a choice that holds a message (chat) or a text (raw). Whatever else comes
with status 200 (a proxy's page, an error object, half a body) is a `TransportError`: it is never parsed as a ranking.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from sleuth.errors import RequestRefused, TransportError
from sleuth.llm.chat import ChatRequest, Reply, Usage
from sleuth.llm.failures import excerpt

__all__ = ["label_logprobs", "read_completion", "reply_of", "usage_of"]

BROKEN_OFF = ("abort", "error")
"""Finish reasons of answers that the server itself gave up (SGLang, OpenRouter)."""


def read_completion(body: bytes, request: ChatRequest, *, where: str, tokenizer: str | None = None) -> Reply:
    """The reply in a whole body.

    Args:
        body: As received.
        request: What was asked.
        where: Model and address, for messages.
        tokenizer: For counting tokens where the server doesn't.

    Raises:
        TransportError: The body is no completion.
        RequestRefused: Log-probabilities were asked for and none came.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = excerpt(body[:2000].decode("utf-8", "replace"))
        raise TransportError(f"{where}: status 200, but the body is no JSON: {said or '(empty)'}", status=200) from None
    choice = _first_choice(found, where)
    if request.prompt is not None:
        text, reasoning = choice.get("text"), ""
        if not isinstance(text, str):
            raise TransportError(f"{where}: status 200, but the choice has no text", status=200)
    else:
        message = choice.get("message")
        if not isinstance(message, dict):
            raise TransportError(f"{where}: status 200, but the choice has no message", status=200)
        text, reasoning = _message_texts(message)
    labels, floor = label_logprobs(choice, request.labels, where=where)
    return reply_of(
        request,
        text=text,
        reasoning=reasoning,
        finish_reason=choice.get("finish_reason"),
        usage=found.get("usage"),
        labels=labels,
        label_floor=floor,
        model=found.get("model"),
        where=where,
        tokenizer=tokenizer,
    )


def reply_of(
    request: ChatRequest,
    *,
    text: str,
    reasoning: str,
    finish_reason: object,
    usage: object,
    where: str,
    labels: Mapping[str, float] | None = None,
    label_floor: float | None = None,
    model: object = "",
    tokenizer: str | None = None,
) -> Reply:
    """A reply of its parts; the text begins with the request's prefill, tokens are counted where none were told.

    Raises:
        TransportError: The server itself gave the answer up.
    """
    if finish_reason in BROKEN_OFF:
        raise TransportError(f"{where}: the server broke the answer off (finish reason {finish_reason!r})", status=200)
    if request.prefill and not (request.prompt is None and text.startswith(request.prefill)):
        text = request.prefill + text
    return Reply(
        text=text,
        reasoning=reasoning,
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        usage=usage_of(usage) or _estimated(request, text + reasoning, tokenizer),
        labels=labels or {},
        label_floor=label_floor,
        model=model if isinstance(model, str) else "",
    )


def usage_of(usage: object) -> Usage | None:
    """Tokens as the server tells them; None where it tells neither those read nor those written."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    read, written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = _count(read.get("cached_tokens")) if isinstance(read, dict) else None
    if cached is None:
        cached = _count(usage.get("prompt_cache_hit_tokens"))  # DeepSeek's own field
    thought = _count(written.get("reasoning_tokens")) if isinstance(written, dict) else None
    if thought is None:
        thought = _count(usage.get("reasoning_tokens"))  # SGLang's place
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=min(thought or 0, completion),
        cached_tokens=min(cached or 0, prompt),
    )


def label_logprobs(
    choice: Mapping[str, Any], labels: tuple[str, ...], *, where: str
) -> tuple[dict[str, float], float | None]:
    """Log-probabilities of the labels as the answer's first token, and a bound for those that did not come back.

    Both forms are read: the chat one (`content[0].top_logprobs`) and that of text completion (`top_logprobs[0]`, a
    mapping). A token is a label when its text, or its bytes as UTF-8, is exactly the label's.

    Returns:
        (label -> natural log-probability, the floor): no absent label has more than the floor. The drawn token does
        not count for it where it is the least likely one: servers list it beside the likeliest.

    Raises:
        RequestRefused: Labels were asked for and the server sent no log-probabilities at all.
    """
    if not labels:
        return {}, None
    listed = _first_token(choice.get("logprobs"))
    if listed is None:
        raise RequestRefused(
            f"{where}: log-probabilities were asked for and none came. Is `server=` right? If this server has none, "
            f"pass capabilities=Capabilities(label_logprobs=0, ...), in a recipe capabilities = {{ label_logprobs = 0 }}, "
            f"and take a judge that reads text"
        )
    entries, drawn = listed
    found: dict[str, float] = {}
    for token, value in entries:
        if token in labels and value > found.get(token, -math.inf):
            found[token] = value
    others = [value for token, value in entries if token != drawn] or [value for _, value in entries]
    return found, min(others, default=None)


def _first_token(logprobs: object) -> tuple[list[tuple[str, float]], str | None] | None:
    """((token's text, log-probability) of the first place, the token drawn), or None where there is nothing to read."""
    if not isinstance(logprobs, dict):
        return None
    content = logprobs.get("content")
    if isinstance(content, list):
        if not content:
            return [], None
        first = content[0] if isinstance(content[0], dict) else {}
        listed = [entry for entry in (first, *(first.get("top_logprobs") or ())) if isinstance(entry, dict)]
        entries = [(_token_text(entry), _logprob(entry.get("logprob"))) for entry in listed]
        return list({(t, v): None for t, v in entries if v is not None}), _token_text(first)
    tops, tokens = logprobs.get("top_logprobs"), logprobs.get("tokens")
    if not isinstance(tops, list):
        return None
    first = tops[0] if tops and isinstance(tops[0], dict) else {}
    drawn = _unescaped(tokens[0]) if isinstance(tokens, list) and tokens and isinstance(tokens[0], str) else None
    entries = [(_unescaped(token), _logprob(value)) for token, value in first.items()]
    return [(t, v) for t, v in entries if v is not None], drawn


def _token_text(entry: Mapping[str, Any]) -> str:
    token, raw = entry.get("token"), entry.get("bytes")
    if isinstance(raw, list) and raw and all(isinstance(b, int) and 0 <= b < 256 for b in raw):
        try:
            return bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            pass  # a token may end inside a character; then its text is what the server makes of it
    return _unescaped(token) if isinstance(token, str) else ""


def _unescaped(token: str) -> str:
    """`bytes:\\xec\\x98\\x88` (how some servers spell bytes in a token's text) as text, anything else as it is."""
    if not token.startswith("bytes:\\x"):
        return token
    raw = bytes(int(pair, 16) for pair in re.findall(r"\\x([0-9a-fA-F]{2})", token))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return token


def _logprob(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return min(0.0, float(value))  # rounding lifts a certain token slightly above 0


def _first_choice(found: object, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TransportError(f"{where}: status 200, but the body is no completion", status=200)
    choices = found.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    error = found.get("error")
    said = excerpt(str(error.get("message", error) if isinstance(error, dict) else error)) if error else "no choices"
    raise TransportError(f"{where}: status 200, but the body is no completion: {said}", status=200)


def _message_texts(message: Mapping[str, Any]) -> tuple[str, str]:
    """(answer, thoughts). Content may be a list of parts (Mistral); thoughts come as one of two fields."""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    thoughts = reasoning if isinstance(reasoning, str) else ""
    content = message.get("content")
    if isinstance(content, str):
        return content, thoughts
    text = ""
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") == "thinking":
            thoughts += _part_text(part.get("thinking"))
        else:
            text += _part_text(part.get("text"))
    return text, thoughts


def _part_text(part: object) -> str:
    if isinstance(part, list):
        return "".join(_part_text(inner.get("text")) for inner in part if isinstance(inner, dict))
    return part if isinstance(part, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _estimated(request: ChatRequest, written: str, tokenizer: str | None) -> Usage:
    from sleuth.llm.estimate import estimate_tokens, request_tokens

    return Usage(
        prompt_tokens=request_tokens(request, tokenizer),
        completion_tokens=estimate_tokens(written, tokenizer),
        estimated=True,
    )
