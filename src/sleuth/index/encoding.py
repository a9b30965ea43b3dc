"""Vectors of new documents: reused where a text was encoded before, made where it was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import IndexMismatch, ModelError, UsageError
from sleuth.index.records import HASH_BYTES
from sleuth.index.snapshot import Snapshot
from sleuth.stages import Embeddings, Encoder

__all__ = ["EncoderSource", "KnownVectors", "encode_texts"]

OpenEncoder = Callable[[str], Encoder]


class EncoderSource:
    """The encoder of an index, opened when it is first needed.

    Args:
        stored: {"name", "identity", "dim"} as the manifest holds them, or None for an index without vectors.
        encoder: An open one, or None.
        opener: Opens an encoder by its stored name, or None.
        where: The index, for messages.
    """

    def __init__(
        self, stored: Mapping[str, Any] | None, encoder: Encoder | None, opener: OpenEncoder | None, where: str
    ) -> None:
        self.stored, self.opener, self._encoder, self._where = stored, opener, encoder, where
        if encoder is not None:
            self._check(encoder)

    def get(self) -> Encoder:
        """The encoder.

        Raises:
            UsageError: The index has no vectors, or nothing was given that opens its encoder.
            IndexMismatch: What was opened is not what made the vectors.
        """
        if self.stored is None:
            raise UsageError(f"{self._where} has no vectors; index with an encoder first (--dense minilm)")
        if self._encoder is None:
            if self.opener is None:
                raise UsageError(f"{self._where}: its encoder {self.stored['name']!r} is not open; pass encoder=…")
            encoder = self.opener(self.stored["name"])
            self._check(encoder)
            self._encoder = encoder
        return self._encoder

    def _check(self, encoder: Encoder) -> None:
        own = self.stored["identity"] if self.stored else None
        if encoder.identity != own:
            raise IndexMismatch(
                f"{self._where}: its vectors are of {own or 'no encoder'}, this encoder is {encoder.identity} "
                f"({encoder.name}). Open the index with its own, or index again with --replace."
            )


class KnownVectors:
    """Text hash -> vector, over the vectors an index has already, those of deleted documents included.

    Args:
        snapshot: The index; its vectors are of the encoder that is asked for.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        parts = [np.ascontiguousarray(s.hashes[:, :8]).view(np.uint64)[:, 0] for s in snapshot.segments]
        keys = np.concatenate(parts) if parts else np.zeros(0, np.uint64)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def positions(self, text_hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Where a vector of each text lies, -1 where there is none.

        Args:
            text_hashes: (n, 16) uint8.
        """
        found = np.full(len(text_hashes), -1, dtype=np.int64)
        if not len(self._keys) or not len(text_hashes):
            return found
        wanted = np.ascontiguousarray(text_hashes[:, :8]).view(np.uint64)[:, 0]
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        hit = np.flatnonzero(self._keys[at] == wanted)
        positions = self._order[at[hit]]
        # Two texts that share half a hash are told apart by the other half; the later is then encoded anew.
        same = (self._snapshot.hashes(positions)[:, :HASH_BYTES] == text_hashes[hit]).all(axis=1)
        found[hit[same]] = positions[same]
        return found


def encode_texts(
    encoder: Encoder, texts: Sequence[str], *, journal_path: Path, cache: Any, context: Context
) -> Embeddings:
    """Encode texts, resuming from the journal.

    Raises:
        ModelError: The encoder gave vectors of another shape than it promised, or values that are not finite.
    """
    from sleuth.models.encode_job import encode_corpus

    made = encode_corpus(encoder, texts, journal_path=journal_path, cache=cache, context=context)
    if made.vectors.shape != (len(texts), encoder.dim):
        raise ModelError(f"{encoder.name} gave vectors {made.vectors.shape}, expected ({len(texts)}, {encoder.dim})")
    if not np.isfinite(made.vectors).all():
        row = int(np.flatnonzero(~np.isfinite(made.vectors).all(axis=1))[0])
        raise ModelError(f"{encoder.name} gave a vector that is not finite, for the text {texts[row]!r:.200}")
    return made
