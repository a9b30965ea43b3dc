"""The tokens of many texts as two flat arrays and a list of distinct terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TokenStream", "stream_of"]


@dataclass(frozen=True, slots=True)
class TokenStream:
    """The analyzed form of n texts.

    Attributes:
        ids: All tokens of all texts, one after another, as positions in `terms`; (tokens,) int32.
        offsets: Text i has `ids[offsets[i]:offsets[i + 1]]`; (n + 1,) int64.
        terms: The distinct terms, in the order in which they first occur in the stream.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    terms: list[str]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.offsets) - 1

    def tokens(self, text: int) -> list[str]:
        """The tokens of one text, by its 0-based position."""
        return [self.terms[i] for i in self.ids[self.offsets[text] : self.offsets[text + 1]].tolist()]


def stream_of(token_lists: Iterable[list[str]]) -> TokenStream:
    """The stream of texts that are already cut into tokens."""
    place: dict[str, int] = {}
    ids: list[NDArray[np.int32]] = []
    ends = [0]
    for tokens in token_lists:
        ids.append(np.fromiter((place.setdefault(t, len(place)) for t in tokens), dtype=np.int32, count=len(tokens)))
        ends.append(ends[-1] + len(tokens))
    flat = np.concatenate(ids) if ids else np.zeros(0, dtype=np.int32)
    return TokenStream(flat, np.asarray(ends, dtype=np.int64), list(place))
