"""Funnel: windows over the whole list side by side, then over its best part, every answer averaged with the prior.

Ours. Against windows that slide from the back to the front it spends the same calls better: every answer counts towards the
result, the prior score counts as one more answer, and the windows of a round do not wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sleuth.errors import UnknownName, UsageError
from sleuth.rerank.beliefs import Beliefs, Prior, check_factor, weight_and_prior
from sleuth.rerank.parts import Ask, ChatJudge, LocalJudge, Order, Steps, Task
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.windows import Questions, deal, fit_window, rng_of, sizes

__all__ = ["PLANS", "Funnel", "FunnelPlan"]

ROUND = re.compile(r"\s*([0-9]+)\s*(?:[xX×]\s*([0-9]+))?\s*")


@dataclass(frozen=True, slots=True)
class FunnelPlan:
    """A named way to spend calls; the counts hold for 100 candidates and windows of 20."""

    calls: int
    rounds: tuple[str, ...]
    prior_weight: float = 1.0
    scale: float = 1.0


PLANS: Mapping[str, FunnelPlan] = {
    "economical": FunnelPlan(3, ("40", "20")),
    "standard": FunnelPlan(9, ("100", "40", "20x2")),
    "thorough": FunnelPlan(20, ("100", "60x2", "40x2", "20x5"), prior_weight=2.0, scale=1.5),
}
"""Chosen with a simulated judge on BRIGHT's candidate lists (docs/strategies.md)."""


class Funnel(Strategy):
    """Rounds of parallel windows over ever fewer of the best candidates; all answers are averaged.

    Each round takes the best `depth` candidates, deals them to as many windows as they fill so that every window
    holds a fair sample of all levels, and asks all windows side by side. A place in a window becomes a normal score on
    the level of its window, and is averaged with what was believed before; at first that is the prior score.
    A window is shown best first; where a round repeats, the later repeats are shuffled, so that a judge without
    randomness is not asked the same twice.

    Args:
        judge: Compares; gives orders or scores.
        rounds: Depth of each round, with its repeats: ("100", "40", "20x2"); or the name of a plan in `PLANS`:
            "economical" (3 calls), "standard" (9 calls, the default), "thorough" (20 calls).
        window: Documents of one comparison at most, >= 2. Default: 20, as listwise rerankers are trained.
        prior_weight: How many answers the prior score counts for, >= 0: less for a judge much stronger than the first
            stage, more for a weak one; 0 is `prior="flat"`. Default: the plan's, 1 for own rounds.
        scale: Worth of a place in a window beside the prior's z-scores, > 0. Default: the plan's, 1 for own rounds.
        prior: "scores": the prior scores, standardized over the candidates; its order where there are none. "rank":
            the prior order alone. "flat": nothing is believed at first.
        name, depth, query_view: As for every `Strategy`.

    Raises:
        UnknownName: No such plan.
        UsageError: A round that can't be read, numbers out of range, a window larger than the judge takes, a judge that
            gives choices.
    """

    def __init__(
        self,
        judge: ChatJudge | LocalJudge,
        *,
        rounds: str | Sequence[str | int] = "standard",
        window: int = 20,
        prior_weight: float | None = None,
        scale: float | None = None,
        prior: Prior = "scores",
        **options: Any,
    ) -> None:
        super().__init__(judge, **options)
        plan = FunnelPlan(0, ())
        if isinstance(rounds, str):
            if rounds not in PLANS:
                raise UnknownName('funnel plan (rounds of your own are a list, ["40", "20"])', rounds, list(PLANS))
            plan = PLANS[rounds]
            rounds = plan.rounds
        self._rounds = tuple(map(_round, rounds))
        if not self._rounds:
            raise UsageError("a funnel needs at least one round, for example rounds=['40', '20']")
        self.rounds = tuple(f"{deep}x{repeats}" if repeats > 1 else f"{deep}" for deep, repeats in self._rounds)
        self.window = fit_window(judge, window)
        self._usual_weight = plan.prior_weight
        self.prior_weight, self.prior = weight_and_prior(prior_weight, prior, default=self._usual_weight)
        self.scale = check_factor("scale", plan.scale if scale is None else scale)

    @classmethod
    def preset(cls, judge: ChatJudge | LocalJudge, *, calls: int = 9, **options: Any) -> Funnel:
        """The plan that spends this many calls on 100 candidates: 3, 9 or 20.

        Raises:
            UsageError: There is no such plan.
        """
        names = {plan.calls: name for name, plan in PLANS.items()}
        if calls not in names:
            known = ", ".join(map(str, names))
            raise UsageError(f"there are funnel plans of {known} calls, got {calls}; give rounds of your own instead")
        return cls(judge, rounds=names[calls], **options)

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates; the funnel's number is fixed."""
        exact = sum(
            repeats * sum(size > 1 for size in sizes(min(deep, n), self.window)) for deep, repeats in self._rounds
        )
        return exact, exact

    def steps(self, task: Task) -> Steps:
        """One query's comparisons; the scores of the result are the averages (scale "fused")."""
        beliefs = Beliefs(task, prior_weight=self.prior_weight, scale=self.scale, prior=self.prior)
        rng, questions = rng_of(task), Questions()
        best = beliefs.best()
        for deep, repeats in self._rounds:
            current = beliefs.names(best)
            comparisons = []
            for repeat in range(repeats):
                for rows in deal(best[:deep], self.window, rng):
                    if repeat:
                        rng.shuffle(rows)
                    if len(rows) > 1:
                        comparisons.append(questions.about(beliefs.names(rows)))
            if comparisons:
                verdicts = yield Ask(tuple(comparisons), current)
                beliefs.learn(comparisons, verdicts, current)
                best = beliefs.best()
        return Order(beliefs.names(best), tuple(beliefs.level[best].tolist()), "fused")


def _round(given: str | int) -> tuple[int, int]:
    """(depth, repeats) of "20x2", "20" or 20."""
    found = ROUND.fullmatch(str(given)) if isinstance(given, str | int) and not isinstance(given, bool) else None
    deep, repeats = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
    if deep < 1 or repeats < 1:
        raise UsageError(f"a funnel's round is its depth and repeats, '40' or '20x2', got {given!r}")
    return deep, repeats
