"""What the tests of this folder share: modules beside them, and a test server of each shape."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def chat_server() -> Iterator[Callable[..., Any]]:
    """Start a test server; all of them stop at the end of the test."""
    from chat_server import ChatServer

    with ExitStack() as running:
        yield lambda **settings: running.enter_context(ChatServer(**settings))
