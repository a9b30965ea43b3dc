"""What a stage would ask, from the very generators that will ask it.

Every strategy is run against an empty judge that confirms the order as it is; requests are rendered and counted,
none is sent. Where the path depends on the answers, the strategy is run again against judges that reverse and that
shuffle, which gives the span of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sleuth.context import Context
from sleuth.llm.chat import Usage
from sleuth.llm.estimate import request_tokens
from sleuth.rerank.parts import Case, ChatJudge, Comparison, Plan, Verdict
from sleuth.rerank.stage import candidates_of, make_walks
from sleuth.rerank.strategy import Strategy
from sleuth.stages import DocStore
from sleuth.types import Query, Run

__all__ = ["plan_run"]

SHUFFLES = 3
"""Shuffling judges that a plan tries besides one that confirms and one that reverses (ours)."""


def plan_run(
    strategy: Strategy,
    queries: Sequence[Query],
    run: Run,
    docs: DocStore,
    *,
    depth: int | None = None,
    context: Context | None = None,
) -> Plan:
    """See the module; arguments as of `rerank_run`."""
    context = Context.of(context)
    stage = strategy.name or context.stage or "rerank-1"
    meter = _Meter(strategy, stage)
    given = {query.query_id: candidates_of(query, run) for query in queries}

    def totals(answer: Callable[[Comparison], Verdict], *, rendered: bool) -> tuple[int, int]:
        calls = serial = 0
        for walk in make_walks(strategy, queries, given, docs, depth=depth, context=context, stage=stage):
            walk.begin()
            while waiting := walk.comparisons():
                for place, comparison in waiting:
                    calls += meter.count(walk.case(comparison, stage)) if rendered else meter.calls_each
                    walk.take(place, answer(comparison))
            serial = max(serial, walk.depth)
        return calls, serial

    expected, serial = totals(_confirm(strategy), rendered=True)
    others = [totals(_reverse(strategy), rendered=False)[0]]
    for at in range(SHUFFLES):
        others.append(totals(_shuffle(strategy, np.random.default_rng([context.seed, at])), rendered=False)[0])
    return Plan(
        stage,
        queries=sum(len(ranking) > 0 for ranking in given.values()),
        calls_min=min(expected, *others),
        calls_max=max(expected, *others),
        calls_expected=expected,
        serial_depth=serial,
        passages=meter.passages,
        tokens_in=meter.tokens_in,
        tokens_out=meter.tokens_out,
        estimated=meter.tokenizer is None,
        exact=all(calls == expected for calls in others),
        money=meter.money(),
    )


class _Meter:
    """Counts what a judge would send."""

    def __init__(self, strategy: Strategy, stage: str) -> None:
        self.judge, self.stage = strategy.judge, stage
        self.backend = getattr(strategy.judge, "backend", None)
        self.tokenizer = getattr(self.backend, "tokenizer", None)
        self.tokens_in = self.tokens_out = self.passages = 0
        self.calls_each = 1

    def count(self, case: Case) -> int:
        """Book one case; how many calls it takes."""
        self.passages += len(case.docs)
        if not isinstance(self.judge, ChatJudge):
            return 1
        requests = self.judge.requests(case)
        self.tokens_in += sum(request_tokens(one, self.tokenizer) for one in requests)
        self.tokens_out += self.judge.output_tokens(case)
        self.calls_each = len(requests)
        return len(requests)

    def money(self) -> float | None:
        """By the backend's price, nothing cached."""
        price = getattr(self.backend, "price", None)
        return None if price is None else float(price.of(Usage(self.tokens_in, self.tokens_out)))


def _confirm(strategy: Strategy) -> Callable[[Comparison], Verdict]:
    return lambda comparison: _verdict(strategy, list(range(len(comparison.doc_ids))))


def _reverse(strategy: Strategy) -> Callable[[Comparison], Verdict]:
    return lambda comparison: _verdict(strategy, list(range(len(comparison.doc_ids)))[::-1])


def _shuffle(strategy: Strategy, rng: np.random.Generator) -> Callable[[Comparison], Verdict]:
    return lambda comparison: _verdict(strategy, rng.permutation(len(comparison.doc_ids)).tolist())


def _verdict(strategy: Strategy, order: list[int]) -> Verdict:
    """The verdict of a judge of this strategy's kind that finds this order."""
    if strategy.judge.kind == "choice":
        return Verdict(tuple(order[:1]))
    scores = [0.0] * len(order)
    for rank, at in enumerate(order):
        scores[at] = float(len(order) - rank)
    return Verdict(tuple(order), scores=tuple(scores) if strategy.judge.kind == "scores" else None)
