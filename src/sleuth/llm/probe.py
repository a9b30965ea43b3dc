"""Ask a server what it can do: `sleuth doctor --llm`.

At most nine short calls, none retried, cached or counted: the models it lists, one answer, then each capability in the
form that this kind of server wants. What is accepted and comes back as it should counts as there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sleuth.errors import LLMError, TransportError, UsageError
from sleuth.llm.chat import Capabilities, ChatRequest, Decoding, Message, Reply
from sleuth.llm.failures import excerpt
from sleuth.llm.loop import run
from sleuth.llm.openai import OpenAI
from sleuth.llm.servers import Server, server_named

__all__ = ["Probe", "probe_server"]

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp", "library": "ollama"}
"""What servers write as the owner of their models -> their kind."""

PROBE_S = 60.0
"""Longest wait for one short answer (ours: a cold local model loads in less)."""

LABELS = 20
"""Log-probabilities asked for: what judges ask for by default."""

ASK = (Message("user", "Is water wet? Answer with yes or no."),)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server can do.

    Attributes:
        server: Its kind, as told or as its list of models says.
        model: Who answered.
        capabilities: What was found; `Capabilities()` where nothing answered.
        rows: `check`, `state` ("ok", "absent", "broken") and `detail`, in the order asked: `server` first, and alone where
            nobody answers.
    """

    server: str
    model: str
    capabilities: Capabilities
    rows: tuple[dict[str, str], ...]


def probe_server(
    base_url: str,
    *,
    model: str | None = None,
    server: str | None = None,
    api_key: str | None = None,
    timeout_s: float = PROBE_S,
) -> Probe:
    """Ask the server at an address.

    Args:
        base_url: Up to and with `/v1`.
        model: Which of its models; may be left out where it lists one.
        server: Its kind; by default what the list of models says, else "openai".
        api_key: As of `OpenAI`.
        timeout_s: Longest wait for each answer.

    Raises:
        UsageError: The address makes no sense, or it lists several models and none was named.
        UnknownName: There is no such kind of server.
    """
    rows: list[dict[str, str]] = []
    if server is not None:
        server_named(server)  # before anything is sent
    listed = _list(base_url, api_key, timeout_s, rows)
    if listed is None:
        return Probe(server or "", "", Capabilities(), tuple(rows))
    kind = server or next((OWNERS[str(m.get("owned_by"))] for m in listed if m.get("owned_by") in OWNERS), "openai")
    names = [str(entry["id"]) for entry in listed]
    if model is None and len(names) != 1:
        if listed or rows[-1]["state"] == "ok":
            raise UsageError(f"name a model with --model; the server lists {', '.join(names) or 'none'}")
        rows.insert(0, _server_row(base_url, kind, "broken", "its models are not known; name one with --model"))
        return Probe(kind, "", Capabilities(), tuple(rows))
    known = server_named(kind)
    settings: dict[str, Any] = {
        "model": model or names[0],
        "base_url": base_url,
        "server": kind,
        "api_key": api_key,
        "timeout_s": timeout_s,
        # everything, so that the server is asked and not the table
        "capabilities": Capabilities(True, True, LABELS, bool(known.choices), True),
        "cache": None,
    }
    plain, streaming = OpenAI(**settings), OpenAI(**settings, stream=True)
    try:
        found = _Asker(plain, streaming, known, rows).ask_all()
    finally:
        plain.close()
        streaming.close()
    rows.insert(0, _server_row(base_url, kind, "ok", plain.model))
    return Probe(kind, plain.model, found, tuple(rows))


def _server_row(url: str, kind: str, state: str, words: str) -> dict[str, str]:
    return {"check": "server", "state": state, "detail": f"{url}: {kind}, {words}"}


def _list(
    base_url: str, api_key: str | None, timeout_s: float, rows: list[dict[str, str]]
) -> list[dict[str, Any]] | None:
    """The models it lists, none where it refuses to; None where nobody answers. Writes a row."""
    backend = OpenAI(model="models", base_url=base_url, api_key=api_key, timeout_s=timeout_s, cache=None)
    try:
        found = backend.models()
    except LLMError as error:
        if isinstance(error, TransportError) and error.status is None:
            why = excerpt(str(error).removeprefix(f"models at {backend.base_url}: "))
            detail = f"nobody answers at {base_url}; is the server running? ({why})"
            rows.append({"check": "server", "state": "broken", "detail": detail})
            return None
        rows.append({"check": "models", "state": "broken", "detail": excerpt(str(error))})
        return []
    finally:
        backend.close()
    names = ", ".join(str(entry["id"]) for entry in found[:5]) + (" …" if len(found) > 5 else "")
    rows.append({"check": "models", "state": "ok", "detail": f"{len(found):,}: {names}"})
    return found


