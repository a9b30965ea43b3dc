"""Tournament (Chen et al. 2024, TourRank): windows side by side halve the list; points are summed over rounds."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

from sleuth.rerank.parts import Ask, ChatJudge, Comparison, LocalJudge, Order, Steps, Task, Verdict
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, deal, fit_window, ranked, rng_of, sizes, whole_number

__all__ = ["Tournament"]


class Tournament(Strategy):
    """Stages of dealt, shuffled windows halve the candidates until one window is left; that one is ranked.

    A document earns a point for each stage it survives. The last window of m stands for all halvings left: its place
    r (from 1) earns log2(m / r) points. Rounds differ in how windows are dealt, run side by side, and their points add up;
    ties are broken by prior order. In a window whose answer can't be read the better half of the prior order survives.

    Args:
        judge: Compares; gives orders or scores.
        window: Documents of one comparison, >= 2. Default: 20, as the paper.
        rounds: How many tournaments are played, >= 1. Default: 1, ours: more rounds cost as much each; the paper plays
            up to 10.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: Numbers out of range, a window larger than the judge takes, a judge that gives choices.
    """

    def __init__(self, judge: ChatJudge | LocalJudge, *, window: int = 20, rounds: int = 1, **options: Any) -> None:
        super().__init__(judge, **options)
        self.window, self.rounds = fit_window(judge, window), whole_number("rounds", rounds)

    def stages(self, n: int) -> list[tuple[int, int]]:
        """(documents that enter, documents that survive) of each stage; the last one's survivors are its window."""
        found = []
        while n > self.window:
            half = -(-n // 2)
            survive = half if half >= 2 * self.window else self.window
            found.append((n, survive))
            n = survive
        return [*found, (n, n)]

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the number is fixed."""
        exact = self.rounds * sum(size > 1 for enter, _ in self.stages(n) for size in sizes(enter, self.window))
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons."""
        ids, questions, rng = task.doc_ids, Questions(), rng_of(task)
        points = [0.0] * len(ids)
        alive = [list(range(len(ids))) for _ in range(self.rounds)]
        for enter, survive in self.stages(len(ids)):
            windows = []  # (round, rows as shown)
            for at, rows in enumerate(alive):
                for dealt in deal(rows, self.window, rng):
                    rng.shuffle(dealt)
                    windows.append((at, dealt))
            judged = yield from _ask(windows, ids, points, questions)
            alive = [[] for _ in alive]
            quotas = _quotas(enter, survive, self.window)
            for number, ((at, _), rows) in enumerate(zip(windows, judged, strict=True)):
                if enter == survive:  # the last window
                    for place, row in enumerate(rows, 1):
                        points[row] += math.log2(len(rows) / place)
                else:
                    alive[at] += rows[: quotas[number % len(quotas)]]
            for rows in alive:
                rows.sort()
                for row in rows:
                    points[row] += 1
        return Order(_by_points(ids, points))


def _ask(
    windows: list[tuple[int, list[int]]], ids: tuple[str, ...], points: list[float], questions: Questions
) -> Generator[Ask, tuple[Verdict, ...], list[list[int]]]:
    """Rows of each window, best first; windows of one document are not asked."""
    row = {doc_id: at for at, doc_id in enumerate(ids)}
    judged = [sorted(rows) for _, rows in windows]
    asked: list[tuple[int, Comparison]] = [
        (number, questions.about(ids[at] for at in rows)) for number, (_, rows) in enumerate(windows) if len(rows) > 1
    ]
    if asked:
        verdicts = yield Ask(tuple(comparison for _, comparison in asked), _by_points(ids, points))
        for (number, comparison), verdict in zip(asked, verdicts, strict=True):
            judged[number] = [row[doc_id] for doc_id in ranked(verdict, comparison, ids)]
    return judged


def _quotas(enter: int, survive: int, window: int) -> list[int]:
    """How many survive in each window of a stage."""
    groups = -(-enter // window)
    return [survive // groups + (at < survive % groups) for at in range(groups)]


def _by_points(ids: tuple[str, ...], points: list[float]) -> tuple[str, ...]:
    return tuple(ids[row] for row in sorted(range(len(ids)), key=lambda row: -points[row]))
