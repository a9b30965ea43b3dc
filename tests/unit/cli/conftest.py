"""What the commands' tests share: the command line in this process, with pipes for streams as a script would have."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from sleuth.cli.app import run

Run = Callable[..., "Said"]


@dataclass
class Said:
    """What a command said."""

    stdout: str
    stderr: str


class Stream(io.TextIOWrapper):
    """A pipe, or what looks like a terminal."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture(scope="module")
def sleuth() -> Iterator[Run]:
    """Run `sleuth …` through its entry point in this process, with pipes for streams as a script would have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "60")

        def call(*arguments: object, stdin: str = "", code: int = 0) -> Said:
            streams = {
                name: Stream(io.BytesIO(), encoding="utf-8", write_through=True) for name in ("stdout", "stderr")
            }
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(sys, "argv", ["sleuth", *map(str, arguments)])
                inner.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
                for name, stream in streams.items():
                    inner.setattr(sys, name, stream)
                try:
                    run()
                    left = 0
                except SystemExit as end:
                    left = int(end.code or 0)
            said = Said(*(stream.buffer.getvalue().decode() for stream in streams.values()))
            assert left == code, f"exit {left}, expected {code}\n{said.stdout}\n{said.stderr}"
            return said

        yield call


@pytest.fixture
def as_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, streams look like a terminal."""

    def switch() -> None:
        monkeypatch.setattr(Stream, "terminal", True)
        monkeypatch.setenv("TERM", "dumb")

    return switch
