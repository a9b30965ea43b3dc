"""Bodies as replies."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sleuth.errors import RequestRefused, TransportError
from sleuth.llm.chat import ChatRequest, Message
from sleuth.llm.completion import read_completion, usage_of

ASK = ChatRequest(messages=(Message("user", "which?"),))
LABELS = ChatRequest(messages=(Message("user", "?"),), labels=("yes", "no"))


def read(choice: dict[str, Any], request: ChatRequest = ASK, **fields: Any) -> Any:
    return read_completion(json.dumps({"choices": [choice], **fields}).encode(), request, where="m at u")


def message(content: Any, **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **fields}, "finish_reason": "stop"}


def test_plain() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    reply = read(message("[2] > [1]"), model="tiny", usage=usage)
    assert (reply.text, reply.reasoning, reply.finish_reason, reply.model) == ("[2] > [1]", "", "stop", "tiny")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (9, 5)
    assert (reply.usage.cached_tokens, reply.usage.reasoning_tokens, reply.usage.estimated) == (4, 2, False)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_comes_apart(name: str) -> None:
    reply = read(message(None, **{name: "passage [3] looks best"}) | {"finish_reason": "length"})
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("", "passage [3] looks best", "length")


def test_content_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "[1]"}, 3]
    reply = read(message(parts))
    assert (reply.text, reply.reasoning) == ("[1]", "hm")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><h1>[3] > [1]</h1>",
        b"\xff\xfe",
        b'{"choices": [{"message": {"content": "[1]',
        b"null",
        b"[]",
        b'"[2] > [1]"',
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": ["[1]"]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": "[1]"}]}',
        b'{"choices": [{"text": "[1]"}]}',
        b'{"error": {"message": "upstream fell over", "code": 502}}',
    ],
)
def test_anything_else_is_a_transport_error(body: bytes) -> None:
    with pytest.raises(TransportError, match="m at u: status 200"):
        read_completion(body, ASK, where="m at u")


def test_an_error_object_is_quoted() -> None:
    with pytest.raises(TransportError, match="upstream fell over"):
        read_completion(b'{"error": {"message": "upstream fell over"}}', ASK, where="m at u")


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_answer_the_server_gave_up_is_none(reason: str) -> None:
    with pytest.raises(TransportError, match=reason):
        read(message("[1]") | {"finish_reason": reason})


def test_raw() -> None:
    request = ChatRequest(prompt="Q: ", prefill="A:")
    assert read({"text": " yes", "finish_reason": "length"}, request).text == "A: yes"
    with pytest.raises(TransportError, match="no text"):
        read(message("x"), request)


def test_prefill_begins_the_text_once() -> None:
    request = ChatRequest(messages=ASK.messages, prefill="<think>\n")
    assert read(message("hm</think>[1]"), request).text == "<think>\nhm</think>[1]"
    assert read(message("<think>\nhm</think>[1]"), request).text == "<think>\nhm</think>[1]"  # a server that echoes it


def test_five_megabytes() -> None:
    text = "가나다 [1] > " * 400_000
    assert read(message(text)).text == text


# ── labels ────────────────────────────────────────────────────────────────────────────────────────


def place(drawn: tuple[str, float], *others: tuple[str, float], raw: bool = True) -> dict[str, Any]:
    listed = [
        {"token": token, "logprob": value, "bytes": list(token.encode()) if raw else None}
        for token, value in (drawn, *others)
    ]
    return {"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}


def test_labels_of_chat() -> None:
    reply = read(message("yes") | place(("yes", -0.1), ("no", -2.5), (" yes", -3.0), ("Yes", -4.0)), LABELS)
    assert reply.labels == {"yes": -0.1, "no": -2.5}  # exactly the label: neither " yes" nor "Yes"
    assert reply.label_floor == -4.0


def test_absent_labels_stay_absent() -> None:
    reply = read(message("maybe") | place(("maybe", -0.1), ("perhaps", -2.5)), LABELS)
    assert (reply.labels, reply.label_floor) == ({}, -2.5)


def test_a_rare_drawn_token_bounds_nothing() -> None:
    # at temperature > 0 the drawn token is listed beside the likeliest: an absent label may well beat it
    reply = read(message("odd") | place(("odd", -9.0), ("yes", -0.1), ("the", -3.0)), LABELS)
    assert (reply.labels, reply.label_floor) == ({"yes": -0.1}, -3.0)


def test_labels_as_bytes() -> None:
    request = ChatRequest(messages=ASK.messages, labels=("예", "아니"))
    entries = [
        {"token": "ìĺĪ", "logprob": -0.5, "bytes": list("예".encode())},
        {"token": "bytes:\\xec\\x95\\x84\\xeb\\x8b\\x88", "logprob": -1.5, "bytes": None},
        {"token": "\ufffd", "logprob": -2.0, "bytes": [0xEC, 0x95]},
    ]
    choice = message("예") | {"logprobs": {"content": [{**entries[0], "top_logprobs": entries}]}}
    assert read(choice, request).labels == {"예": -0.5, "아니": -1.5}


def test_labels_of_text_completion() -> None:
    request = ChatRequest(prompt="?", labels=("yes", "no"))
    tops = {"yes": -0.25, "no": -1.75, "the": -4.0}
    choice = {"text": "yes", "finish_reason": "length"}
    legacy = {"tokens": ["yes"], "token_logprobs": [-0.25], "top_logprobs": [tops]}
    reply = read(choice | {"logprobs": legacy}, request)
    assert (reply.labels, reply.label_floor) == ({"yes": -0.25, "no": -1.75}, -4.0)
    assert read(choice | place(("yes", -0.25), ("no", -1.75)), request).labels == reply.labels  # llama.cpp's form


def test_odd_values_are_left_out_and_rounding_is_no_more_than_certain() -> None:
    listed = [
        {"token": "yes", "logprob": 1e-7},
        {"token": "no", "logprob": None},
        {"token": 3, "logprob": -1.0},
        "x",
        {"logprob": True},
    ]
    choice = message("yes") | {"logprobs": {"content": [{"token": "yes", "logprob": 1e-7, "top_logprobs": listed}]}}
    assert read(choice, LABELS).labels == {"yes": 0.0}


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, [], "none"])
def test_labels_asked_and_none_came(logprobs: object) -> None:
    with pytest.raises(RequestRefused, match="label_logprobs=0"):
        read(message("yes") | {"logprobs": logprobs}, LABELS)
    assert read(message("yes") | {"logprobs": logprobs}).labels == {}


def test_an_empty_answer_has_no_labels() -> None:
    reply = read(message("") | {"logprobs": {"content": []}}, LABELS)
    assert (reply.labels, reply.label_floor) == ({}, None)


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"prompt_tokens": "9", "completion_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": math.inf, "completion_tokens": 1},
    ],
)
def test_unusable_usage(usage: object) -> None:
    assert usage_of(usage) is None


def test_usage_of_other_servers_and_nonsense_details() -> None:
    deepseek = usage_of({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8})
    assert deepseek is not None and deepseek.cached_tokens == 8
    sglang = usage_of(
        {"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 3, "prompt_tokens_details": None}
    )
    assert sglang is not None and (sglang.reasoning_tokens, sglang.cached_tokens) == (3, 0)
    odd = usage_of({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}})
    assert odd is not None and odd.cached_tokens == 9  # never more than was read: a price can't turn negative


def test_estimated_usage() -> None:
    reply = read(message("x" * 36))
    assert reply.usage.estimated
    assert reply.usage.completion_tokens == 10  # 3.6 characters a token
    assert reply.usage.prompt_tokens > 0
