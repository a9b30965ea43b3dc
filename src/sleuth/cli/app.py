"""The command line's entry: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from sleuth.cli import demo_command, index_commands, model_commands, run_commands, search_commands
from sleuth.cli.console import FAILED, USAGE, error_console
from sleuth.errors import SleuthError, UsageError

__all__ = ["app", "run"]

app = typer.Typer(
    name="sleuth",
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
    Exit codes:  0 ok, 1 failed, 2 usage, 3 incomplete (a budget or deadline ended it).
    """


for module in (demo_command, index_commands, search_commands, run_commands, model_commands):
    module.register(app)


def run() -> None:
    """Run the command line; a traceback means a bug in Sleuth."""
    try:
        app()
    except SleuthError as error:
        _say(error)
        raise SystemExit(USAGE if isinstance(error, UsageError) else FAILED) from None
    except KeyboardInterrupt:
        error_console().print("stopped; run the same command again to carry on where it left off", markup=False)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
    except OSError as error:
        _say(error)
        raise SystemExit(FAILED) from None


def _say(error: Exception) -> None:
    error_console().print(f"error: {error}", style="red", markup=False)
