"""Kernels that score the documents of one block of 32,768 (see `kernels_numba`).

Where a document has been touched can't be predicted, so the inner loops store what may be dropped and count it in or
not, without a branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sleuth.index.bm25.kernels_best import finish, nth_best, run_maxima
from sleuth.index.bm25.kernels_lookup import BIG_TF, BITS, LAST, contains16, find16, true_tf

__all__ = ["add_rare", "add_where", "drop_below", "look_up", "score_few", "score_whole", "sift", "touch"]

RUN = 64
PART = 8
PASS = 32


def add_rare(j: int, mode: int, query: Any, index: Any, norm: Any, base: int, end: int, scratch: Any, n: int) -> int:
    """Add a rare term's postings of a block; its cursor moves on.

    `mode` is 0 to add to all documents, 1 to note documents touched for the first time, 2 to add to touched ones
    only. Returns how many documents are touched.
    """
    rare, rare_tf, rare_start, big = index[7], index[8], index[9], index[10]
    term, weight, cursor = query[3][j], query[5][j], query[7]
    scores, touched = scratch[0], scratch[1]
    at, stop = cursor[j], np.int64(rare_start[query[2][j] + 1])
    while at < stop and rare[np.uint64(at)] < base:
        at += 1
    while at < stop and rare[np.uint64(at)] < end:
        doc = np.int64(rare[np.uint64(at)])
        i = doc - base
        if mode == 1 and scores[i] == 0:
            touched[n] = i
            n += 1
        if mode != 2 or scores[i] != 0:
            tf = np.float32(true_tf(np.int64(rare_tf[np.uint64(at)]), big, term, doc))
            scores[i] += weight * (tf * (np.float32(1) + norm[doc]) / (tf + norm[doc]))
        at += 1
    cursor[j] = at
    return n


def touch(j: int, query: Any, index: Any, norm: Any, block: int, scratch: Any, n: int) -> int:
    """Add a common term's postings of a block; note documents touched for the first time; how many are touched."""
    ones, ones_start, ones_block, more, more_tf, more_start, more_block = index[:7]
    c, term, weight, big = query[2][j], query[3][j], query[5][j], index[10]
    scores, touched = scratch[0], scratch[1]
    base = np.uint64(block << BITS)
    start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
    for p in range(np.uint64(start), np.uint64(stop)):
        u = np.uint64(ones[p])
        score = scores[u]
        touched[np.uint64(n)] = u
        n += score == 0
        scores[u] = score + weight
    start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
    for p in range(np.uint64(start), np.uint64(stop)):
        u = np.uint64(more[p])
        touched[np.uint64(n)] = u
        n += scores[u] == 0
        tf = np.float32(more_tf[p])
        if more_tf[p] == BIG_TF:
            tf = np.float32(true_tf(BIG_TF, big, term, np.int64(base + u)))
        scores[u] += weight * (tf * (np.float32(1) + norm[base + u]) / (tf + norm[base + u]))
    return n


def add_where(j: int, every: bool, query: Any, index: Any, norm: Any, block: int, scratch: Any) -> None:
    """Add a common term's postings of a block, to all documents or to those touched already."""
    ones, ones_start, ones_block, more, more_tf, more_start, more_block = index[:7]
    c, term, weight, big = query[2][j], query[3][j], query[5][j], index[10]
    scores = scratch[0]
    base = np.uint64(block << BITS)
    start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
    if every:
        for p in range(np.uint64(start), np.uint64(stop)):
            scores[np.uint64(ones[p])] += weight
    else:
        nothing = np.float32(0)
        for p in range(np.uint64(start), np.uint64(stop)):
            u = np.uint64(ones[p])
            score = scores[u]
            scores[u] = score + (weight if score != 0 else nothing)
    start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
    for p in range(np.uint64(start), np.uint64(stop)):
        u = np.uint64(more[p])
        if every or scores[u] != 0:
            tf = np.float32(more_tf[p])
            if more_tf[p] == BIG_TF:
                tf = np.float32(true_tf(BIG_TF, big, term, np.int64(base + u)))
            scores[u] += weight * (tf * (np.float32(1) + norm[base + u]) / (tf + norm[base + u]))


def look_up(j: int, query: Any, index: Any, documents: Any, block: int, scratch: Any, n: int) -> None:
    """Add a common term to the scores of the n touched documents of a block, by looking for each."""
    ones, ones_start, ones_block, more, more_tf, more_start, more_block = index[:7]
    c, term, weight, big = query[2][j], query[3][j], query[5][j], index[10]
    rows, norm = documents[:2]
    scores, touched = scratch[0], scratch[1]
    base = block << BITS
    if query[1][j] == 2:
        row = rows[query[4][j]]
        for x in range(n):
            i = np.int64(touched[x])
            scores[i] += weight * np.float32(1.0 / 255.0) * np.float32(row[base + i])
        return
    start, stop = ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1]
    more_from, more_to = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
    for x in range(n):
        i = np.int64(touched[x])
        tf = np.float32(0)
        if contains16(ones, start, stop, i):
            tf = np.float32(1)
        else:
            p = find16(more, more_from, more_to, i)
            if p >= 0:
                tf = np.float32(true_tf(np.int64(more_tf[p]), big, term, base + i))
        if tf > 0:
            scores[i] += weight * (tf / (tf + norm[base + i]))


