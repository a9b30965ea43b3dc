"""Windows where the top ten is in doubt, within a budget of calls (after AcuRank, Yoon et al. 2025, with running means)."""

from __future__ import annotations

from typing import Any

from sleuth.errors import UsageError
from sleuth.rerank.beliefs import Beliefs, Prior, check_factor, top_chance, weight_and_prior
from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, deal, fit_window, rng_of, whole_number

__all__ = ["Uncertainty"]


class Uncertainty(Strategy):
    """Asks about the candidates that may or may not belong to the best `k`, until the calls are spent or all is clear.

    What is believed of a candidate is a running mean as in `Funnel`, taken as normal with variance 1 / (answers it rests
    on). A step deals all candidates whose chance to be among the best k lies in [doubt, 1 - doubt] to windows, asked
    side by side; where they need more calls than are left, the least certain ones go first.

    Args:
        judge: Compares; gives orders or scores.
        calls: Comparisons of a query at most, >= 1. Default: 9, what 20/10 windows over 100 candidates cost.
        window: Documents of one comparison, >= 2. Default: 20.
        k: Whose membership is asked after, >= 1. Default: 10.
        doubt: Chance below which a candidate is left alone, in (0, 0.5). Default: 0.02, AcuRank's order of size.
        prior_weight, scale, prior: As for `Funnel`; a prior_weight of 0 is `prior="flat"`.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UsageError: Numbers out of range, a window larger than the judge takes, a judge that gives choices.
    """

    def __init__(
        self,
        judge: ChatJudge | LocalJudge,
        *,
        calls: int = 9,
        window: int = 20,
        k: int = 10,
        doubt: float = 0.02,
        prior_weight: float = 1.0,
        scale: float = 1.0,
        prior: Prior = "scores",
        **options: Any,
    ) -> None:
        super().__init__(judge, **options)
        self.budget, self.k = whole_number("calls", calls), whole_number("k", k)
        self.window = fit_window(judge, window)
        if not 0 < doubt < 0.5:
            raise UsageError(f"doubt must lie between 0 and 0.5, got {doubt!r}")
        self.doubt = doubt
        self._usual_weight = 1.0
        self.prior_weight, self.prior = weight_and_prior(prior_weight, prior, default=self._usual_weight)
        self.scale = check_factor("scale", scale)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates."""
        return 0, self.budget if n > 1 else 0

    def steps(self, task: Task) -> Steps:
        """One query's comparisons; the scores of the result are the averages (scale "fused")."""
        beliefs = Beliefs(task, prior_weight=self.prior_weight, scale=self.scale, prior=self.prior)
        rng, questions, left = rng_of(task), Questions(), self.budget
        best = beliefs.best()
        while left and (doubtful := self._doubtful(beliefs, best, left)):
            current = beliefs.names(best)
            comparisons = [
                questions.about(beliefs.names(rows)) for rows in deal(doubtful, self.window, rng) if len(rows) > 1
            ]
            verdicts = yield Ask(tuple(comparisons), current)
            beliefs.learn(comparisons, verdicts, current)
            best, left = beliefs.best(), left - len(comparisons)
        return Order(beliefs.names(best), tuple(beliefs.level[best].tolist()), "fused")

    def _doubtful(self, beliefs: Beliefs, best: list[int], left: int) -> list[int]:
        """Rows to ask about, best first; none where all is clear."""
        chance = top_chance(beliefs.level, beliefs.weight, self.k)
        rows = [row for row in best if self.doubt <= chance[row] <= 1 - self.doubt]
        if len(rows) > left * self.window:
            keep = set(sorted(rows, key=lambda row: abs(chance[row] - 0.5))[: left * self.window])
            rows = [row for row in rows if row in keep]
        return rows if len(rows) > 1 else []
