"""Sliding windows from the back of the list to its front (Sun et al. 2023, RankGPT; ReasonRank)."""

from __future__ import annotations

from typing import Any, ClassVar

from sleuth.errors import UsageError
from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task, VerdictKind
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, fit_window, ranked, whole_number

__all__ = ["SlidingWindow", "spans"]


def spans(n: int, window: int, stride: int, *, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Half-open [from, to) of the windows over positions start … end - 1 of n, back to front.

    Every position lies in a window; neighbours overlap by window - stride; the last one begins at `start` and only it
    can be shorter than `window`.

    Raises:
        UsageError: window or stride below 1, or a stride larger than the window, which would leave positions out.
    """
    whole_number("window", window)
    if whole_number("stride", stride) > window:
        raise UsageError(f"stride={stride} is larger than window={window}, so some documents would lie in no window")
    high = n if end is None else min(end, n)
    low = max(high - window, start)
    found = []
    while low < high:
        found.append((low, high))
        if low == start:
            break
        high, low = high - stride, max(low - stride, start)
    return found


class SlidingWindow(Strategy):
    """Orders the last window, slides towards the front and carries the best along; one call waits for the other.

    A judge of choices moves its choice to the front of the window: windows of 2 with stride 1 are bubble sort, and pass
    p then settles place p, so each pass ends one place further back. Windows of one document are not asked.

    Args:
        judge: Compares; any kind.
        window: Documents of one comparison, >= 2. Default: 20, as RankGPT and ReasonRank.
        stride: How far the window moves, 1 … window. Default: 10, as RankGPT and ReasonRank.
        passes: How often the list is gone through, >= 1. Default: 1, as ReasonRank.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: A stride larger than the window, numbers out of range, a window larger than the judge takes.
    """

    accepts: ClassVar[frozenset[VerdictKind]] = frozenset({"order", "scores", "choice"})

    def __init__(
        self, judge: ChatJudge | LocalJudge, *, window: int = 20, stride: int = 10, passes: int = 1, **options: Any
    ) -> None:
        super().__init__(judge, **options)
        spans(0, whole_number("window", window), stride)
        self.window, self.stride = fit_window(judge, window), stride
        self.passes = whole_number("passes", passes)

    @classmethod
    def preset(cls, judge: ChatJudge | LocalJudge, name: str = "20/10", **options: Any) -> SlidingWindow:
        """A published setting: "20/10" (RankGPT, ReasonRank) or "10/5" (ReasonRank's other one).

        Raises:
            UsageError: There is no such preset.
        """
        if name not in ("20/10", "10/5"):
            raise UsageError(f"the presets of SlidingWindow are '20/10' and '10/5', got {name!r}")
        window, stride = map(int, name.split("/"))
        return cls(judge, window=window, stride=stride, **options)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the number is fixed."""
        exact = sum(high - low > 1 for windows in self._passes(n) for low, high in windows)
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons."""
        current, questions = list(task.doc_ids), Questions()
        for windows in self._passes(len(current)):
            for low, high in windows:
                if high - low < 2:
                    continue
                comparison = questions.about(current[low:high])
                (verdict,) = yield Ask((comparison,), tuple(current))
                current[low:high] = ranked(verdict, comparison, current[low:high])
        return Order(tuple(current))

    def _passes(self, n: int) -> list[list[tuple[int, int]]]:
        settled = 1 if self.judge.kind == "choice" else 0
        return [spans(n, self.window, self.stride, start=p * settled) for p in range(self.passes)]
