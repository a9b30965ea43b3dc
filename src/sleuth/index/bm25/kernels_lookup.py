"""Kernels that find a document or a term among ascending numbers (see `kernels_numba`)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["contains16", "find16", "find32", "locate", "true_tf"]

BITS = 15
LAST = (1 << BITS) - 1
WINDOW = 128
BIG_TF = 255


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
