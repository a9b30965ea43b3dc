"""Permutation self-consistency: the head judged several times in shuffled order, one order out of all answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sleuth.errors import UnknownName
from sleuth.fusion.aggregate import borda, kemeny
from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, fit_window, rng_of, whole_number

__all__ = ["SelfConsistency"]

Points = Mapping[str, float]

RRF_K = 60
"""Constant of reciprocal ranks (Cormack, Clarke & Büttcher 2009)."""


class SelfConsistency(Strategy):
    """Shows the best `window` candidates `samples` times in random order and aggregates (Tang et al. 2023).

    All samples may run side by side; candidates behind the window keep their order. An answer that can't be read is left
    out; what a truncated answer did not name counts as below what it named.

    Args:
        judge: Compares; gives orders or scores.
        samples: How often, >= 1. Default: 5, ours: with persistent errors more add little (docs/strategies.md).
        aggregate: "rrf" (the default: reciprocal ranks, which look at the top), "borda", or "kemeny" (the paper's:
            the order that contradicts the answers least).
        window: Candidates shown, >= 2. Default: 20.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UnknownName: No such aggregate.
        UsageError: Numbers out of range, a window larger than the judge takes, a judge that gives choices.
    """

    def __init__(
        self,
        judge: ChatJudge | LocalJudge,
        *,
        samples: int = 5,
        aggregate: Literal["rrf", "borda", "kemeny"] = "rrf",
        window: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(judge, **options)
        if aggregate not in AGGREGATES:
            raise UnknownName("aggregate", str(aggregate), list(AGGREGATES))
        self.samples, self.aggregate = whole_number("samples", samples), aggregate
        self.window = fit_window(judge, window)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the number is fixed."""
        exact = self.samples if min(n, self.window) > 1 else 0
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons."""
        rng, questions = rng_of(task), Questions()
        head, tail = task.doc_ids[: self.window], task.doc_ids[self.window :]
        if len(head) < 2:
            return Order(task.doc_ids)
        comparisons = tuple(
            questions.about(head[row] for row in rng.permutation(len(head)).tolist()) for _ in range(self.samples)
        )
        verdicts = yield Ask(comparisons, task.doc_ids)
        answers = []
        for comparison, verdict in zip(comparisons, verdicts, strict=True):
            if verdict.usable:
                named = len(verdict.order) if verdict.named is None else verdict.named
                answers.append([comparison.doc_ids[at] for at in verdict.order[:named]])
        points = AGGREGATES[self.aggregate](answers)
        return Order(
            (*sorted(head, key=lambda doc_id: -points.get(doc_id, -1.0)), *tail)
        )  # stable: ties in prior order


def _reciprocal(answers: Sequence[Sequence[str]]) -> Points:
    points: dict[str, float] = {}
    for answer in answers:
        for at, doc_id in enumerate(answer):
            points[doc_id] = points.get(doc_id, 0.0) + 1 / (RRF_K + at + 1)
    return points


AGGREGATES: Mapping[str, Callable[[Sequence[Sequence[str]]], Points]] = {
    "rrf": _reciprocal,
    "borda": lambda answers: borda(answers).score_of(),
    "kemeny": lambda answers: kemeny(answers).score_of(),
}
