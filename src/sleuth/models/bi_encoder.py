"""Any bi-encoder of transformers or sentence-transformers, on torch (extra `models`).

Weights are read from safetensors only and no code of a checkpoint is run. Texts go right-padded in batches of
similar length; a batch whose texts are equally long needs no mask, which doubles the speed of attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import MissingExtra, ModelError, UnknownName, UsageError
from sleuth.models.cards import ModelCard
from sleuth.models.checkpoint import read_checkpoint
from sleuth.models.checksums import known_sha256
from sleuth.models.pieces import Pieces, refuse_one_text
from sleuth.models.settings import join_name, resolve_settings
from sleuth.stages import Embeddings

__all__ = ["BiEncoder"]

CPU_BATCH_TOKENS = 2048
"""Padded tokens of a batch on a CPU: 1k to 4k rows reach the peak of its matrix products (measured)."""

GPU_BATCH_TOKENS = 16_384
"""The same on a GPU (ours, not measured)."""

DTYPES = ("float32", "bfloat16", "float16")


class BiEncoder:
    """An Encoder (`sleuth.stages`) on torch.

    Args:
        folder: The checkpoint; `config.json`, `tokenizer.json` and safetensors weights, whole or in shards.
        name: How to open it again; by default the folder.
        card: What is known about the checkpoint.
        device: Of torch ("cpu", "cuda", "cuda:1", "mps"); by default a GPU if there is one.
        options: As of `sleuth.models.encoder.open_encoder`.

    Attributes:
        name, identity, dim, max_tokens: As every Encoder's.
        settings: Pooling, prompts, lengths and precision in full.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: Files that are missing or that transformers can't load without running their code.
        UsageError: Settings that make no sense for this checkpoint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        card: ModelCard | None = None,
        device: str | None = None,
        **options: Any,
    ) -> None:
        folder = Path(folder)
        checkpoint = read_checkpoint(folder)
        self.settings = resolve_settings(checkpoint, card, options)
        if self.settings.dtype not in DTYPES:
            raise UnknownName("dtype", self.settings.dtype, list(DTYPES))
        weights = sorted(folder.glob("*.safetensors"))
        if not weights:
            raise ModelError(f"{folder} has no safetensors weights; pickled ones are not loaded")
        self._pieces = Pieces(folder / "tokenizer.json")
        self._model, self._device = _load(folder, self.settings.dtype, self.settings.bidirectional, device)
        self.dim, self.max_tokens = int(self._model.config.hidden_size), self.settings.max_tokens
        self.name = join_name(name or str(folder.resolve()), options)
        sums = [known_sha256(path) for path in weights]
        self.identity = self.settings.identity(
            weights="/".join(sums), tokenizer=known_sha256(folder / "tokenizer.json")
        )
        self._batch_tokens = CPU_BATCH_TOKENS if self._device.type == "cpu" else GPU_BATCH_TOKENS

    def encode_queries(self, queries: Sequence[str], *, context: Context | None = None) -> Embeddings:
        """Vectors of queries."""
        return self._encode(queries, self.settings.query_prompt, self.settings.max_tokens, Context.of(context))

    def encode_docs(self, docs: Sequence[str], *, context: Context | None = None) -> Embeddings:
        """Vectors of documents, cut at `max_doc_tokens`."""
        return self._encode(docs, self.settings.doc_prompt, self.settings.max_doc_tokens, Context.of(context))

    def _encode(self, texts: Sequence[str], prompt: str, limit: int, context: Context) -> Embeddings:
        """Vectors in the order of the texts.

        Raises:
            DeadlineExceeded: The context's deadline passed between two batches.
            ModelError: A vector that is not finite.
            UsageError: One str in place of several, or a text that is no str.
        """
        refuse_one_text(texts)
        if self.settings.lower_case:
            texts, prompt = [text.lower() if isinstance(text, str) else text for text in texts], prompt.lower()
        encoded = self._pieces.encode(texts, limit=limit, prompt=prompt)
        unpooled = 0
        if prompt and not self.settings.pool_prompt:
            unpooled = len(self._pieces.encode([prompt], limit=limit).ids[0]) - len(self._pieces.closing)
        vectors = np.empty((len(texts), self.dim), np.float32)
        for batch in _batches([len(ids) for ids in encoded.ids], self._batch_tokens):
            context.deadline.check()
            vectors[batch] = self._vectors([encoded.ids[at] for at in batch], unpooled)
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ModelError(
                f"{self.name} gave a vector that is not finite, for text {row}; try dtype='float32', or its weights "
                "are damaged"
            )
        return Embeddings(vectors, encoded.n_tokens, encoded.truncated)

    def _vectors(self, ids: list[list[int]], unpooled: int) -> NDArray[np.float32]:
        """Pooled vectors of one batch, right-padded."""
        import torch

        lengths = torch.tensor([len(one) for one in ids])
        longest = int(lengths.max())
        tokens = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = torch.tensor(one)
        at = torch.arange(longest)
        real = at[None, :] < lengths[:, None]
        mask = None if bool(real.all()) else real.long().to(self._device)
        with torch.inference_mode():
            states = self._model(input_ids=tokens.to(self._device), attention_mask=mask).last_hidden_state.float()
            if self.settings.pooling == "cls":
                pooled = states[:, 0]
            elif self.settings.pooling == "last":
                pooled = states[torch.arange(len(ids)), lengths - 1]
            else:
                first = torch.minimum(torch.tensor(unpooled), lengths - 1)
                weights = (real & (at[None, :] >= first[:, None])).to(states.device, states.dtype)[:, :, None]
                pooled = (states * weights).sum(dim=1) / weights.sum(dim=1)
            if self.settings.unit_norm:
                pooled = torch.nn.functional.normalize(pooled, dim=1)
        found: NDArray[np.float32] = pooled.cpu().numpy()
        return found


def _load(folder: Path, dtype: str, bidirectional: bool, device: str | None) -> tuple[Any, Any]:
    """(the backbone in evaluation mode, its device)."""
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtra("a bi-encoder on torch", "models", error) from error
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if bidirectional:
            config.is_causal = False
        config.use_cache = False
        model, loaded = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"transformers can't load {folder}: {error}") from error
    # A pooler on top is never read here, and sentence encoders are often saved without one.
    absent = sorted(name for name in loaded["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise ModelError(
            f"{folder} is no whole encoder: it lacks {len(absent)} tensors ({', '.join(absent[:3])}, …), which would be "
            "filled with random numbers"
        )
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return model.eval().to(place), place
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} can't be used: {error}") from error


def _batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Positions in batches of at most `most` tokens, padding included, longest first."""
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) + 1) * lengths[batch[0]] > most:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch
