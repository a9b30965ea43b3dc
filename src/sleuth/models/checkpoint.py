"""What a sentence encoder's folder says about itself.

The layout is sentence-transformers': `config.json`, `tokenizer.json` and `model.safetensors` of the
backbone, `modules.json` with the steps after it, `1_Pooling/config.json`, prompts in
`config_sentence_transformers.json`. A folder without `modules.json` is a bare backbone: it says nothing
about pooling, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from sleuth.errors import FormatError, ModelError

__all__ = ["Checkpoint", "Pooling", "read_checkpoint"]

Pooling = Literal["mean", "cls", "last"]

MODES: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
OLD_KEYS: dict[str, str] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""How sentence-transformers before 5.x spelled the modes."""

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Where sentence-transformers' `encode_document` looks for its prompt, in this order."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder's own word on how texts become vectors.

    Attributes:
        folder: The folder.
        config: config.json.
        is_sentence_encoder: Whether it has modules.json; without, `pooling` is None.
        pooling: How token states become one vector.
        pool_prompt: Whether the prompt's tokens take part in pooling.
        unit_norm: Whether vectors are scaled to length 1: a Normalize step, or cosine as the similarity.
        max_tokens: Longest input with special tokens, or None where the folder doesn't say.
        query_prompt, doc_prompt: Put before texts.
        lower_case: Texts are lowered before the tokenizer sees them.
    """

    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    is_sentence_encoder: bool
    pooling: Pooling | None
    pool_prompt: bool
    unit_norm: bool
    max_tokens: int | None
    query_prompt: str
    doc_prompt: str
    lower_case: bool


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a folder's configuration; no weights.

    Raises:
        ModelError: No config.json, or steps and modes that are not computed here; names them.
        FormatError: A file that is not JSON.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no model: it has no config.json")
    modules = _read(folder / "modules.json", [])
    own = _read(folder / "config_sentence_transformers.json", {})
    text = _read(folder / "sentence_bert_config.json", {})
    pooling, pool_prompt, unit_norm = _steps(folder, modules)
    prompts = own.get("prompts") or {}
    return Checkpoint(
        folder=folder,
        config=_read(folder / "config.json", {}),
        is_sentence_encoder=bool(modules),
        pooling=pooling,
        pool_prompt=pool_prompt,
        unit_norm=unit_norm or own.get("similarity_fn_name", "cosine") == "cosine",
        max_tokens=_max_tokens(folder, text),
        query_prompt=prompts.get("query") or "",
        doc_prompt=next((prompts[name] for name in DOCUMENT_PROMPTS if prompts.get(name)), ""),
        lower_case=bool(text.get("do_lower_case")),
    )


def _steps(folder: Path, modules: list[dict[str, Any]]) -> tuple[Pooling | None, bool, bool]:
    """(pooling, whether the prompt is pooled, whether there is a Normalize step)."""
    pooling: Pooling | None = None
    pool_prompt, unit_norm = True, False
    for module in modules:
        step = str(module.get("type", "")).rsplit(".", 1)[-1]
        if step == "Transformer":
            if module.get("path"):
                raise ModelError(f"{folder}: its backbone lies in {module['path']!r}; only the flat layout is read")
        elif step == "Pooling":
            config = _read(folder / str(module["path"]) / "config.json", {})
            pooling, pool_prompt = _pooling(folder, config), bool(config.get("include_prompt", True))
        elif step == "Normalize":
            unit_norm = True
        else:
            raise ModelError(f"{folder}: step {step!r} of modules.json is not computed here, only Transformer, "
                             "Pooling and Normalize are")  # fmt: skip
    if modules and pooling is None:
        raise ModelError(f"{folder}: modules.json has no Pooling step")
    return pooling, pool_prompt, unit_norm


def _pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    """The one pooling mode of a Pooling step's configuration, in the new or the old spelling."""
    mode = config.get("pooling_mode")
    if mode is None:
        on = [name for key, name in OLD_KEYS.items() if config.get(key)]
        mode = on[0] if len(on) == 1 else tuple(on)
    if not isinstance(mode, str) or mode not in MODES:
        raise ModelError(f"{folder}: pooling {mode!r} is not computed here, only {', '.join(MODES)}")
    return MODES[mode]


def _max_tokens(folder: Path, text: Mapping[str, Any]) -> int | None:
    """sentence_bert_config.json's limit, else the tokenizer's own; above 10^6 means "no limit"."""
    limits = [text.get("max_seq_length"), _read(folder / "tokenizer_config.json", {}).get("model_max_length")]
    return next((int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 10**6), None)


def _read(path: Path, absent: Any) -> Any:
    """A JSON file's value, or `absent` without the file; another type than `absent`'s is refused."""
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return absent
    except ValueError as error:
        raise FormatError(path, f"not JSON ({error}); get the model's files again") from error
    if not isinstance(value, type(absent)):
        raise FormatError(path, f"holds a {type(value).__name__}, expected a {type(absent).__name__}")
    return value
