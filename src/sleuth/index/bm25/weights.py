"""From a query's tokens to one weight a term, and the statistics this takes.

With tf how often a term occurs in a document, qtf in the query, dl and ql their lengths in tokens:

    score(q, d) = sum over shared terms of  weight(t, q) * tf / (tf + k1 * (1 - b + b * dl / avgdl))

    tf         weight = idf * qtf                    idf = ln(1 + (N - df + 0.5) / (df + 0.5))   (Lucene)
    binary     weight = idf
    saturated  weight = idf * 2 qtf / (qtf + 1)      the BM25 query term with k3 = 1 (Robertson et al., TREC-3)
    bm25       weight = idf * idf * qtf / (qtf + k1 * (1 - b + b * ql / avgdl))   idf = ln((N + 1) / (df + 0.5))

`bm25` is the query-side weighting of BRIGHT (xlang-ai/BRIGHT, retrievers.py, gensim's LuceneBM25Model): ql counts
only tokens that occur in the collection. N and avgdl count documents with at least one token for the first three,
as Lucene does, and all documents for `bm25`, as gensim does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UnknownName, UsageError

__all__ = ["QueryTerms", "Statistics", "Terms", "Weighting", "check_weighting", "term_weights"]

Weighting = Literal["saturated", "tf", "binary", "bm25"]
Terms = Mapping[str, float] | Sequence[str]
"""A query: tokens, repeats included, or term -> weight."""
LIGHTEST, HEAVIEST = 1e-100, 1e100  # sums and quotients of such weights are still far from overflow


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a weighting knows of the collection.

    Attributes:
        n_docs: N, the documents that count.
        n_tokens: Their tokens.
    """

    n_docs: int
    n_tokens: int

    @property
    def avgdl(self) -> float:
        """Average length of a document that counts, in tokens; 1 where there are none (nothing is scored then)."""
        return self.n_tokens / self.n_docs if self.n_tokens else 1.0


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """The terms of many queries, each query's in byte order.

    Attributes:
        terms: The distinct terms of all queries.
        bounds: Query i has `slots[bounds[i]:bounds[i + 1]]`, (queries + 1,) int64.
        slots: Positions in `terms`, int64.
        counts: How often the query has the term, or the weight it came with, float64 > 0.
        weighted: Whether the query came with weights, (queries,) bool.
    """

    terms: list[str]
    bounds: NDArray[np.int64]
    slots: NDArray[np.int64]
    counts: NDArray[np.float64]
    weighted: NDArray[np.bool_]

    @classmethod
    def of(cls, queries: Sequence[Terms]) -> QueryTerms:
        """Count and sort the terms of queries.

        Raises:
            UsageError: A query that is a bare string, a term that isn't a string, a weight that is negative or
                not a finite number.
        """
        place: dict[str, int] = {}
        slots: list[int] = []
        counts: list[float] = []
        ends = [0]
        weighted = []
        for number, query in enumerate(queries):
            weighted.append(isinstance(query, Mapping))
            found = _weights_given(query, number) if isinstance(query, Mapping) else _counted(query, number)
            for term in sorted(found):
                slots.append(place.setdefault(term, len(place)))
                counts.append(found[term])
            ends.append(len(slots))
        return cls(
            list(place),
            np.array(ends, dtype=np.int64),
            np.array(slots, dtype=np.int64),
            np.array(counts, dtype=np.float64),
            np.array(weighted, dtype=np.bool_),
        )


def check_weighting(weighting: str) -> None:
    """Refuse a weighting that doesn't exist.

    Raises:
        UnknownName: With the nearest known one.
    """
    if weighting not in get_args(Weighting):
        raise UnknownName("query weighting", weighting, list(get_args(Weighting)))


def term_weights(
    queries: QueryTerms, df: NDArray[np.int64], weighting: str, statistics: Statistics, k1: float, b: float
) -> NDArray[np.float64]:
    """The weight of each of `queries.slots`, float64 >= 0; 0 where the term is in no document.

    Args:
        queries: The queries.
        df: In how many documents each of `queries.terms` occurs.
        weighting: One of `Weighting`; given weights are used as they are, with Lucene's idf.
        statistics: Of that weighting.
        k1: As for documents.
        b: As for documents.

    Raises:
        UsageError: Given weights together with `bm25`, which has no definition.
    """
    own_df = df[queries.slots]
    known = own_df > 0
    if weighting == "bm25":
        if queries.weighted.any():
            raise UsageError(
                "weighted query terms have no definition under the query weighting 'bm25'; give tokens, "
                "or use 'saturated', 'tf' or 'binary'"
            )
        tokens = np.concatenate([[0.0], np.cumsum(np.where(known, queries.counts, 0.0))])
        lengths = np.repeat(np.diff(tokens[queries.bounds]), np.diff(queries.bounds))
        idf = _gensim_idf(own_df, statistics.n_docs)
        saturation = k1 * (1.0 - b + b * (lengths / statistics.avgdl))
        return np.where(known, idf * idf * (queries.counts / (queries.counts + saturation)), 0.0)
    multiple = _MULTIPLES[weighting](queries.counts)
    if queries.weighted.any():
        given = np.repeat(queries.weighted, np.diff(queries.bounds))
        multiple = np.where(given, queries.counts, multiple)
    return np.where(known, multiple * _lucene_idf(own_df, statistics.n_docs), 0.0)


_MULTIPLES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "saturated": lambda counts: 2.0 * counts / (counts + 1.0),
    "tf": lambda counts: counts,
    "binary": np.ones_like,
}


def idf(df: int, weighting: str, n_docs: int) -> float:
    """A term's inverse document frequency under a weighting, > 0 for df in [1, n_docs]."""
    of = _gensim_idf if weighting == "bm25" else _lucene_idf
    return float(of(np.array([df]), n_docs)[0])


def _lucene_idf(df: NDArray[np.int64], n_docs: int) -> NDArray[np.float64]:
    return np.asarray(np.log1p((n_docs - df + 0.5) / (df + 0.5)), dtype=np.float64)


def _gensim_idf(df: NDArray[np.int64], n_docs: int) -> NDArray[np.float64]:
    return np.asarray(np.log((n_docs + 1.0) / (df + 0.5)), dtype=np.float64)


def _counted(query: Sequence[str], number: int) -> Mapping[str, float]:
    if isinstance(query, str | bytes):
        raise UsageError(f"query {number} is a bare {type(query).__name__}; give its tokens, or term -> weight")
    found = Counter(query)
    for term in found:
        _check_term(term, number)
    return found


def _weights_given(query: Mapping[str, float], number: int) -> dict[str, float]:
    found = {}
    for term, weight in query.items():
        _check_term(term, number)
        number_like = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not number_like or not (weight == 0 or LIGHTEST <= weight <= HEAVIEST):
            raise UsageError(
                f"query {number}: the weight of {term!r} is {weight!r}, expected 0 or a number from {LIGHTEST:g} to "
                f"{HEAVIEST:g}"
            )
        if weight > 0:
            found[term] = float(weight)
    return found


def _check_term(term: object, number: int) -> None:
    if not isinstance(term, str):
        raise UsageError(f"query {number}: a term is {term!r} ({type(term).__name__}), expected str")
