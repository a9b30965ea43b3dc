"""A sentence encoder without torch: all-MiniLM-L6-v2, or any BERT-shaped checkpoint.

    encoder = open_encoder("minilm")                     # sleuth.models.encoder
    vectors = encoder.encode_docs(["...", "..."]).vectors

Vectors equal sentence-transformers' to 1e-6. One difference is meant: a text that spells a special token
("[SEP]") is encoded as that text, there as the token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import ModelError, UsageError
from sleuth.models.bert import NumpyBert, Workspace
from sleuth.models.blas import blas_threads, single_threaded_blas
from sleuth.models.cards import ModelCard
from sleuth.models.checkpoint import read_checkpoint
from sleuth.models.checksums import known_sha256
from sleuth.models.pieces import Pieces, refuse_one_text
from sleuth.models.settings import join_name, resolve_settings
from sleuth.models.tensor_file import TensorFile
from sleuth.stages import Embeddings

__all__ = ["BertEncoder"]

BATCH_TOKENS = 1024
"""Tokens of a packed batch: 512 to 2048 are equally fast on Zen 3 (measured); fewer use less memory."""

SMALL_TOKENS = 128
"""Up to here one core is as fast as two, and does not wait for the other on a busy machine (ours, for queries)."""

WEIGHTS = "model.safetensors"


class BertEncoder:
    """An Encoder (`sleuth.stages`) in numpy.

    Args:
        folder: config.json, tokenizer.json and model.safetensors, in sentence-transformers' layout.
        name: How to open it again; by default the folder.
        card: What is known about the checkpoint.
        options: `max_tokens`, `max_doc_tokens`, `query_prompt`, `doc_prompt`, `instruction`, `pooling`.
        workers: Threads, each with one core; by default as many as BLAS would use (OMP_NUM_THREADS). It changes
            vectors by rounding only.

    Attributes:
        name, identity, dim, max_tokens: As every Encoder's.
        settings: Pooling, prompts and lengths in full.

    Raises:
        ModelError: Files that are missing, do not fit together, or are of an architecture not computed here.
        FormatError: Files that are not what they should be.
        UsageError: Settings that make no sense for this checkpoint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        card: ModelCard | None = None,
        workers: int | None = None,
        **options: Any,
    ) -> None:
        folder = Path(folder)
        checkpoint = read_checkpoint(folder)
        if not (folder / WEIGHTS).is_file():
            raise ModelError(f"{folder} has no {WEIGHTS}; only safetensors weights in one file are read here")
        if workers is not None and workers < 1:
            raise UsageError(f"workers must be at least 1, got {workers}")
        self.settings = resolve_settings(checkpoint, card, options)
        if self.settings.pooling == "last" or self.settings.bidirectional or self.settings.dtype != "float32":
            raise UsageError(
                f"{folder}: the torch-free encoder pools by mean or cls and computes in float32; "
                "open it with kind='bi-encoder'"
            )
        self._pieces = Pieces(folder / "tokenizer.json")
        self._model = NumpyBert(TensorFile(folder / WEIGHTS), checkpoint.config, where=str(folder))
        if self._pieces.size > self._model.vocabulary:
            raise ModelError(
                f"{folder}: the tokenizer knows {self._pieces.size} pieces, the weights {self._model.vocabulary}"
            )
        self.name = join_name(name or str(folder.resolve()), options)
        self.identity = self.settings.identity(
            weights=known_sha256(folder / WEIGHTS), tokenizer=known_sha256(folder / "tokenizer.json")
        )
        self.dim, self.max_tokens = self._model.dim, self.settings.max_tokens
        self.workers = blas_threads() if workers is None else workers
        self._spare: list[Workspace] = []

    def encode_queries(self, queries: Sequence[str], *, context: Context | None = None) -> Embeddings:
        """Vectors of queries."""
        return self._encode(queries, self.settings.query_prompt, self.settings.max_tokens, Context.of(context))

    def encode_docs(self, docs: Sequence[str], *, context: Context | None = None) -> Embeddings:
        """Vectors of documents, cut at `max_doc_tokens`."""
        return self._encode(docs, self.settings.doc_prompt, self.settings.max_doc_tokens, Context.of(context))

    def _encode(self, texts: Sequence[str], prompt: str, limit: int, context: Context) -> Embeddings:
        """Vectors in the order of the texts, computed in order of length.

        Raises:
            DeadlineExceeded: The context's deadline passed between two batches.
            ModelError: A vector that is not finite.
            UsageError: One str in place of several, or a text that is no str.
        """
        refuse_one_text(texts)
        if self.settings.lower_case:
            texts, prompt = [text.lower() if isinstance(text, str) else text for text in texts], prompt.lower()
        encoded = self._pieces.encode(texts, limit=limit, prompt=prompt)
        unpooled = 0 if self.settings.pool_prompt or not prompt else self._prompt_tokens(prompt, limit)
        vectors = np.empty((len(texts), self.dim), np.float32)

        def run(batch: list[int]) -> None:
            context.deadline.check()
            vectors[batch] = self._vectors([encoded.ids[at] for at in batch], unpooled)

        lengths = [len(ids) for ids in encoded.ids]
        self._run_all(run, _batches(lengths), small=sum(lengths) <= SMALL_TOKENS)
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(f"{self.name} gave a vector that is not finite, for text {row}; its weights are damaged")
        return Embeddings(vectors, encoded.n_tokens, encoded.truncated)

    def _run_all(self, run: Callable[[list[int]], None], batches: list[list[int]], *, small: bool) -> None:
        """Every batch once, on `workers` threads with a core each; a lone batch is BLAS's to split, if it pays."""
        workers = min(self.workers, len(batches))
        if workers <= 1:
            with single_threaded_blas() if small else nullcontext():
                for batch in batches:
                    run(batch)
            return
        with single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(run, batch) for batch in batches]
            try:
                for future in futures:
                    future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _vectors(self, ids: list[list[int]], unpooled: int) -> NDArray[np.float32]:
        """Pooled vectors of one batch."""
        try:
            work = self._spare.pop()
        except IndexError:
            work = Workspace(self._model, max(BATCH_TOKENS, self.settings.max_tokens, self.settings.max_doc_tokens))
        lengths = [len(one) for one in ids]
        states = self._model.hidden_states(np.concatenate([np.asarray(one, np.int64) for one in ids]), lengths, work)
        starts = np.cumsum([0, *lengths[:-1]])
        if self.settings.pooling == "cls":
            pooled: NDArray[np.float32] = states[starts]
        else:
            if unpooled:
                for start, length in zip(starts.tolist(), lengths, strict=True):
                    states[start : start + min(unpooled, length - 1)] = 0
            pooled = np.add.reduceat(states, starts, axis=0)
            pooled /= np.array([length - min(unpooled, length - 1) for length in lengths], np.float32)[:, None]
        self._spare.append(work)
        if self.settings.unit_norm:
            norms = np.sqrt(np.einsum("ij,ij->i", pooled, pooled))
            pooled /= np.maximum(norms, np.float32(1e-12))[:, None]
        return pooled

    def _prompt_tokens(self, prompt: str, limit: int) -> int:
        """Opening tokens and the prompt's, which are read but not pooled."""
        return len(self._pieces.encode([prompt], limit=limit).ids[0]) - len(self._pieces.closing)


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Positions in batches of at most BATCH_TOKENS tokens, longest first, equal lengths together."""
    batches: list[list[int]] = []
    filled = BATCH_TOKENS
    for at in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if filled + lengths[at] > BATCH_TOKENS:
            batches.append([])
            filled = 0
        batches[-1].append(at)
        filled += lengths[at]
    return batches
