"""Where one system wins and where it loses, query by query (extra `plot`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sleuth.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["wins_and_losses"]

# Okabe & Ito's blue and vermilion: told apart with any kind of colour vision.
WIN, LOSS = "#0072B2", "#D55E00"


def wins_and_losses(
    differences: Mapping[str, float], *, a: str, b: str, measure: str, path: str | Path | None = None
) -> Figure:
    """A bar a query, largest gain of `a` first.

    Args:
        differences: query_id -> value of a - value of b.
        a, b, measure: Names for title and axis.
        path: Written here if given; the ending chooses the format (.png, .svg, .pdf).

    Raises:
        MissingExtra: matplotlib is not installed.
        UsageError: No queries.
    """
    if not differences:
        raise UsageError("there is no query to plot")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plotting", "plot", error) from error

    # Figure itself, not pyplot: no global state, no window, nothing to close.
    heights = sorted(differences.values(), reverse=True)
    wins, losses = sum(h > 0 for h in heights), sum(h < 0 for h in heights)
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(heights)), heights, width=1.0, color=[WIN if h > 0 else LOSS for h in heights])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title(f"{a} against {b}: {wins} wins, {losses} losses, {len(heights) - wins - losses} equal")
    axes.set_xlabel("queries, largest gain first")
    axes.set_ylabel(f"difference in {measure}")
    axes.margins(x=0)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
