"""Tournament (Chen et al. 2024, TourRank): windows side by side halve the list; points are summed over rounds."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task, Verdict
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, deal, fit_window, ranked, rng_of, sizes, whole_number

__all__ = ["Tournament"]


class Tournament(Strategy):
    """Stages of dealt, shuffled windows halve the candidates until one window is left; that one is ranked.

    A document earns a point for each stage it survives. The last window of m stands for all halvings left: its place
    r (from 1) earns log2(m / r) points. Rounds differ in how windows are dealt, run side by side, and their points add up;
    ties are broken by prior order. Windows whose answer can't be read let those survive that
    the prior order puts first.

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
            windows = [dealt for rows in alive for dealt in deal(rows, self.window, rng)]
            for shown in windows:
                rng.shuffle(shown)
            judged = yield from _ask(windows, ids, points, questions)
            if enter == survive:
                for rows, _ in judged:
                    for place, row in enumerate(rows, 1):
                        points[row] += math.log2(len(rows) / place)
                break
            quotas = _quotas(enter, survive, self.window)
            alive = [_survivors(judged[at : at + len(quotas)], quotas) for at in range(0, len(judged), len(quotas))]
            for rows in alive:
                for row in rows:
                    points[row] += 1
        return Order(_by_points(ids, points))


def _ask(
    windows: list[list[int]], ids: tuple[str, ...], points: list[float], questions: Questions
) -> Generator[Ask, tuple[Verdict, ...], list[tuple[list[int], bool]]]:
    """(rows of each window, best first; whether the judge said so); windows of one document are not asked."""
    row = {doc_id: at for at, doc_id in enumerate(ids)}
    judged = [(sorted(rows), len(rows) < 2) for rows in windows]
    asked = [(number, questions.about(ids[at] for at in rows)) for number, rows in enumerate(windows) if len(rows) > 1]
    if asked:
        verdicts = yield Ask(tuple(comparison for _, comparison in asked), _by_points(ids, points))
        for (number, comparison), verdict in zip(asked, verdicts, strict=True):
            judged[number] = [row[doc_id] for doc_id in ranked(verdict, comparison, ids)], verdict.usable
    return judged


def _survivors(judged: list[tuple[list[int], bool]], quotas: list[int]) -> list[int]:
    """Rows that survive a stage of one round, in prior order.

    Windows without an answer pool their places: the best of all their documents by prior order survive, so that what
    chance dealt together does not matter.
    """
    found, pool, places = list[int](), list[int](), 0
    for (rows, said), quota in zip(judged, quotas, strict=True):
        if said:
            found += rows[:quota]
        else:
            pool, places = [*pool, *rows], places + quota
    return sorted([*found, *sorted(pool)[:places]])


def _quotas(enter: int, survive: int, window: int) -> list[int]:
    """How many survive in each window of a stage."""
    groups = -(-enter // window)
    return [survive // groups + (at < survive % groups) for at in range(groups)]


def _by_points(ids: tuple[str, ...], points: list[float]) -> tuple[str, ...]:
    return tuple(ids[row] for row in sorted(range(len(ids)), key=lambda row: -points[row]))
