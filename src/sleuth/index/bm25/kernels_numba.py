"""The kernels, as plain Python that numba compiles (`select_numba.compiled`).

This module doesn't import numba, so that it can be loaded, and on small inputs run, without it. Loops are written
for the compiler: positions are unsigned, for signed ones carry a check for negative indices each; accumulators are
reused; what may be reordered for vector instructions (sums of rows, maxima) is in functions of its own.

A query's terms come sorted by ascending `upper`, the most that a term can add. `kind` says where its postings are:
0 among the rare terms, 1 among the common ones, 2 among the common ones that also have a row of impacts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FAST", "HELPERS", "KERNELS", "exact_scores", "fill_row", "select"]

HELPERS = ("find16", "find32", "true_tf", "keep_best")
FAST = ("add_rows", "largest", "scale")
KERNELS = ("select", "exact_scores", "fill_row")

BITS = 15
LAST = (1 << BITS) - 1
CHUNK = 4096
RUN = 64
BIG_TF = 255
# A block is scored through whole arrays once a 1/SPARSE of its documents is touched; below, document by document.
SPARSE = 12


def find16(ids: Any, start: int, stop: int, key: int) -> int:
    """Position of `key` among ascending ids[start:stop] of one block, or -1.

    Documents are spread about evenly over a block, so the place to start is guessed from the number.
    """
    if stop <= start:
        return -1
    low = start + (((stop - start) * key) >> BITS)
    step = 8
    if ids[np.uint64(low)] < key:
        high = low + step
        while high < stop and ids[np.uint64(high)] < key:
            low = high
            step *= 2
            high += step
        high = min(high + 1, stop)
        low += 1
    else:
        high = low + 1
        low = high - step
        while low > start and ids[np.uint64(low)] > key:
            high = low
            step *= 2
            low -= step
        low = max(low, start)
    while low < high:
        middle = (low + high) >> 1
        if ids[np.uint64(middle)] < key:
            low = middle + 1
        else:
            high = middle
    if low < stop and ids[np.uint64(low)] == key:
        return low
    return -1


def find32(ids: Any, start: int, stop: int, key: int) -> int:
    """Position of `key` among ascending ids[start:stop], or -1."""
    low, high = start, stop
    while low < high:
        middle = (low + high) >> 1
        if ids[np.uint64(middle)] < key:
            low = middle + 1
        else:
            high = middle
    if low < stop and ids[np.uint64(low)] == key:
        return low
    return -1


def true_tf(stored: int, big: Any, term: int, doc: int) -> int:
    """A frequency, looked up where a byte can't hold it."""
    if stored < BIG_TF:
        return stored
    low, high = 0, big.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if big[middle, 0] < term or (big[middle, 0] == term and big[middle, 1] < doc):
            low = middle + 1
        else:
            high = middle
    return big[low, 2]


def keep_best(found: Any, values: Any, n: int, depth: int, relative: float, slack: float, least: float) -> Any:
    """Drop of n > depth candidates those that can't be among the best `depth`: (how many stay, new threshold)."""
    best = np.partition(values[:n], n - depth)[n - depth]
    least = max(least, best * (1.0 - relative) - slack)
    kept = 0
    for x in range(n):
        if values[x] >= least:
            found[kept] = found[x]
            values[kept] = values[x]
            kept += 1
    return kept, least


def scale(scores: Any, factors: Any, size: int) -> None:
    """scores *= factors."""
    for i in range(np.uint64(size)):
        scores[i] *= factors[i]


