"""The protocols of every stage and part, and what a stage gives back.

A stage works on many queries at a time and takes `context: Context | None = None`. It never mutates
its input; empty input gives empty output. What a stage could not do in full is said in its result
(`complete=False` with `reason`), never hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.types import Doc, Query, Run

__all__ = [
    "DocStore",
    "Embeddings",
    "Encoder",
    "Plan",
    "Plans",
    "Reranker",
    "Retriever",
    "RewriteResult",
    "Rewriter",
    "StageResult",
    "VectorIndex",
]

DocStore = Mapping[str, Doc]
"""doc_id -> Doc. An index's store reads documents from disk, so a million never sit in memory."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a retrieving or reranking stage gives back.

    Attributes:
        run: query_id -> Ranking, for every query asked, in their order.
        counts: Countable facts: cache hits, retries, repairs, queries without terms, ...
        truncations: Where text was cut -> how many texts.
        trace: query_id -> what `explain` shows; the slice of this stage only.
        complete: False when a budget or a deadline ended the stage; `run` is then the best so far.
        reason: Why it is not complete; empty when it is.
    """

    run: Run
    counts: Mapping[str, int] = field(default_factory=dict)
    truncations: Mapping[str, int] = field(default_factory=dict)
    trace: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """What a rewriting stage gives back: the same queries with `rewrites` filled."""

    queries: tuple[Query, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    trace: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of n texts.

    Attributes:
        vectors: (n, dim) float32; unit norm where the encoder says so.
        n_tokens: (n,) int32, tokens of each text before any cut.
        truncated: (n,) bool, True where the text was longer than the encoder reads.
    """

    vectors: NDArray[np.float32]
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]


@runtime_checkable
class Rewriter(Protocol):
    """Fills `Query.rewrites` by reasoning."""

    def rewrite(self, queries: Sequence[Query], *, context: Context | None = None) -> RewriteResult: ...


@runtime_checkable
class Retriever(Protocol):
    """Finds candidates."""

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The best `depth` documents of each query, `excluded_ids` dropped before the cut."""
        ...

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """Exact scores of the documents that `run` lists, in this retriever's own scale.

        The result has the same documents of each query in this retriever's order.

        Raises:
            CannotScore: This retriever has no way to score documents it did not retrieve.
        """
        ...

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """Why this document scores what it scores: JSON-like, with `score` and the parts of it."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Orders given candidates anew."""

    def rerank(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> StageResult: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage would ask, known before anything is sent.

    Attributes:
        stage: The stage's name.
        queries: How many queries have candidates.
        calls_min, calls_max, calls_expected: Calls over all queries, one ask each. They differ only where the
            strategy's path depends on the answers (`exact` is then False); the expected number is that of a judge
            that confirms the prior order.
        serial_depth: The longest chain of calls that wait for each other, over the queries, of the expected path.
        passages: Documents shown over all calls of the expected path.
        tokens_in, tokens_out: Over all calls of the expected path.
        estimated: Tokens were counted from characters (no tokenizer).
        exact: The number of calls does not depend on answers.
        money: By the backend's price; None without one.
    """

    stage: str
    queries: int = 0
    calls_min: int = 0
    calls_max: int = 0
    calls_expected: int = 0
    serial_depth: int = 0
    passages: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = True
    exact: bool = True
    money: float | None = None


@runtime_checkable
class Plans(Protocol):
    """A stage that can say beforehand what it would ask."""

    def plan(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> Plan: ...


@runtime_checkable
class Encoder(Protocol):
    """Turns text into vectors.

    Attributes:
        name: The model's name, as shown.
        identity: Changes whenever a vector of the same text could change (weights' hash, prompts,
            lengths, pooling); keys caches and is stored in an index.
        dim: Vector length.
        max_tokens: Longest input, special tokens included; longer text is cut and counted.
    """

    name: str
    identity: str
    dim: int
    max_tokens: int

    def encode_queries(self, queries: Sequence[str], *, context: Context | None = None) -> Embeddings: ...

    def encode_docs(self, docs: Sequence[str], *, context: Context | None = None) -> Embeddings: ...


@runtime_checkable
class VectorIndex(Protocol):
    """Finds the nearest vectors by inner product, exactly or not."""

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        depth: int,
        excluded: Sequence[Iterable[int]] | None = None,
        within: NDArray[np.bool_] | None = None,
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Per query the rows and scores of its best `depth`, `excluded` rows dropped before the cut.

        Args:
            vectors: (B, dim) queries.
            depth: At most this many rows a query.
            excluded: Per query, rows never to return.
            within: (n,) True where a row may be returned; None allows all.
        """
        ...
