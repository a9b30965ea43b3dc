"""Commands that scripts may already name and that are not built yet: refused by name, whatever follows."""

from __future__ import annotations

import typer

from sleuth.errors import UsageError

__all__ = ["NOT_BUILT", "refuse", "register"]

NOT_BUILT = [
    "rewrite", "run", "bench", "report", "synthesize", "train", "serve",
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the hidden commands to the application."""
    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    for name in NOT_BUILT:
        app.command(name, hidden=True, context_settings=anything)(_refused)


def _refused(context: typer.Context) -> None:
    """Not built yet."""
    refuse(f"sleuth {context.info_name}")


def refuse(what: str) -> None:
    """Raises UsageError: this part is not built yet."""
    raise UsageError(f"{what} is not built yet")
