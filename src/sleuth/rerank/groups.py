"""Groups of documents scored together, dealt anew in every epoch (GroupRank, 2511.11653)."""

from __future__ import annotations

from typing import Any, ClassVar

from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task, VerdictKind
from sleuth.rerank.score_sort import gather, sorted_by
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, fit_window, rng_of, sizes, whole_number

__all__ = ["Groups"]


class Groups(Strategy):
    """Every candidate is scored in a shuffled group, `epochs` times; the scores are averaged, all side by side.

    A document without any score keeps its place, as in `ScoreAndSort`; so a group whose answer can't be read does
    not sink its documents.

    Args:
        judge: Scores the documents of a group on one scale.
        epochs: How often every document is scored, >= 1. Default: 2, as GroupRank.
        size: Documents of a group at most, >= 1. Default: 20, as GroupRank.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: A judge that gives no scores, numbers out of range, a group larger than the judge takes.
    """

    accepts: ClassVar[frozenset[VerdictKind]] = frozenset({"scores"})

    def __init__(self, judge: ChatJudge | LocalJudge, *, epochs: int = 2, size: int = 20, **options: Any) -> None:
        super().__init__(judge, **options)
        self.epochs = whole_number("epochs", epochs)
        self.size = fit_window(judge, size, name="size", least=1)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the number is fixed."""
        exact = self.epochs * len(sizes(n, self.size))
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons; the scores of the result are the averages, on the judge's scale."""
        rng, questions, ids = rng_of(task), Questions(), task.doc_ids
        comparisons = []
        for _ in range(self.epochs):
            shuffled = rng.permutation(len(ids)).tolist()
            start = 0
            for size in sizes(len(ids), self.size):
                comparisons.append(questions.about(ids[row] for row in shuffled[start : start + size]))
                start += size
        if not comparisons:
            return Order(())
        verdicts = yield Ask(tuple(comparisons), ids)
        return sorted_by(gather(comparisons, verdicts), ids, self.judge.scale)
