"""Nearest vectors: exact inner products of the query's embedding with every document's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.fusion.combine import fuse
from sleuth.retrieve.checks import candidate_ids, check_index, check_queries
from sleuth.retrieve.views import Combine, ReadQuery, check_depth
from sleuth.stages import Embeddings, Encoder, StageResult
from sleuth.types import Query, QueryView, Ranking, Run

if TYPE_CHECKING:
    from sleuth.index.handle import IndexView

__all__ = ["Dense", "QueryVectors"]

REMEMBERED = 4096
"""Query texts whose vectors are kept (ours: 6 MB at 384 dimensions, more than any benchmark's queries)."""


class QueryVectors:
    """Encodes queries and remembers them: retrieving, scoring and explaining ask for the same vectors.

    Args:
        encoder: Its vectors of one text must not depend on the other texts of a call.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._kept: OrderedDict[str, tuple[NDArray[np.float32], int, bool]] = OrderedDict()

    def of(self, texts: Sequence[str], context: Context | None = None) -> Embeddings:
        """As `encoder.encode_queries`, each distinct text encoded once."""
        kept = self._kept
        new = list(dict.fromkeys(text for text in texts if text not in kept))
        fresh = (
            dict(zip(new, self._rows(self.encoder.encode_queries(new, context=context)), strict=True)) if new else {}
        )
        rows = [fresh[text] if text in fresh else kept[text] for text in texts]
        kept.update(fresh)
        while len(kept) > REMEMBERED:
            kept.popitem(last=False)
        vectors = np.stack([row[0] for row in rows]) if rows else np.zeros((0, self.encoder.dim), dtype=np.float32)
        n_tokens = np.array([row[1] for row in rows], dtype=np.int32)
        return Embeddings(vectors, n_tokens, np.array([row[2] for row in rows], dtype=np.bool_))

    @staticmethod
    def _rows(found: Embeddings) -> list[tuple[NDArray[np.float32], int, bool]]:
        return list(zip(found.vectors, found.n_tokens.tolist(), found.truncated.tolist(), strict=True))


class Dense:
    """Documents by cosine with the query.

    Args:
        index: An index with vectors, or a view of one.
        encoder: Encodes the queries; by default the index's own. Another one must make vectors of the
            same space (its `identity` is compared).
        query_view, combine, separator, text_repeat: How a query is read (`ReadQuery`). "sum" adds the
            rewrites' vectors up, which adds their scores up exactly.
        name: The stage's name in `parts` and traces.

    Raises:
        UsageError: No index, one without vectors, or the encoder is not the index's.
    """

    def __init__(
        self,
        index: IndexView,
        *,
        encoder: Encoder | None = None,
        query_view: QueryView = "rewrite",
        combine: Combine = "sum",
        separator: str = "\n",
        text_repeat: int = 1,
        name: str = "dense",
    ) -> None:
        check_index(index)
        if not index.has_vectors:
            raise UsageError("this index has no vectors; build it with dense='minilm' (sleuth index … --dense minilm)")
        self.index = index
        self.encoder = index.encoder if encoder is None else encoder
        if self.encoder.identity != index.encoder_identity:
            raise UsageError(
                f"the index's vectors are of {index.encoder_identity}, this encoder is {self.encoder.identity}; "
                "encode the index with this one, or search with the index's own"
            )
        self.query_vectors = QueryVectors(self.encoder)
        self.read = ReadQuery(query_view, combine, separator, text_repeat)
        self.name = name

    def part_names(self) -> tuple[str, ...]:
        """The parts of its lists: none, it has one score."""
        return ()

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The `depth` documents nearest to each query."""
        check_depth(depth)
        check_queries(queries)
        context = Context.of(context)
        with context.ledger.timed(self.name, queries=len(queries)):
            vectors, owners, cut = self._vectors(queries, context)
            excluded = [queries[owner].excluded_ids for owner in owners]
            found = self.index.dense_search(vectors, depth=depth, excluded=excluded)
            lists: dict[int, list[Ranking]] = {}
            for owner, (ids, scores) in zip(owners, found, strict=True):
                lists.setdefault(owner, []).append(Ranking(ids, scores, scale="cosine"))
            run = {query.query_id: self._one_list(lists.get(at, []), depth) for at, query in enumerate(queries)}
        return StageResult(Run(run, name=self.name), truncations={f"{self.name}/queries": cut} if cut else {})

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """Cosines of the documents that `run` lists.

        A document that the index does not have is left out; a query that `run` lacks gets an empty list.
        """
        check_queries(queries)
        vectors, owners, _ = self._vectors(queries, Context.of(context))
        scored = {}
        for at, query in enumerate(queries):
            ids = candidate_ids(run, query)
            rows = [row for row, owner in enumerate(owners) if owner == at]
            total = (
                np.max([self.index.dense_score(vectors[row], ids) for row in rows], axis=0)
                if rows
                else np.zeros(len(ids))
            )
            known = ~np.isnan(total)
            kept = [doc_id for doc_id, has in zip(ids, known.tolist(), strict=True) if has]
            scored[query.query_id] = Ranking.from_scores((kept, total[known]), scale="cosine")
        return Run(scored, name=self.name)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """The cosine, and whether the encoder read the query to its end."""
        embeddings = self.query_vectors.of(self.read.texts(query))
        vector = embeddings.vectors.sum(axis=0) if self.read.combine != "rrf" else embeddings.vectors[0]
        return {
            "stage": self.name,
            "score": float(self.index.dense_score(vector, [doc_id])[0]),
            "encoder": self.encoder.name,
            "query_tokens": embeddings.n_tokens.tolist(),
            "query_truncated": bool(embeddings.truncated.any()),
        }

    def _vectors(self, queries: Sequence[Query], context: Context) -> tuple[NDArray[np.float32], list[int], int]:
        """Vectors to search with, the query each belongs to, and how many texts were cut."""
        texts: list[str] = []
        owners: list[int] = []
        for at, query in enumerate(queries):
            views = self.read.texts(query)
            texts += views
            owners += [at] * len(views)
        embeddings = self.query_vectors.of(texts, context)
        vectors, cut = embeddings.vectors, int(embeddings.truncated.sum())
        if self.read.combine != "rrf" and len(owners) != len(queries):
            summed = np.zeros((len(queries), vectors.shape[1]), dtype=np.float32)
            np.add.at(summed, owners, vectors)
            return summed, list(range(len(queries))), cut
        return vectors, owners, cut

    @staticmethod
    def _one_list(lists: list[Ranking], depth: int) -> Ranking:
        if len(lists) == 1:
            return lists[0]
        return fuse([Run({"": ranking}) for ranking in lists], method="rrf", depth=depth)[""]
