"""A loud word where a judge did not judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sleuth.cli.console import say

if TYPE_CHECKING:
    from sleuth.stages import StageResult

__all__ = ["warn_of_judges"]


def warn_of_judges(stages: Mapping[str, StageResult]) -> None:
    """Say on standard error what `sleuth.rerank.faults.judge_faults` finds."""
    from sleuth.rerank.faults import judge_faults

    for name, stage in stages.items():
        for fault in judge_faults(stage.counts):
            say(f"WARNING: {name}: {fault}", style="bold red")
