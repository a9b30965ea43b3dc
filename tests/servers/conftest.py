"""What the tests of this folder share: modules beside them, and a test server of each shape."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sleuth.llm.calls import Retries
from sleuth.llm.openai import OpenAI

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def chat_server() -> Iterator[Callable[..., Any]]:
    """Start a test server; all of them stop at the end of the test."""
    from chat_server import ChatServer

    with ExitStack() as running:
        yield lambda **settings: running.enter_context(ChatServer(**settings))


@pytest.fixture
def backend() -> Iterator[Callable[..., Any]]:
    """Make a backend for a test server: quick to try again, without a cache; closed at the end of the test."""
    made: list[OpenAI] = []

    def make(server: Any, **settings: Any) -> OpenAI:
        quick = Retries(most=6, base_s=0.001, longest_s=0.005)
        settings = {"server": server.shape, "retries": quick, "cache": None, **settings}
        made.append(OpenAI(model="tiny", base_url=server.url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses of whoever runs the tests stay out of them."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "SLEUTH_CACHE"):
        monkeypatch.delenv(name, raising=False)
