"""Run the blocks of one page in one folder: Python blocks share their names, shell blocks their files."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
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
        commands: Where shell blocks find the command `sleuth` (`doc_commands.py`).

    Attributes:
        ran: Blocks that were run.
        absent: Needs that this installation lacks, with the block that had them.
    """

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder = folder
        self._commands = commands
        self.ran = 0
        self.absent: list[str] = []
        self._output = ""
        self._module = types.ModuleType("__main__")

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
without reading waits for ever. Use communicate(), which drains both pipes while it waits. If you only want to see
the output, do not make a pipe at all: the child then writes to your own terminal. Reading one pipe to its end
before the other has the same trouble, because the child may be stopped by the other one. When the output is large,
write it to a file and read the file afterwards.

## Exit codes

A program that ends well returns 0. Anything else is an error; the shell keeps it in $?. A negative code means that a
signal ended the program, and its number is the signal's. Our own tools return 1 when they failed and 2 when they
were called with options that make no sense. A wrapper must hand the code of what it wraps on, or the job that
called it will believe that all went well. Never hide a failure by ending a line with a semicolon and true.
""",
    "keys.md": """\
# Keys

## Rotation

Make the new key, let both keys be valid for a day, move every service over, then revoke the old one. Services read
their key when they start, so each has to be started again in between. The table of services says who reads which
key. Do one service at a time and look at its errors for ten minutes before you take the next. The night before a
holiday is not the time for it. Write down who did it and when, because the next person will ask. Test keys follow
the same steps, so that nobody learns them on the real ones.

## Lost keys

A lost key is revoked at once. Nobody needs to ask first. Call the person on duty, name the key by its number, never
by its content, and say where it was seen last. The person on duty revokes it, makes a new one and moves the services
over. What stood still for that time is no reason to wait. Afterwards look through the log for what was done with the
old key since it was lost, and tell those whose data was read. A laptop that was left on a train counts as lost even
if it comes back.
""",
    "backup.md": """\
# Backups

## Schedule

Every night at three the databases are dumped and copied to another building. A dump takes forty minutes. The copies
of the last thirty nights are kept, and the first of every month for two years. A dump that is smaller than the one
before by more than a tenth is suspicious and sends a mail. Files that people put on the shared drive are not dumped
but copied every hour, changed ones only. Nothing on a laptop is copied at all, so keep nothing there that matters.
Once a quarter somebody from another team counts the copies.

## Restore

Stop the service, unpack the newest dump, start the service, and compare the row counts with the report of that
night. If they differ, take the dump before it. Never unpack over a database that still runs: rows of both would be
mixed and nobody could tell them apart. A restore takes about an hour, longer for the archive. Every month one
database is restored to an empty machine, to see that it can be done, and the person who did it writes down how long
each step took. Tell the users before and after.
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
