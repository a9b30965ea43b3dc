"""Stages put together: rewrite, retrieve, rerank. A Pipeline is a Retriever itself.

So lists of several pipelines fuse like any others: `Hybrid(pipeline_a, pipeline_b, …)`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sleuth.context import Context
from sleuth.errors import Stopped, UsageError
from sleuth.manifest import Manifest
from sleuth.rerank.mixable import check_mixes
from sleuth.retrieve.checks import check_queries, check_retriever
from sleuth.retrieve.views import check_depth
from sleuth.stages import DocStore, Plan, Plans, Reranker, Retriever, Rewriter, StageResult
from sleuth.types import Query, Run

__all__ = ["Pipeline", "Result"]


@dataclass(frozen=True)
class Result:
    """What a pipeline gives back.

    Attributes:
        run: The last stage's lists.
        stages: Stage name -> its result, in order.
        cost: Stage -> amounts (the ledger).
        manifest: What the run was.
        complete: False when a limit ended it; `run` is then the best so far.
    """

    run: Run
    stages: Mapping[str, StageResult]
    cost: Mapping[str, Mapping[str, float]]
    manifest: Manifest
    complete: bool = True
    queries: tuple[Query, ...] = ()
    retriever: Retriever | None = field(default=None, repr=False)

    def explain(self, query_id: str, doc_id: str) -> dict[str, Any]:
        """Where a document stood after each stage, and how its retrieval score came about.

        Raises:
            UsageError: The query was not part of this run.
        """
        query = next((query for query in self.queries if query.query_id == query_id), None)
        if query is None:
            raise UsageError(f"query {query_id!r} was not part of this run")
        found: dict[str, Any] = {"query_id": query_id, "doc_id": doc_id, "stages": []}
        for name, stage in self.stages.items():
            hit = next((hit for hit in stage.run[query_id] if hit.doc_id == doc_id), None)
            entry: dict[str, Any] = {"stage": name, "rank": hit and hit.rank, "score": hit and hit.score}
            if query_id in stage.trace:
                entry |= _seen(stage.trace[query_id], doc_id)
            found["stages"].append(entry)
        found["retrieved"] = bool(found["stages"]) and found["stages"][0]["rank"] is not None
        if self.retriever is not None and found["retrieved"]:
            found["retrieval"] = dict(self.retriever.explain(query, doc_id))
        elif not found["retrieved"]:
            found["note"] = f"{doc_id!r} was never retrieved for this query, so no later stage saw it"
        return found


def _seen(trace: Any, doc_id: str) -> dict[str, Any]:
    """A stage's trace of one query as far as it concerns one document.

    A reranker's trace is a list of comparisons: those that showed the document become `windows`, each with the
    place where it stood and the place that the judge gave it (1-based; None where the judge did not place it).
    """
    if not isinstance(trace, list):
        return {"trace": trace}
    windows = []
    for event in trace:
        shown = event.get("shown", [])
        if doc_id not in shown:
            continue
        at, order = shown.index(doc_id), event.get("order", [])
        rest = {key: value for key, value in event.items() if key not in ("shown", "order", "scores")}
        found = order.index(at) + 1 if event.get("usable", True) and at in order else None
        window = {"of": len(shown), "shown_at": at + 1, "found_at": found, **rest}
        if "scores" in event:
            window["score"] = event["scores"][at]
        windows.append(window)
    return {"windows": windows}


class Pipeline:
    """Rewrite, then retrieve, then rerank; only `retrieve` is required.

    Args:
        retrieve: The first stage.
        rewrite: Fills `Query.rewrites` first.
        rerank: Rerankers, one after another.
        docs: Where the rerankers read documents; by default the retriever's index's.
        name: The pipeline's name when it is a member of a fusion.

    Raises:
        UsageError: `retrieve` is no retriever, rerankers have no documents to read, or a step of interpolation names a
            part that no earlier stage leaves.
    """

    def __init__(
        self,
        *,
        retrieve: Retriever,
        rewrite: Rewriter | None = None,
        rerank: Sequence[Reranker] = (),
        docs: DocStore | None = None,
        name: str = "pipeline",
    ) -> None:
        check_retriever(retrieve)
        self.first, self.rewriter, self.rerankers = retrieve, rewrite, tuple(rerank)
        index = getattr(retrieve, "index", None)
        self.docs = docs if docs is not None else getattr(index, "docs", None)
        if self.rerankers and not isinstance(self.docs, Mapping):
            raise UsageError(
                f"a pipeline that reranks needs docs=…, a mapping of ids to documents, got {type(self.docs).__name__}: "
                "index.docs of an index, or {doc.doc_id: doc for doc in corpus}"
            )
        self.name = name
        check_mixes(retrieve, self.stage_names())

    def run(self, queries: Sequence[Query], *, depth: int = 100, context: Context | None = None) -> Result:
        """All stages over all queries.

        Args:
            depth: Candidates a query. Default: 100, as the papers rerank.
        """
        check_depth(depth)
        check_queries(queries)
        context = Context.of(context)
        told = {name: stage.settings() for name, stage in self.stage_names().items() if hasattr(stage, "settings")}
        manifest = Manifest.begin("pipeline", seed=context.seed, settings={"depth": depth, "stages": told})
        stages: dict[str, StageResult] = {}
        asked = tuple(queries)
        if self.rewriter is not None:
            rewritten = self.rewriter.rewrite(asked, context=context)
            asked = rewritten.queries
            manifest["counts"]["rewrite"] = dict(rewritten.counts)
        stages["retrieve"] = self.first.retrieve(asked, depth=depth, context=replace(context, stage="retrieve"))
        for name, reranker in self.stage_names().items():
            before = list(stages.values())[-1]
            try:
                context.deadline.check()
                stages[name] = reranker.rerank(
                    asked, before.run, self.docs or {}, depth=depth, context=replace(context, stage=name)
                )
            except Stopped as stopped:
                stages[name] = StageResult(before.run, complete=False, reason=str(stopped))
            if not stages[name].complete:  # what is half done is no input for the next judge
                break
        for name, stage in stages.items():
            manifest["counts"][name], manifest["truncations"][name] = dict(stage.counts), dict(stage.truncations)
        last = list(stages.values())[-1]
        complete = all(stage.complete for stage in stages.values())
        manifest["cost"] = context.ledger.table()
        return Result(last.run, stages, manifest["cost"], manifest, complete, asked, self.first)

    async def arun(self, queries: Sequence[Query], *, depth: int = 100, context: Context | None = None) -> Result:
        """`run` from async code: the same work in a thread of its own, so overlapping runs share each backend.

        Cancelling the task leaves the thread to end by itself; a Context with a deadline bounds that.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Result] = loop.create_future()

        def hand_over(result: Result | None, error: BaseException | None) -> None:
            if found.cancelled():
                return
            if error is not None:
                found.set_exception(error)
            elif result is not None:
                found.set_result(result)

        def work() -> None:
            try:
                result = self.run(queries, depth=depth, context=context)
            except BaseException as error:  # noqa: BLE001 (it is raised again where it is awaited)
                loop.call_soon_threadsafe(hand_over, None, error)
            else:
                loop.call_soon_threadsafe(hand_over, result, None)

        threading.Thread(target=work, name=f"sleuth-{self.name}", daemon=True).start()
        return await found

    def plan(self, queries: Sequence[Query], *, depth: int = 100, context: Context | None = None) -> list[Plan]:
        """What the rerankers would ask, by stage; retrieval runs, no model is asked.

        A later stage is planned on the first stage's order, which is all that is known beforehand.
        """
        check_depth(depth)
        check_queries(queries)
        context = Context.of(context)
        run = self.first.retrieve(queries, depth=depth, context=context).run
        return [
            reranker.plan(queries, run, self.docs or {}, depth=depth, context=replace(context, stage=name))
            for name, reranker in self.stage_names().items()
            if isinstance(reranker, Plans)
        ]

    def stage_names(self) -> dict[str, Reranker]:
        """The rerankers by their names: their own, or `rerank-1`, `rerank-2`, …

        Raises:
            UsageError: Two stages of one name.
        """
        named: dict[str, Reranker] = {}
        for at, reranker in enumerate(self.rerankers):
            name = getattr(reranker, "name", None) or f"rerank-{at + 1}"
            if name in named or name == "retrieve":
                raise UsageError(f"two stages are named {name!r}; give one of them another name=")
            named[name] = reranker
        return named

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The pipeline's final lists, as one stage; counts are prefixed with their stage's name."""
        result = self.run(queries, depth=depth, context=context)
        reasons = [stage.reason for stage in result.stages.values() if stage.reason]
        return StageResult(
            result.run,
            counts={f"{name}/{key}": n for name, stage in result.stages.items() for key, n in stage.counts.items()},
            truncations={
                f"{name}/{key}": n for name, stage in result.stages.items() for key, n in stage.truncations.items()
            },
            complete=result.complete,
            reason="; ".join(reasons),
        )

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """Scores of the retrieval stage only: a judge is never called for this."""
        return self.first.score(queries, run, context=context)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """The retrieval stage's explanation."""
        return {"stage": self.name, **self.first.explain(query, doc_id)}
