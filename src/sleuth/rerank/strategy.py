"""What all strategies share: a judge, a name, a view of the query; `rerank` and `plan` by the one driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.rerank.parts import ChatJudge, LocalJudge, Plan, Steps, Task, VerdictKind
from sleuth.stages import DocStore, StageResult
from sleuth.types import Query, QueryView, Run

__all__ = ["Strategy"]


class Strategy:
    """A way to spend a judge's comparisons; a subclass writes `steps` and is then a Reranker.

    Args:
        judge: Who compares.
        name: The stage's name in parts, ledger and trace; by default the pipeline's `rerank-1`, `rerank-2`, …
        depth: Candidates of each query that are reranked; the others follow in their old order. None: all.
        query_view: What the judge reads of the query. Default: the question itself, as the papers rerank.

    Raises:
        UsageError: The strategy can't use what this judge knows after a comparison, or depth < 1.
    """

    accepts: ClassVar[frozenset[VerdictKind]] = frozenset({"order", "scores"})
    """Which kinds of verdict the strategy can use."""

    def __init__(
        self,
        judge: ChatJudge | LocalJudge,
        *,
        name: str | None = None,
        depth: int | None = None,
        query_view: QueryView = "text",
    ) -> None:
        if not isinstance(judge, ChatJudge | LocalJudge):
            raise UsageError(
                f"{type(self).__name__} needs a judge first (Listwise, Graded, YesNoJudge, …), got "
                f"{type(judge).__name__} {str(judge)[:60]!r}"
            )
        if judge.kind not in self.accepts:
            raise UsageError(
                f"{type(self).__name__} needs a judge that gives {' or '.join(sorted(self.accepts))}; "
                f"{judge.name} gives {judge.kind}"
            )
        if depth is not None and depth < 1:
            raise UsageError(f"depth must be at least 1, got {depth}")
        if query_view not in ("text", "rewrite", "text+rewrite"):
            raise UsageError(f"query_view must be 'text', 'rewrite' or 'text+rewrite', got {query_view!r}")
        self.judge, self.name, self.depth, self.query_view = judge, name, depth, query_view

    def steps(self, task: Task) -> Steps:
        """One query's comparisons, as a generator (see `sleuth.rerank.parts`)."""
        raise NotImplementedError

    def calls(self, n: int) -> tuple[int, int]:
        """Fewest and most comparisons for n candidates, whatever the judge answers; equal where the number is fixed."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What a manifest records: the strategy's and the judge's settings, JSON-like."""
        own = {key: value for key, value in vars(self).items() if key != "judge" and not key.startswith("_")}
        tell = getattr(self.judge, "settings", None)
        return {"strategy": type(self).__name__, **own, "judge": tell() if callable(tell) else self.judge.name}

    def rerank(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> StageResult:
        """Every query's candidates in a new order; see `sleuth.rerank.stage`."""
        from sleuth.rerank.stage import rerank_run

        return rerank_run(self, queries, run, docs, depth=depth, context=context)

    def plan(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> Plan:
        """What `rerank` would ask, without asking: the same generators against a judge that confirms the order."""
        from sleuth.rerank.planning import plan_run

        return plan_run(self, queries, run, docs, depth=depth, context=context)
