"""What retrievers are given, looked at before any work: an index, retrievers, queries, candidates."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from sleuth.errors import UsageError
from sleuth.types import Query, Run

__all__ = ["candidate_ids", "check_index", "check_queries", "check_retriever", "check_whole"]


def check_index(index: Any) -> None:
    """Raises UsageError for anything but an index or a view of one."""
    if not hasattr(index, "bm25_search"):
        raise UsageError(f"an index is needed, got {_what(index)}; open one with sleuth.open_index(path)")


def check_retriever(retriever: Any) -> None:
    """Raises UsageError for anything that can't retrieve; also for a class in place of a retriever."""
    if isinstance(retriever, type) or not callable(getattr(retriever, "retrieve", None)):
        raise UsageError(
            f"a retriever is needed (Lexical, Dense, Hybrid, Imported, Pipeline or your own), got {_what(retriever)}"
        )


def check_queries(queries: Any) -> None:
    """Raises UsageError for anything but a sequence of `Query`."""
    example = 'give a list of Query, e.g. [Query("q1", "…")]'
    if isinstance(queries, str) or not isinstance(queries, Sequence):
        raise UsageError(f"queries must be a list, got {_what(queries)}; {example}")
    for at, query in enumerate(queries):
        if not isinstance(query, Query):
            raise UsageError(f"queries[{at}] is {_what(query)}; {example}")


def check_whole(value: Any, name: str) -> None:
    """Raises UsageError for anything but a whole number; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} must be a whole number, got {value!r}")


def candidate_ids(run: Run, query: Query) -> tuple[str, ...]:
    """The documents that a run lists for a query; none where it lacks the query."""
    ranking = run.get(query.query_id)
    return ranking.doc_ids if ranking is not None else ()


def _what(value: Any) -> str:
    """A value in an error message: what it is, and the start of a text."""
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"{'an' if type(value).__name__[0] in 'aeiouAEIOU' else 'a'} {type(value).__name__}"
