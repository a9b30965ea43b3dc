"""Run the blocks of one page in one folder: Python blocks share their names, shell blocks their files."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
import types
from importlib.util import find_spec
from pathlib import Path

from doc_pages import RUN, Block

__all__ = ["BlockFailed", "Session", "make_handbook"]

PATIENCE_S = 60


class BlockFailed(AssertionError):
    """A block did not do what the page says; the message shows it, its output and the error."""


class Session:
    """One page's session.

    Args:
        folder: Where it works; holds the sample folder `handbook/`.

    Attributes:
        ran: Blocks that were run.
        absent: Needs that this installation lacks, with the block that had them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = 0
        self.absent: list[str] = []
        self._output = ""
        self._module = types.ModuleType("__main__")
        self._commands = folder / ".commands"
        self._commands.mkdir()
        for name, module in (("sleuth", "-m sleuth"), ("python", "")):
            shim = self._commands / name
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n', encoding="utf-8")
            shim.chmod(0o755)

    def see(self, block: Block) -> None:
        """Run a block, or compare the last output with it, as its language and mark say."""
        if block.mark == "output":
            self._compare(block)
        elif block.language not in RUN or block.mark == "not run":
            return
        elif block.mark == "needs" and not _is_there(block.value):
            self.absent.append(f"{block.place} needs {block.value}")
        else:
            self._output = self._python(block) if block.language == "python" else self._shell(block)
            self.ran += 1

    def _python(self, block: Block) -> str:
        printed = io.StringIO()
        code = "\n" * (block.line - 1) + block.code  # so that a traceback names the page's own lines
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, str(block.page), "exec"), self._module.__dict__)
        except BaseException as error:
            shown = "".join(traceback.format_exception(error))
            raise BlockFailed(f"{block.place}:\n{block.code}\n{printed.getvalue()}\n{shown}") from error
        finally:
            os.chdir(before)
        return printed.getvalue()

    def _shell(self, block: Block) -> str:
        environment = {
            **os.environ,
            "PATH": f"{self._commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "error",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise BlockFailed(f"{block.place}: exit {done.returncode}\n{block.code}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _compare(self, block: Block) -> None:
        if self.absent and not self.ran:
            return
        expected = ".*".join(map(re.escape, _tidy(block.code).split("[...]")))
        if not re.fullmatch(expected, _tidy(self._output), re.DOTALL):
            raise BlockFailed(f"{block.place}: the page shows\n{block.code}\nbut it printed\n{self._output}")


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _is_there(need: str) -> bool:
    if need == "minilm":
        from sleuth.errors import SleuthError
        from sleuth.front import locate_minilm

        try:
            locate_minilm()
        except SleuthError:
            return False
        return True
    return find_spec(need) is not None


# ── the sample folder ─────────────────────────────────────────────────────────────────────────────

HANDBOOK = {
    "processes.md": """\
# Running programs

## A child that hangs

A pipe holds about 64 KB. A child process that prints more than that stops until somebody reads, so waiting for it
without reading waits for ever. Use communicate(), which drains both pipes while it waits.

## Exit codes

A program that ends well returns 0. Anything else is an error; the shell keeps it in $?.
""",
    "keys.md": """\
# Keys

## Rotation

Make the new key, let both keys be valid for a day, move every service over, then revoke the old one.

## Lost keys

A lost key is revoked at once. Nobody needs to ask first.
""",
    "backup.md": """\
# Backups

## Schedule

Every night at three the databases are dumped and copied to another building.

## Restore

Stop the service, unpack the newest dump, start the service, and compare the row counts with the report.
""",
    "tools/retry.py": '''\
"""Call a function again when it fails."""

import time


def call_with_backoff(function, attempts=5, first_delay_s=0.5):
    """Wait twice as long after each failure, and give up after the last attempt."""
    for attempt in range(attempts):
        try:
            return function()
        except OSError:
            time.sleep(first_delay_s * 2**attempt)
    raise RuntimeError("it kept failing")
''',
    "ko/배포.md": """\
# 배포

## 되돌리기

새 버전에 문제가 있으면 이전 버전으로 되돌리고, 데이터베이스의 구조가 바뀌었는지 먼저 확인한다.
""",
    "logo.svg": "<svg/>\n",
}


def make_handbook(folder: Path) -> None:
    """Write the sample folder `handbook/` that the pages speak of."""
    for name, text in HANDBOOK.items():
        path = folder / "handbook" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
