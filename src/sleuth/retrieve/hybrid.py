"""Several retrievers as one: their lists are fused over the union of their documents.

A document that one member did not list gets its true score from that member (`Retriever.score`), where
the member can tell it; else the list's lowest normalized score, and 0 under RRF, which looks at ranks only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import CannotScore, UsageError
from sleuth.fusion.combine import fuse
from sleuth.fusion.smoothed import Smoothed
from sleuth.retrieve.checks import candidate_ids, check_queries, check_retriever
from sleuth.retrieve.dense import Dense
from sleuth.retrieve.lexical import Lexical
from sleuth.retrieve.views import check_depth
from sleuth.stages import Retriever, StageResult
from sleuth.types import Query, Ranking, Run

__all__ = ["POOL_DEPTH", "Hybrid"]

POOL_DEPTH = 100
"""Candidates that each member contributes. 50 to 200 measured alike for the default recipe."""

RankFusion = Literal["rrf", "combsum", "combmnz", "weighted"]


class Hybrid:
    """A fusion of retrievers; pipelines and imported runs count.

    Args:
        members: Two or more retrievers with distinct names.
        fusion: A `Smoothed` (the default for one Lexical and one Dense over the same index), or "rrf",
            "combsum", "combmnz", "weighted".
        weights: One for each member, for "rrf" and "weighted".
        normalize: "none", "minmax", "zscore" or "rank"; by default the method's own.
        pool_depth: Candidates of each member; at least the depth asked for. Default: POOL_DEPTH.
        name: The stage's name.

    Raises:
        UsageError: Fewer than two members, one that is no retriever, equal names, or a `Smoothed` over anything but one
            Lexical and one Dense of the same index.
    """

    def __init__(
        self,
        *members: Retriever,
        fusion: Smoothed | RankFusion | None = None,
        weights: Sequence[float] | None = None,
        normalize: str | None = None,
        pool_depth: int | None = None,
        name: str = "hybrid",
    ) -> None:
        if len(members) < 2:
            raise UsageError(f"a hybrid needs at least two retrievers, got {len(members)}")
        for member in members:
            check_retriever(member)
        self.members = members
        self.names = [str(getattr(member, "name", f"member-{at + 1}")) for at, member in enumerate(members)]
        if len(set(self.names)) != len(self.names):
            raise UsageError(f"members need distinct names, got {', '.join(self.names)}; pass name=… to each")
        pair = _lexical_and_dense(members)
        if fusion is None:
            if pair is None:
                raise UsageError("fusion=… must be given unless the members are one Lexical and one Dense of one index")
            fusion = Smoothed()
        if isinstance(fusion, Smoothed) and pair is None:
            raise UsageError(
                "Smoothed fuses one Lexical and one Dense of the same index; use 'rrf' or 'weighted' for others"
            )
        if isinstance(fusion, Smoothed) and (weights is not None or normalize is not None):
            raise UsageError("Smoothed has its own weight and normalization; set Smoothed(weight=…)")
        self.fusion, self.pair = fusion, pair
        self.weights, self.normalize = weights, normalize
        self.pool_depth, self.name = pool_depth, name
        self.index = pair[0].index if pair else getattr(members[0], "index", None)

    def part_names(self) -> tuple[str, ...]:
        """The parts of its lists: the members' scores, and for the smoothed fusion what smoothing made of them."""
        smoothed = self.names if isinstance(self.fusion, Smoothed) else ()
        return (*self.names, *(f"smoothed/{name}" for name in smoothed))

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The best `depth` of the fused pool."""
        check_depth(depth)
        check_queries(queries)
        context = Context.of(context)
        pool_depth = max(depth, self.pool_depth or POOL_DEPTH)
        results = [member.retrieve(queries, depth=pool_depth, context=context) for member in self.members]
        with context.ledger.timed(self.name, queries=len(queries)):
            run = self._fused(queries, [result.run for result in results], depth, context)
        reasons = [result.reason for result in results if result.reason]
        return StageResult(
            run,
            counts={
                f"{n}/{key}": v
                for n, result in zip(self.names, results, strict=True)
                for key, v in result.counts.items()
            },
            truncations={
                f"{n}/{key}": v for n, r in zip(self.names, results, strict=True) for key, v in r.truncations.items()
            },
            complete=all(result.complete for result in results),
            reason="; ".join(reasons),
        )

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """The given candidates fused as a pool of their own; a fused score is relative to its pool.

        A document that no member knows is left out; a query that `run` lacks gets an empty list.
        """
        check_queries(queries)
        context = Context.of(context)
        runs = [member.score(queries, run, context=context) for member in self.members]
        return self._fused(queries, runs, None, context, pools=run)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """Rank and score in the fused pool, and every member's own explanation."""
        ranking = self.retrieve([query], depth=self.pool_depth or POOL_DEPTH).run[query.query_id]
        hit = next((hit for hit in ranking if hit.doc_id == doc_id), None)
        fusion = "smoothed" if isinstance(self.fusion, Smoothed) else self.fusion
        found: dict[str, Any] = {
            "stage": self.name,
            "fusion": fusion,
            "score": hit and hit.score,
            "rank": hit and hit.rank,
        }
        if hit is None:
            found["note"] = "not among the candidates"
        if isinstance(self.fusion, Smoothed):
            found["weight"] = self.fusion.weight
        found["members"] = [dict(member.explain(query, doc_id)) for member in self.members]
        return found

    # ── fusing ────────────────────────────────────────────────────────────────────────────────────

    def _fused(
        self,
        queries: Sequence[Query],
        runs: list[Run],
        depth: int | None,
        context: Context,
        *,
        pools: Run | None = None,
    ) -> Run:
        if isinstance(self.fusion, Smoothed):
            return self._smoothed(queries, runs, depth, context, pools)
        if self.fusion != "rrf" and pools is None:
            runs = [self._completed(member, queries, runs, at, context) for at, member in enumerate(self.members)]
        fused = fuse(
            dict(zip(self.names, runs, strict=True)),
            method=self.fusion,
            weights=self.weights,
            normalize=self.normalize,
            depth=depth,
        )
        return Run({query.query_id: fused.get(query.query_id, _EMPTY) for query in queries}, name=self.name)

    def _completed(
        self, member: Retriever, queries: Sequence[Query], runs: list[Run], at: int, context: Context
    ) -> Run:
        """A member's run with true scores for what only the others listed, where it can score."""
        unions = {query.query_id: _union([run[query.query_id] for run in runs]) for query in queries}
        try:
            return member.score(queries, Run(unions), context=context)
        except CannotScore:
            return runs[at]

    def _smoothed(
        self, queries: Sequence[Query], runs: list[Run], depth: int | None, context: Context, pools: Run | None
    ) -> Run:
        assert self.pair is not None
        assert isinstance(self.fusion, Smoothed)
        lexical, dense = self.pair
        unions = {
            q.query_id: _union([run[q.query_id] for run in runs]) if pools is None else _pool(pools, q) for q in queries
        }
        asked = Run(unions)
        bm25, cosine = lexical.score(queries, asked, context=context), dense.score(queries, asked, context=context)
        fused = {}
        for query_id, union in unions.items():
            here = bm25[query_id].score_of()
            ids = [doc_id for doc_id in union.doc_ids if doc_id in here]
            fused[query_id] = self.fusion.ranking(
                ids,
                _column(bm25[query_id], ids),
                _column(cosine[query_id], ids),
                lexical.index.vectors_of(ids),
                names=(lexical.name, dense.name),
                depth=depth,
            )
        return Run(fused, name=self.name)


_EMPTY = Ranking((), (), scale="fused")


def _lexical_and_dense(members: Sequence[Retriever]) -> tuple[Lexical, Dense] | None:
    lexical = [member for member in members if isinstance(member, Lexical)]
    dense = [member for member in members if isinstance(member, Dense)]
    if len(members) == 2 and len(lexical) == len(dense) == 1 and lexical[0].index is dense[0].index:
        return lexical[0], dense[0]
    return None


def _union(rankings: Sequence[Ranking]) -> Ranking:
    """All documents of several lists, without meaningful scores."""
    ids = list(dict.fromkeys(doc_id for ranking in rankings for doc_id in ranking.doc_ids))
    return Ranking(ids, np.zeros(len(ids)))


def _pool(pools: Run, query: Query) -> Ranking:
    """The candidates of one query, without meaningful scores."""
    ids = candidate_ids(pools, query)
    return Ranking(ids, np.zeros(len(ids)))


def _column(ranking: Ranking, ids: Sequence[str]) -> NDArray[np.float64]:
    """A ranking's scores in the order of ids; NaN where it has none."""
    held = ranking.score_of()
    return np.array([held.get(doc_id, np.nan) for doc_id in ids], dtype=np.float64)
