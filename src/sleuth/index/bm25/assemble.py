"""How a segment's arrays come about: documents are inverted block by block, then the blocks are put together.

Inverting one block of 32,768 documents is a counting sort by term whose scattered writes stay within a few
megabytes; no list of (term, document) pairs is ever sorted. A fresh build and a merge end in the same
`join_blocks`, so a merge equals the fresh build of the same documents byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError

__all__ = ["BLOCK", "BLOCK_BITS", "FORMAT", "META", "Block", "invert", "join_blocks", "place_runs"]

FORMAT = 1
BLOCK_BITS = 15
"""Documents a block, as a power of two. A float32 accumulator of 32,768 documents (128 KiB) stays in a core's L2
cache; of 8k, 16k, 32k and 64k, 32k was the fastest on Zen 3 (sparse part of a long query: 3.7, 3.4, 2.7, 3.4 ms)."""
BLOCK = 1 << BLOCK_BITS
META = ("format", "block_bits", "documents", "tokens", "documents_not_empty", "postings", "rare_limit")
BIG_TF = 255
"""Stored for this frequency and every higher one; the true one is in the table `big`."""


@dataclass(frozen=True, slots=True)
class Block:
    """The postings of up to BLOCK consecutive documents, term after term, documents ascending.

    Attributes:
        lengths: Tokens of each document, (documents,) int32.
        terms: The terms that occur, ascending, (t,) int64.
        counts: In how many documents each of them occurs, (t,) int64, >= 1.
        docs: Documents of the postings, counted from the block's first, (p,) uint16.
        tf: How often the term occurs there, (p,) int32, >= 1.
    """

    lengths: NDArray[np.int32]
    terms: NDArray[np.int64]
    counts: NDArray[np.int64]
    docs: NDArray[np.uint16]
    tf: NDArray[np.int32]


def invert(
    ids: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    vocabulary: int,
    tf: NDArray[np.int32] | None = None,
) -> Block:
    """Invert documents that fit into one block.

    Args:
        ids: Term of each token (or, with `tf`, of each distinct term) of all documents, (n,) in [0, vocabulary).
        offsets: Document i has `ids[offsets[i]:offsets[i + 1]]`, (documents + 1,).
        vocabulary: Number of terms there are.
        tf: How often each of `ids` occurs, (n,) int32; None: each is one token.
    """
    from scipy.sparse import csr_array

    counts = np.ones(len(ids), dtype=np.int32) if tf is None else tf
    rows = (offsets - offsets[0]).astype(np.int32)
    by_doc = csr_array((counts, ids.astype(np.int32, copy=False), rows), shape=(len(rows) - 1, vocabulary))
    lengths = np.diff(rows) if tf is None else np.add.reduceat(np.append(tf, 0), rows[:-1]) * (np.diff(rows) > 0)
    by_term = by_doc.tocsc()  # documents stay ascending within a term, so repeats of a token are neighbours
    by_term.sum_duplicates()
    df = np.diff(by_term.indptr)
    terms = np.flatnonzero(df)
    return Block(
        lengths.astype(np.int32),
        terms,
        df[terms].astype(np.int64),
        by_term.indices.astype(np.uint16),
        by_term.data.astype(np.int32, copy=False),
    )


def join_blocks(blocks: Sequence[Block], vocabulary: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """The arrays of a segment, all but its terms.

    Args:
        blocks: All but the last hold BLOCK documents.
        vocabulary: Number of term ids the blocks may use; ids ascend in the terms' byte order.

    Returns:
        The arrays (`Postings` describes them), and the term ids that occur, ascending: their places are the ids
        in the arrays.
    """
    df, ones = np.zeros(vocabulary, dtype=np.int64), np.zeros(vocabulary, dtype=np.int64)
    for block in blocks:
        df[block.terms] += block.counts
        ones[block.terms] += _within_runs(block.tf == 1, block.counts)
    used = np.flatnonzero(df)
    renumbered = np.cumsum(df > 0) - 1
    rare_limit = _rare_limit(len(blocks))
    shapes = _Shapes(df[used], ones[used], rare_limit)
    lengths = np.concatenate([block.lengths for block in blocks]) if blocks else np.zeros(0, dtype=np.int32)
    filler = _Filler(shapes, len(blocks))
    for number, block in enumerate(blocks):
        filler.add(number, block, renumbered[block.terms])
    meta = (FORMAT, BLOCK_BITS, len(lengths), int(lengths.sum(dtype=np.int64)), int((lengths > 0).sum()))
    arrays = {
        "meta": np.array([*meta, int(df.sum()), rare_limit], dtype=np.int64),
        "lengths": lengths,
        **filler.arrays(),
    }
    return arrays, used


def place_runs(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of consecutive runs: start, start + 1, ... for each run, one run after another."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()), dtype=np.int64)


def _rare_limit(blocks: int) -> int:
    """Terms in at most so many documents are listed with whole document numbers (5 bytes a posting).

    The others have 2 bytes a posting and 8 bytes of pointers a block; the limit is where those are no longer the
    greater part. Ours.
    """
    return min(128, 4 * blocks + 4)


def _within_runs(flags: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many flags are set in each of consecutive runs."""
    total = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags, out=total[1:])
    ends = np.cumsum(counts)
    within: NDArray[np.int64] = total[ends] - total[ends - counts]
    return within


