"""The command line's entry: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sleuth.cli import (
    cache_command,
    demo_command,
    diff_command,
    index_commands,
    model_commands,
    prompt_command,
    rerank_command,
    run_commands,
    search_commands,
    unbuilt,
)
from sleuth.cli.console import CLOSED_PIPE, FAILED, STOPPED, USAGE, say
from sleuth.errors import SleuthError, UsageError

__all__ = ["app", "run"]


class _Ended(Exception):
    """Work that was ended from outside; typer has exit codes and messages of its own for its causes."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause


@contextmanager
def _past_typer() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError) as error:
        raise _Ended(error) from None


class _Commands(TyperGroup):
    """The commands; Ctrl-C and a closed pipe come through to `run`."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _past_typer():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _past_typer():
            return super().invoke(ctx)


app = typer.Typer(
    name="sleuth",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find the passages that help answer a hard question, and measure how well.",
)


def _version(asked: bool) -> None:
    if asked:
        from sleuth import __version__

        typer.echo(f"sleuth {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find the passages that help answer a hard question, and measure how well.

    Start with:  sleuth demo
    Your files:  sleuth index FOLDER -o my.index && sleuth search my.index "a question"
    Exit codes:  0 ok, 1 failed, 2 usage, 3 incomplete (a budget or deadline ended it), 130 stopped by Ctrl-C.
    """


for module in (
    demo_command,
    index_commands,
    search_commands,
    rerank_command,
    run_commands,
    diff_command,
    prompt_command,
    cache_command,
    model_commands,
    unbuilt,
):
    module.register(app)


def run() -> None:
    """Run the command line; a traceback means a bug in Sleuth."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except _Ended as ended:
        _end(ended.cause)
    except (KeyboardInterrupt, BrokenPipeError) as error:
        _end(error)
    except (SleuthError, OSError) as error:
        say(f"error: {error}", style="red")
        raise SystemExit(USAGE if isinstance(error, UsageError) else FAILED) from None


def _end(cause: BaseException) -> None:
    if isinstance(cause, KeyboardInterrupt):
        say("stopped; run the same command again to carry on where it left off")
        raise SystemExit(STOPPED) from None
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
    raise SystemExit(CLOSED_PIPE) from None
