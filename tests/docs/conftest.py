"""What the tests of this folder share: modules beside them, and the server that runs `sleuth …`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """The folder with the command `sleuth` that shell blocks run."""
    from doc_commands import CommandServer

    with CommandServer() as server:
        yield server.folder
