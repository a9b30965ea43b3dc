"""Opening an encoder by name.

open_encoder("minilm")                                    # no torch
open_encoder("minilm?max_doc_tokens=128")                 # documents cut earlier; what an index would store
open_encoder("reasonir-8b", instruction="Given a biology post, retrieve ...", dtype="bfloat16")
open_encoder("path/to/folder")                            # its own modules.json says what it is
open_encoder("org/name", kind="bi-encoder", pooling="mean")
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from sleuth.errors import MissingExtra, ModelError, UnknownName, UsageError
from sleuth.models.cards import Kind, ModelCard, get_card, list_models
from sleuth.models.checkpoint import Checkpoint, read_checkpoint
from sleuth.models.settings import split_name
from sleuth.stages import Encoder

__all__ = ["open_encoder"]


def open_encoder(
    name: str | Path,
    *,
    kind: Kind | None = None,
    max_tokens: int | None = None,
    max_doc_tokens: int | None = None,
    query_prompt: str | None = None,
    doc_prompt: str | None = None,
    instruction: str | None = None,
    pooling: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    workers: int | None = None,
) -> Encoder:
    """Open an encoder. Options beat those in the name, those the card, and the card the checkpoint.

    Args:
        name: A known name (`list_models`), a folder, or a name on the model hub; with `?option=value&…` behind.
            The encoder's own `name` has that form and opens the same encoder again.
        kind: "bert" runs without torch, "bi-encoder" with it (extra `models`). Needed for a name that is not
            known and whose folder has no modules.json.
        max_tokens, max_doc_tokens: Longest query and longest document; by default the checkpoint's.
        query_prompt, doc_prompt: Put before texts; "" for none.
        instruction: Fills `{instruction}` of the query's prompt.
        pooling: "mean", "cls" or "last", where the checkpoint doesn't say.
        dtype: "float32" (default), "bfloat16" or "float16"; the last two for kind "bi-encoder".
        device: Of torch; by default a GPU if there is one.
        workers: Threads of kind "bert".

    Raises:
        ModelError: The files are not to be had, or not what they should be.
        UsageError: An empty name; nothing says what the checkpoint is, or how it pools.
        MissingExtra: What is needed to run or to download it is not installed.
    """
    if not isinstance(name, (str, Path)) or not str(name).strip():
        raise UsageError(f"an encoder's name must be a str or a path, not empty, got {name!r}; try 'minilm'")
    base, options = _split(str(name))
    given = {
        "kind": kind,
        "max_tokens": max_tokens,
        "max_doc_tokens": max_doc_tokens,
        "query_prompt": query_prompt,
        "doc_prompt": doc_prompt,
        "instruction": instruction,
        "pooling": pooling,
        "dtype": dtype,
    }
    options |= {key: value for key, value in given.items() if value is not None}
    if options.get("kind", "bert") not in get_args(Kind):
        raise UnknownName("kind of encoder", str(options["kind"]), list(get_args(Kind)))
    card = next((card for card in list_models() if base in (card.name, card.hub_name)), None)
    known_kind = options.get("kind") or (card.kind if card else None)
    if known_kind == "bi-encoder":
        _need_torch(base)  # before gigabytes are downloaded
    folder, own_name = _locate(base, card)
    chosen = known_kind or _own_kind(base, read_checkpoint(folder))
    if chosen == "bert":
        from sleuth.models.minilm import BertEncoder

        return BertEncoder(folder, name=own_name, card=card, workers=workers, **options)
    from sleuth.models.bi_encoder import BiEncoder

    return BiEncoder(folder, name=own_name, card=card, device=device, **options)


def _need_torch(base: str) -> None:
    for library in ("torch", "transformers"):
        if find_spec(library) is None:
            raise MissingExtra(f"the bi-encoder {base!r}", "models")


def _split(name: str) -> tuple[str, dict[str, Any]]:
    """Name and options; a folder whose name has a "?" is a folder."""
    return (name, {}) if Path(name).is_dir() else split_name(name)


def _locate(base: str, card: ModelCard | None) -> tuple[Path, str]:
    """(folder of the files, the name to keep)."""
    if card is not None and card.name == "minilm":
        from sleuth.models.minilm_files import find_minilm

        return find_minilm(), card.name
    if card is not None:
        from sleuth.models.download import local_files

        return local_files(card.hub_name), card.name
    if Path(base).is_dir():
        return Path(base), str(Path(base).resolve())
    if base.count("/") != 1 or base.startswith((".", "/", "~")):
        get_card(base)  # raises UnknownName with the nearest
        raise ModelError(f"{base} is neither a folder, a known model nor a name on the model hub")
    from sleuth.models.download import local_files

    return local_files(base), base


def _own_kind(base: str, checkpoint: Checkpoint) -> Kind:
    """What an unknown checkpoint's own configuration says it is."""
    if not checkpoint.is_sentence_encoder:
        raise UsageError(
            f"{base} has no modules.json, so nothing says that it is a sentence encoder; if it is one, pass "
            "kind='bi-encoder' (or 'bert') and pooling=…"
        )
    bert = checkpoint.config.get("model_type") == "bert" and checkpoint.config.get("hidden_act") == "gelu"
    return "bert" if bert and checkpoint.pooling in ("mean", "cls") else "bi-encoder"
