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
               largest saturation it has
    scratch    scores (0 between blocks) and touched, of a block; hits; chosen and chosen_weight, of the rows
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["HELPERS", "KERNELS", "count_docs", "exact_scores", "fill_row", "select"]

# In the order of use: a compiled function must find its helpers compiled.
INLINED = ("find32", "find16", "contains16", "true_tf", "locate")
HELPERS = (
    *(
        "find32",
        "find16",
        "contains16",
        "true_tf",
        "locate",
        "arrange",
        "nth_best",
        "keep_best",
        "run_maxima",
        "finish",
    ),
    *("add_rare", "touch", "add_where", "look_up", "drop_below", "score_whole", "score_few"),
)
KERNELS = ("count_docs", "select", "exact_scores", "fill_row")

BITS = 15
LAST = (1 << BITS) - 1
CHUNK = 4096
RUN = 64
WINDOW = 128
BIG_TF = 255
# What decides between scoring a whole block and only the documents that some term touches: in nanoseconds on Zen 3,
# a document of the block costs about 0.2 and 0.05 for each row; a touched one about 8, and looking one up among the
# postings of a term about 40 times as much as passing over one posting.
TOUCH = 100
PASS = 32


def contains16(ids: Any, start: int, stop: int, key: int) -> bool:
    """Whether `key` is among ascending ids[start:stop] of one block.

    Compares a whole window without a branch; documents are spread about evenly over a block, so where the window
    lies is guessed from the number.
    """
    low, width = start, stop - start
    if width > WINDOW:
        low = start + ((width * key) >> BITS) - WINDOW // 2
        low = max(start, min(low, stop - WINDOW))
        if ids[np.uint64(low)] > key or ids[np.uint64(low + WINDOW - 1)] < key:
            return find16(ids, start, stop, key) >= 0
        width = WINDOW
    here = np.uint64(low)
    wanted = np.uint16(key)
    hit = np.uint16(0)
    for i in range(np.uint64(width)):
        hit |= np.uint16(ids[here + i] == wanted)
    return hit != 0


def find16(ids: Any, start: int, stop: int, key: int) -> int:
    """Position of `key` among ascending ids[start:stop] of one block, or -1."""
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
    return find32(ids, low, high, key)


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
    return np.int64(big[low, 2])


def locate(common: Any, term: int) -> Any:
    """(1, place among the common terms) or (0, place among the rare ones)."""
    low, high = 0, common.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if common[middle] < term:
            low = middle + 1
        else:
            high = middle
    if low < common.shape[0] and common[low] == term:
        return 1, low
    return 0, term - low


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


def arrange(request: Any, index: Any, documents: Any) -> Any:
    """`query`, with each query's terms by what they can add at most; and the queries' largest weights."""
    bounds, terms, weights = request
    row_of, top = documents[3], documents[4]
    n, n_queries = terms.shape[0], bounds.shape[0] - 1
    kind, place, term, row, cursor = (
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
    )
    weight, upper = np.zeros(n, np.float32), np.zeros(n, np.float32)
    slack, relative, largest = np.zeros(n_queries), np.zeros(n_queries), np.ones(n_queries)
    most = np.empty(n, np.float64)
    for q in range(n_queries):
        first, last = bounds[q], bounds[q + 1]
        if first == last:
            continue
        largest[q] = weights[first:last].max()
        relative[q] = (last - first + 16) * 2.0**-22
        for j in range(first, last):
            is_common, c = locate(index[11], terms[j])
            bound = 1.0
            if is_common == 1:
                bound = top[c]
                if row_of[c] >= 0:
                    bound += 1.0 / 255.0
                    slack[q] += weights[j] / largest[q] * (1.001 / 255.0)
            most[j] = weights[j] / largest[q] * min(bound, 1.0) * (1.0 + 1e-6)
        order = np.argsort(most[first:last])
        for x in range(last - first):
            j, to = first + order[x], first + x
            is_common, c = locate(index[11], terms[j])
            place[to], term[to], row[to] = c, terms[j], -1
            if is_common == 1:
                kind[to], row[to] = (2, row_of[c]) if row_of[c] >= 0 else (1, -1)
            else:
                cursor[to] = index[9][c]
            weight[to] = weights[j] / largest[q]
            upper[to] = most[j]
    return (bounds, kind, place, term, row, weight, upper, cursor, slack, relative), largest


