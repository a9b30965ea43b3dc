"""Exact BM25: an inverted index of term frequencies, scored at query time.

    postings.py        one segment: which documents hold a term, and how often
    assemble.py        how a segment's arrays come about, from tokens or from other segments
    vocabulary.py      the sorted terms and how one is found among them
    weights.py         from a query's tokens to weights, and the statistics they need
    scorer.py          BM25 over several segments: search, score, explain
    select_numpy.py    candidates with numpy alone: the one-shot path
    select_numba.py    candidates with compiled kernels: batches and servers
    kernels_numba.py   the kernels, and kernels_block, kernels_best, kernels_lookup, which they call

Two steps find the best documents. A *selection* in float32 yields a few more documents than were asked for,
with a margin that covers its error; then float64 scores them exactly, one term after another in the terms' byte
order, so that equal documents get equal scores whatever the engine, batch or segment.
"""

from __future__ import annotations

from sleuth.index.bm25.postings import Postings
from sleuth.index.bm25.scorer import BM25
from sleuth.index.bm25.weights import Statistics

__all__ = ["BM25", "Postings", "Statistics"]
