"""A reranking stage from run to run: candidates in, the strategy's order out.

The head is what the strategy ordered, the tail follows in its old order. An order gives scores n - rank (0-based),
a scoring judge its own; the tail's are min(head) - 1, - 2, …, with scale "mixed". What the stages scored stays in
`Ranking.parts` under their names, NaN where they did not score.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.rerank.driver import Walk, drive
from sleuth.rerank.faults import judge_faults
from sleuth.rerank.parts import Order, Task
from sleuth.rerank.strategy import Strategy
from sleuth.stages import DocStore, StageResult
from sleuth.types import Query, QueryView, Ranking, Run

__all__ = ["given_lists", "make_walks", "read_query", "rerank_run"]

log = logging.getLogger(__name__)

FIRST = "retrieve"
"""The name under which the scores that a first reranker finds stay in `parts`."""


def rerank_run(
    strategy: Strategy,
    queries: Sequence[Query],
    run: Run,
    docs: DocStore,
    *,
    depth: int | None = None,
    context: Context | None = None,
) -> StageResult:
    """Order every query's candidates anew.

    Args:
        strategy: How; it has the judge.
        queries: Which; a query that the run lacks gets an empty list. Excluded ids are dropped.
        run: The candidates.
        docs: Their texts.
        depth: Candidates a query; the strategy's own depth wins. None: all.
        context: Limits and sinks; its `stage` names the stage where the strategy has no name.

    Raises:
        UsageError: A candidate that `docs` lacks, or a query id twice.
        LLMError: A call failed for good.
    """
    context = Context.of(context)
    stage = strategy.name or context.stage or "rerank-1"
    given = given_lists(queries, run, docs)
    walks = list(make_walks(strategy, queries, given, docs, depth=depth, context=context, stage=stage))
    counts, reason = drive(strategy.judge, walks, context=context, stage=stage)
    counts["empty_queries"] = len(queries) - len(walks)
    counts["serial_depth"] = max((walk.waited for walk in walks), default=0)
    if reason:
        counts["unfinished_queries"] = sum(not walk.ended for walk in walks)
    for fault in judge_faults(counts):
        log.warning("%s: %s", stage, fault)
    ranked = dict(given) | {
        walk.query.query_id: _ranking(given[walk.query.query_id], walk.order, stage) for walk in walks
    }
    counts["neutralized"] = _docs_noted(walks, "neutralized")
    del counts["truncated"]
    cut = _docs_noted(walks, "truncated")
    return StageResult(
        Run({query.query_id: ranked[query.query_id] for query in queries}, name=run.name),
        counts={name: n for name, n in counts.items() if n or name == "serial_depth"},
        truncations={"truncated": cut} if cut else {},
        trace={walk.query.query_id: walk.trace for walk in walks},
        complete=not reason,
        reason=reason,
    )


def given_lists(queries: Sequence[Query], run: Run, docs: DocStore) -> dict[str, Ranking]:
    """query_id -> candidates, after a look at what was given.

    Raises:
        UsageError: Something else than queries, a run or a mapping of documents, or a query id twice.
    """
    for at, query in enumerate(queries):
        if not isinstance(query, Query):
            raise UsageError(f"queries[{at}] is {type(query).__name__} {str(query)[:60]!r}, expected a sleuth.Query")
    if not isinstance(run, Mapping):
        raise UsageError(f"run must map query ids to rankings (sleuth.Run), got {type(run).__name__}")
    if not isinstance(docs, Mapping):
        raise UsageError(
            f"docs must map ids to documents, got {type(docs).__name__}: index.docs of an index, or "
            "{doc.doc_id: doc for doc in corpus}"
        )
    given = {query.query_id: _candidates_of(query, run) for query in queries}
    if len(given) != len(queries):
        raise UsageError("a query id stands twice among the queries")
    return given


def make_walks(
    strategy: Strategy,
    queries: Sequence[Query],
    given: Mapping[str, Ranking],
    docs: DocStore,
    *,
    depth: int | None,
    context: Context,
    stage: str,
) -> Iterator[Walk]:
    """A fresh walk for every query."""
    deep = strategy.depth if strategy.depth is not None else depth
    if deep is not None and deep < 1:
        raise UsageError(f"depth must be at least 1, got {deep}")
    missing: list[str] = []
    for query in queries:
        ranking = given[query.query_id]
        head = ranking if deep is None else ranking.head(deep)
        missing += [doc_id for doc_id in head.doc_ids if doc_id not in docs]
        if missing:
            continue
        task = Task(query.query_id, head.doc_ids, _prior(head), _seed(context.seed, stage, query.query_id))
        text = read_query(query, strategy.query_view)
        if not text.strip():  # there is nothing to judge by: the list stays, and no call is paid
            continue
        yield Walk(query, text, docs, strategy.steps(task), Order(head.doc_ids))
    if missing:
        shown = ", ".join(map(repr, missing[:5]))
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UsageError(f"the documents {shown}{more} of the run are not in the corpus; is it the right one?")


def read_query(query: Query, view: QueryView) -> str:
    """The one text that a judge reads: the question, its rewrites joined by line breaks, or both."""
    if view == "text" or not query.rewrites:
        return query.text
    rewrites = "\n".join(query.rewrites)
    return rewrites if view == "rewrite" else f"{query.text}\n{rewrites}"


def _candidates_of(query: Query, run: Run) -> Ranking:
    """A query's candidates without the excluded ones; their scores stay as the part `retrieve` unless it is there."""
    ranking = run.get(query.query_id)
    if ranking is None:
        return Ranking((), (), scale="rank")
    ranking = ranking.without(query.excluded_ids)
    return ranking if FIRST in ranking.parts else ranking.with_part(FIRST)


def _docs_noted(walks: Sequence[Walk], name: str) -> int:
    """Documents that a verdict's note names; a judge counts one in every comparison, here it counts once."""
    return len({doc_id for walk in walks for event in walk.trace for doc_id in event.get(name, ())})


def _prior(head: Ranking) -> tuple[float, ...] | None:
    """Prior scores; None where they are but an order, or all the same."""
    if head.scale == "rank" or len(head) == 0 or head.scores[0] == head.scores[-1]:
        return None
    return tuple(head.scores.tolist())


def _seed(seed: int, stage: str, query_id: str) -> int:
    digest = hashlib.sha256("\x1f".join((str(seed), stage, query_id)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _ranking(given: Ranking, order: Order, stage: str) -> Ranking:
    """The new list: the strategy's head, then the tail; with all parts."""
    n = len(order.doc_ids)
    at = {doc_id: place for place, doc_id in enumerate(given.doc_ids)}
    if set(order.doc_ids) != set(given.doc_ids[:n]) or len(set(order.doc_ids)) != n:
        raise UsageError(f"a strategy must return each of its {n} candidates once; {stage} did not")
    head = np.arange(n, 0, -1.0) if order.scores is None else np.array(order.scores, dtype=np.float64)
    tail = given.doc_ids[n:]
    floor = head[-1] if n else float(len(tail)) + 1.0
    scores = np.concatenate([head, floor - 1.0 - np.arange(len(tail))])
    ids = (*order.doc_ids, *tail)
    back = np.array([at[doc_id] for doc_id in ids], dtype=np.int64)
    parts = {name: column[back] for name, column in given.parts.items()}
    parts[stage] = np.concatenate([head, np.full(len(tail), np.nan)])
    return Ranking(ids, scores, parts=parts, scale="mixed" if tail else order.scale)
