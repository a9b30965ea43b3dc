"""`sleuth demo`: the whole job on the corpus that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sleuth.cli.console import new_context, show_json
from sleuth.cli.index_commands import Json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command("demo")(run_demo)


def run_demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the index and the runs go.")] = Path("demo"),
    as_json: Json = False,
) -> None:
    """Index the standard library's docstrings, search, evaluate and explain.

    Builds the pydocs index (kept in --folder, so a second run is fast), answers 100 hard questions with
    BM25, RM3 feedback, vectors and hybrids, compares them on labels, and explains one result.

    Example:

      sleuth demo
    """
    from sleuth.cli.demo_job import DemoScreen, demonstrate

    outcome = demonstrate(folder, context=new_context(), screen=DemoScreen(quiet=as_json))
    if as_json:
        show_json(outcome)
