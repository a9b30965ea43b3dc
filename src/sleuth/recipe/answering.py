"""A pipeline that answers questions one by one, for `search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sleuth.context import Context
from sleuth.pipeline import Pipeline, Result
from sleuth.stages import StageResult
from sleuth.types import Query, Ranking, Run

__all__ = ["Answering"]


class Answering:
    """A Retriever whose judges see the same candidates however many hits are asked for, and are asked once.

    Where more documents are wanted than were judged, what retrieval finds beyond follows in its order.

    Args:
        pipeline: What answers.
        depth: Candidates that the pipeline works on.
        context: Limits and sinks of all its runs.

    Attributes:
        result: Of the last question; None before the first.
    """

    def __init__(self, pipeline: Pipeline, *, depth: int, context: Context | None = None) -> None:
        self.pipeline, self.depth, self.name = pipeline, depth, pipeline.name
        self.result: Result | None = None
        self._context = Context.of(context)

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The pipeline's lists, `depth` of each."""
        if self.result is None or self.result.queries != tuple(queries):
            self.result = self.pipeline.run(queries, depth=self.depth, context=context or self._context)
        run, reason = self.result.run, "; ".join(one.reason for one in self.result.stages.values() if one.reason)
        if depth > self.depth:
            deeper = self.pipeline.first.retrieve(
                self.result.queries, depth=depth, context=context or self._context
            ).run
            run = Run({query_id: _with_tail(run[query_id], deeper[query_id]) for query_id in run}, name=run.name)
        return StageResult(run.head(depth), complete=self.result.complete, reason=reason)

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """As the pipeline's: the retrieval stage's own scores."""
        return self.pipeline.score(queries, run, context=context)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """Where the document stood after each stage, and how its retrieval score came about."""
        if self.result is None or query.query_id not in self.result.run:
            return self.pipeline.explain(query, doc_id)
        told = self.result.explain(query.query_id, doc_id)
        stages = [_stage(entry) for entry in told["stages"]]
        last = stages[-1] if stages else {"score": None}
        found = {"stage": self.name, "score": last["score"], "members": stages[1:]}
        if "retrieval" in told:
            found["members"] = [told["retrieval"], *stages[1:]]
        return found


def _stage(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's line: score, rank, and where the judge saw the document."""
    found = {key: entry[key] for key in ("stage", "score", "rank")}
    seen = [
        f"shown {w['shown_at']} of {w['of']}, judged {w['found_at'] or 'nowhere'}" for w in entry.get("windows", ())
    ]
    if seen:
        found["note"] = "; ".join(seen)
    return found


def _with_tail(ranking: Ranking, deeper: Ranking) -> Ranking:
    """The list, then what only the deeper one has, in its order."""
    known = set(ranking.doc_ids)
    more = [doc_id for doc_id in deeper.doc_ids if doc_id not in known]
    if not more:
        return ranking
    floor = float(ranking.scores[-1]) if len(ranking) else float(len(more)) + 1.0
    scores = np.concatenate([ranking.scores, floor - 1.0 - np.arange(len(more))])
    empty = np.full(len(more), np.nan)
    parts = {name: np.concatenate([column, empty]) for name, column in ranking.parts.items()}
    return Ranking((*ranking.doc_ids, *more), scores, parts=parts, scale="mixed")
