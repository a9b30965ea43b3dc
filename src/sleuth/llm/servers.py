"""What each kind of OpenAI-compatible server can do, and how it wants to be asked.

| server      | raw | prefill                 | label log-probabilities | choices              | seed | top_k |
|-------------|-----|-------------------------|-------------------------|----------------------|------|-------|
| `openai`    |     |                         | 20                      |                      | yes  |       |
| `vllm`      | yes | `continue_final_message`| 20                      | `structured_outputs` | yes  | yes   |
| `sglang`    | yes | `continue_final_message`| 20                      | `regex`              |      | yes   |
| `llama.cpp` | yes | trailing assistant turn | 20                      | `grammar`            | yes  | yes   |
| `ollama`    |     |                         | 20                      |                      | yes  |       |

Sources: the servers' own request types and manuals (OpenAI's API reference; vLLM `chat_completion/protocol.py` and
"Structured Outputs"; SGLang `entrypoints/openai/protocol.py`; llama.cpp `tools/server/README.md` and its pull request
13174; Ollama `openai/openai.go` and "OpenAI compatibility"). Twenty log-probabilities are OpenAI's maximum and vLLM's
default one (`--max-logprobs`); the others state no lower one. Ollama puts raw prompts through the model's template, so
they aren't raw there. SGLang takes a seed but heeds it only with `--enable-deterministic-inference`. What a server was
started with differs: `OpenAI(capabilities=...)` overrides the table, `sleuth doctor --llm` asks the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sleuth.errors import CapabilityMissing, UnknownName
from sleuth.llm.chat import Capabilities, ChatRequest

__all__ = ["SERVERS", "Server", "chat_body", "check_capabilities", "raw_body", "server_named"]


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server.

    Attributes:
        name: As `server=` names it.
        capabilities: What it can do unless the user says otherwise.
        address: Where it listens by default.
        prefill: How an answer is begun: "continue" flags the last turn as open, "assistant" only appends the turn.
        choices: The field that holds an answer to given texts; "" where there is none.
        top_k: It takes `top_k`.
        stream_usage: Whether a stream tells tokens: in its "last" chunk, in "every" one (so that a stream that is
            closed early has told them), or not ("").
    """

    name: str
    capabilities: Capabilities
    address: str
    prefill: Literal["continue", "assistant"] = "assistant"
    choices: Literal["", "structured_outputs", "regex", "grammar"] = ""
    top_k: bool = False
    stream_usage: Literal["", "last", "every"] = "last"


_ALL = Capabilities(raw=True, prefill=True, label_logprobs=20, choices=True, seed=True)
_HOSTED = Capabilities(label_logprobs=20, seed=True)

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Server("openai", _HOSTED, "https://api.openai.com/v1"),
        Server(
            "vllm",
            _ALL,
            "http://127.0.0.1:8000/v1",
            prefill="continue",
            choices="structured_outputs",
            top_k=True,
            stream_usage="every",
        ),
        Server(
            "sglang",
            Capabilities(raw=True, prefill=True, label_logprobs=20, choices=True),
            "http://127.0.0.1:30000/v1",
            prefill="continue",
            choices="regex",
            top_k=True,
        ),
        Server("llama.cpp", _ALL, "http://127.0.0.1:8080/v1", choices="grammar", top_k=True),
        Server("ollama", _HOSTED, "http://127.0.0.1:11434/v1"),
    )
}
"""Name -> server."""


def server_named(name: str) -> Server:
    """The server of that name.

    Raises:
        UnknownName: There is none.
    """
    if name not in SERVERS:
        raise UnknownName("server", name, list(SERVERS))
    return SERVERS[name]


def check_capabilities(request: ChatRequest, capabilities: Capabilities, where: str) -> None:
    """Refuse a request that needs what the server can't do.

    Raises:
        CapabilityMissing: Names the capability and how to declare it.
    """
    needs = {
        "raw": request.prompt is not None,
        "prefill": bool(request.prefill) and request.prompt is None,
        "label_logprobs": bool(request.labels),
        "choices": bool(request.choices),
    }
    for name, needed in needs.items():
        if needed and not getattr(capabilities, name):
            raise CapabilityMissing(
                f"{where}: the request needs {name!r}, which this server is not known to have. If it has, pass "
                f"capabilities=Capabilities({name}={'20' if name == 'label_logprobs' else 'True'}, ...), in a recipe "
                f"capabilities = {{ {name} = {'20' if name == 'label_logprobs' else 'true'} }}; "
                f"sleuth doctor --llm URL tells what it can do"
            )


def chat_body(server: Server, capabilities: Capabilities, request: ChatRequest, *, limit: str) -> dict[str, Any]:
    """What goes to `/chat/completions`, without model, messages and streaming.

    Args:
        server: Its kind.
        capabilities: What it can do; a seed is left out where it has none, `top_k` where the kind takes none.
        request: A request with messages.
        limit: The field that bounds the answer, `max_tokens` or `max_completion_tokens`.
    """
    body = _decoding(server, capabilities, request, limit=limit)
    if request.prefill and server.prefill == "continue":
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
    if request.labels:
        body["logprobs"] = True
        body["top_logprobs"] = capabilities.label_logprobs
    return body


def raw_body(server: Server, capabilities: Capabilities, request: ChatRequest) -> dict[str, Any]:
    """What goes to `/completions`, without model, prompt and streaming; a prefill is part of the prompt there."""
    body = _decoding(server, capabilities, request, limit="max_tokens")
    if request.labels:
        body["logprobs"] = capabilities.label_logprobs
    return body


def _decoding(server: Server, capabilities: Capabilities, request: ChatRequest, *, limit: str) -> dict[str, Any]:
    decoding = request.decoding
    body: dict[str, Any] = {limit: decoding.max_tokens, "temperature": decoding.temperature}
    if decoding.top_p is not None:
        body["top_p"] = decoding.top_p
    if decoding.top_k is not None and server.top_k:
        body["top_k"] = decoding.top_k
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if decoding.seed is not None and capabilities.seed:
        body["seed"] = decoding.seed
    if request.choices:
        body.update(_choices(server, request.choices))
    return body


def _choices(server: Server, choices: Sequence[str]) -> dict[str, Any]:
    if server.choices == "structured_outputs":
        # vLLM's older releases know only guided_choice, since 0.12 only structured_outputs; fields unknown to one are
        # ignored by it.
        return {"structured_outputs": {"choice": list(choices)}, "guided_choice": list(choices)}
    if server.choices == "regex":
        return {"regex": "(" + "|".join(map(_regex_literal, choices)) + ")"}
    if server.choices == "grammar":
        return {"grammar": "root ::= " + " | ".join(map(_grammar_literal, choices))}
    raise CapabilityMissing(
        f"server {server.name!r} has no field that holds an answer to given texts; vllm, sglang and llama.cpp have one"
    )


def _regex_literal(text: str) -> str:
    # Not re.escape: it escapes characters (a space, say) that other regex engines then refuse.
    return "".join("\\" + character if character in r"\.^$*+?{}[]|()/" else character for character in text)


def _grammar_literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return '"' + escaped.replace("\t", "\\t") + '"'
