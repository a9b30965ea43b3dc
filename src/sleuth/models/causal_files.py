"""What a causal language model's folder says, without its weights; and loading them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import FormatError, MissingExtra, ModelError, UnknownName, UsageError
from sleuth.models.checksums import known_sha256
from sleuth.models.prompt_tokens import PromptTokens

__all__ = ["CausalFiles", "load_model"]

DTYPES = ("float32", "bfloat16", "float16")

VERSION = 1
"""Part of every identity; raised when this package's way from request to answer changes."""


class CausalFiles:
    """A checkpoint's files.

    Args:
        folder: config.json, tokenizer.json and safetensors weights.
        dtype: "float32", "bfloat16", "float16", or "auto" for the checkpoint's own.

    Attributes:
        folder: The folder.
        dtype: In full, never "auto".
        window: Longest prompt and answer together (`max_position_embeddings`), or None where it has no limit.
        tokens: Its tokenizer and chat template.
        ends: Tokens that end an answer: those of generation_config.json and config.json, and the tokenizer's own.
        identity: A hash of weights, tokenizer, template and precision: equal ones answer alike.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: Something is missing.
    """

    def __init__(self, folder: str | Path, *, dtype: str = "float32") -> None:
        for library in ("torch", "transformers"):
            if find_spec(library) is None:
                raise MissingExtra("a language model in this process", "models")
        self.folder = Path(folder)
        config_path = self.folder / "config.json"
        if not config_path.is_file():
            raise ModelError(f"{folder} is no model: it has no config.json")
        config = _read_object(config_path)
        weights = sorted(self.folder.glob("*.safetensors"))
        if not weights:
            raise ModelError(f"{folder} has no safetensors weights; pickled ones are not loaded")
        own = str(config.get("dtype") or config.get("torch_dtype") or "float32")
        self.dtype = own if dtype == "auto" else dtype
        if self.dtype not in DTYPES:
            raise UnknownName("dtype", self.dtype, [*DTYPES, "auto"])
        self.tokens = PromptTokens(self.folder)
        text = config.get("text_config") or config
        window = next((text[key] for key in ("max_position_embeddings", "n_positions") if key in text), None)
        self.window = int(window) if window else None
        generation = _read_object(self.folder / "generation_config.json")
        found = {self.tokens.end_id, *_ids(generation.get("eos_token_id")), *_ids(text.get("eos_token_id"))}
        self.ends = tuple(sorted(one for one in found if one is not None))
        self.identity = self._identity(weights)

    def _identity(self, weights: list[Path]) -> str:
        template = self.tokens.template
        record = {
            "version": VERSION,
            "weights": [known_sha256(path) for path in weights],
            "config": known_sha256(self.folder / "config.json"),
            "tokenizer": known_sha256(self.folder / "tokenizer.json"),
            "template": None if template is None else [template.source, dict(template.names)],
            "ends": self.ends,
            "dtype": self.dtype,
        }
        return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load_model(files: CausalFiles, device: str | None) -> tuple[Any, Any]:
    """(the model in evaluation mode, its device).

    Raises:
        MissingExtra: An installation that can't be imported.
        ModelError: transformers can't load it without running its code.
        UsageError: There is no such device.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise MissingExtra("a language model in this process", "models", error) from error
    try:
        config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False)
        with _no_progress_bar():
            model, loaded = AutoModelForCausalLM.from_pretrained(
                files.folder,
                config=config,
                dtype=getattr(torch, files.dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"transformers can't load {files.folder} as a causal language model: {error}") from error
    if loaded["missing_keys"]:
        absent = sorted(loaded["missing_keys"])
        raise ModelError(
            f"{files.folder} is no whole causal language model: it lacks {len(absent)} tensors ({', '.join(absent[:3])}"
            ", …), which would be filled with random numbers"
        )
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return model.eval().requires_grad_(False).to(place), place
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} can't be used: {error}") from error


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """A library draws nothing on the terminal of the program that uses it."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _ids(value: Any) -> list[int]:
    """Token ids, which configurations give alone or as a list."""
    if value is None:
        return []
    return [int(one) for one in value] if isinstance(value, list) else [int(value)]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FormatError(path, f"not JSON ({error}); get the model's files again") from error
    if not isinstance(value, dict):
        raise FormatError(path, f"holds a {type(value).__name__}, expected an object")
    return value