def add_rows(scores: Any, rows: Any, chosen: Any, weights: Any, n: int, base: int, size: int) -> None:
    """scores[i] += sum over n chosen rows of weight * row[base + i], i < size; n is a multiple of four."""
    for first in range(0, size, CHUNK):
        width = min(CHUNK, size - first)
        part = scores[first : first + width]
        at = base + first
        for j in range(0, n, 4):
            r0 = rows[chosen[j], at : at + width]
            r1 = rows[chosen[j + 1], at : at + width]
            r2 = rows[chosen[j + 2], at : at + width]
            r3 = rows[chosen[j + 3], at : at + width]
            w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
            for i in range(np.uint64(width)):
                part[i] += (
                    w0 * np.float32(np.int32(r0[i]))
                    + w1 * np.float32(np.int32(r1[i]))
                    + w2 * np.float32(np.int32(r2[i]))
                    + w3 * np.float32(np.int32(r3[i]))
                )


def largest(scores: Any, start: int, stop: int) -> Any:
    """Maximum of scores[start:stop], at least 0."""
    best = np.float32(0)
    for i in range(np.uint64(start), np.uint64(stop)):
        best = max(best, scores[i])
    return best


def fill_row(
    row: Any,
    ones: Any,
    ones_at: int,
    ones_block: Any,
    more: Any,
    more_tf: Any,
    more_at: int,
    more_block: Any,
    norm: Any,
) -> None:
    """A term's impact on each document: 0 without it, else 255 * saturation rounded up to a whole step, <= 255."""
    for block in range(ones_block.shape[0] - 1):
        base = block << BITS
        for p in range(np.uint64(ones_at + ones_block[block]), np.uint64(ones_at + ones_block[block + 1])):
            doc = base + np.int64(ones[p])
            row[doc] = min(255, int(np.float32(255) / (np.float32(1) + norm[doc])) + 1)
        for p in range(np.uint64(more_at + more_block[block]), np.uint64(more_at + more_block[block + 1])):
            doc = base + np.int64(more[p])
            tf = np.float32(more_tf[p])
            row[doc] = min(255, int(np.float32(255) * tf / (tf + norm[doc])) + 1)


