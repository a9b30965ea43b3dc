"""The terminal: `sleuth …`. One module per group of commands; heavy imports happen inside them."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script."""
    from sleuth.cli.app import run

    run()
