"""A run that another system wrote, as a retriever: learned sparse, late interaction, a web API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sleuth.context import Context
from sleuth.errors import CannotScore, UsageError
from sleuth.retrieve.checks import candidate_ids, check_queries
from sleuth.retrieve.views import check_depth
from sleuth.stages import StageResult
from sleuth.types import Query, Ranking, Run

__all__ = ["Imported"]


class Imported:
    """Lists read from a run file; queries are joined by `query_id`.

    Args:
        run: A Run, or the path of a file that `sleuth.read_run` reads.
        name: The stage's name; by default the run's.

    Raises:
        UsageError: Neither a Run nor a path, or no such file.
    """

    def __init__(self, run: Run | str | Path, *, name: str | None = None) -> None:
        if not isinstance(run, Run):
            if not isinstance(run, str | Path):
                raise UsageError(f"a Run or the path of a run file is needed, got a {type(run).__name__}")
            from sleuth.data.readers import read_run

            run = read_run(run)
        self.run = run
        self.name = name or run.name

    def part_names(self) -> tuple[str, ...]:
        """The parts that any of its lists has; a run read from a file has none."""
        return tuple(dict.fromkeys(part for ranking in self.run.values() for part in ranking.parts))

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The run's lists, excluded ids dropped before the cut; a query that is not in the run has no lines."""
        check_depth(depth)
        check_queries(queries)
        lists, absent, dropped = {}, 0, 0
        for query in queries:
            ranking = self.run.get(query.query_id)
            if ranking is None:
                absent += 1
                lists[query.query_id] = Ranking((), ())
                continue
            kept = ranking.without(query.excluded_ids)
            dropped += len(ranking) - len(kept)
            lists[query.query_id] = kept.head(depth)
        counts = {"queries_not_in_run": absent, "excluded_dropped": dropped}
        return StageResult(Run(lists, name=self.name), counts={key: n for key, n in counts.items() if n})

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """The run's own scores, if it lists every document asked for.

        Raises:
            CannotScore: It does not: who wrote the run would have to score them.
        """
        check_queries(queries)
        scored = {}
        for query in queries:
            own = self.run[query.query_id].score_of() if query.query_id in self.run else {}
            asked = candidate_ids(run, query)
            absent = [doc_id for doc_id in asked if doc_id not in own]
            if absent:
                raise CannotScore(
                    f"the run {self.name!r} has no score for {len(absent)} of {len(asked)} documents of query "
                    f"{query.query_id!r} (first: {absent[0]!r})"
                )
            scored[query.query_id] = Ranking.from_scores({doc_id: own[doc_id] for doc_id in asked})
        return Run(scored, name=self.name)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """The line of the run, or that there is none."""
        ranking = self.run.get(query.query_id)
        for hit in ranking or ():
            if hit.doc_id == doc_id:
                return {"stage": self.name, "score": hit.score, "rank": hit.rank}
        return {"stage": self.name, "score": None, "note": "not in the imported run"}
