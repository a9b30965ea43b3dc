"""Addresses, keys and identities of the backend over HTTP."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sleuth.errors import AuthenticationFailed, UsageError
from sleuth.llm.cache import Cache
from sleuth.llm.chat import Capabilities, ChatRequest, Message, Reply
from sleuth.llm.openai import OpenAI

if TYPE_CHECKING:
    from chat_server import ChatServer

pytestmark = pytest.mark.slow

pytest.importorskip("openai")
pytest.importorskip("fastapi")

Servers = Callable[..., "ChatServer"]
KEY = "sk-very-secret-0123456789"


def ask(text: str = "which?") -> ChatRequest:
    return ChatRequest(messages=(Message("user", text),))


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_key_fails_after_one_attempt_and_is_shown_nowhere(
    chat_server: Servers, backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="sleuth")
    server = chat_server()
    server.key = "sk-right"  # the server repeats the wrong key in its refusal
    one = backend(server, api_key=KEY)
    with pytest.raises(AuthenticationFailed) as caught:
        one.submit(ask()).result(30)
    assert len(server.seen) == 1
    shown = "".join(traceback.format_exception(caught.value))
    assert "status 401" in shown
    for text in (shown, repr(one), one.identity, one.name, caplog.text):
        assert KEY not in text
    assert caught.value.__context__ is None


def test_keys_of_argument_and_environment(chat_server: Servers, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = chat_server()
    server.key = KEY
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    backend(server).submit(ask()).result(30)
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    one = OpenAI(model="tiny", api_key=f" {KEY}\n", cache=None)
    one.submit(ask()).result(30)
    one.close()
    assert {seen["headers"]["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}


def test_openai_is_asked_nothing_without_a_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "llm.sqlite")
    one = OpenAI(model="m", cache=cache)  # so a plan needs no key
    with pytest.raises(AuthenticationFailed, match=r"m at https://api\.openai\.com/v1: .* variable OPENAI_API_KEY or"):
        one.submit(ask()).result(30)
    with pytest.raises(AuthenticationFailed, match="OPENAI_API_KEY"):
        one.models()
    cache.keep(ask("kept").digest(one.identity), one.identity, ask("kept"), Reply("from the cache")).result(30)
    assert one.submit(ask("kept")).result(30).cached
    one.close()
    cache.close()


def test_the_key_is_in_no_cache(chat_server: Servers, backend: Any, tmp_path: Path) -> None:
    server = chat_server()
    server.key = KEY
    cache = Cache(tmp_path / "llm.sqlite")
    backend(server, api_key=KEY, cache=cache).submit(ask("first")).result(30)
    again = backend(server, api_key=KEY, cache=cache).submit(ask("first")).result(30)
    assert again.cached
    assert len(server.seen) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for file in files:
        assert KEY.encode() not in file.read_bytes()


# ── construction ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": ""}, "model"),
        ({"base_url": "127.0.0.1:8000/v1"}, "looks like"),
        ({"base_url": "ftp://h/v1"}, "looks like"),
        ({"base_url": f"http://user:{KEY}@h/v1"}, "api_key"),
        ({"base_url": f"http://h/v1?key={KEY}"}, "api_key"),
        ({"base_url": None, "server": "vllm"}, "127.0.0.1:8000"),
        ({"api_key": f"{KEY}\nx"}, "not shown"),
        ({"api_key": "키"}, "not shown"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"concurrency": 0}, "concurrency"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"x": object()}}, "JSON"),
        ({"omit": ["model"]}, "model"),
        ({"omit": "temperature"}, "list of fields"),
        ({"capabilities": Capabilities(choices=True)}, "no known way"),
    ],
)
def test_arguments_that_make_no_sense(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        OpenAI(**{"model": "m", "base_url": "http://h/v1", "cache": None, **settings})
    assert KEY not in str(caught.value)


def test_identity() -> None:
    def made(**settings: Any) -> str:
        return OpenAI(**{"model": "m", "base_url": "http://h:1/v1/", "cache": None, **settings}).identity

    plain = made()
    assert plain == "openai http://h:1/v1 m"
    assert made(api_key=KEY, concurrency=2, timeout_s=5, server="vllm", price=None, stream=True) == plain
    others = {made(model="n"), made(base_url="http://h:2/v1"), made(revision="r"), made(extra_body={"a": 1})}
    others.add(made(omit=["temperature"]))
    assert len(others | {plain}) == 6
    assert made(extra_body={"a": 1, "b": 2}) == made(extra_body={"b": 2, "a": 1})
    assert made(identity="mine", extra_body={"a": 1}, revision="r") == "mine"


def test_openais_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    one = OpenAI(model="m", api_key=KEY, cache=None)
    assert one.base_url == "https://api.openai.com/v1"
    assert one._limit == "max_completion_tokens"
    assert KEY not in repr(one)