def sift(waiting: int, query: Any, documents: Any, base: int, least: float, scratch: Any, n: int) -> int:
    """Forget touched documents that can't reach the threshold whatever the waiting terms add; how many stay.

    Reads a byte and some bits of each document, where the true score would read a float and some bytes: most go here.
    """
    kind, row, upper = query[1], query[4], query[6]
    marks, ceiling = documents[5], documents[6]
    scores, touched, hits, chosen, chosen_upper = scratch[:5]
    rows = 0
    rest = np.float32(0)
    for y in range(waiting):
        j = hits[y]
        if kind[j] == 2:
            chosen[rows] = row[j]
            chosen_upper[rows] = upper[j]
            rows += 1
        else:
            rest += upper[j]
    kept = 0
    first = np.uint64(base)
    for x in range(np.uint64(n)):
        u = np.uint64(touched[x])
        doc = first + u
        best = rest + scores[u] * np.float32(1.0 / 255.0) * np.float32(ceiling[doc])
        for y in range(np.uint64(rows)):
            mark = (marks[np.uint64(chosen[y]), doc >> np.uint64(3)] >> (doc & np.uint64(7))) & np.uint64(1)
            best += chosen_upper[y] * np.float32(mark)
        stays = best >= least
        touched[np.uint64(kept)] = u
        kept += stays
        scores[u] *= np.float32(stays)
    return kept


def drop_below(least: float, scores: Any, touched: Any, n: int) -> int:
    """Forget touched documents that score less, or nothing; how many stay."""
    kept = 0
    for x in range(n):
        i = np.int64(touched[x])
        if scores[i] >= least and scores[i] > 0:
            touched[kept] = i
            kept += 1
        else:
            scores[i] = 0
    return kept


def score_whole(
    q: int, query: Any, index: Any, documents: Any, block: int, least: float, seed: int, scratch: Any
) -> Any:
    """Score every document of a block; note those that reach the threshold, their scores left in place.

    Args:
        seed: 0, or, for a threshold still at 0, how many documents are wanted: the lowest of as many maxima of runs
            is then a threshold.

    Returns:
        (how many are noted, the threshold).
    """
    bounds, kind, _, _, row, weight, _, _, slack, relative = query
    scores, touched, hits, chosen, chosen_weight, maxima, work = scratch
    norm = documents[1]
    base = block << BITS
    size = min(LAST + 1, norm.shape[0] - base)
    n_rows = 0
    for j in range(bounds[q], bounds[q + 1]):
        if kind[j] == 0:
            add_rare(j, 0, query, index, norm, base, base + size, scratch, 0)
        elif kind[j] == 1:
            add_where(j, True, query, index, norm, block, scratch)
        else:
            chosen[n_rows] = row[j]
            chosen_weight[n_rows] = weight[j] * np.float32(1.0 / 255.0)
            n_rows += 1
    n_hits = finish(scores, documents, scratch, n_rows, base, size, np.float32(least))
    runs = size // RUN
    if 0 < seed < runs:
        run_maxima(scores, runs, maxima)
        least = max(least, nth_best(maxima, runs, seed, work) * (1.0 - relative[q]) - slack[q])
        kept = 0
        for hit in range(n_hits):
            run = hits[hit] // RUN
            if run >= runs or maxima[run] >= least:
                hits[kept] = hits[hit]
                kept += 1
        n_hits = kept
    n = 0
    for hit in range(n_hits):
        for part in range(hits[hit], min(hits[hit] + RUN, size), PART):
            here = np.uint64(part)
            reached = np.int32(0)
            for i in range(np.uint64(PART)):
                reached |= np.int32(scores[here + i] >= least)
            if reached != 0:
                for i in range(part, min(part + PART, size)):
                    if scores[i] >= least and scores[i] > 0:
                        touched[n] = i
                        n += 1
    return n, least


def score_few(
    q: int, needed: int, query: Any, index: Any, documents: Any, block: int, least: float, scratch: Any
) -> int:
    """Score the documents of a block that have one of the terms from `needed` on; note those that may reach the
    threshold, their scores left in place. Returns how many."""
    bounds, kind, place, _, _, _, upper, _, _, relative = query
    _, _, ones_block, _, _, _, more_block = index[:7]
    scores, touched, hits = scratch[0], scratch[1], scratch[2]
    norm, inverse = documents[1], documents[2]
    base = block << BITS
    end = min(base + LAST + 1, norm.shape[0])
    n = 0
    for j in range(needed, bounds[q + 1]):
        if kind[j] == 0:
            n = add_rare(j, 1, query, index, norm, base, end, scratch, n)
        else:
            n = touch(j, query, index, norm, block, scratch, n)
    if n == 0:
        return 0
    waiting = 0
    rest = np.float32(0)
    for j in range(needed - 1, bounds[q] - 1, -1):
        c = place[j]
        if kind[j] == 0:
            add_rare(j, 2, query, index, norm, base, end, scratch, n)
            continue
        postings = np.int64(ones_block[c, block + 1]) - np.int64(ones_block[c, block])
        postings += np.int64(more_block[c, block + 1]) - np.int64(more_block[c, block])
        if waiting < hits.shape[0] and (kind[j] == 2 or postings > PASS * n):
            hits[waiting] = j
            waiting += 1
            rest += upper[j]
        else:
            add_where(j, False, query, index, norm, block, scratch)
    least /= 1.0 + relative[q]
    n = sift(waiting, query, documents, base, least, scratch, n)
    for x in range(n):
        i = np.int64(touched[x])
        scores[i] *= inverse[base + i]
    n = drop_below(least - rest, scores, touched, n)
    for y in range(waiting):
        rest -= upper[hits[y]]
        look_up(hits[y], query, index, documents, block, scratch, n)
        n = drop_below(least - rest, scores, touched, n)
    return n
