"""BM25 over an index, with optional relevance feedback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.fusion.combine import fuse
from sleuth.retrieve.checks import candidate_ids, check_index, check_queries
from sleuth.retrieve.rm3 import RM3
from sleuth.retrieve.views import Combine, ReadQuery, check_depth
from sleuth.stages import StageResult
from sleuth.types import Query, QueryView, Ranking, Run

if TYPE_CHECKING:
    from sleuth.index.handle import IndexView

__all__ = ["Lexical", "QueryWeighting"]

QueryWeighting = Literal["saturated", "tf", "binary", "bm25"]
Terms = Mapping[str, float] | Sequence[str]


class Lexical:
    """BM25: documents that share terms with the query, best first.

    Args:
        index: An index, or a view of one (`index.where(...)`).
        query_weighting: What a repeated query term counts: "saturated" 2·qtf/(qtf + 1) (k3 = 1, the
            default: +.005 nDCG@10 over nine collections against "tf"), "tf" each time (Lucene), "binary" once,
            "bm25" BRIGHT's own query-side BM25.
        feedback: RM3, or None.
        query_view, combine, separator, text_repeat: How a query is read (`ReadQuery`).
        name: The stage's name in `parts` and traces.

    Raises:
        UsageError: No index, unknown weighting, feedback that is no RM3, or feedback with "bm25" weighting, which has no definition.
    """

    def __init__(
        self,
        index: IndexView,
        *,
        query_weighting: QueryWeighting = "saturated",
        feedback: RM3 | None = None,
        query_view: QueryView = "rewrite",
        combine: Combine = "sum",
        separator: str = "\n",
        text_repeat: int = 1,
        name: str = "bm25",
    ) -> None:
        if query_weighting not in get_args(QueryWeighting):
            raise UsageError(
                f"query_weighting must be one of {', '.join(get_args(QueryWeighting))}; got {query_weighting!r}"
            )
        check_index(index)
        if feedback is not None and not isinstance(feedback, RM3):
            raise UsageError(f"feedback must be RM3() or None, got {feedback!r}")
        if feedback is not None and query_weighting == "bm25":
            raise UsageError("RM3 feedback with query_weighting='bm25' has no definition; use 'saturated' or 'tf'")
        self.index = index
        self.query_weighting = query_weighting
        self.feedback = feedback
        self.read = ReadQuery(query_view, combine, separator, text_repeat)
        self.name = name
        self._df: dict[str, int] = {}

    def part_names(self) -> tuple[str, ...]:
        """The parts of its lists: none, it has one score."""
        return ()

    def retrieve(self, queries: Sequence[Query], *, depth: int, context: Context | None = None) -> StageResult:
        """The best `depth` documents that share a term with each query."""
        check_depth(depth)
        check_queries(queries)
        context = Context.of(context)
        with context.ledger.timed(self.name, queries=len(queries)):
            plans = [self._plan(query) for query in queries]
            lists = self._search([(q, terms) for q, plan in zip(queries, plans, strict=True) for terms in plan], depth)
            run, at = {}, 0
            for query, plan in zip(queries, plans, strict=True):
                run[query.query_id] = self._one_list(plan, lists[at : at + len(plan)], depth)
                at += len(plan)
        empty = sum(not any(plan) for plan in plans)
        return StageResult(Run(run, name=self.name), counts={"queries_without_terms": empty} if empty else {})

    def score(self, queries: Sequence[Query], run: Run, *, context: Context | None = None) -> Run:
        """BM25 of the documents that `run` lists; 0 where no term is shared.

        A document that the index does not have is left out; a query that `run` lacks gets an empty list.
        """
        check_queries(queries)
        scored = {}
        for query in queries:
            ids = candidate_ids(run, query)
            total = np.zeros(len(ids))
            for terms in self._final_terms(query):
                total += self.index.bm25_score(terms, ids, weighting=self._weighting_of(terms))
            known = ~np.isnan(total)
            kept = [doc_id for doc_id, here in zip(ids, known.tolist(), strict=True) if here]
            scored[query.query_id] = Ranking.from_scores((kept, total[known]), scale="bm25")
        return Run(scored, name=self.name)

    def explain(self, query: Query, doc_id: str) -> Mapping[str, Any]:
        """Per term: how often it occurs, in how many documents, and what it adds."""
        terms: list[dict[str, Any]] = []
        for weights in self._final_terms(query):
            terms += self.index.bm25_explain(weights, doc_id, weighting=self._weighting_of(weights))
        return {"stage": self.name, "score": sum(term["contribution"] for term in terms), "terms": terms}

    # ── how a query becomes terms ─────────────────────────────────────────────────────────────────

    def _plan(self, query: Query) -> list[Terms]:
        """One list of terms for each search this query needs.

        BM25 is linear in the query's weights, so with "sum" the rewrites' weights are added up and one
        search gives the exact sum. BRIGHT's weighting depends on the index, so there the lists are summed.
        """
        token_lists: list[Terms] = [self.index.analyzer.tokens(text) for text in self.read.texts(query)]
        if len(token_lists) == 1:
            return token_lists
        if self.read.combine == "sum" and self.query_weighting != "bm25":
            total: Counter[str] = Counter()
            for tokens in token_lists:
                total.update(self._weights(tokens))
            return [dict(total)]
        return token_lists

    def _weights(self, terms: Terms) -> dict[str, float]:
        if isinstance(terms, Mapping):
            return dict(terms)
        counts = Counter(terms)
        if self.query_weighting == "saturated":
            return {term: 2 * n / (n + 1) for term, n in counts.items()}
        return {term: 1.0 if self.query_weighting == "binary" else float(n) for term, n in counts.items()}

    def _weighting_of(self, terms: Terms) -> QueryWeighting:
        """Weighted terms are used as they are, whatever the weighting."""
        return "tf" if isinstance(terms, Mapping) else self.query_weighting

    def _final_terms(self, query: Query) -> list[Terms]:
        """The terms of the last search, feedback included."""
        plan = self._plan(query)
        if self.feedback is None:
            return plan
        firsts = self._first_search([(query, terms) for terms in plan])
        return [self._expanded(terms, first) for terms, first in zip(plan, firsts, strict=True)]

    # ── searching ─────────────────────────────────────────────────────────────────────────────────

    def _search(self, asked: list[tuple[Query, Terms]], depth: int) -> list[Ranking]:
        if self.feedback is not None:
            firsts = self._first_search(asked)
            asked = [(query, self._expanded(terms, first)) for (query, terms), first in zip(asked, firsts, strict=True)]
        return self._bm25(asked, depth)

    def _first_search(self, asked: list[tuple[Query, Terms]]) -> list[Ranking]:
        assert self.feedback is not None
        return self._bm25(asked, self.feedback.documents)

    def _bm25(self, asked: list[tuple[Query, Terms]], depth: int) -> list[Ranking]:
        weighted = [isinstance(terms, Mapping) for _, terms in asked]
        found: list[Ranking] = [Ranking((), (), scale="bm25")] * len(asked)
        for flag in (False, True):
            rows = [row for row, is_map in enumerate(weighted) if is_map is flag]
            if not rows:
                continue
            results = self.index.bm25_search(
                [asked[row][1] for row in rows],
                depth=depth,
                weighting="tf" if flag else self.query_weighting,
                excluded=[asked[row][0].excluded_ids for row in rows],
            )
            for row, (ids, scores) in zip(rows, results, strict=True):
                found[row] = Ranking(ids, scores, scale="bm25")
        return found

    def _expanded(self, terms: Terms, first: Ranking) -> dict[str, float]:
        assert self.feedback is not None
        docs = self.index.docs
        feedback = [(self.index.analyzer.tokens(docs[hit.doc_id].full_text), hit.score) for hit in first]
        return self.feedback.expand(
            self._weights(terms), feedback, df=self._document_frequency, n_docs=self.index.n_docs
        )

    def _document_frequency(self, term: str) -> int:
        """Looked up once a term: feedback documents share most of theirs."""
        if term not in self._df:
            self._df[term] = self.index.df(term)
        return self._df[term]

    def _one_list(self, plan: list[Terms], lists: list[Ranking], depth: int) -> Ranking:
        """Several rewrites' lists as one: reciprocal ranks, or exact sums over their union."""
        if len(lists) == 1:
            return lists[0]
        if self.read.combine == "rrf":
            return fuse([Run({"": ranking}) for ranking in lists], method="rrf", depth=depth)[""]
        ids = list(dict.fromkeys(doc_id for ranking in lists for doc_id in ranking.doc_ids))
        total = np.zeros(len(ids))
        for terms in plan:
            total += self.index.bm25_score(terms, ids, weighting=self._weighting_of(terms))
        return Ranking.from_scores((ids, total), scale="bm25", depth=depth)
