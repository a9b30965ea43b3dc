"""A synthetic corpus with the word statistics of text, for speed measurements only.

Every word is pronounceable ASCII. 35 % of the running words are English stop words, the rest follow
Zipf-Mandelbrot, p(rank) ~ 1 / (rank + 2.7) ** 1.05, over 400,000 word types. Documents have 60 words on average,
sentences with a capital and a full stop. There is no topic structure, so figures of effectiveness mean nothing here,
and rare words are more frequent than in natural text, which inflates the cost of a dictionary.

Everything is a function of the seed. Document i is the same text however many are asked for, because documents are
drawn in blocks of 10,000 with a generator of their own.

    python benchmarks/synthetic.py --docs 1000 > docs.txt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "STOP_MASS", "Synthetic", "docs", "queries_long", "queries_short"]

BLOCK = 10_000
STOP_MASS = 0.35
WORDS_A_DOC = 60
# Lucene's 33 English stop words, the frequent ones first.
_FREQUENT_FIRST = """
    the of and to in a is that for it with as was on be by at this are not or an but will if their they there these such
    then into no
"""
STOP_WORDS = tuple(_FREQUENT_FIRST.split())
SUFFIXES = ("", "", "", "", "", "s", "ed", "ing", "ation", "ness", "ment", "al", "ly", "ity")


@dataclass(frozen=True)
class Synthetic:
    """The corpus and its queries.

    Attributes:
        seed: Seed of everything.
        vocabulary: Number of content word types, > 0.
    """

    seed: int = 0
    vocabulary: int = 400_000
    _cache: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def words(self) -> list[str]:
        """Word of each id: the stop words, then content words from frequent to rare."""
        return [*STOP_WORDS, *_content_words(self.vocabulary, np.random.default_rng([self.seed, 1]))]

    @cached_property
    def _content(self) -> NDArray[np.float64]:
        """Cumulated probability of the content words, (vocabulary,)."""
        weights = 1.0 / (np.arange(1, self.vocabulary + 1) + 2.7) ** 1.05
        return np.cumsum(weights / weights.sum())

    @cached_property
    def _stops(self) -> NDArray[np.float64]:
        """Cumulated probability of the stop words, (33,)."""
        weights = 1.0 / (np.arange(1, len(STOP_WORDS) + 1) + 1.0)
        return np.cumsum(weights / weights.sum())

    def draw(self, n: int, rng: np.random.Generator, *, stop_mass: float = STOP_MASS) -> NDArray[np.int64]:
        """n word ids of running text, independent of each other, (n,) int64."""
        u = rng.random(n)
        content = np.searchsorted(self._content, u, side="right")
        ids = np.minimum(content, self.vocabulary - 1) + len(STOP_WORDS)
        stop = rng.random(n) < stop_mass
        picked = np.searchsorted(self._stops, rng.random(int(stop.sum())), side="right")
        ids[stop] = np.minimum(picked, len(STOP_WORDS) - 1)
        return ids

    def doc_ids(self, block: int) -> list[NDArray[np.int64]]:
        """Word ids of the documents of a block: BLOCK arrays."""
        rng = np.random.default_rng([self.seed, 2, block])
        lengths = rng.integers(WORDS_A_DOC // 2, WORDS_A_DOC * 3 // 2 + 1, size=BLOCK)
        ids = self.draw(int(lengths.sum()), rng)
        return np.split(ids, np.cumsum(lengths)[:-1])

    def token_ids(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Word ids of the first n documents, stop words included: (tokens,) and offsets (n + 1,), int64.

        An id is a place in `words`; ids below 33 are stop words.
        """
        parts: list[NDArray[np.int64]] = []
        for start in range(0, n, BLOCK):
            parts.extend(self.doc_ids(start // BLOCK)[: n - start])
        offsets = np.zeros(n + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)), offsets

    def docs(self, n: int) -> Iterator[str]:
        """The first n documents."""
        for start in range(0, n, BLOCK):
            for ids in self.doc_ids(start // BLOCK)[: n - start]:
                yield self._sentences(ids)

    def queries_long(self, n: int, *, among: int = BLOCK) -> list[str]:
        """n queries of 200 to 420 words (310 on average): half drawn from one document's words, half from the corpus.

        Args:
            n: How many.
            among: The document is one of the first `among`, 1 to BLOCK.
        """
        rng = np.random.default_rng([self.seed, 3])
        return [self._query(int(rng.integers(200, 421)), among, rng, STOP_MASS) for _ in range(n)]

    def queries_short(self, n: int, *, among: int = BLOCK) -> list[str]:
        """n queries of 8 content words: half drawn from one document's words, half from the corpus."""
        rng = np.random.default_rng([self.seed, 4])
        return [self._query(8, among, rng, 0.0) for _ in range(n)]

    def _query(self, length: int, among: int, rng: np.random.Generator, stop_mass: float) -> str:
        if 0 not in self._cache:
            self._cache[0] = self.doc_ids(0)
        doc = self._cache[0][int(rng.integers(among))]
        if stop_mass == 0.0:
            doc = doc[doc >= len(STOP_WORDS)]
        topical = rng.choice(doc, size=length // 2)
        background = self.draw(length - length // 2, rng, stop_mass=stop_mass)
        return " ".join(self.words[i] for i in rng.permutation(np.concatenate([topical, background])).tolist())

    def _sentences(self, ids: NDArray[np.int64]) -> str:
        words = self.words
        out = []
        for start in range(0, len(ids), 15):
            sentence = " ".join([words[i] for i in ids[start : start + 15].tolist()])
            out.append(sentence[:1].upper() + sentence[1:])
        return ". ".join(out) + "."


def _content_words(n: int, rng: np.random.Generator) -> list[str]:
    """n distinct pronounceable words, none of them a stop word; frequent ones are shorter."""
    onset = [
        "b",
        "c",
        "d",
        "f",
        "g",
        "h",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "t",
        "v",
        "w",
        "br",
        "cl",
        "dr",
        "fl",
        "gr",
        "pl",
        "pr",
        "sh",
        "st",
        "tr",
        "th",
    ]
    rime = [vowel + coda for vowel in "aeiou" for coda in ("", "", "", "n", "r", "l", "s", "t")]
    syllables = sorted({a + b for a in onset for b in rime})
    taken = set(STOP_WORDS)
    out: list[str] = []
    while len(out) < n:
        syllables_of = 2 if len(out) < min(2_000, n // 10) else 3
        pick = rng.integers(len(syllables), size=(4_096, syllables_of)).tolist()
        ends = rng.integers(len(SUFFIXES), size=4_096).tolist()
        for row, end in zip(pick, ends, strict=True):
            word = "".join([syllables[i] for i in row]) + SUFFIXES[end]
            if word not in taken:
                taken.add(word)
                out.append(word)
    return out[:n]


_default = Synthetic()


def docs(n: int) -> list[str]:
    """The first n documents of the default corpus (seed 0)."""
    return list(_default.docs(n))


def queries_long(n: int) -> list[str]:
    """n long queries of the default corpus."""
    return _default.queries_long(n)


def queries_short(n: int) -> list[str]:
    """n short queries of the default corpus."""
    return _default.queries_short(n)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=10, help="how many documents to print")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    for text in Synthetic(arguments.seed).docs(arguments.docs):
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
