"""What a server's refusal means: an HTTP status, headers and a body become one of Sleuth's errors.

Asking again can help after 408, 409, 425, 429, 5xx, time-outs and dropped connections (`TransportError`); it can't
after any other 4xx (`RequestRefused`), after a body that says the request is too long for the model
(`ContextTooLong`, whatever the status: some servers say so with 400, others with 413, 422 or 500), or after a 429
that says the account is out of credit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from sleuth.errors import AuthenticationFailed, ContextTooLong, LLMError, RequestRefused, TransportError
from sleuth.llm.chat import ChatRequest

__all__ = ["excerpt", "exhausted", "failure_of", "retry_after_s", "subject"]

EXCERPT_CHARACTERS = 300
"""How much of a server's own words an error quotes (ours: vLLM's longest wording of "too long" is 250)."""

PASSING = frozenset({408, 409, 425, 429})
"""4xx that may go away by themselves: the statuses that the OpenAI SDK retries, and 425 Too Early."""

TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)"  # OpenAI, vLLM, SGLang, llama.cpp ("exceed_context_size"), DeepSeek, Mistral
    r"|longer than (the|this) (maximum )?(model|context)"  # vLLM ("... maximum model length"), SGLang
    r"|maximum (model|input|prompt|sequence) (length|tokens)"
    r"|(prompt|input|request|message)s? (is|are|was)? ?too (long|large)"  # Anthropic, Groq
    r"|input (token count|tokens?|length) .{0,40}(exceed|longer|less than)"  # Gemini, TGI
    r"|inputs?`? (tokens|must have less than)"  # TGI
    r"|reduce (the|your) (length|prompt|message|input)"  # OpenAI, Groq
    r"|too many (input |prompt )?tokens",
    re.IGNORECASE,
)
"""Wordings of "the request is longer than the model reads"."""

OUT_OF_CREDIT = re.compile(r"insufficient[ _]quota|exceeded your current quota|insufficient (balance|credits?)", re.I)


def failure_of(
    status: int, headers: Mapping[str, str], body: str, *, where: str, request: ChatRequest | None = None
) -> LLMError:
    """The error for an answer that is none.

    Args:
        status: The HTTP status, 400 to 599.
        headers: The answer's headers, names in lower case or a mapping that doesn't care.
        body: The answer's body, or its message; no secrets.
        where: Model and address.
        request: What was asked; its tags name the query in the message.
    """
    said = excerpt(body)
    told = f" The server says: {said}" if said else ""
    if status in (401, 403):
        return AuthenticationFailed(
            f"{where}: status {status}, the key is refused or missing. Set the environment variable OPENAI_API_KEY or "
            f"pass api_key=.{told}"
        )
    if status == 413 or (status in (400, 422, 500) and TOO_LONG.search(body)):
        about = f" ({subject(request)})" if request is not None else ""
        return ContextTooLong(
            f"{where}: the request is longer than the model reads{about}. Show fewer or shorter passages (window, "
            f"max_passage_tokens), ask for shorter answers, or serve the model with a longer context.{told}"
        )
    if status == 429 and OUT_OF_CREDIT.search(body):
        return RequestRefused(f"{where}: status 429, the account is out of credit; asking again can't help.{told}")
    if status in PASSING or status >= 500:
        return TransportError(f"{where}: status {status}.{told}", status=status, retry_after_s=retry_after_s(headers))
    hint = (
        " Is the model's name right, and does the base URL end as the server wants it (/v1)?" if status == 404 else ""
    )
    return RequestRefused(f"{where}: status {status}, the request is refused as it is.{hint}{told}")


def exhausted(
    error: TransportError, request: ChatRequest, attempts: int, address: str, *, kept: bool
) -> TransportError:
    """The error after the last attempt.

    Args:
        error: Of that attempt.
        request: What was asked; its tags name stage and query.
        attempts: How many there were.
        address: The server's; "" where there is none.
        kept: Replies go into a cache.
    """
    tags = request.tags
    where = f"stage {tags.stage!r}, query {tags.query_id!r}: " if tags.query_id else ""
    message = f"{where}no reply after {attempts} attempts; the last one: {str(error).rstrip('.')}."
    if error.status is None and address:  # nobody answered at all
        message += f" Is the server at {address} running?"
    if kept:
        message += " The replies so far are kept in the cache; the same command carries on from there."
    return TransportError(message, status=error.status, retry_after_s=error.retry_after_s)


def retry_after_s(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """How many seconds the server asks to wait, >= 0: `retry-after-ms`, or `retry-after` as seconds or an HTTP date.

    Args:
        headers: As in `failure_of`.
        now: Seconds since the epoch; by default the clock.

    Returns:
        None where it doesn't say, or not so that it can be read.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    stated = headers.get("retry-after")
    if stated is None:
        return None
    seconds = _number(stated)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(stated).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def subject(request: ChatRequest) -> str:
    """What a request is about, for messages: the query, the documents shown and its length in characters."""
    length = len(request.prompt or "") + sum(len(message.content) for message in request.messages)
    parts = [f"query {request.tags.query_id!r}"] if request.tags.query_id else []
    if request.tags.doc_ids:
        parts.append(f"{len(request.tags.doc_ids):,} documents")
    return ", ".join([*parts, f"{length:,} characters"])


def excerpt(text: str, limit: int = EXCERPT_CHARACTERS) -> str:
    """A server's words on one line: no control characters (they could steer a terminal), cut to `limit` characters."""
    head = text[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return line if len(line) <= limit and len(head) == len(text) else line[:limit] + "…"


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
