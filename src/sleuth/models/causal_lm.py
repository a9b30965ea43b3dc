"""Any causal language model of transformers, in this process (extra `models`): label scoring and answers.

Weights are read from safetensors only and no code of a checkpoint is run. Three things make it exact and fast:

- Prompts are padded on the right and read without a mask: causal attention never looks ahead, so padding can't be
  seen, and a mask would halve the speed of attention on a CPU.
- Only each prompt's last position goes through the output head, in float32 whatever the model's precision:
  probabilities rounded to bfloat16 collapse into ties.
- A beginning that prompts share is computed once (`shared_prefix`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ModelError, UsageError
from sleuth.models.answer import Answer, TokenRequest, Writing
from sleuth.models.causal_files import CausalFiles, load_model
from sleuth.models.key_values import Pairs, frozen, growing, join_rows, keep_rows, pairs_of, token_bytes
from sleuth.models.shared_prefix import (
    LEAST_TOKENS,
    PrefixGroup,
    common_length,
    is_worth_sharing,
    share_prefixes,
)

__all__ = ["CausalLM"]

CPU_BATCH_TOKENS = 2048
"""Padded tokens of one forward pass on a CPU: 1k to 4k rows reach the peak of its matrix products (measured)."""

GPU_BATCH_TOKENS = 16_384
"""The same on a GPU (ours, not measured)."""

CACHE_BYTES = 2 << 30
"""Keys and values of the answers being written at a time, at most, one answer excepted (ours)."""

HELD_BYTES = 1 << 30
"""Largest shared beginning that is kept for the next call (ours)."""


def _never(at: int) -> bool:
    return False


class CausalLM:
    """A causal language model. The weights are loaded when they are first needed.

    Args:
        folder: The checkpoint: config.json, tokenizer.json and safetensors weights, whole or in shards.
        dtype: "float32" (the default: exact, and the fastest where bfloat16 is not in hardware), "bfloat16",
            "float16", or "auto" for the checkpoint's own.
        device: Of torch ("cpu", "cuda", "cuda:1", "mps"); by default a GPU if there is one.
        batch_size: Prompts of one forward pass at most. Default: 8, ours.
        share: Whether beginnings that prompts share are computed once. Without it and with `batch_size` 1 every
            prompt goes alone, and its scores have the same bytes whatever runs beside it.

    Attributes:
        files: What the folder says: tokens, window, identity.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: Files that are missing or are not what they should be.
        UnknownName, UsageError: Another dtype; a batch size below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int = 8,
        share: bool = True,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"batch_size must be a whole number of 1 or more, got {batch_size!r}")
        self.files = CausalFiles(folder, dtype=dtype or "float32")
        self.batch_size, self.share = batch_size, share
        self._device_name, self._loaded = device, False
        self._lock = threading.RLock()
        self._model: Any = None
        self._last: Any = None  # what the output head reads of each row during a forward pass
        self._held: tuple[tuple[int, ...], Pairs] | None = None

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────

    def label_logprobs(self, prompts: Sequence[Sequence[int]], labels: Sequence[int]) -> NDArray[np.float32]:
        """Log-probabilities of labels as the next token: log-softmax over the whole vocabulary, in float32.

        Args:
            prompts: n prompts in token ids, none empty.
            labels: m tokens.

        Returns:
            (n, m), natural logarithms, <= 0.
        """
        requests = [TokenRequest(tuple(prompt), labels=tuple(labels)) for prompt in prompts]
        found = np.empty((len(prompts), len(labels)), np.float32)
        for at, answer in self.answers(requests):
            found[at] = answer.labels
        return found

    def answers(
        self, requests: Sequence[TokenRequest], *, cancelled: Callable[[int], bool] = _never
    ) -> Iterator[tuple[int, Answer]]:
        """Answers with their requests' positions, as they come.

        Args:
            requests: What to answer.
            cancelled: Asked before every step, by position; what is cancelled gets no answer.

        Raises:
            UsageError: An empty prompt.
            ModelError: Memory ran out, or logits that are no numbers.
        """
        for at, request in enumerate(requests):
            if not request.ids:
                raise UsageError(f"prompt {at} is empty; a causal model needs at least one token")
        self._load()
        for one_step in (True, False):
            chosen = [at for at, request in enumerate(requests) if request.takes_one_step is one_step]
            for group in self._groups([requests[at].ids for at in chosen]):
                members = [chosen[at] for at in group.members]
                yield from self._answer_group(requests, members, group.length, one_step, cancelled)

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────

    def _groups(self, prompts: Sequence[tuple[int, ...]]) -> list[PrefixGroup]:
        """Prompts by shared beginning; those that share none are one group of length 0."""
        alone = tuple(range(len(prompts)))
        if not (self.share and self._plain and prompts):
            return [PrefixGroup(0, alone)] if prompts else []
        groups = [self._with_held(group, prompts) for group in share_prefixes(prompts)]
        loose = tuple(at for group in groups if group.length == 0 for at in group.members)
        shared = [group for group in groups if group.length]
        return [*shared, PrefixGroup(0, loose)] if loose else shared

    def _with_held(self, group: PrefixGroup, prompts: Sequence[tuple[int, ...]]) -> PrefixGroup:
        """A prompt alone joins the beginning that was kept from before, where that pays."""
        if group.length or self._held is None:
            return group
        prompt = prompts[group.members[0]]
        length = min(common_length(prompt, self._held[0]), len(prompt) - 1)
        return PrefixGroup(length if is_worth_sharing(length, len(prompt) - length) else 0, group.members)

    def _answer_group(
        self,
        requests: Sequence[TokenRequest],
        members: Sequence[int],
        length: int,
        one_step: bool,
        cancelled: Callable[[int], bool],
    ) -> Iterator[tuple[int, Answer]]:
        """Answers of requests whose prompts have `length` first tokens in common."""
        wanted = [at for at in members if not cancelled(at)]
        if not wanted:
            return
        prefix, known = self._prefix(requests[wanted[0]].ids[:length]) if length else ([], 0)
        fresh = length  # the first request of a group pays for what was computed anew
        for batch in self._batches(requests, wanted, length, one_step):
            rows = []
            for at in batch:
                if not cancelled(at):
                    row = Writing(
                        at, requests[at], tokens=self.files.tokens, ends=self.files.ends, room=self._room(at, requests)
                    )
                    row.cached_tokens = known if fresh else length
                    fresh = 0
                    rows.append(row)
            if rows:
                run = self._score(rows, prefix, length) if one_step else self._write(rows, prefix, length, cancelled)
                for row in run:
                    yield row.at, row.answer()

    def _room(self, at: int, requests: Sequence[TokenRequest]) -> int | None:
        return None if self.files.window is None else max(self.files.window - len(requests[at].ids), 1)

    def _batches(
        self, requests: Sequence[TokenRequest], members: Sequence[int], length: int, one_step: bool
    ) -> Iterator[list[int]]:
        """Members in batches of similar length, longest first."""
        batch: list[int] = []
        sizes = {at: len(requests[at].ids) - length for at in members}
        room = CACHE_BYTES // token_bytes(self._config, self._item_bytes)
        held = 0
        for at in sorted(members, key=lambda one: (-sizes[one], one)):
            longest = sizes[batch[0]] if batch else 0
            kept = 0 if one_step else len(requests[at].ids) + requests[at].max_tokens
            full = len(batch) == self.batch_size or (one_step and (len(batch) + 1) * longest > self._batch_tokens)
            if batch and (full or held + kept > room or (not self._plain and sizes[at] != longest)):
                yield batch
                batch, held = [], 0
            batch.append(at)
            held += kept
        if batch:
            yield batch

    def _score(self, rows: list[Writing], prefix: Pairs, length: int) -> list[Writing]:
        """One step of each row; nothing is kept."""
        cache = frozen(prefix, len(rows)) if prefix else None
        self._step(rows, self._read([row.request.ids[length:] for row in rows], cache))
        return rows

    def _write(
        self, rows: list[Writing], prefix: Pairs, length: int, cancelled: Callable[[int], bool]
    ) -> Iterator[Writing]:
        """Rows as they end, all stepping together."""
        import torch

        cache, real = self._read_kept(rows, prefix, length)
        lengths = [len(row.request.ids) for row in rows]
        while True:
            yield from (row for row in rows if row.finish)
            left = [at for at, row in enumerate(rows) if not row.finish and not cancelled(row.at)]
            if not left:
                return
            if len(left) < len(rows):
                rows, lengths, real = [rows[at] for at in left], [lengths[at] for at in left], real[left]
                keep_rows(cache, torch.tensor(left, device=self._device))
            real = torch.nn.functional.pad(real, (0, 1), value=True)
            positions = None
            mask = None if bool(real.all()) else real.long().to(self._device)
            if mask is not None:
                positions = torch.tensor([[n] for n in lengths], device=self._device)
            tokens = [(row.ids[-1],) for row in rows]
            self._step(rows, self._read(tokens, cache, mask=mask, positions=positions))
            lengths = [n + 1 for n in lengths]

    def _read_kept(self, rows: list[Writing], prefix: Pairs, length: int) -> tuple[Any, Any]:
        """(the rows' keys and values, which of them are real) after one step of each, in passes of bounded size."""
        import torch

        caches, at = [], 0
        while at < len(rows):
            longest = len(rows[at].request.ids) - length
            count = max(1, min(len(rows) - at, self._batch_tokens // longest)) if self._plain else len(rows)
            part = rows[at : at + count]
            caches.append(growing(self._config, prefix, count))
            self._step(part, self._read([row.request.ids[length:] for row in part], caches[-1]))
            at += count
        sizes = torch.tensor([len(row.request.ids) for row in rows])
        real = torch.arange(int(sizes.max()))[None, :] < sizes[:, None]
        return (caches[0] if len(caches) == 1 else join_rows(self._config, caches)), real

    def _step(self, rows: list[Writing], logits: Any) -> None:
        """Give each row its logits, and its labels' log-probabilities at the first step."""
        import torch

        if bool(torch.isnan(logits).any()):
            raise ModelError(
                f"{self.files.folder} gave logits that are no numbers; try dtype='float32', or its weights are damaged"
            )
        best = logits.argmax(dim=-1).tolist()
        for at, row in enumerate(rows):
            if row.request.labels and not row.ids and not row.labels:
                chances = torch.log_softmax(logits[at], dim=-1)
                row.labels = tuple(chances[list(row.request.labels)].tolist())
            if row.finish:
                continue
            if row.is_greedy:
                row.take_token(best[at])
            else:
                row.take(logits[at].cpu().numpy())

    # ── forward passes ───────────────────────────────────────────────────────────────────────────────

    def _prefix(self, ids: tuple[int, ...]) -> tuple[Pairs, int]:
        """(keys and values of a shared beginning, how many of its tokens were known already)."""
        with self._lock:
            known, pairs = 0, None
            if self._held is not None:
                known = common_length(ids, self._held[0])
                known = known if known >= LEAST_TOKENS else 0
                pairs = (
                    [(keys[:, :, :known], values[:, :, :known]) for keys, values in self._held[1]] if known else None
                )
            if pairs is None or known < len(ids):
                cache = growing(self._config, pairs)
                self._read([ids[known:]], cache)
                pairs = pairs_of(cache)
                if len(ids) * token_bytes(self._config, self._item_bytes) <= HELD_BYTES:
                    self._held = (ids, pairs)
            return pairs, known

    def _read(self, ids: Sequence[Sequence[int]], cache: Any, *, mask: Any = None, positions: Any = None) -> Any:
        """Logits (B, V), float32, of the token after each row; rows are padded on the right.

        A growing cache keeps the new tokens' keys and values, padding included.
        """
        import torch

        sizes = torch.tensor([len(one) for one in ids])
        tokens = torch.zeros((len(ids), int(sizes.max())), dtype=torch.long)
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = torch.tensor(one)
        given = {"past_key_values": cache, "attention_mask": mask, "position_ids": positions}
        try:
            with self._lock, torch.inference_mode():
                self._last = (sizes - 1).to(self._device)
                found = self._model(
                    input_ids=tokens.to(self._device),
                    use_cache=cache is not None,
                    **{name: value for name, value in given.items() if value is not None},
                )
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self.files.folder}: out of memory; lower batch_size. {error}") from error
        logits = found.logits
        if logits.shape[1] != 1:
            raise ModelError(f"{self.files.folder}: its output head is not run as a layer, which scoring relies on")
        return logits[:, 0].float()

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            self._model, self._device = load_model(self.files, self._device_name)
            self._config = self._model.config.get_text_config(decoder=True)
            self._plain = self._takes_padding()
            head = self._model.get_output_embeddings()
            if self.files.dtype != "float32":
                import torch

                head.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
            head.register_forward_pre_hook(self._before_head)
            self._item_bytes = 4 if self.files.dtype == "float32" else 2
            self._batch_tokens = CPU_BATCH_TOKENS if self._device.type == "cpu" else GPU_BATCH_TOKENS
            self._loaded = True

    def _before_head(self, head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of each row only the last real position goes through the head, in its precision: (B, L, D) -> (B, 1, D)."""
        import torch

        states = inputs[0]
        rows = torch.arange(states.shape[0], device=states.device)
        return (states[rows, self._last.to(states.device)][:, None].to(head.weight.dtype), *inputs[1:])

    def _takes_padding(self) -> bool:
        """Whether rows of different lengths can go together: all layers attend to everything, positions can be given.

        Raises:
            ModelError: Layers that are not attention, whose state padding would change.
        """
        import inspect

        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        kinds = {type(layer) for layer in growing(self._config).layers}
        if not kinds <= {DynamicLayer, DynamicSlidingWindowLayer}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ModelError(f"{self.files.folder}: layers of these kinds are not run here: {names}; only attention is")
        return kinds <= {DynamicLayer} and "position_ids" in inspect.signature(self._model.forward).parameters