def select(
    bounds: Any,
    kind: Any,
    place: Any,
    term: Any,
    row: Any,
    weight: Any,
    upper: Any,
    cursor: Any,
    floor: Any,
    slack: Any,
    relative: Any,
    ones: Any,
    ones_start: Any,
    ones_block: Any,
    more: Any,
    more_tf: Any,
    more_start: Any,
    more_block: Any,
    rare: Any,
    rare_tf: Any,
    rare_start: Any,
    big: Any,
    rows: Any,
    norm: Any,
    inverse: Any,
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
    Of each query the best scores so far give a threshold. Terms that can't reach it together (MaxScore, Turtle and
    Flood 1995) need no posting of their own: if the others touch few documents of the block, only those are looked
    up. A score here is at least the true one and at most `slack` above it, apart from rounding.

    Args:
        bounds: Query i has terms bounds[i] to bounds[i + 1].
        kind, place, term, row, weight, upper: Of each term; `place` is its place among the rare or common terms,
            `term` its number, `row` its row of impacts.
        cursor: Of each rare term, where to go on; starts at its first posting.
        floor: Of each query, the score below which a document has no chance; raised here.
        slack, relative: Of each query, how far scores may lie above the true ones: absolute, and as a share.
        ones ... big: The segment.
        rows: Impacts, (rows, n_docs) uint8, in steps of 1 / 255.
        norm, inverse: Of each document, its norm, and 1 / (1 + norm), or 0 if it may not be found.
        excluded_bounds, excluded: Of each query, documents that may not be found, ascending.
        depth: Documents wanted.
        scores, touched: Scratch of a block; `scores` is 0.
        found, values, count: Out: candidates of each query, (queries, width), their scores, how many; -1 where
            they were more than fit.
    """
    n_docs = norm.shape[0]
    n_queries = bounds.shape[0] - 1
    width = found.shape[1]
    one = np.float32(1)
    step = np.float32(1.0 / 255.0)
    limit = np.empty(n_queries, np.int64)
    limit[:] = min(width, 2 * depth + 64)
    chosen = np.empty(rows.shape[0] + 4, np.int64)
    chosen_weight = np.empty(rows.shape[0] + 4, np.float32)
    for block in range((n_docs + LAST) >> BITS):
        base = block << BITS
        size = min(LAST + 1, n_docs - base)
        end = base + size
        n_here = norm[base:end]
        i_here = inverse[base:end]
        for q in range(n_queries):
            first, last = bounds[q], bounds[q + 1]
            if first == last or count[q] < 0:
                continue
            least = floor[q]
            # Terms that together can't lift a document to the threshold.
            rest = np.float32(0)
            needed = first
            while needed < last and (rest + upper[needed]) * (one + relative[q]) < least:
                rest += upper[needed]
                needed += 1
            load = 0
            for j in range(needed, last):
                if kind[j] != 0:
                    c = place[j]
                    load += np.int64(ones_block[c, block + 1]) - np.int64(ones_block[c, block])
                    load += np.int64(more_block[c, block + 1]) - np.int64(more_block[c, block])
            whole = load * SPARSE > size
            n_rows = 0
            n_touched = 0
            for j in range(first if whole else needed, last):
                w = weight[j]
                if kind[j] == 0:
                    at, stop = cursor[j], np.int64(rare_start[place[j] + 1])
                    while at < stop and rare[np.uint64(at)] < base:
                        at += 1
                    while at < stop and rare[np.uint64(at)] < end:
                        i = np.int64(rare[np.uint64(at)]) - base
                        tf = np.float32(true_tf(np.int64(rare_tf[np.uint64(at)]), big, term[j], base + i))
                        if not whole and scores[i] == 0:
                            touched[n_touched] = i
                            n_touched += 1
                        scores[i] += w * (tf * (one + n_here[i]) / (tf + n_here[i]))
                        at += 1
                    cursor[j] = at
                    continue
                if whole and kind[j] == 2:
                    chosen[n_rows] = row[j]
                    chosen_weight[n_rows] = w * step
                    n_rows += 1
                    continue
                c = place[j]
                start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
                if whole:
                    for p in range(np.uint64(start), np.uint64(stop)):
                        scores[np.uint64(ones[p])] += w
                else:
                    for p in range(np.uint64(start), np.uint64(stop)):
                        u = np.uint64(ones[p])
                        if scores[u] == 0:
                            touched[n_touched] = u
                            n_touched += 1
                        scores[u] += w
                start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
                for p in range(np.uint64(start), np.uint64(stop)):
                    u = np.uint64(more[p])
                    tf = np.float32(more_tf[p])
                    if more_tf[p] == BIG_TF:
                        tf = np.float32(true_tf(BIG_TF, big, term[j], base + np.int64(u)))
                    if not whole and scores[u] == 0:
                        touched[n_touched] = u
                        n_touched += 1
                    scores[u] += w * (tf * (one + n_here[u]) / (tf + n_here[u]))
            if whole:
                scale(scores, i_here, size)
                if n_rows > 0:
                    while n_rows % 4 != 0:
                        chosen[n_rows] = 0
                        chosen_weight[n_rows] = 0
                        n_rows += 1
                    add_rows(scores, rows, chosen, chosen_weight, n_rows, base, size)
                n_left = size
            else:
                n_left = n_touched
            at = 0
            while at < n_left:
                if whole and at % RUN == 0 and largest(scores, at, min(at + RUN, size)) < least:
                    at += RUN
                    continue
                i = at if whole else touched[at]
                at += 1
                score = scores[i]
                if not whole:
                    scores[i] = 0
                    score *= i_here[i]
                    left = rest
                    j = needed - 1
                    while j >= first and score > 0 and (score + left) * (one + relative[q]) >= least:
                        left -= upper[j]
                        c = place[j]
                        if kind[j] == 2:
                            score += weight[j] * step * np.float32(rows[row[j], base + i])
                        elif kind[j] == 0:
                            p = find32(rare, np.int64(rare_start[c]), np.int64(rare_start[c + 1]), base + i)
                            if p >= 0:
                                tf = np.float32(true_tf(np.int64(rare_tf[p]), big, term[j], base + i))
                                score += weight[j] * tf / (tf + n_here[i])
                        else:
                            start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
                            if find16(ones, start, stop, i) >= 0:
                                score += weight[j] * i_here[i]
                            else:
                                start = more_start[c] + more_block[c, block]
                                stop = more_start[c] + more_block[c, block + 1]
                                p = find16(more, start, stop, i)
                                if p >= 0:
                                    tf = np.float32(true_tf(np.int64(more_tf[p]), big, term[j], base + i))
                                    score += weight[j] * tf / (tf + n_here[i])
                        j -= 1
                if score < least or score <= 0 or i_here[i] == 0:
                    continue
                doc = base + i
                if find32(excluded, excluded_bounds[q], excluded_bounds[q + 1], doc) >= 0:
                    continue
                n = count[q]
                found[q, n] = doc
                values[q, n] = score
                n += 1
                if n == limit[q] and n > depth:
                    n, least = keep_best(found[q], values[q], n, depth, relative[q], slack[q], least)
                    limit[q] = min(width, max(2 * depth + 64, 2 * n))
                    if n >= width and width < n_docs:
                        n = -1
                        at = n_left if whole else at
                count[q] = n
                if n < 0:
                    break
            if whole or count[q] < 0:
                scores[:size] = 0
            floor[q] = least
    for q in range(n_queries):
        if count[q] > depth:
            count[q], floor[q] = keep_best(found[q], values[q], count[q], depth, relative[q], slack[q], floor[q])


def exact_scores(
    bounds: Any,
    kind: Any,
    place: Any,
    term: Any,
    row: Any,
    weight: Any,
    ones: Any,
    ones_start: Any,
    ones_block: Any,
    more: Any,
    more_tf: Any,
    more_start: Any,
    more_block: Any,
    rare: Any,
    rare_tf: Any,
    rare_start: Any,
    big: Any,
    rows: Any,
    lengths: Any,
    k1: float,
    b: float,
    avgdl: float,
    docs_bounds: Any,
    docs: Any,
    norms: Any,
    out: Any,
) -> None:
    """Exact scores of given documents, in float64, one term after another in the order given.

    Args:
        bounds, kind, place, term, row: As in `select`, but each query's terms in byte order.
        weight: float64.
        ones ... rows: As in `select`.
        lengths: Of each document of the segment, in tokens.
        k1, b, avgdl: The saturation's.
        docs_bounds, docs: Documents of each query.
        norms: Scratch, as long as `docs`.
        out: Scores, 0 before.
    """
    for q in range(bounds.shape[0] - 1):
        for x in range(docs_bounds[q], docs_bounds[q + 1]):
            norms[x] = k1 * ((1.0 - b) + b * (lengths[docs[x]] / avgdl))
        for j in range(bounds[q], bounds[q + 1]):
            w = weight[j]
            c = place[j]
            if kind[j] == 0:
                start, stop = np.int64(rare_start[c]), np.int64(rare_start[c + 1])
                for x in range(docs_bounds[q], docs_bounds[q + 1]):
                    p = find32(rare, start, stop, docs[x])
                    if p >= 0:
                        tf = true_tf(np.int64(rare_tf[p]), big, term[j], docs[x])
                        out[x] += w * (tf / (tf + norms[x]))
                continue
            for x in range(docs_bounds[q], docs_bounds[q + 1]):
                doc = docs[x]
                if kind[j] == 2 and rows[row[j], doc] == 0:
                    continue
                block = doc >> BITS
                low = doc & LAST
                tf = 0
                start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
                if kind[j] != 2 and find16(ones, start, stop, low) >= 0:
                    tf = 1
                else:
                    start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
                    p = find16(more, start, stop, low)
                    if p >= 0:
                        tf = true_tf(np.int64(more_tf[p]), big, term[j], doc)
                    elif kind[j] == 2:
                        tf = 1
                if tf > 0:
                    out[x] += w * (tf / (tf + norms[x]))
