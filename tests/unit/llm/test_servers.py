"""What goes over the wire, for each kind of server."""

from __future__ import annotations

import pytest

from sleuth.errors import CapabilityMissing, UnknownName
from sleuth.llm.chat import Capabilities, ChatRequest, Decoding, Message
from sleuth.llm.servers import SERVERS, chat_body, check_capabilities, raw_body, server_named

ASK = (Message("user", "which?"),)


def body_of(name: str, **settings: object) -> dict[str, object]:
    server = server_named(name)
    return chat_body(server, server.capabilities, ChatRequest(messages=ASK, **settings), limit="max_tokens")


def test_plain_request_has_only_limit_and_temperature() -> None:
    for name in SERVERS:
        assert body_of(name) == {"max_tokens": 1024, "temperature": 0.0}


def test_limit_field_is_the_callers() -> None:
    server = server_named("openai")
    body = chat_body(server, server.capabilities, ChatRequest(messages=ASK), limit="max_completion_tokens")
    assert body == {"max_completion_tokens": 1024, "temperature": 0.0}


def test_all_of_decoding() -> None:
    decoding = Decoding(max_tokens=5, temperature=0.5, top_p=0.9, top_k=7, stop=("</s>", "\n"), seed=3)
    assert body_of("vllm", decoding=decoding) == {
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "stop": ["</s>", "\n"],
        "seed": 3,
    }
    assert "top_k" not in body_of("openai", decoding=decoding)
    assert "seed" not in body_of("sglang", decoding=decoding)  # taken, but not heeded


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_prefill_leaves_the_last_turn_open(name: str) -> None:
    body = body_of(name, prefill="<think>")
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


def test_llama_cpp_prefill_is_only_the_turn() -> None:
    assert body_of("llama.cpp", prefill="<think>") == {"max_tokens": 1024, "temperature": 0.0}


def test_labels() -> None:
    body = body_of("vllm", labels=("yes", "no"))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    request = ChatRequest(prompt="yes or no:", labels=("yes",))
    server = server_named("vllm")
    assert raw_body(server, Capabilities(raw=True, label_logprobs=5), request)["logprobs"] == 5


def test_choices() -> None:
    choices = ("yes", 'a "b" (c)\\', "x y")
    vllm = body_of("vllm", choices=choices)
    assert vllm["structured_outputs"] == {"choice": list(choices)}
    assert vllm["guided_choice"] == list(choices)
    assert body_of("sglang", choices=choices)["regex"] == r'(yes|a "b" \(c\)\\|x y)'
    assert body_of("llama.cpp", choices=choices)["grammar"] == r'root ::= "yes" | "a \"b\" (c)\\" | "x y"'
    with pytest.raises(CapabilityMissing, match="vllm, sglang and llama"):
        body_of("openai", choices=choices)


@pytest.mark.parametrize(
    ("need", "request_"),
    [
        ("raw", ChatRequest(prompt="x")),
        ("prefill", ChatRequest(messages=ASK, prefill="[")),
        ("label_logprobs", ChatRequest(messages=ASK, labels=("yes",))),
        ("choices", ChatRequest(messages=ASK, choices=("yes", "no"))),
    ],
)
def test_missing_capability_is_named(need: str, request_: ChatRequest) -> None:
    with pytest.raises(CapabilityMissing, match=need):
        check_capabilities(request_, Capabilities(), "m at u")
    with pytest.raises(CapabilityMissing, match=r"in a recipe capabilities = \{ \w+ = (20|true) \};"):
        check_capabilities(request_, Capabilities(), "m at u")
    check_capabilities(request_, server_named("vllm").capabilities, "m at u")


def test_a_raw_prompts_prefill_is_part_of_it() -> None:
    check_capabilities(ChatRequest(prompt="x", prefill="y"), Capabilities(raw=True), "m at u")


def test_unknown_server() -> None:
    with pytest.raises(UnknownName, match=r"llama\.cpp"):
        server_named("llamacpp")
