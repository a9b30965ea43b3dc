"""Statuses, headers and bodies as errors."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from sleuth.errors import AuthenticationFailed, ContextTooLong, LLMError, RequestRefused, TransportError
from sleuth.llm.chat import ChatRequest, Message, Tags
from sleuth.llm.failures import excerpt, failure_of, retry_after_s

ASKED = ChatRequest(
    messages=(Message("user", "x" * 5000),), tags=Tags(stage="rerank-1", query_id="q7", doc_ids=("a", "b"))
)

WORDINGS = [
    # OpenAI, vLLM (three generations), SGLang, llama.cpp, TGI, Mistral, Gemini, Anthropic, Groq, DeepSeek
    (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."),
    (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages."),
    (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    (400, "'max_tokens' is too large: 900. This model's maximum context length is 512 and your request has 100."),
    (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
    (400, "Requested token count exceeds the model's maximum context length of 8192 tokens."),
    (400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    (500, "the request exceeds the available context size. try increasing the context size"),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000"),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 3000"),
    (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
    (400, "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (400, "Please reduce the length of the messages or completion. (context_length_exceeded)"),
    (413, "<html>413 Request Entity Too Large</html>"),
]


@pytest.mark.parametrize(("status", "said"), WORDINGS)
def test_too_long_in_many_wordings(status: int, said: str) -> None:
    found = failure_of(status, {}, said, where="m at u", request=ASKED)
    assert type(found) is ContextTooLong
    assert "query 'q7', 2 documents, 5,000 characters" in str(found)


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (401, "no", AuthenticationFailed),
        (403, "no", AuthenticationFailed),
        (400, "Unrecognized request argument supplied: top_k", RequestRefused),
        (400, "max_tokens is too large: 50000. This model supports at most 16384 completion tokens", RequestRefused),
        (404, "The model `x` does not exist.", RequestRefused),
        (422, "messages: field required", RequestRefused),
        (429, "You exceeded your current quota, please check your plan (insufficient_quota)", RequestRefused),
        (408, "", TransportError),
        (409, "", TransportError),
        (429, "Rate limit reached", TransportError),
        (500, "CUDA error", TransportError),
        (503, "Loading model", TransportError),
        (529, "overloaded", TransportError),
    ],
)
def test_statuses(status: int, said: str, expected: type[LLMError]) -> None:
    found = failure_of(status, {"retry-after": "2"}, said, where="m at u")
    assert type(found) is expected
    assert str(status) in str(found)
    if isinstance(found, TransportError):
        assert (found.status, found.retry_after_s) == (status, 2.0)


def test_404_hints_at_model_and_address() -> None:
    assert "/v1" in str(failure_of(404, {}, "not found", where="m at http://h:1"))


def test_retry_after() -> None:
    now = 1_700_000_000.0
    assert retry_after_s({"retry-after": "1.5"}) == 1.5
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_s({"retry-after": formatdate(now + 30, usegmt=True)}, now=now) == 30.0
    assert retry_after_s({"retry-after": formatdate(now - 30, usegmt=True)}, now=now) == 0.0
    for unreadable in ("soon", "-1", "nan", "inf", "Mon, 99 Foo 2024"):
        assert retry_after_s({"retry-after": unreadable}) is None
    assert retry_after_s({}) is None


def test_excerpt_is_one_short_line_without_control_characters() -> None:
    assert excerpt("a\n\tb \x1b[31mred") == "a b [31mred"
    assert excerpt("한국어 오류") == "한국어 오류"
    assert len(excerpt("x" * 5_000_000)) == 301
    assert excerpt("") == ""
