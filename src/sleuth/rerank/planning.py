"""What a stage would ask, from the very generators that will ask it.

Every strategy is run against an empty judge that confirms the order as it is; requests are rendered and counted,
none is sent. Where the path depends on the answers, the strategy itself knows the fewest and most comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence

from sleuth.context import Context
from sleuth.llm.chat import Usage
from sleuth.llm.estimate import request_tokens
from sleuth.rerank.parts import Case, ChatJudge, Comparison, Plan, Verdict, VerdictKind
from sleuth.rerank.stage import given_lists, make_walks
from sleuth.rerank.strategy import Strategy
from sleuth.stages import DocStore
from sleuth.types import Query, Run

__all__ = ["plan_run"]


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
    meter = _Meter(strategy)
    given = given_lists(queries, run, docs)
    serial = least = most = 0
    for walk in make_walks(strategy, queries, given, docs, depth=depth, context=context, stage=stage):
        fewest, largest = strategy.calls(len(walk.order.doc_ids))
        least, most = least + fewest, most + largest
        walk.begin()
        while waiting := walk.comparisons():
            for place, comparison in waiting:
                meter.count(walk.case(comparison, stage))
                walk.take(place, _confirm(comparison, strategy.judge.kind))
        serial = max(serial, walk.depth)
    each = meter.calls_each
    return Plan(
        stage,
        queries=sum(len(ranking) > 0 for ranking in given.values()),
        calls_min=least * each,
        calls_max=most * each,
        calls_expected=meter.calls,
        serial_depth=serial,
        passages=meter.passages,
        tokens_in=meter.tokens_in,
        tokens_out=meter.tokens_out,
        estimated=meter.tokenizer is None,
        exact=least == most,
        money=meter.money(),
    )


class _Meter:
    """Counts what a judge would send."""

    def __init__(self, strategy: Strategy) -> None:
        self.judge = strategy.judge
        self.backend = getattr(strategy.judge, "backend", None)
        self.tokenizer = getattr(self.backend, "tokenizer", None)
        self.tokens_in = self.tokens_out = self.passages = self.calls = 0
        self.calls_each = 1

    def count(self, case: Case) -> None:
        """Book one case."""
        self.passages += len(case.docs)
        if isinstance(self.judge, ChatJudge):
            requests = self.judge.requests(case)
            self.tokens_in += sum(request_tokens(one, self.tokenizer) for one in requests)
            self.tokens_out += self.judge.output_tokens(case)
            self.calls_each = len(requests)
        self.calls += self.calls_each

    def money(self) -> float | None:
        """By the backend's price, nothing cached."""
        price = getattr(self.backend, "price", None)
        return None if price is None else float(price.of(Usage(self.tokens_in, self.tokens_out)))


def _confirm(comparison: Comparison, kind: VerdictKind) -> Verdict:
    """The verdict of a judge of this kind that finds the documents in the right order."""
    n = len(comparison.doc_ids)
    if kind == "choice":
        return Verdict((0,))
    return Verdict(tuple(range(n)), scores=tuple(map(float, range(n, 0, -1))) if kind == "scores" else None)