class _Shapes:
    """Which terms are rare, and where each term's postings begin."""

    def __init__(self, df: NDArray[np.int64], ones: NDArray[np.int64], rare_limit: int) -> None:
        self.is_common = df > rare_limit
        self.common = np.flatnonzero(self.is_common)
        # A term's place among the common or among the rare ones.
        self.place = np.where(self.is_common, np.cumsum(self.is_common), np.cumsum(~self.is_common)) - 1
        self.ones_start = _starts(ones[self.is_common])
        self.more_start = _starts((df - ones)[self.is_common])
        self.rare_start = _starts(df[~self.is_common])
        if self.rare_start[-1] >= 2**32:
            raise UsageError(
                f"one segment can hold 2**32 postings of rare terms, got {self.rare_start[-1]:,}; "
                "write the documents in several segments"
            )


class _Filler:
    """Writes blocks, one after another, to their places in the segment's arrays."""

    def __init__(self, shapes: _Shapes, blocks: int) -> None:
        self.shapes = shapes
        n_common = len(shapes.common)
        self.ones = np.empty(shapes.ones_start[-1], dtype=np.uint16)
        self.more = np.empty(shapes.more_start[-1], dtype=np.uint16)
        self.more_tf = np.empty(shapes.more_start[-1], dtype=np.uint8)
        self.ones_block = np.zeros((n_common, blocks + 1), dtype=np.uint32)
        self.more_block = np.zeros((n_common, blocks + 1), dtype=np.uint32)
        self.rare = np.empty(shapes.rare_start[-1], dtype=np.uint32)
        self.rare_tf = np.empty(shapes.rare_start[-1], dtype=np.uint8)
        self.rare_next = shapes.rare_start[:-1].copy()
        # Shortest document with tf 1; highest tf; shortest document with a higher tf than 1.
        self.bounds = np.full((n_common, 3), np.iinfo(np.uint32).max, dtype=np.uint32)
        self.bounds[:, 1] = 0
        self.big: list[NDArray[np.int64]] = []

    def add(self, number: int, block: Block, terms: NDArray[np.int64]) -> None:
        base = number << BLOCK_BITS
        large = np.flatnonzero(block.tf >= BIG_TF)
        if len(large):
            owner = np.repeat(terms, block.counts)[large]
            self.big.append(np.stack([owner, block.docs[large].astype(np.int64) + base, block.tf[large]], axis=1))
        stored = np.minimum(block.tf, BIG_TF).astype(np.uint8)
        common = self.shapes.is_common[terms]
        of_common = np.repeat(common, block.counts)
        once = block.tf == 1
        self._add_rare(base, block, terms, stored, ~of_common)
        places = self.shapes.place[terms[common]]
        n_ones = _within_runs(once, block.counts)[common]
        n_more = block.counts[common] - n_ones
        ones, more = of_common & once, of_common & ~once
        here = self.shapes.ones_start[places] + self.ones_block[places, number]
        self.ones[place_runs(here, n_ones)] = block.docs[ones]
        here = self.shapes.more_start[places] + self.more_block[places, number]
        positions = place_runs(here, n_more)
        self.more[positions], self.more_tf[positions] = block.docs[more], stored[more]
        for pointers, counts in ((self.ones_block, n_ones), (self.more_block, n_more)):
            pointers[:, number + 1] = pointers[:, number]
            pointers[places, number + 1] += counts.astype(np.uint32)
        lengths = block.lengths.astype(np.uint32)
        self._bound(0, np.minimum, places, n_ones, lengths[block.docs[ones]])
        self._bound(1, np.maximum, places, n_more, block.tf[more].astype(np.uint32))
        self._bound(2, np.minimum, places, n_more, lengths[block.docs[more]])

    def _add_rare(
        self,
        base: int,
        block: Block,
        terms: NDArray[np.int64],
        stored: NDArray[np.uint8],
        of_rare: NDArray[np.bool_],
    ) -> None:
        rare = ~self.shapes.is_common[terms]
        places, counts = self.shapes.place[terms[rare]], block.counts[rare]
        positions = place_runs(self.rare_next[places], counts)
        self.rare[positions] = block.docs[of_rare].astype(np.uint32) + np.uint32(base)
        self.rare_tf[positions] = stored[of_rare]
        self.rare_next[places] += counts

    def _bound(
        self, column: int, better: np.ufunc, places: NDArray[np.int64], counts: NDArray[np.int64], values: Any
    ) -> None:
        present = counts > 0
        if present.any():
            places = places[present]
            best = better.reduceat(values, (np.cumsum(counts) - counts)[present])
            self.bounds[places, column] = better(self.bounds[places, column], best)

    def arrays(self) -> dict[str, NDArray[Any]]:
        big = np.concatenate(self.big) if self.big else np.zeros((0, 3), dtype=np.int64)
        return {
            "common": self.shapes.common.astype(np.uint32),
            "ones": self.ones,
            "ones_start": self.shapes.ones_start,
            "ones_block": self.ones_block,
            "more": self.more,
            "more_tf": self.more_tf,
            "more_start": self.shapes.more_start,
            "more_block": self.more_block,
            "bounds": self.bounds,
            "rare": self.rare,
            "rare_tf": self.rare_tf,
            "rare_start": self.shapes.rare_start.astype(np.uint32),
            "big": big[np.lexsort((big[:, 1], big[:, 0]))],
        }


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def blocks_of(rows: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], vocabulary: int) -> list[Block]:
    """Cut a stream of documents into blocks and invert each.

    Args:
        rows: Pieces of (term ids, tf, number of distinct terms of each document), in document order.
        vocabulary: Number of term ids there are.
    """
    blocks: list[Block] = []
    ids: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
    tf: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
    counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    for more_ids, more_tf, more_counts in rows:
        ids, tf = np.concatenate([ids, more_ids]), np.concatenate([tf, more_tf])
        counts = np.concatenate([counts, more_counts])
        while len(counts) >= BLOCK:
            cut = int(counts[:BLOCK].sum())
            blocks.append(invert(ids[:cut], _starts(counts[:BLOCK]), vocabulary, tf[:cut]))
            ids, tf, counts = ids[cut:], tf[cut:], counts[BLOCK:]
    if len(counts):
        blocks.append(invert(ids, _starts(counts), vocabulary, tf))
    return blocks
