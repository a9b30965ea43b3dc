"""Kernels that put a query's terms in order and keep its best documents (see `kernels_numba`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleuth.index.bm25.kernels_lookup import locate

__all__ = ["arrange", "finish", "keep_best", "nth_best", "run_maxima"]

CHUNK = 4096
RUN = 64


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


def nth_best(values: Any, n: int, depth: int, work: Any) -> Any:
    """The depth-th largest of values[:n], by Hoare's selection, which many equal values don't slow down."""
    for i in range(np.uint64(n)):
        work[i] = values[i]
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


def keep_best(
    found: Any, values: Any, n: int, depth: int, relative: float, slack: float, least: float, work: Any
) -> Any:
    """Drop of n > depth candidates those that can't be among the best `depth`: (how many stay, new threshold)."""
    least = max(least, nth_best(values, n, depth, work) * (1.0 - relative) - slack)
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
        n_rows: How many rows are chosen.
        base, size: The block's first document and its number of documents.
        least: The threshold, float32.

    Returns:
        How many runs.
    """
    rows, _, inverse = documents[:3]
    hits, chosen, weights = scratch[2], scratch[3], scratch[4]
    found = 0
    for first in range(0, size, CHUNK):
        width = min(CHUNK, size - first)
        at = base + first
        part = scores[first : first + width]
        added = scale_and_add(part, inverse[at : at + width], rows, chosen, weights, n_rows, at)
        for j in range(added, n_rows, 4):
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


def scale_and_add(part: Any, factor: Any, rows: Any, chosen: Any, weights: Any, n_rows: int, at: int) -> int:
    """part = part * factor + the first one to four rows, in one pass; so many that a multiple of four is left."""
    width = part.shape[0]
    if n_rows == 0:
        for i in range(np.uint64(width)):
            part[i] *= factor[i]
        return 0
    first = (n_rows - 1) % 4 + 1
    r0, w0 = rows[chosen[0], at : at + width], weights[0]
    if first == 1:
        for i in range(np.uint64(width)):
            part[i] = part[i] * factor[i] + w0 * np.float32(np.int32(r0[i]))
        return 1
    r1, w1 = rows[chosen[1], at : at + width], weights[1]
    if first == 2:
        for i in range(np.uint64(width)):
            part[i] = part[i] * factor[i] + w0 * np.float32(np.int32(r0[i])) + w1 * np.float32(np.int32(r1[i]))
        return 2
    r2, w2 = rows[chosen[2], at : at + width], weights[2]
    if first == 3:
        for i in range(np.uint64(width)):
            added = w0 * np.float32(np.int32(r0[i])) + w1 * np.float32(np.int32(r1[i]))
            part[i] = part[i] * factor[i] + added + w2 * np.float32(np.int32(r2[i]))
        return 3
    r3, w3 = rows[chosen[3], at : at + width], weights[3]
    for i in range(np.uint64(width)):
        added = w0 * np.float32(np.int32(r0[i])) + w1 * np.float32(np.int32(r1[i]))
        part[i] = part[i] * factor[i] + added + w2 * np.float32(np.int32(r2[i])) + w3 * np.float32(np.int32(r3[i]))
    return 4
