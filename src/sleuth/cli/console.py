"""What every command shares: where output goes, progress bars, tables, exit codes.

Results go to standard output, everything else to standard error. On a terminal there are colours and
bars, in a pipe neither; `NO_COLOR` is honoured (rich does). `--json` prints one JSON document.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sleuth.context import Context, Task

__all__ = [
    "CLOSED_PIPE",
    "FAILED",
    "INCOMPLETE",
    "OK",
    "STOPPED",
    "USAGE",
    "check_output",
    "error_console",
    "new_context",
    "out_console",
    "say",
    "show_indented",
    "show_json",
    "show_table",
    "visible",
]

OK, FAILED, USAGE, INCOMPLETE = 0, 1, 2, 3
"""Exit codes; 3 means that a budget or a deadline ended the work."""

STOPPED, CLOSED_PIPE = 130, 141
"""As a shell reports a process that SIGINT (2) or SIGPIPE (13) ended: 128 + the signal."""

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal or turns the reading direction round, and what no terminal can encode."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Text as it may be shown: control characters and bidirectional overrides as escapes such as `\x1b`.

    Whatever is printed for a person passes through here; JSON and files keep the exact data.

    Args:
        lines: Keep line breaks and tabs; without, they become spaces, so that no text can pose as a line of its own.
    """
    if not lines:
        text = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
    return UNSEEN.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(message: str, *, style: str | None = None) -> None:
    """A message on standard error."""
    error_console().print(visible(message, lines=True), style=style, markup=False)


def out_console() -> Console:
    """For results. Plain and unwrapped in a pipe."""
    return _console(stderr=False)


def error_console() -> Console:
    """For bars; messages go through `say`."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class Plain(Console):
        """rich ends the process with 1 when a pipe is closed; here the command line decides."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    return Plain(stderr=stderr, highlight=False, emoji=False, soft_wrap=not stream.isatty())


def show_indented(markup: str, columns: int = 4) -> None:
    """A paragraph in rich's markup, indented as a whole; in a pipe one line, indented once."""
    from rich.padding import Padding
    from rich.text import Text

    text = Text.from_markup(visible(markup), emoji=False)
    if sys.stdout.isatty():
        out_console().print(Padding(text, (0, 0, 0, columns)))
    else:
        out_console().print(" " * columns + text.plain, markup=False)


def show_json(value: Any) -> None:
    """One JSON document on standard output, readable on a terminal."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | (orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0)
    sys.stdout.buffer.write(orjson.dumps(value, option=options) + b"\n")
    sys.stdout.buffer.flush()


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", numbers_from: int = 1
) -> None:
    """A table that stays readable in 60 columns; tab-separated in a pipe.

    Args:
        numbers_from: Columns from here on are numbers and stand on the right.
    """
    if not sys.stdout.isatty():
        lines = ["\t".join(map(_one_line, row)) for row in (columns, *rows)]
        sys.stdout.write("\n".join(lines) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(escape(visible(column)), justify="right" if at >= numbers_from else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell, lines=True)) for cell in row))
    out_console().print(table)


def _one_line(cell: str) -> str:
    """A cell that can't break a tab-separated table."""
    escaped = cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return visible(escaped)


def check_output(path: Path, *, inputs: Sequence[str | Path | None] = ()) -> None:
    """Refuse an output that can't be written before the work is done.

    Args:
        inputs: What the command reads; None and names of other things than files don't matter.

    Raises:
        UsageError: Its folder does not exist, it is a folder itself, or one of the inputs, by whatever path.
    """
    from sleuth.errors import UsageError

    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file to write")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"the folder {path.absolute().parent} does not exist; make it first")
    if path.exists() and any(one is not None and Path(one).exists() and path.samefile(one) for one in inputs):
        raise UsageError(f"{path} is read by this command and would be overwritten; name another file to write")


class _Bars:
    """Progress on a terminal, by rich."""

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=error_console(), transient=True) as bars:
            yield _Bar(bars, bars.add_task(name, total=total))


class _Bar:
    def __init__(self, bars: Any, number: Any) -> None:
        self._bars, self._number = bars, number

    def advance(self, steps: int = 1) -> None:
        self._bars.advance(self._number, steps)


class _Silent:
    """No bars: standard error is not a terminal."""

    def task(self, name: str, total: int | None = None) -> AbstractContextManager[Task]:
        from contextlib import nullcontext

        return nullcontext(_NoBar())


class _NoBar:
    def advance(self, steps: int = 1) -> None:
        """Shows nothing."""


def new_context(*, seed: int = 0) -> Context:
    """A context with bars on a terminal and none in a pipe."""
    from sleuth.context import Context

    return Context(progress=_Bars() if sys.stderr.isatty() else _Silent(), seed=seed)
