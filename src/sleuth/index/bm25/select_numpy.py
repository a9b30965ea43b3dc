"""Candidates and exact scores with numpy alone: the path of a one-shot search, and of machines without numba.

Selection works in float32 on `sum of weight * gain`, where gain = tf * (1 + norm) / (tf + norm) is 1 for tf = 1, so
that nearly all postings add a constant; the factor 1 / (1 + norm) of the document is applied once at the end. For
batches, terms in more than a tenth of the documents are not added posting by posting: their gains are laid out as
rows, and a matrix product gives every query's share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.index.bm25.assemble import BLOCK
from sleuth.index.bm25.postings import found_in
from sleuth.index.bm25.searched import RunCache, Saturation, Searched, saturation

__all__ = ["NumpyEngine", "Request", "margin", "scaled"]

# A product pays where many queries share its rows. Ours: measured on 1M documents, rows cost as much to lay out as
# about ten queries gain; terms below a tenth of the documents cost less to add than to multiply.
PRODUCT_QUERIES = 8
PRODUCT_SHARE = 0.1
# Accumulators of a group of queries hold at most so many float32 (256 MiB, ours): rows are laid out anew for each.
GROUP_FLOATS = 1 << 26
GROUP = 64
RUN = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one segment.

    Attributes:
        bounds: Query i has the terms `bounds[i]` to `bounds[i + 1]`, (queries + 1,) int64.
        terms: Term numbers in this segment, each query's in the terms' byte order, int64 >= 0.
        weights: Their weights, float64 > 0.
        depth: Documents wanted for each query, >= 1.
        floors: A document that scores less than this has no chance, (queries,) float64 >= 0.
        allowed: Documents that may be found, (n_docs,) bool; None: all.
        excluded: Per query, documents that may not be found, ascending; None: none.
        saturation: k1, b and the average length.
        runs: The segment's postings, decoded as this search needs them.
    """

    bounds: NDArray[np.int64]
    terms: NDArray[np.int64]
    weights: NDArray[np.float64]
    depth: int
    floors: NDArray[np.float64]
    allowed: NDArray[np.bool_] | None
    excluded: list[NDArray[np.int64]] | None
    saturation: Saturation
    runs: RunCache

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def widest(self) -> NDArray[np.float64]:
        """Of each query, its smallest weight divided by its largest, (queries,) float64; 1 without terms."""
        out = np.ones(len(self))
        full = np.diff(self.bounds) > 0
        starts = self.bounds[:-1][full]
        if len(starts):
            out[full] = np.minimum.reduceat(self.weights, starts) / np.maximum.reduceat(self.weights, starts)
        return out

    def only(self, number: int) -> Request:
        """The request of one of the queries."""
        here = self.query(number)
        return replace(
            self,
            bounds=np.array([0, here.stop - here.start], dtype=np.int64),
            terms=self.terms[here],
            weights=self.weights[here],
            floors=self.floors[number : number + 1],
            excluded=None if self.excluded is None else [self.excluded[number]],
        )

    def query(self, number: int) -> slice:
        """Where a query's terms lie."""
        return slice(int(self.bounds[number]), int(self.bounds[number + 1]))


def margin(terms: int) -> float:
    """By which share a float32 score of so many terms may be off, with room to spare."""
    return (terms + 16) * 2.0**-22


