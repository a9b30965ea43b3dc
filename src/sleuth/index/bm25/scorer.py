"""BM25 over the segments of an index: search, score, explain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UnknownName, UsageError
from sleuth.index.bm25.postings import Postings
from sleuth.index.bm25.searched import RunCache, Saturation, Searched, saturation
from sleuth.index.bm25.select_numpy import NumpyEngine, Request
from sleuth.index.bm25.weights import QueryTerms, Statistics, Terms, check_weighting, idf, term_weights

__all__ = ["BM25"]

Engine = Literal["auto", "numba", "numpy"]
# `auto` compiles for batches of so many queries: kernels cost about a second to load and save some ten
# milliseconds a query (ours). Once they are loaded, every search uses them.
BATCH = 64
# Queries whose weights differ by more than this can't be selected in float32.
WIDEST = 1e-20
Found = list[tuple[NDArray[np.int64], NDArray[np.float64]]]


class BM25:
    """Scores the documents of several segments as one collection.

    Document numbers here are positions: those of the first segment, then those of the second, and so on.

    Args:
        segments: The inverted indexes.
        live: For each, False where a document is deleted, (n_docs,) bool; None: all live. Deleted documents are
            neither found nor counted: scores are those of a fresh build of the live ones.
        tie_ranks: For each, the rank of every document's id in descending byte order within the segment, (n_docs,).
        k1: How fast repeated words stop counting, >= 0. Default: Robertson et al., TREC-3; measured in our hybrid.
        b: How much long documents are held back, 0 to 1. Default: as k1.
        engine: "numpy" needs nothing else; "numba" compiles kernels (extra `fast`); "auto" takes numba where it is
            installed and either loaded already or worth loading (batches of 64 queries and more).

    Raises:
        ShapeError: Not one `live` and one `tie_ranks` a segment, or of another length.
        UsageError: k1 or b out of range.
        UnknownName: No such engine.
        MissingExtra: Engine "numba" without numba.
    """

    def __init__(
        self,
        segments: Sequence[Postings],
        *,
        live: Sequence[NDArray[np.bool_] | None],
        tie_ranks: Sequence[NDArray[np.integer[Any]]],
        k1: float = 1.2,
        b: float = 0.75,
        engine: Engine = "auto",
    ) -> None:
        if not len(segments) == len(live) == len(tie_ranks):
            raise ShapeError(
                f"{len(segments)} segments, {len(live)} live and {len(tie_ranks)} tie_ranks; give one each"
            )
        if not (0 <= k1 <= 1e6 and 0 <= b <= 1):
            raise UsageError(f"k1 must lie in [0, 1e6] and b in [0, 1], got k1={k1!r}, b={b!r}")
        if engine not in get_args(Engine):
            raise UnknownName("BM25 engine", engine, list(get_args(Engine)))
        self.k1, self.b, self.engine = float(k1), float(b), engine
        self.bases = np.zeros(len(segments) + 1, dtype=np.int64)
        np.cumsum([segment.n_docs for segment in segments], out=self.bases[1:])
        self._segments = [
            Searched(segment, alive, ranks, base=base)
            for segment, alive, ranks, base in zip(segments, live, tie_ranks, self.bases[:-1].tolist(), strict=True)
        ]
        self._numpy = NumpyEngine()
        self._numba: Any = None
        if engine == "numba":
            self._engine(0)

    def __len__(self) -> int:
        """Documents of all segments, deleted ones included."""
        return int(self.bases[-1])

    # ── the collection ────────────────────────────────────────────────────────────────────────────

    def statistics(self, weighting: str = "saturated") -> Statistics:
        """N and the average length under a weighting, over live documents.

        `bm25` counts all of them, the others only those with at least one token.

        Raises:
            UnknownName: No such weighting.
        """
        check_weighting(weighting)
        every = weighting == "bm25"
        n_docs = sum(segment.n_docs if every else segment.n_not_empty for segment in self._segments)
        return Statistics(n_docs, sum(segment.n_tokens for segment in self._segments))

    def df(self, term: str) -> int:
        """In how many live documents a term occurs."""
        return int(self._find(self._numpy, [term])[1][0])

    # ── searching ─────────────────────────────────────────────────────────────────────────────────

    def search(
        self,
        queries: Sequence[Terms],
        *,
        depth: int,
        weighting: str = "saturated",
        excluded: Sequence[Collection[int]] | None = None,
        within: NDArray[np.bool_] | None = None,
    ) -> Found:
        """The best `depth` documents of each query, of those that share a term with it.

        Args:
            queries: Each either tokens, where repeats count, or term -> weight, where the weights are used as they
                are, in [1e-100, 1e100]; a weight of 0 is no term.
            depth: >= 1.
            weighting: What a repeated token counts: "saturated", "tf", "binary" or "bm25" (`weights.py`).
            excluded: Per query, positions never to return; dropped before the cut.
            within: False where a document may not be returned, (all documents,) bool. Statistics stay those of the
                whole collection.

        Returns:
            Per query (positions, exact scores > 0), best first. Within a segment ties are ordered by `tie_ranks`.
            Across segments the order of ties isn't known here: equal scores come segment by segment, and where the
            last place is tied across segments, all that may have it are returned, so there may be more than `depth`
            documents: order ties by document id, then cut.

        Raises:
            UsageError: A depth below 1; a query that is a bare string, has terms that aren't strings or weights out
                of range; weights together with "bm25".
            ShapeError: `excluded` or `within` of another length.
            UnknownName: No such weighting.
        """
        if isinstance(queries, str | bytes):
            raise UsageError("queries is a bare string; give a list of queries, each tokens or term -> weight")
        if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 1:
            raise UsageError(f"depth must be a whole number >= 1, got {depth!r}")
        within = self._checked_within(within)
        outside = self._checked_excluded(excluded, len(queries))
        engine = self._engine(len(queries))
        prepared = self._prepare(engine, queries, weighting)
        pool = [_Pool(int(depth), len(self._segments)) for _ in queries]
        for segment, numbers in zip(self._segments, prepared.numbers, strict=True):
            request = prepared.request(
                numbers,
                int(depth),
                np.array([p.floor for p in pool]),
                segment.allowed(within),
                segment.excluded(outside),
                RunCache(segment.postings),
            )
            found = self._candidates(engine, segment, request, may_be_wide=bool(prepared.queries.weighted.any()))
            for own, docs, scores in zip(pool, found, engine.exact(segment, request, found), strict=True):
                own.add(docs, scores, segment)
        return [own.result() for own in pool]

    def score(self, query: Terms, docs: NDArray[np.int64], *, weighting: str = "saturated") -> NDArray[np.float64]:
        """Exact scores of given documents, deleted or not, (n,) float64; 0.0 where no term is shared.

        Raises:
            UsageError: A position that doesn't exist, or a query that `search` would refuse.
            UnknownName: No such weighting.
        """
        positions = self._checked_positions(docs)
        engine = self._engine(1)
        prepared = self._prepare(engine, [query], weighting)
        out = np.zeros(len(positions))
        for segment, numbers in zip(self._segments, prepared.numbers, strict=True):
            here = (positions >= segment.base) & (positions < segment.base + segment.postings.n_docs)
            if here.any():
                request = prepared.request(numbers, 1, np.zeros(1), None, None, RunCache(segment.postings))
                out[here] = engine.exact(segment, request, [positions[here] - segment.base])[0]
        return out

    def explain(self, query: Terms, doc: int, *, weighting: str = "saturated") -> list[dict[str, Any]]:
        """What each term of a query adds to a document's score, in the terms' byte order.

        Returns:
            For each distinct term: `term`; `tf`, how often the document has it; `df`, in how many live documents it
            occurs; `idf` (0.0 where in none); `weight`, by which the saturated tf is multiplied; `contribution`.
            Contributions sum to the score.

        Raises:
            UsageError: A position that doesn't exist, or a query that `search` would refuse.
            UnknownName: No such weighting.
        """
        position = int(self._checked_positions(np.array([doc]))[0])
        prepared = self._prepare(self._numpy, [query], weighting)
        at = int(np.searchsorted(self.bases, position, side="right")) - 1
        segment, numbers = self._segments[at], prepared.numbers[at]
        local = np.array([position - segment.base])
        norm = prepared.shape.norm(segment.postings.lengths[local])
        n_docs = self.statistics(weighting).n_docs
        out = []
        for slot, weight in zip(prepared.queries.slots.tolist(), prepared.weights.tolist(), strict=True):
            number, df = int(numbers[slot]), int(prepared.df[slot])
            tf = segment.postings.tf(segment.postings.run(number), local) if number >= 0 else np.zeros(1, np.int64)
            out.append(
                {
                    "term": prepared.queries.terms[slot],
                    "tf": int(tf[0]),
                    "df": df,
                    "idf": idf(df, weighting, n_docs) if df else 0.0,
                    "weight": weight,
                    "contribution": weight * float(saturation(tf, norm)[0]),
                }
            )
        return out

    # ── below ─────────────────────────────────────────────────────────────────────────────────────

    def _engine(self, queries: int) -> Any:
        if self.engine == "numpy":
            return self._numpy
        if self._numba is None:
            if self.engine == "auto" and not _worth_compiling(queries):
                return self._numpy
            from sleuth.index.bm25.select_numba import NumbaEngine

            self._numba = NumbaEngine()
        return self._numba

    def _find(self, engine: Any, terms: Sequence[str]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """Each term's number in every segment (-1: not there), and its document frequency."""
        numbers = [segment.postings.vocabulary.find(terms) for segment in self._segments]
        df = np.zeros(len(terms), dtype=np.int64)
        for segment, own in zip(self._segments, numbers, strict=True):
            df += engine.df(segment, own) - segment.dead_df(own)
        return numbers, df

    def _prepare(self, engine: Any, queries: Sequence[Terms], weighting: str) -> _Prepared:
        check_weighting(weighting)
        counted = QueryTerms.of(queries)
        numbers, df = self._find(engine, counted.terms)
        statistics = self.statistics(weighting)
        weights = term_weights(counted, df, weighting, statistics, self.k1, self.b)
        return _Prepared(counted, numbers, df, weights, Saturation(self.k1, self.b, statistics.avgdl))

    def _candidates(
        self, engine: Any, segment: Searched, request: Request, *, may_be_wide: bool
    ) -> list[NDArray[np.int64]]:
        wide = request.widest() < WIDEST if may_be_wide else np.zeros(0, dtype=np.bool_)
        if not wide.any():
            found: list[NDArray[np.int64]] = engine.candidates(segment, request)
            return found
        return [
            (self._numpy.matches(segment, one) if is_wide else engine.candidates(segment, one))[0]
            for is_wide, one in zip(wide.tolist(), map(request.only, range(len(request))), strict=True)
        ]

    def _checked_within(self, within: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        if within is None:
            return None
        mask = np.asarray(within)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise ShapeError(f"within is {mask.dtype} {mask.shape}, expected bool ({len(self)},): one a document")
        return mask

    def _checked_excluded(
        self, excluded: Sequence[Collection[int]] | None, queries: int
    ) -> list[NDArray[np.int64]] | None:
        if excluded is None:
            return None
        if len(excluded) != queries:
            raise ShapeError(f"excluded has {len(excluded)} collections for {queries} queries; give one each")
        return [np.unique(np.fromiter(own, dtype=np.int64, count=len(own))) for own in excluded]

    def _checked_positions(self, docs: NDArray[np.int64]) -> NDArray[np.int64]:
        positions = np.asarray(docs, dtype=np.int64)
        if positions.ndim != 1:
            raise ShapeError(f"docs has shape {positions.shape}, expected (n,)")
        if len(positions) and not (positions.min() >= 0 and positions.max() < len(self)):
            raise UsageError(
                f"positions must lie in [0, {len(self):,}), got {int(positions.min())} to {int(positions.max())}"
            )
        return positions


class _Prepared:
    """Queries with everything the whole collection knows about their terms."""

    def __init__(
        self,
        queries: QueryTerms,
        numbers: list[NDArray[np.int64]],
        df: NDArray[np.int64],
        weights: NDArray[np.float64],
        shape: Saturation,
    ) -> None:
        self.queries, self.numbers, self.df, self.weights, self.shape = queries, numbers, df, weights, shape

    def request(
        self,
        numbers: NDArray[np.int64],
        depth: int,
        floors: NDArray[np.float64],
        allowed: NDArray[np.bool_] | None,
        excluded: list[NDArray[np.int64]] | None,
        runs: RunCache,
    ) -> Request:
        """What this asks of a segment where the terms have the given numbers."""
        own = numbers[self.queries.slots]
        here = (own >= 0) & (self.weights > 0)
        if here.all():
            return Request(self.queries.bounds, own, self.weights, depth, floors, allowed, excluded, self.shape, runs)
        before = np.zeros(len(here) + 1, dtype=np.int64)
        np.cumsum(here, out=before[1:])
        bounds = before[self.queries.bounds]
        return Request(bounds, own[here], self.weights[here], depth, floors, allowed, excluded, self.shape, runs)


class _Pool:
    """The best documents of one query so far."""

    def __init__(self, depth: int, segments: int) -> None:
        self._depth, self._segments = depth, segments
        self._docs: list[NDArray[np.int64]] = []
        self._scores: list[NDArray[np.float64]] = []
        self.floor = 0.0

    def add(self, docs: NDArray[np.int64], scores: NDArray[np.float64], segment: Searched) -> None:
        """Take a segment's best, cut by score and then by the order among ties."""
        best = np.lexsort((segment.tie_rank[docs], -scores))[: self._depth]
        self._docs.append(docs[best] + segment.base)
        self._scores.append(scores[best])
        if self._segments > 1 and sum(map(len, self._scores)) >= self._depth:
            every = np.concatenate(self._scores)
            self.floor = float(np.partition(every, len(every) - self._depth)[len(every) - self._depth])

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """All that score at least as much as the last place."""
        if len(self._docs) == 1:
            return self._docs[0], self._scores[0]
        docs = np.concatenate([np.zeros(0, dtype=np.int64), *self._docs])
        scores = np.concatenate([np.zeros(0), *self._scores])
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.floor]
        return docs[order], scores[order]


def _worth_compiling(queries: int) -> bool:
    import sys

    loaded = sys.modules.get("sleuth.index.bm25.select_numba")
    if loaded is not None and loaded.is_compiled():
        return True
    return queries >= BATCH and find_spec("numba") is not None
