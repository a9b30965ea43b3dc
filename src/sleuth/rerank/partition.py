"""Top-down partition around a pivot (Parry et al. 2024): most of the list is compared with one document, side by side."""

from __future__ import annotations

from typing import Any

from sleuth.errors import UsageError
from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, fit_window, ranked, whole_number

__all__ = ["Partition"]


class Partition(Strategy):
    """Ranks the first window; who beats its pivot in windows of the others joins the head; repeats until one window is left.

    A step ranks the first `window` documents of the head. The one at place `pivot` is the pivot; the others of the head
    are dealt, in order, to windows that begin with the pivot, all asked side by side. Documents above the pivot form
    the next head; once it fits a window it is ranked a last time. Where nobody beat the pivot the first window's order
    stands and the step ends it. An answer that can't be read lets nobody pass.

    Args:
        judge: Compares; gives orders or scores.
        window: Documents of one comparison, >= 2. Default: 20, as the paper.
        pivot: The pivot's place in the first window, from 1, below `window`. Default: half of the window, as the paper
            (10 of 20): the head is then about the ten best.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: Numbers out of range, a window larger than the judge takes, a judge that gives choices.
    """

    def __init__(
        self, judge: ChatJudge | LocalJudge, *, window: int = 20, pivot: int | None = None, **options: Any
    ) -> None:
        super().__init__(judge, **options)
        self.window = fit_window(judge, window)
        self.pivot = whole_number("pivot", max(window // 2, 1) if pivot is None else pivot)
        if self.pivot >= self.window:
            raise UsageError(f"pivot={self.pivot} must be below window={self.window}, or the head would never shrink")

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates: nobody, or everybody, beats every pivot."""
        if n < 2:
            return 0, 0
        if n <= self.window:
            return 1, 1
        most, head = 0, n
        while head > self.window:
            most += 1 + -(-(head - self.window) // (self.window - 1))
            head -= self.window - self.pivot
        return 1 + -(-(n - self.window) // (self.window - 1)), most + 1

    def steps(self, task: Task) -> Steps:
        """One query's comparisons."""
        questions = Questions()
        head, dropped = list(task.doc_ids), list[str]()
        while len(head) > self.window:
            comparison = questions.about(head[: self.window])
            (verdict,) = yield Ask((comparison,), (*head, *dropped))
            head[: self.window] = ranked(verdict, comparison, head)
            pivot, rest, step = head[self.pivot - 1], head[self.window :], self.window - 1
            windows = [(pivot, *rest[start : start + step]) for start in range(0, len(rest), step)]
            comparisons = tuple(map(questions.about, windows))
            verdicts = yield Ask(comparisons, (*head, *dropped))
            risen: set[str] = set()
            for asked, answer in zip(comparisons, verdicts, strict=True):
                order = ranked(answer, asked, head)
                risen.update(order[: order.index(pivot)])
            above, below = head[: self.pivot], head[self.pivot : self.window]
            dropped = [*below, *(doc_id for doc_id in rest if doc_id not in risen), *dropped]
            head = [*above, *(doc_id for doc_id in rest if doc_id in risen)]
            if not risen:
                return Order((*head, *dropped))
        if len(head) > 1:
            comparison = questions.about(head)
            (verdict,) = yield Ask((comparison,), (*head, *dropped))
            head = list(ranked(verdict, comparison, head))
        return Order((*head, *dropped))
