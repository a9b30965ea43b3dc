"""The kernels, as plain Python that numba compiles (`select_numba.compiled`).

This module doesn't import numba, so it can be loaded, and on small inputs run, without it. Loops are written for the
compiler: positions are unsigned, for signed ones carry a check for negative indices each; accumulators are reused;
inner loops that should become vector instructions have a fixed length or no branch.

Arrays come in tuples, the same everywhere:

    request    bounds, terms, weights: query i has terms[bounds[i]:bounds[i + 1]], term numbers in byte order, and
               their weights, float64
    query      bounds, kind, place, term, row, weight, upper, cursor, slack, relative: the same as `arrange` leaves
               it. Of each term: `kind` says where its postings are, 0 among the rare terms, 1 among the common ones,
               2 among the common ones that have a row of impacts, too; `place` is its place among the rare or common
               ones, `row` its row, `weight` its weight, `upper` the most it can add to a score, `cursor` where to go
               on (rare terms). Each query's terms ascend by `upper`; its largest weight is 1. Of each query: its
               scores may lie above the true ones by `slack` and by `relative` of themselves.
    index      ones, ones_start, ones_block, more, more_tf, more_start, more_block, rare, rare_tf, rare_start, big,
               common: the segment (`postings.py`)
    documents  rows (impacts in steps of 1 / 255, (rows, n_docs) uint8); norm; inverse, which is 1 / (1 + norm), or
               0 where a document may not be found; row_of and top, of each common term: its row or -1, and the
               largest saturation it has; marks, whether a row's impact is not 0, one bit a document; ceiling, no
               less than inverse, in steps of 1 / 255
    scratch    scores (0 between blocks) and touched, of a block; hits; chosen and chosen_weight, of the rows
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sleuth.index.bm25.kernels_best import arrange, keep_best
from sleuth.index.bm25.kernels_block import score_few, score_whole
from sleuth.index.bm25.kernels_lookup import BITS, LAST, contains16, find16, find32, locate, true_tf

__all__ = ["count_docs", "exact_scores", "fill_row", "select"]

RUN = 64
# What decides between scoring a whole block and only the documents that some term touches: a touched document costs
# about 30 times as much as a document of a whole block, where a row costs a quarter more (Zen 3: 0.4 ns a document of
# a block, 0.1 ns for each of its rows).
TOUCH = 32


def count_docs(terms: Any, index: Any, out: Any) -> None:
    """In how many documents each term occurs; 0 for the term number -1."""
    for t in range(terms.shape[0]):
        out[t] = 0
        if terms[t] >= 0:
            is_common, c = locate(index[11], terms[t])
            if is_common == 1:
                out[t] = index[1][c + 1] - index[1][c] + index[5][c + 1] - index[5][c]
            else:
                out[t] = np.int64(index[9][c + 1]) - np.int64(index[9][c])


def select(
    request: Any,
    floors: Any,
    index: Any,
    documents: Any,
    masked: bool,
    excluded_bounds: Any,
    excluded: Any,
    depth: int,
    scores: Any,
    touched: Any,
    found: Any,
    values: Any,
    count: Any,
) -> None:
    """Candidates of every query: documents that include its best `depth`.

    Block after block, and in a block query after query, so that the postings of a block are read from memory once.
    Of each query the best scores so far give a threshold. Terms that can't reach it together need no posting of
    their own (MaxScore, Turtle and Flood 1995): where the others touch few documents of a block, only those are
    scored.

    Args:
        request, index, documents: See above.
        floors: Of each query, the score below which a document has no chance.
        masked: Whether some `inverse` are 0.
        excluded_bounds, excluded: Of each query, documents that may not be found, ascending.
        depth: Documents wanted, >= 1, at most all.
        scores, touched: Scratch of a block.
        found, values, count: Out: candidates of each query, (queries, width), their scores, how many; -1 where
            there are more than fit.
    """
    query, largest = arrange(request, index, documents)
    bounds, relative = query[0], query[9]
    floor = floors / largest * (1.0 - relative)
    runs, most_rows, width = (LAST + 1) // RUN, documents[0].shape[0], found.shape[1]
    limit = np.empty(bounds.shape[0] - 1, np.int64)
    limit[:] = min(width, 2 * depth + 64)
    scratch = (
        scores,
        touched,
        np.empty(runs, np.int64),
        np.empty(most_rows, np.int64),
        np.empty(most_rows, np.float32),
        np.empty(runs, np.float32),
        np.empty(max(width, runs), np.float32),
    )
    walk(query, floor, index, documents, masked, excluded_bounds, excluded, depth, limit, scratch, found, values, count)


def walk(
    query: Any,
    floor: Any,
    index: Any,
    documents: Any,
    masked: bool,
    excluded_bounds: Any,
    excluded: Any,
    depth: int,
    limit: Any,
    scratch: Any,
    found: Any,
    values: Any,
    count: Any,
) -> None:
    """The blocks of `select`, after all memory is at hand.

    Args:
        limit: Of each query, how many candidates it may have before the worst are dropped.
        query ... count: As in `select`.
    """
    bounds, kind, place, _, _, _, upper, _, slack, relative = query
    _, _, ones_block, _, _, _, more_block = index[:7]
    norm, inverse = documents[1], documents[2]
    scores, touched, work = scratch[0], scratch[1], scratch[6]
    n_docs, n_queries, width = norm.shape[0], bounds.shape[0] - 1, found.shape[1]
    for block in range((n_docs + LAST) >> BITS):
        base = block << BITS
        size = min(LAST + 1, n_docs - base)
        for q in range(n_queries):
            first, last = bounds[q], bounds[q + 1]
            if first == last or count[q] < 0:
                continue
            least = floor[q]
            rest = 0.0
            needed = first
            n_rows = 0
            while needed < last and (rest + upper[needed]) * (1.0 + relative[q]) < least:
                rest += upper[needed]
                n_rows += kind[needed] == 2
                needed += 1
            load = 0
            for j in range(needed, last):
                if kind[j] != 0:
                    c = place[j]
                    load += np.int64(ones_block[c, block + 1]) - np.int64(ones_block[c, block])
                    load += np.int64(more_block[c, block + 1]) - np.int64(more_block[c, block])
            whole = load * TOUCH * 4 > size * (4 + n_rows)
            if whole:
                seed = depth if least <= 0 and not masked and excluded_bounds[q] == excluded_bounds[q + 1] else 0
                n_touched, least = score_whole(q, query, index, documents, block, least, seed, scratch)
            else:
                n_touched = score_few(q, needed, query, index, documents, block, least, scratch)
            n = count[q]
            for x in range(n_touched):
                i = np.int64(touched[x])
                score = scores[i]
                if not whole:
                    scores[i] = 0
                if n < 0 or score < least or inverse[base + i] == 0:
                    continue
                if find32(excluded, excluded_bounds[q], excluded_bounds[q + 1], base + i) >= 0:
                    continue
                found[q, n] = base + i
                values[q, n] = score
                n += 1
                if n == limit[q] and n > depth:
                    n, least = keep_best(found[q], values[q], n, depth, relative[q], slack[q], least, work)
                    limit[q] = min(width, max(2 * depth + 64, 2 * n))
                    if n >= width and width < n_docs:
                        n = -1
            if whole:
                for i in range(np.uint64(size)):
                    scores[i] = 0
            count[q] = n
            floor[q] = least
    for q in range(n_queries):
        if count[q] > depth:
            count[q], floor[q] = keep_best(found[q], values[q], count[q], depth, relative[q], slack[q], floor[q], work)


def exact_scores(
    request: Any,
    index: Any,
    documents: Any,
    lengths: Any,
    shape: Any,
    docs_bounds: Any,
    docs: Any,
    norms: Any,
    out: Any,
) -> None:
    """Exact scores of given documents, in float64, one term after another in byte order.

    Args:
        request, index, documents: See above.
        lengths: Of each document of the segment, in tokens.
        shape: k1, b, average length.
        docs_bounds, docs: Documents of each query.
        norms: Scratch, as long as `docs`.
        out: Scores, 0 before.
    """
    bounds, terms, weights = request
    ones, ones_start, ones_block, more, more_tf, more_start, more_block, rare, rare_tf, rare_start, big, common = index
    rows, row_of = documents[0], documents[3]
    k1, b, avgdl = shape
    for q in range(bounds.shape[0] - 1):
        first, last = docs_bounds[q], docs_bounds[q + 1]
        for x in range(first, last):
            norms[x] = k1 * ((1.0 - b) + b * (lengths[docs[x]] / avgdl))
        for j in range(bounds[q], bounds[q + 1]):
            w = weights[j]
            is_common, c = locate(common, terms[j])
            row = row_of[c] if is_common == 1 else -1
            for x in range(first, last):
                doc = docs[x]
                tf = np.int64(0)
                if is_common == 0:
                    p = find32(rare, np.int64(rare_start[c]), np.int64(rare_start[c + 1]), doc)
                    if p >= 0:
                        tf = true_tf(np.int64(rare_tf[p]), big, terms[j], doc)
                elif row < 0 or rows[row, doc] != 0:
                    block, low = doc >> BITS, doc & LAST
                    start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
                    if row < 0 and contains16(ones, start, stop, low):
                        tf = np.int64(1)
                    else:
                        start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
                        if row >= 0 or contains16(more, start, stop, low):
                            p = find16(more, start, stop, low)
                            tf = np.int64(1) if p < 0 else true_tf(np.int64(more_tf[p]), big, terms[j], doc)
                if tf > 0:
                    out[x] += w * (tf / (tf + norms[x]))


def fill_row(row: Any, c: int, term: int, index: Any, norm: Any) -> None:
    """A common term's impact on each document: 0 without it, else 255 * saturation, up to the next whole step."""
    ones, ones_start, ones_block, more, more_tf, more_start, more_block = index[:7]
    for block in range(ones_block.shape[1] - 1):
        base = block << BITS
        for p in range(
            np.uint64(ones_start[c] + ones_block[c, block]), np.uint64(ones_start[c] + ones_block[c, block + 1])
        ):
            doc = base + np.int64(ones[p])
            row[doc] = min(255, int(np.float32(255) / (np.float32(1) + norm[doc])) + 1)
        for p in range(
            np.uint64(more_start[c] + more_block[c, block]), np.uint64(more_start[c] + more_block[c, block + 1])
        ):
            doc = base + np.int64(more[p])
            tf = np.float32(true_tf(np.int64(more_tf[p]), index[10], term, doc))
            row[doc] = min(255, int(np.float32(255) * tf / (tf + norm[doc])) + 1)
