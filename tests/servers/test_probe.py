"""`sleuth doctor --llm`: a server is asked what it can do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sleuth.errors import UnknownName, UsageError
from sleuth.llm.chat import Capabilities
from sleuth.llm.probe import probe_server

if TYPE_CHECKING:
    from chat_server import ChatServer

pytestmark = pytest.mark.slow

pytest.importorskip("openai")
pytest.importorskip("fastapi")

Servers = Callable[..., "ChatServer"]
ALL = Capabilities(raw=True, prefill=True, label_logprobs=20, choices=True, seed=True)


@pytest.fixture
def vllm(chat_server: Servers, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    from chat_server import Answer

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = chat_server(shape="vllm")
    server.answer = lambda body: Answer("yes", logprobs={"yes": -0.1, "no": -2.0})
    return server


def states(rows: tuple[dict[str, str], ...]) -> dict[str, str]:
    return {row["check"]: row["state"] for row in rows}


def test_everything_there(vllm: ChatServer) -> None:
    found = probe_server(vllm.url)
    assert (found.server, found.model, found.capabilities) == ("vllm", "tiny", ALL)
    assert set(states(found.rows).values()) == {"ok"}
    assert len(vllm.seen) <= 8
    assert all(seen["body"].get("max_tokens", 99) <= 12 for seen in vllm.seen)


def test_what_does_not_come_back_is_not_there(vllm: ChatServer) -> None:
    from chat_server import Answer

    texts = iter(f"text {n}" for n in range(99))
    vllm.answer = lambda body: Answer(next(texts), usage=False)  # no log-probabilities, another text each time
    found = probe_server(vllm.url)
    assert found.capabilities == Capabilities(raw=True, prefill=True, choices=True)
    assert states(found.rows)["label_logprobs"] == states(found.rows)["seed"] == "absent"
    assert "Capabilities(raw=True, prefill=True, choices=True)" in found.rows[-1]["detail"]


def test_another_kind_is_asked_its_own_way(vllm: ChatServer) -> None:
    found = probe_server(vllm.url, server="sglang")
    assert not found.capabilities.choices  # vLLM's server takes the regex and does not heed it
    assert "not heeded" in next(row["detail"] for row in found.rows if row["check"] == "choices")


def test_refusals_and_faults_are_rows(vllm: ChatServer) -> None:
    vllm.fail(400, body={"error": {"message": "no chat template"}})
    found = probe_server(vllm.url)
    assert states(found.rows) == {"server": "ok", "models": "ok", "chat": "broken"}
    assert "no chat template" in found.rows[-1]["detail"]
    vllm.key = "sk-1"
    assert states(probe_server(vllm.url).rows)["chat"] == "broken"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/v1"
    for settings in ({}, {"model": "m"}, {"model": "m", "server": "vllm"}):
        (row,) = probe_server(url, **settings).rows  # type: ignore[arg-type]
        assert (row["check"], row["state"]) == ("server", "broken")
        assert row["detail"].startswith(f"nobody answers at {url}; is the server running? (")
        assert row["detail"].count(url) == 1
    with pytest.raises(UnknownName, match="vllm"):
        probe_server("http://127.0.0.1:9/v1", model="m", server="vlm")
    with pytest.raises(UsageError, match="base URL"):
        probe_server("nonsense")


def test_the_command(vllm: ChatServer) -> None:
    from typer.testing import CliRunner

    from sleuth.cli.app import app

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["doctor", *arguments, "--json"])

    done = run("--llm", vllm.url)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["schema"]) == (0, "sleuth.doctor/1")
    assert states(tuple(found["checks"]))["server"] == "ok"
    done = run("--llm", "http://127.0.0.1:9/v1")
    assert (done.exit_code, states(tuple(json.loads(done.stdout)["checks"]))) == (1, {"server": "broken"})
    assert isinstance(run("--model", "tiny").exception, UsageError)
