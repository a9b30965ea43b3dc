"""Run one strategy on one query against a judge in process, and count: no driver, no texts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sleuth.rerank.parts import Ask, Case, LocalJudge, Order, Task, Verdict
from sleuth.rerank.strategy import Strategy
from sleuth.types import Query

__all__ = ["Walked", "walk"]


@dataclass(frozen=True)
class Walked:
    """A strategy's end and what it took: calls, passages shown, calls that wait for each other, waves of calls."""

    order: Order
    calls: int
    shown: int
    depth: int
    waves: int


def walk(strategy: Strategy, task: Task, *, concurrency: int = 16) -> Walked:
    """Answer every comparison at once; `waves` counts how often `concurrency` calls are sent side by side."""
    judge, query = strategy.judge, Query(task.query_id, "")
    assert isinstance(judge, LocalJudge)
    steps, calls, shown, depth, waves = strategy.steps(task), 0, 0, 0, 0
    answers: tuple[Verdict, ...] | None = None
    while True:
        try:
            ask: Ask = next(steps) if answers is None else steps.send(answers)
        except StopIteration as end:
            return Walked(end.value, calls, shown, depth, waves)
        cases = [Case(query, "", (), comparison) for comparison in ask.comparisons]
        found = dict(judge.verdicts(cases))
        answers = tuple(found[at] for at in range(len(cases)))
        calls += len(cases)
        shown += sum(len(case.comparison.doc_ids) for case in cases)
        depth += 1
        waves += math.ceil(len(cases) / concurrency)
