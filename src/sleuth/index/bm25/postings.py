"""One segment's inverted index: which documents hold a term, and how often.

Nothing that depends on the collection as a whole is stored, no idf and no average length, so k1, b and the query
weighting are chosen at search time and stay exact after additions and deletions.

Layout. Documents lie in blocks of 32,768. A *common* term has, block by block, the documents that hold it exactly
once (`ones`, 2 bytes each, by far the most) and those that hold it more often (`more`, 2 bytes, and 1 byte for the
frequency). Apart from a factor of the document alone, a posting with frequency 1 adds the same number for every
document, which makes scoring `ones` a bare addition. A *rare* term has whole document numbers instead
(4 + 1 bytes), for pointers to blocks would be larger than its postings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError
from sleuth.index.bm25.assemble import (
    BIG_TF,
    BLOCK,
    BLOCK_BITS,
    FORMAT,
    META,
    Block,
    blocks_of,
    invert,
    join_blocks,
    place_runs,
)
from sleuth.index.bm25.vocabulary import Vocabulary

__all__ = ["Postings", "Run", "found_in"]

NAMES = (
    *("meta", "lengths", "terms", "term_offsets", "common", "bounds", "big"),
    *("ones", "ones_start", "ones_block", "more", "more_tf", "more_start", "more_block"),
    *("rare", "rare_tf", "rare_start"),
)


class Stream(Protocol):
    """What `sleuth.text.stream.TokenStream` offers."""

    @property
    def ids(self) -> NDArray[np.int32]: ...
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def terms(self) -> list[str]: ...


class Run(NamedTuple):
    """A term's postings, documents ascending in either part.

    Attributes:
        ones: Documents that hold it once, int64.
        more: Documents that hold it more often, int64.
        more_tf: How often those do, int64, >= 2.
    """

    ones: NDArray[np.int64]
    more: NDArray[np.int64]
    more_tf: NDArray[np.int64]


class Postings:
    """An immutable inverted index of the documents of one segment.

    Made by `build`, `from_arrays` or `merge`. Document numbers are positions in the segment, term numbers positions
    among its terms in byte order.

    Attributes:
        n_docs: Documents, empty ones included.
        n_terms: Distinct terms.
        n_postings: Pairs of a term and a document that holds it.
        n_tokens: Tokens of all documents.
        n_not_empty: Documents with at least one token.
        lengths: Tokens of each document, (n_docs,) int32.
        vocabulary: The terms.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = {name: np.asarray(arrays[name]) for name in NAMES}
        meta = dict(zip(META, self._arrays["meta"].tolist(), strict=True))
        if meta["format"] != FORMAT or meta["block_bits"] != BLOCK_BITS:
            raise ValueError(f"postings of format {meta['format']}, block bits {meta['block_bits']}")
        self.n_docs, self.n_tokens, self.n_not_empty = meta["documents"], meta["tokens"], meta["documents_not_empty"]
        self.n_postings = meta["postings"]
        self.lengths: NDArray[np.int32] = self._arrays["lengths"]
        self.vocabulary = Vocabulary(self._arrays["terms"], self._arrays["term_offsets"])
        self.n_terms = len(self.vocabulary)
        self.n_blocks = -(-self.n_docs // BLOCK)
        self._check()

    def __repr__(self) -> str:
        return f"Postings({self.n_docs:,} documents, {self.n_terms:,} terms, {self.n_postings:,} postings)"

    # ── making ────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def build(cls, stream: Stream) -> Postings:
        """Invert tokenized documents.

        Args:
            stream: Token ids of all documents, their offsets (n + 1,), and the term of each id. Terms that no token
                uses are left out. Their order doesn't matter.

        Raises:
            ShapeError: Offsets that do not ascend from 0 to the number of ids, or ids without a term.
        """
        ids, offsets, terms = np.asarray(stream.ids), np.asarray(stream.offsets), stream.terms
        _check_stream(ids, offsets, len(terms))
        vocabulary, order = Vocabulary.of(terms)
        rank = np.empty(len(terms), dtype=np.int32)
        rank[order] = np.arange(len(terms), dtype=np.int32)
        blocks = []
        for first in range(0, len(offsets) - 1, BLOCK):
            ends = offsets[first : first + BLOCK + 1]
            blocks.append(invert(rank[ids[ends[0] : ends[-1]]], ends, len(terms)))
        return cls._finish(blocks, vocabulary)

    @classmethod
    def merge(cls, parts: Sequence[Postings], keep: Sequence[NDArray[np.bool_] | None]) -> Postings:
        """One segment of several, in order.

        Args:
            parts: The segments.
            keep: For each, False where a document is left out, (n_docs,); None keeps all.

        Returns:
            What `build` gives for the tokens of the kept documents, byte for byte.

        Raises:
            ShapeError: Not one mask a part, or a mask of another length.
        """
        if len(parts) != len(keep):
            raise ShapeError(f"{len(keep)} masks for {len(parts)} segments; give one each (None keeps all documents)")
        for part, mask in zip(parts, keep, strict=True):
            if mask is not None and mask.shape != (part.n_docs,):
                raise ShapeError(f"a mask of shape {mask.shape} for a segment of {part.n_docs:,} documents")
        own_terms = [part.vocabulary.all_terms() for part in parts]
        terms = sorted(set().union(*own_terms))
        place = {term: number for number, term in enumerate(terms)}
        renumber = [np.fromiter((place[t] for t in own), dtype=np.int32, count=len(own)) for own in own_terms]
        rows = (row for part, mask, new in zip(parts, keep, renumber, strict=True) for row in part._rows(mask, new))
        return cls._finish(blocks_of(rows, len(terms)), Vocabulary.of(terms)[0])

    @classmethod
    def _finish(cls, blocks: list[Block], vocabulary: Vocabulary) -> Postings:
        arrays, used = join_blocks(blocks, len(vocabulary))
        names = vocabulary.only(used)
        return cls({**arrays, "terms": names.text, "term_offsets": names.offsets})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Postings:
        """The segment that `arrays` came from; they may be read-only memory maps and are neither copied nor read.

        Raises:
            KeyError: An array is missing.
            ValueError: Another format version, or arrays that do not fit together.
        """
        return cls(arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is, by name, to be saved as it is."""
        return dict(self._arrays)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def array(self, name: str) -> NDArray[Any]:
        """One of `arrays`."""
        return self._arrays[name]

    @cached_property
    def _common(self) -> NDArray[np.int64]:
        return self._arrays["common"].astype(np.int64)

    def places(self, terms: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether each term is common, and its place among the common or among the rare ones.

        Args:
            terms: Term numbers, in [0, n_terms).
        """
        before = np.searchsorted(self._common, terms)
        if not len(self._common):
            return np.zeros(len(terms), dtype=np.bool_), terms
        common = self._common[np.minimum(before, len(self._common) - 1)] == terms
        return common, np.where(common, before, terms - before)

    def df(self, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many documents each term occurs; 0 for the term number -1, (n,) int64."""
        out = np.zeros(len(terms), dtype=np.int64)
        here = np.flatnonzero(terms >= 0)
        common, places = self.places(terms[here])
        for is_kind, names in ((common, ("ones_start", "more_start")), (~common, ("rare_start",))):
            at = places[is_kind]
            for name in names:
                starts = self._arrays[name]
                out[here[is_kind]] += starts[at + 1].astype(np.int64) - starts[at].astype(np.int64)
        return out

    def run(self, term: int) -> Run:
        """A term's postings, decoded; O(its documents)."""
        before = int(np.searchsorted(self._common, term))
        if before == len(self._common) or self._common[before] != term:
            place = term - before
            span = slice(*self._arrays["rare_start"][place : place + 2].tolist())
            docs = self._arrays["rare"][span].astype(np.int64)
            tf = self._true_tf(term, docs, self._arrays["rare_tf"][span])
            return Run(docs[tf == 1], docs[tf > 1], tf[tf > 1])
        more = self._docs("more", before)
        span = slice(*self._arrays["more_start"][before : before + 2].tolist())
        return Run(self._docs("ones", before), more, self._true_tf(term, more, self._arrays["more_tf"][span]))

    def tf(self, run: Run, docs: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often the term of a run occurs in each of some documents, 0 where it doesn't, (n,) int64."""
        out = np.zeros(len(docs), dtype=np.int64)
        if len(run.ones):
            out[found_in(run.ones, docs)[1]] = 1
        if len(run.more):
            at, hit = found_in(run.more, docs)
            out[hit] = run.more_tf[at[hit]]
        return out

    def term_counts(self, doc: int) -> dict[str, int]:
        """How often each term occurs in a document; reads its whole block.

        Raises:
            UsageError: There is no such document.
        """
        if not 0 <= doc < self.n_docs:
            raise UsageError(f"document {doc} is not in this segment of {self.n_docs:,} documents")
        terms, docs, tf = self._block(doc >> BLOCK_BITS)
        here = docs == doc & (BLOCK - 1)
        found = sorted(zip(terms[here].tolist(), tf[here].tolist(), strict=True))
        return {self.vocabulary.term(term): count for term, count in found}

    def _docs(self, part: str, place: int) -> NDArray[np.int64]:
        start, stop = self._arrays[f"{part}_start"][place : place + 2].tolist()
        docs: NDArray[np.int64] = self._arrays[part][start:stop].astype(np.int64)
        if self.n_blocks > 1 and len(docs):
            ends = self._arrays[f"{part}_block"][place].astype(np.int64)
            docs += self._bases.repeat(ends[1:] - ends[:-1])
        return docs

    @cached_property
    def _bases(self) -> NDArray[np.int64]:
        """The first document of each block."""
        return np.arange(self.n_blocks, dtype=np.int64) << BLOCK_BITS

    def _true_tf(self, term: int, docs: NDArray[np.int64], stored: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Frequencies, those that a byte can't hold from the table `big`."""
        tf = stored.astype(np.int64)
        if len(self._arrays["big"]) and (large := np.flatnonzero(stored == BIG_TF)).size:
            owners, owned, true = self._arrays["big"].T
            span = slice(*np.searchsorted(owners, [term, term + 1]).tolist())
            tf[large] = true[span][np.searchsorted(owned[span], docs[large])]
        return tf

    def _block(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All postings of a block, in no order: (terms, documents within the block, tf), int64."""
        terms, docs, tf = [], [], []
        for part in ("ones", "more"):
            pointers = self._arrays[f"{part}_block"][:, number : number + 2].astype(np.int64)
            counts = pointers[:, 1] - pointers[:, 0]
            at = place_runs(self._arrays[f"{part}_start"][:-1] + pointers[:, 0], counts)
            terms.append(np.repeat(self._common, counts))
            docs.append(self._arrays[part][at].astype(np.int64))
            tf.append(self._arrays["more_tf"][at].astype(np.int64) if part == "more" else np.ones(len(at), np.int64))
        order, ends = self._rare_by_block
        at = order[ends[number] : ends[number + 1]]
        terms.append(self._rare_terms[np.searchsorted(self._arrays["rare_start"], at, side="right") - 1])
        docs.append(self._arrays["rare"][at].astype(np.int64) & (BLOCK - 1))
        tf.append(self._arrays["rare_tf"][at].astype(np.int64))
        all_terms, all_docs, all_tf = np.concatenate(terms), np.concatenate(docs), np.concatenate(tf)
        for big in np.flatnonzero(all_tf == BIG_TF).tolist():
            doc = all_docs[big] + (number << BLOCK_BITS)
            all_tf[big] = self._true_tf(int(all_terms[big]), np.array([doc]), np.array([BIG_TF], np.uint8))[0]
        return all_terms, all_docs, all_tf

    @cached_property
    def _rare_terms(self) -> NDArray[np.int64]:
        return np.delete(np.arange(self.n_terms, dtype=np.int64), self._common)

    @cached_property
    def _rare_by_block(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in `rare` ordered by block, and where each block's begin."""
        block = (self._arrays["rare"] >> BLOCK_BITS).astype(np.int64)
        ends = np.zeros(self.n_blocks + 1, dtype=np.int64)
        np.cumsum(np.bincount(block, minlength=self.n_blocks), out=ends[1:])
        return np.argsort(block, kind="stable"), ends

    def _rows(
        self, keep: NDArray[np.bool_] | None, renumber: NDArray[np.int32]
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]]:
        """The kept documents, block by block: (new term ids, tf, number of distinct terms of each document)."""
        for number in range(self.n_blocks):
            terms, docs, tf = self._block(number)
            rows = min(BLOCK, self.n_docs - (number << BLOCK_BITS))
            counts = np.bincount(docs, minlength=rows)
            if keep is not None:
                kept = keep[number << BLOCK_BITS : (number << BLOCK_BITS) + rows]
                stays = kept[docs]
                terms, docs, tf, counts = terms[stays], docs[stays], tf[stays], counts[kept]
            order = np.argsort(docs.astype(np.uint16), kind="stable")  # a radix sort: 16 bits
            yield renumber[terms[order]], tf[order].astype(np.int32), counts

    def _check(self) -> None:
        """Shapes only: an index on disk is opened without reading it."""
        a, n_common = self._arrays, len(self._arrays["common"])
        fits = (
            self.lengths.shape == (self.n_docs,)
            and all(a[f"{p}_block"].shape == (n_common, self.n_blocks + 1) for p in ("ones", "more"))
            and all(a[f"{p}_start"].shape == (n_common + 1,) for p in ("ones", "more"))
            and a["bounds"].shape == (n_common, 3)
            and a["rare_start"].shape == (self.n_terms - n_common + 1,)
            and a["rare"].shape == a["rare_tf"].shape
            and a["more"].shape == a["more_tf"].shape
            and len(a["ones"]) + len(a["more"]) + len(a["rare"]) == self.n_postings
            and a["big"].ndim == 2
        )
        if not fits:
            raise ValueError("arrays of postings whose shapes do not fit together")


def found_in(sorted_docs: NDArray[np.int64], docs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of some documents is, or would be, among ascending ones, at least one; and whether it is there."""
    at = np.minimum(sorted_docs.searchsorted(docs), len(sorted_docs) - 1)
    return at, sorted_docs[at] == docs


def _check_stream(ids: NDArray[Any], offsets: NDArray[Any], terms: int) -> None:
    if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids):
        raise ShapeError(f"offsets must go from 0 to the number of token ids ({len(ids):,}), one more than documents")
    if (np.diff(offsets) < 0).any():
        raise ShapeError("offsets must not descend")
    if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < terms):
        raise ShapeError(f"token ids must lie in [0, {terms:,}), got {int(ids.min())} to {int(ids.max())}")