def nth_best(values: Any, n: int, depth: int) -> Any:
    """The depth-th largest of values[:n], by Hoare's selection, which many equal values don't slow down."""
    work = values[:n].copy()
    low, high, target = 0, n - 1, n - depth
    while low < high:
        pivot = work[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while work[i] < pivot:
                i += 1
            while work[j] > pivot:
                j -= 1
            if i <= j:
                swapped = work[i]
                work[i] = work[j]
                work[j] = swapped
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return work[target]


def keep_best(found: Any, values: Any, n: int, depth: int, relative: float, slack: float, least: float) -> Any:
    """Drop of n > depth candidates those that can't be among the best `depth`: (how many stay, new threshold)."""
    least = max(least, nth_best(values, n, depth) * (1.0 - relative) - slack)
    kept = 0
    for x in range(n):
        if values[x] >= least:
            found[kept] = found[x]
            values[kept] = values[x]
            kept += 1
    return kept, least


def run_maxima(scores: Any, runs: int, out: Any) -> None:
    """The maximum of each of the first runs of RUN scores, at least 0."""
    for run in range(runs):
        best = np.float32(0)
        for i in range(np.uint64(run * RUN), np.uint64((run + 1) * RUN)):
            best = max(best, scores[i])
        out[run] = best


def finish(scores: Any, documents: Any, scratch: Any, n_rows: int, base: int, size: int, least: Any) -> int:
    """Complete the scores of a block and say where some reach a threshold.

    score = score * inverse + sum over the chosen rows of weight * impact, chunk by chunk, so that a chunk stays in
    the L1 cache from its first pass to its last.

    Args:
        scores: Of a whole block, 0 behind its last document.
        documents, scratch: Out: the first positions of runs of RUN scores of which some reach `least`, in `hits`.
        n_rows: How many rows are chosen, a multiple of four.
        base, size: The block's first document and its number of documents.
        least: The threshold, float32.

    Returns:
        How many runs.
    """
    rows, _, inverse, _, _ = documents
    hits, chosen, weights = scratch[2], scratch[3], scratch[4]
    found = 0
    for first in range(0, size, CHUNK):
        width = min(CHUNK, size - first)
        at = base + first
        part = scores[first : first + width]
        factor = inverse[at : at + width]
        for i in range(np.uint64(width)):
            part[i] *= factor[i]
        for j in range(0, n_rows, 4):
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
        for run in range(first, first + width, RUN):
            here = np.uint64(run)
            reached = np.int32(0)
            for i in range(np.uint64(RUN)):
                reached |= np.int32(scores[here + i] >= least)
            if reached != 0:
                hits[found] = run
                found += 1
    return found


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
        if scores[u] == 0:
            touched[n] = u
            n += 1
        scores[u] += weight
    start, stop = more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1]
    for p in range(np.uint64(start), np.uint64(stop)):
        u = np.uint64(more[p])
        if scores[u] == 0:
            touched[n] = u
            n += 1
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
        for p in range(np.uint64(start), np.uint64(stop)):
            u = np.uint64(ones[p])
            if scores[u] != 0:
                scores[u] += weight
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
    scores, touched, hits, chosen, chosen_weight = scratch
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
    while n_rows % 4 != 0:
        chosen[n_rows] = 0
        chosen_weight[n_rows] = 0
        n_rows += 1
    n_hits = finish(scores, documents, scratch, n_rows, base, size, np.float32(least))
    runs = size // RUN
    if 0 < seed < runs:
        maxima = np.empty(runs, np.float32)
        run_maxima(scores, runs, maxima)
        least = max(least, nth_best(maxima, runs, seed) * (1.0 - relative[q]) - slack[q])
        kept = 0
        for hit in range(n_hits):
            run = hits[hit] // RUN
            if run >= runs or maxima[run] >= least:
                hits[kept] = hits[hit]
                kept += 1
        n_hits = kept
    n = 0
    for hit in range(n_hits):
        for i in range(hits[hit], min(hits[hit] + RUN, size)):
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
    for x in range(n):
        i = np.int64(touched[x])
        scores[i] *= inverse[base + i]
    n = drop_below(least - rest, scores, touched, n)
    for y in range(waiting):
        rest -= upper[hits[y]]
        look_up(hits[y], query, index, documents, block, scratch, n)
        n = drop_below(least - rest, scores, touched, n)
    return n


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
    bounds, kind, place, _, _, _, upper, _, slack, relative = query
    floor = floors / largest * (1.0 - relative)
    _, _, ones_block, _, _, _, more_block = index[:7]
    rows, norm, inverse = documents[:3]
    n_docs, n_queries, width = norm.shape[0], bounds.shape[0] - 1, found.shape[1]
    limit = np.empty(n_queries, np.int64)
    limit[:] = min(width, 2 * depth + 64)
    most_rows = rows.shape[0] + 4
    scratch = (
        scores,
        touched,
        np.empty((LAST + 1) // RUN, np.int64),
        np.empty(most_rows, np.int64),
        np.empty(most_rows, np.float32),
    )
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
                    n, least = keep_best(found[q], values[q], n, depth, relative[q], slack[q], least)
                    limit[q] = min(width, max(2 * depth + 64, 2 * n))
                    if n >= width and width < n_docs:
                        n = -1
            if whole:
                scores[:size] = 0
            count[q] = n
            floor[q] = least
    for q in range(n_queries):
        if count[q] > depth:
            count[q], floor[q] = keep_best(found[q], values[q], count[q], depth, relative[q], slack[q], floor[q])


def exact_scores(
    request: Any, index: Any, documents: Any, lengths: Any, shape: Any, docs_bounds: Any, docs: Any, out: Any
) -> None:
    """Exact scores of given documents, in float64, one term after another in byte order.

    Args:
        request, index, documents: See above.
        lengths: Of each document of the segment, in tokens.
        shape: k1, b, average length.
        docs_bounds, docs: Documents of each query.
        out: Scores, 0 before.
    """
    bounds, terms, weights = request
    ones, ones_start, ones_block, more, more_tf, more_start, more_block, rare, rare_tf, rare_start, big, common = index
    rows, row_of = documents[0], documents[3]
    k1, b, avgdl = shape
    norms = np.empty(docs.shape[0], np.float64)
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
                    p = find16(
                        more, more_start[c] + more_block[c, block], more_start[c] + more_block[c, block + 1], low
                    )
                    if p >= 0:
                        tf = true_tf(np.int64(more_tf[p]), big, terms[j], doc)
                    elif row >= 0 or contains16(
                        ones, ones_start[c] + ones_block[c, block], ones_start[c] + ones_block[c, block + 1], low
                    ):
                        tf = np.int64(1)
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