def scaled(weights: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
    """Weights divided by the largest, float32 in (0, 1], and that largest."""
    largest = float(weights.max())
    return (weights / largest).astype(np.float32), largest


class NumpyEngine:
    """Selection and exact scores of one search, per segment."""

    def df(self, segment: Searched, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many documents each term number occurs, deleted ones included; 0 for -1."""
        return segment.postings.df(terms)

    def candidates(self, segment: Searched, request: Request) -> list[NDArray[np.int64]]:
        """Per query, documents that include the best `depth` allowed ones with a shared term, ascending."""
        norm, inverse = self._factors(segment, request)
        heavy = self._heavy(segment, request)
        found = []
        size = max(1, min(GROUP, GROUP_FLOATS // max(segment.postings.n_docs, 1)))
        for first in range(0, len(request), size):
            group = range(first, min(first + size, len(request)))
            scores = self._products(segment, request, group, heavy, norm)
            for number, row in zip(group, scores, strict=True):
                self._add(request, number, heavy, norm, row)
                np.multiply(row, inverse, out=row)
                if request.excluded is not None:
                    row[request.excluded[number]] = 0.0
                found.append(_best(row, request, number))
        return found

    def matches(self, segment: Searched, request: Request) -> list[NDArray[np.int64]]:
        """Per query, every allowed document with a shared term, ascending; for weights that float32 can't tell."""
        found = []
        for number in range(len(request)):
            held = np.zeros(segment.postings.n_docs, dtype=np.bool_)
            for term in request.terms[request.query(number)].tolist():
                run = request.runs[term]
                held[run.ones] = held[run.more] = True
            if request.excluded is not None:
                held[request.excluded[number]] = False
            found.append(np.flatnonzero(held if request.allowed is None else held & request.allowed))
        return found

    def exact(
        self, segment: Searched, request: Request, docs: Sequence[NDArray[np.int64]]
    ) -> list[NDArray[np.float64]]:
        """Exact scores of documents of this segment, one array a query; 0.0 where no term is shared."""
        out = []
        for number, own in enumerate(docs):
            scores = np.zeros(len(own))
            norm = request.saturation.norm(segment.postings.lengths[own])
            once = saturation(np.ones(1), norm)
            here = request.query(number)
            if len(own):
                for term, weight in zip(request.terms[here].tolist(), request.weights[here].tolist(), strict=True):
                    run = request.runs[term]
                    if len(run.ones):
                        _, hit = found_in(run.ones, own)
                        scores[hit] += weight * once[hit]
                    if len(run.more):
                        at, hit = found_in(run.more, own)
                        scores[hit] += weight * saturation(run.more_tf[at[hit]], norm[hit])
            out.append(scores)
        return out

    def _factors(self, segment: Searched, request: Request) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Each document's norm, and 1 / (1 + norm) or 0 where it may not be found, (n_docs,) float32."""
        norm = segment.derived(
            "norm",
            request.saturation.key,
            lambda: request.saturation.norm(segment.postings.lengths).astype(np.float32),
        )
        inverse = np.float32(1.0) / (np.float32(1.0) + norm)
        return norm, inverse if request.allowed is None else inverse * request.allowed

    def _heavy(self, segment: Searched, request: Request) -> NDArray[np.int64]:
        """Terms whose share comes from a product, ascending; none for few queries."""
        if len(request) < PRODUCT_QUERIES:
            return np.zeros(0, dtype=np.int64)
        terms, uses = np.unique(request.terms, return_counts=True)
        often = segment.postings.df(terms) > PRODUCT_SHARE * segment.postings.n_docs
        heavy: NDArray[np.int64] = terms[often & (uses * 4 >= len(request))]
        return heavy

    def _products(
        self,
        segment: Searched,
        request: Request,
        group: range,
        heavy: NDArray[np.int64],
        norm: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Every query's share from the heavy terms, (queries of the group, n_docs) float32."""
        n_docs = segment.postings.n_docs
        if not len(heavy):
            return np.zeros((len(group), n_docs), dtype=np.float32)
        scores = np.empty((len(group), n_docs), dtype=np.float32)
        weights = np.zeros((len(group), len(heavy)), dtype=np.float32)
        for row, number in zip(weights, group, strict=True):
            here = request.query(number)
            if here.stop > here.start:
                light, _ = scaled(request.weights[here])
                at = np.minimum(np.searchsorted(heavy, request.terms[here]), len(heavy) - 1)
                hit = heavy[at] == request.terms[here]
                row[at[hit]] = light[hit]
        held = [request.runs[term] for term in heavy.tolist()]
        ends = np.append(np.arange(0, n_docs, BLOCK), n_docs)
        cuts = [(np.searchsorted(run.ones, ends).tolist(), np.searchsorted(run.more, ends).tolist()) for run in held]
        gains = np.empty((len(heavy), min(BLOCK, n_docs)), dtype=np.float32)
        for block, (start, stop) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
            rows = gains[:, : stop - start]
            rows[:] = 0.0
            for row, run, (ones, more) in zip(rows, held, cuts, strict=True):
                row[run.ones[ones[block] : ones[block + 1]] - start] = 1.0
                often = slice(more[block], more[block + 1])
                row[run.more[often] - start] = _gain(run.more_tf[often], norm[run.more[often]])
            np.matmul(weights, rows, out=scores[:, start:stop])
        return scores

    def _add(
        self,
        request: Request,
        number: int,
        heavy: NDArray[np.int64],
        norm: NDArray[np.float32],
        scores: NDArray[np.float32],
    ) -> None:
        """Add the other terms, posting by posting."""
        here = request.query(number)
        if here.stop == here.start:
            return
        multiplied = set(heavy.tolist())
        light, _ = scaled(request.weights[here])
        for term, weight in zip(request.terms[here].tolist(), light, strict=True):
            if term not in multiplied:
                run = request.runs[term]
                np.add.at(scores, run.ones, weight)
                if len(run.more):
                    np.add.at(scores, run.more, weight * _gain(run.more_tf, norm[run.more]))


def _gain(tf: NDArray[np.int64], norm: NDArray[np.float32]) -> NDArray[np.float32]:
    often = tf.astype(np.float32)
    gain: NDArray[np.float32] = often * (1 + norm) / (often + norm)
    return gain


def _best(scores: NDArray[np.float32], request: Request, number: int) -> NDArray[np.int64]:
    """Documents whose exact score may be among the best `depth`, ascending."""
    here = request.query(number)
    terms, depth = here.stop - here.start, request.depth
    if not terms:
        return np.zeros(0, dtype=np.int64)
    slack = 1.0 - margin(terms)
    least = request.floors[number] / float(request.weights[here].max()) * slack
    if len(scores) // RUN > 2 * depth:
        # The depth-th best of the maxima of runs is no higher than the depth-th best score.
        maxima = scores[: len(scores) // RUN * RUN].reshape(-1, RUN).max(axis=1)
        least = max(least, float(np.partition(maxima, len(maxima) - depth)[len(maxima) - depth]) * slack)
    found: NDArray[Any] = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    if len(found) > depth:
        values = scores[found]
        least = max(least, float(np.partition(values, len(found) - depth)[len(found) - depth]) * slack)
        found = found[values >= least]
    return found
