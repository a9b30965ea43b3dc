"""The terminal: `sleuth …`. One module per group of commands; heavy imports happen inside them."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script."""
    try:
        from sleuth.cli.app import run

        run()
    except KeyboardInterrupt:  # while the command line itself was loading or ending
        import sys

        sys.stderr.write("stopped; run the same command again to carry on where it left off\n")
        raise SystemExit(130) from None
