"""What a stage's counts say is wrong with a judge: answers that can't be read, or that repeat the order they were given."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["judge_faults"]

MOST = 0.9
"""Share of a stage's comparisons from which something is wrong with the model or its prompt (ours)."""
FEWEST = 3
"""Comparisons below which the order as given is no sign of anything: the list may have been right (ours)."""


def judge_faults(counts: Mapping[str, int]) -> list[str]:
    """What a stage's counts say is wrong; empty where all is well.

    Args:
        counts: Of a `StageResult`: `comparisons`, and of them `fallback` and `identity`.
    """
    comparisons, unread, same = (counts.get(name, 0) for name in ("comparisons", "fallback", "identity"))
    faults = []
    if comparisons and unread >= MOST * comparisons:
        faults.append(
            f"no answer could be read: {unread:,} of {comparisons:,} comparisons left the order as it was. "
            'Do model and prompt fit? on_bad_reply = "raise" shows the first such answer'
        )
    if comparisons >= FEWEST and same >= MOST * comparisons:
        faults.append(
            f"the model returns the order it is given: it does not rank ({same:,} of {comparisons:,} comparisons)"
        )
    return faults
