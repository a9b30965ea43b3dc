"""Encoding a corpus: each text once, in batches that a kill does not lose.

    made = encode_corpus(encoder, texts, journal_path="vectors.journal")

Texts are taken in order; those not seen before fill a batch, a full batch is encoded (in order of length,
inside the encoder), and its vectors are appended to the journal. A job that starts again reads the journal
first. Batches are filled with unseen texts only, so after a kill the next one begins exactly where it would
have begun, and the result has the same bytes as that of a job that was never interrupted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import JournalError, ShapeError, UsageError
from sleuth.journal import Journal
from sleuth.models.pieces import refuse_one_text
from sleuth.stages import Embeddings, Encoder

__all__ = ["BATCH_TEXTS", "VectorCache", "encode_corpus", "text_key"]

BATCH_TEXTS = 1024
"""Texts of a batch (ours): about ten seconds of MiniLM on two cores, which is what a kill can cost."""

KEY_BYTES = 16
HEAD = struct.Struct("<II")


def text_key(text: str) -> bytes:
    """What two equal texts share: 16 bytes of BLAKE2b."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


class VectorCache(Mapping[bytes, int]):
    """Vectors made before: text key -> row of `embeddings`. A value; nothing is added to it.

    Args:
        identity: Of the encoder that made them.
        keys: n text keys.
        embeddings: The n vectors.

    Raises:
        ShapeError: Another number of keys than of vectors.
    """

    def __init__(self, identity: str, keys: Sequence[bytes], embeddings: Embeddings) -> None:
        if len(keys) != len(embeddings.vectors):
            raise ShapeError(f"{len(keys)} keys for {len(embeddings.vectors)} vectors")
        self.identity, self.embeddings = identity, embeddings
        self._rows = {key: row for row, key in enumerate(keys)}

    def __getitem__(self, key: bytes) -> int:
        return self._rows[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def encode_corpus(
    encoder: Encoder,
    texts: Iterable[str],
    *,
    journal_path: str | Path,
    cache: VectorCache | None = None,
    context: Context | None = None,
    batch_texts: int = BATCH_TEXTS,
) -> Embeddings:
    """Vectors of documents' texts, in their order.

    Args:
        encoder: Its `encode_docs` is used.
        texts: n texts; read once, so they can come from disk.
        journal_path: Where finished batches are kept; its folder must exist. The file stays when the job is
            done: delete it once the vectors are stored.
        cache: Vectors that need not be made again.
        context: Its deadline is checked before every batch, its progress is advanced by texts.
        batch_texts: Texts of a batch; a job must be resumed with the same.

    Raises:
        DeadlineExceeded: The time is up; what was finished is in the journal.
        JournalError: The journal belongs to another encoder or batch size.
        UsageError: The cache is another encoder's, a batch is empty, or one str came in place of texts.
    """
    refuse_one_text(texts)
    if batch_texts < 1:
        raise UsageError(f"batch_texts must be at least 1, got {batch_texts}")
    if cache is not None and cache.identity != encoder.identity:
        raise UsageError(f"the cache holds vectors of {cache.identity}, the encoder is {encoder.identity}")
    context = Context.of(context)
    with Journal.open(journal_path, job=f"encode/{encoder.identity}/{encoder.dim}/{batch_texts}") as journal:
        store = _Store(encoder.dim, journal)
        if cache is not None:
            store.adopt(cache)
        total = len(texts) if isinstance(texts, Sequence) else None
        with context.progress.task("encode", total) as task:
            wanted: list[int] = []  # row of each text
            waiting: dict[bytes, str] = {}
            unreported = 0
            for text in texts:
                key = text_key(text)
                row = store.row(key)
                if row is None:
                    row = store.promise(key)
                    waiting[key] = text
                wanted.append(row)
                unreported += 1
                if len(waiting) == batch_texts:
                    _encode_batch(encoder, waiting, store, journal, context)
                    task.advance(unreported)
                    waiting, unreported = {}, 0
            if waiting:
                _encode_batch(encoder, waiting, store, journal, context)
            task.advance(unreported)
    return store.gather(np.asarray(wanted, dtype=np.int64))


def _encode_batch(
    encoder: Encoder, waiting: Mapping[bytes, str], store: _Store, journal: Journal, context: Context
) -> None:
    context.deadline.check()
    made = encoder.encode_docs(list(waiting.values()), context=context)
    if made.vectors.shape != (len(waiting), encoder.dim):
        raise ShapeError(f"{encoder.name} gave vectors {made.vectors.shape}, expected ({len(waiting)}, {encoder.dim})")
    journal.append_bytes(_pack(list(waiting), made))
    store.fill(made)


class _Store:
    """Vectors by row, in the parts they came in: of the cache, the journal, the batches.

    Args:
        dim: Vector length.
        journal: Its records are read in.
    """

    def __init__(self, dim: int, journal: Journal) -> None:
        self._dim = dim
        self._parts: list[Embeddings] = []
        self._rows: dict[bytes, int] = {}
        for payload in journal.payloads():
            keys, part = _unpack(payload, dim, journal.path)
            for key in keys:
                self.promise(key)
            self.fill(part)

    def adopt(self, cache: VectorCache) -> None:
        """Add the cache's vectors; those the journal has already keep the journal's row."""
        keys = [key for key in cache if key not in self._rows]
        rows = np.fromiter((cache[key] for key in keys), dtype=np.int64, count=len(keys))
        for key in keys:
            self.promise(key)
        held = cache.embeddings
        self.fill(Embeddings(held.vectors[rows], held.n_tokens[rows], held.truncated[rows]))

    def row(self, key: bytes) -> int | None:
        """The row of a text's vector, made or promised; None for a text not seen yet."""
        return self._rows.get(key)

    def promise(self, key: bytes) -> int:
        """Give a text the next row; `fill` must follow with the vectors in the order of promises."""
        return self._rows.setdefault(key, len(self._rows))

    def fill(self, part: Embeddings) -> None:
        """The vectors of the rows promised last."""
        self._parts.append(part)

    def gather(self, rows: NDArray[np.int64]) -> Embeddings:
        """Vectors at these rows."""
        made = Embeddings(
            np.empty((len(rows), self._dim), np.float32), np.empty(len(rows), np.int32), np.empty(len(rows), np.bool_)
        )
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.cumsum([len(part.vectors) for part in self._parts]))
        start = begin = 0
        for part, end in zip(self._parts, ends.tolist(), strict=True):
            here, there = order[start:end], rows[order[start:end]] - begin
            made.vectors[here], made.n_tokens[here] = part.vectors[there], part.n_tokens[there]
            made.truncated[here] = part.truncated[there]
            start, begin = end, begin + len(part.vectors)
        return made