class _Asker:
    """Asks one model; writes a row for each question."""

    def __init__(self, plain: OpenAI, streaming: OpenAI, server: Server, rows: list[dict[str, str]]) -> None:
        self.plain, self.streaming, self.server, self.rows = plain, streaming, server, rows

    def ask_all(self) -> Capabilities:
        told = self._send("chat", _short())
        if told is None:
            self.rows[-1]["state"] = "broken"
            return Capabilities()
        self._row("chat", "ok", _shown(told))
        capabilities = Capabilities(
            raw=self._raw(),
            prefill=self._prefill(),
            label_logprobs=LABELS if self._labels() else 0,
            choices=self._choices(),
            seed=self._seed(),
        )
        self._stream()
        self._compare(capabilities)
        return capabilities

    def _raw(self) -> bool:
        if self.server.name == "ollama":
            return self._row("raw", "absent", "Ollama puts raw prompts through the model's template")
        reply = self._send("raw", ChatRequest(prompt="1, 2, 3, 4,", decoding=Decoding(max_tokens=4)))
        return reply is not None and self._row("raw", "ok", _shown(reply))

    def _prefill(self) -> bool:
        if not self.server.capabilities.prefill:
            return self._row("prefill", "absent", f"no form is known for {self.server.name}")
        reply = self._send("prefill", ChatRequest(messages=ASK, prefill="The answer is", decoding=_FEW))
        return reply is not None and self._row("prefill", "ok", f"accepted: {_shown(reply)}")

    def _labels(self) -> bool:
        request = ChatRequest(messages=ASK, labels=("yes", "no", "Yes", "No"), decoding=Decoding(max_tokens=1))
        reply = self._send("label_logprobs", request)
        if reply is None:
            return False
        seen = ", ".join(f"{label} {value:.2f}" for label, value in reply.labels.items()) or "none of yes, no"
        return self._row("label_logprobs", "ok", f"{LABELS} asked for; {seen}")

    def _choices(self) -> bool:
        if not self.server.choices:
            return self._row("choices", "absent", f"no form is known for {self.server.name}")
        choices = ("maybe so", "certainly not")  # nothing that the question itself asks for
        reply = self._send("choices", ChatRequest(messages=ASK, choices=choices, decoding=_FEW))
        if reply is None:
            return False
        if reply.text.strip() not in choices:
            return self._row("choices", "absent", f"accepted, but not heeded: {_shown(reply)}")
        return self._row("choices", "ok", _shown(reply))

    def _seed(self) -> bool:
        request = ChatRequest(messages=ASK, decoding=Decoding(max_tokens=12, temperature=1.0, seed=7))
        first = self._send("seed", request)
        second = self._send("seed", request) if first is not None else None
        if first is None or second is None:
            return False
        if first.text != second.text:
            return self._row("seed", "absent", "accepted, but two answers with one seed differ")
        return self._row("seed", "ok", "two answers with one seed are equal")

    def _stream(self) -> None:
        reply = self._send("stream", _short(), self.streaming)
        if reply is not None:
            self._row("stream", "ok", "tokens are estimated" if reply.usage.estimated else "tokens are told")

    def _compare(self, found: Capabilities) -> None:
        table = self.server.capabilities
        if found == table:
            self._row("capabilities", "ok", f"as the table says of {self.server.name}")
            return
        stated = ", ".join(
            f"{field.name}={getattr(found, field.name)}" for field in fields(found) if getattr(found, field.name)
        )
        self._row("capabilities", "ok", f"not as the table says; pass capabilities=Capabilities({stated})")

    def _send(self, check: str, request: ChatRequest, backend: OpenAI | None = None) -> Reply | None:
        """The reply; None where there is none, and then a row says why."""
        try:
            return run((backend or self.plain)._send(request)).result()
        except LLMError as error:
            self._row(check, "absent", excerpt(str(error)))
            return None

    def _row(self, check: str, state: str, detail: str) -> bool:
        self.rows.append({"check": check, "state": state, "detail": detail})
        return state == "ok"


_FEW = Decoding(max_tokens=8)


def _short() -> ChatRequest:
    return ChatRequest(messages=ASK, decoding=_FEW)


def _shown(reply: Reply) -> str:
    return repr(excerpt(reply.text or reply.reasoning, 60))
