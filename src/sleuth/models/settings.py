"""How an encoder is used: pooling, prompts, lengths; and the name and identity that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode

import orjson

from sleuth.errors import UnknownName, UsageError
from sleuth.models.cards import ModelCard
from sleuth.models.checkpoint import Checkpoint, Pooling

__all__ = ["EncoderSettings", "join_name", "resolve_settings", "split_name"]

VERSION = 1
"""Part of every identity; raised when this package's way from text to vector changes."""

OPTIONS: dict[str, type] = {
    "kind": str,
    "max_tokens": int,
    "max_doc_tokens": int,
    "query_prompt": str,
    "doc_prompt": str,
    "instruction": str,
    "pooling": str,
    "dtype": str,
}
"""What a name can carry behind its "?", and what each is."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """Everything but the weights that decides a vector.

    Attributes:
        pooling: "mean", "cls" or "last".
        pool_prompt: Whether the prompt's tokens (and the opening ones) are pooled.
        unit_norm: Whether vectors have length 1.
        max_tokens, max_doc_tokens: Longest query and longest document, special tokens included.
        query_prompt, doc_prompt: Put before texts.
        lower_case: Texts are lowered first.
        bidirectional: A decoder without its causal mask.
        dtype: "float32" or what the weights were cast to.
    """

    pooling: Pooling
    pool_prompt: bool
    unit_norm: bool
    max_tokens: int
    max_doc_tokens: int
    query_prompt: str
    doc_prompt: str
    lower_case: bool
    bidirectional: bool
    dtype: str

    def identity(self, **files: str) -> str:
        """A hash over these settings and the files' hashes.

        It does not name the runtime: numpy and torch agree to 1e-6 in float32, so an index made with one
        is searched with the other.
        """
        record = {"version": VERSION, "settings": asdict(self), "files": files}
        return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def resolve_settings(checkpoint: Checkpoint, card: ModelCard | None, options: Mapping[str, Any]) -> EncoderSettings:
    """Settings from the user's options, else the card, else the checkpoint's own configuration.

    Raises:
        UsageError: Nobody says how to pool, or lengths that the model does not have.
    """
    where = str(checkpoint.folder)
    pooling = options.get("pooling") or (card and card.pooling) or checkpoint.pooling
    if pooling is None:
        modes = ", ".join(get_args(Pooling))
        raise UsageError(f"{where} has no modules.json that says how to pool; pass pooling=… ({modes})")
    if pooling not in get_args(Pooling):
        raise UnknownName("pooling", str(pooling), list(get_args(Pooling)))
    positions = checkpoint.config.get("max_position_embeddings")
    stated = options.get("max_tokens") or (card and card.max_tokens) or checkpoint.max_tokens or positions
    if stated is None:
        raise UsageError(f"{where} does not say how long its input may be; pass max_tokens=…")
    doc_tokens = options.get("max_doc_tokens") or stated
    for name, value in (("max_tokens", stated), ("max_doc_tokens", doc_tokens)):
        if not isinstance(value, int) or value < 1 or (positions is not None and value > positions):
            raise UsageError(f"{name} must be a whole number from 1 to the model's {positions}, got {value!r}")
    doc_prompt = _first(options.get("doc_prompt"), card and card.doc_prompt, checkpoint.doc_prompt)
    query_prompt = _first(options.get("query_prompt"), card and card.query_prompt, checkpoint.query_prompt)
    return EncoderSettings(
        pooling=pooling,
        pool_prompt=_first(card and card.pool_prompt, checkpoint.pool_prompt),
        unit_norm=checkpoint.unit_norm,
        max_tokens=stated,
        max_doc_tokens=doc_tokens,
        query_prompt=_fill(query_prompt, _first(options.get("instruction"), card and card.instruction, ""), doc_prompt),
        doc_prompt=doc_prompt,
        lower_case=checkpoint.lower_case,
        bidirectional=bool(card and card.bidirectional),
        dtype=options.get("dtype") or "float32",
    )


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next(value for value in values if value is not None)


def _fill(template: str, instruction: str, plain: str) -> str:
    """The query's prompt; without an instruction a template that asks for one is the plain prompt."""
    if "{instruction}" not in template:
        return template
    return template.replace("{instruction}", instruction) if instruction else plain


def split_name(name: str) -> tuple[str, dict[str, Any]]:
    """`minilm?max_doc_tokens=128` -> ("minilm", {"max_doc_tokens": 128}).

    Raises:
        UnknownName: An option that does not exist.
        UsageError: A value of another type.
    """
    base, _, query = name.rpartition("?") if "?" in name else (name, "", "")
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise UnknownName("option of an encoder", key, list(OPTIONS))
        try:
            options[key] = OPTIONS[key](value)
        except ValueError:
            raise UsageError(f"{name}: {key} must be a whole number, got {value!r}") from None
    return base, options


def join_name(base: str, options: Mapping[str, Any]) -> str:
    """The name that opens the same encoder again: what an index stores."""
    given = {key: options[key] for key in OPTIONS if options.get(key) is not None}
    return f"{base}?{urlencode(given)}" if given else base