def _pack(keys: Sequence[bytes], made: Embeddings) -> bytes:
    """One batch as a journal record: counts, keys, token counts, cuts, vectors."""
    n, dim = made.vectors.shape
    columns = made.n_tokens.astype("<i4"), made.truncated.astype("u1"), made.vectors.astype("<f4")
    return HEAD.pack(n, dim) + b"".join(keys) + b"".join(column.tobytes() for column in columns)


def _unpack(payload: bytes, dim: int, where: Path) -> tuple[list[bytes], Embeddings]:
    n, width = HEAD.unpack_from(payload)
    sizes = HEAD.size, n * KEY_BYTES, n * 4, n, n * dim * 4
    if width != dim or len(payload) != sum(sizes):
        raise JournalError(f"{where}: a record is not a batch of vectors of length {dim}; delete it to start over")
    keys_at, tokens_at, cuts_at, vectors_at = np.cumsum(sizes)[:-1].tolist()
    keys = [payload[at : at + KEY_BYTES] for at in range(keys_at, tokens_at, KEY_BYTES)]
    tokens = np.frombuffer(payload, "<i4", n, tokens_at)
    cuts = np.frombuffer(payload, np.bool_, n, cuts_at)
    return keys, Embeddings(np.frombuffer(payload, "<f4", n * dim, vectors_at).reshape(n, dim), tokens, cuts)
