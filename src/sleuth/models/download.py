"""Getting a known model's files from the model hub (extra `hub`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sleuth.errors import MissingExtra, ModelError
from sleuth.models.cards import ModelCard
from sleuth.models.checksums import check_sha256
from sleuth.models.minilm_files import models_folder

__all__ = ["fetch", "local_files"]

PATTERNS = ("*.json", "*.safetensors", "*/config.json", "*.jinja")
"""What a model needs: no pickled weights, no code. (A chat template is jinja, which runs in a sandbox.)"""


def fetch(card: ModelCard) -> Path:
    """Download a model and return its folder.

    A card with checksums goes to the user's data folder and is checked; others stay in the hub's own cache
    (`HF_HOME`), where transformers finds them too.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        ModelError: The hub can't be reached, has no such model, or gave other bytes than expected.
    """
    if not card.sha256:
        return _snapshot(card.hub_name)
    folder = models_folder() / card.name
    _snapshot(card.hub_name, local_dir=folder)
    for name, expected in card.sha256.items():
        if not (folder / name).is_file():
            raise ModelError(f"the hub's {card.hub_name} has no {name}; nothing was installed at {folder}")
        check_sha256(folder / name, expected)
    return folder


def local_files(hub_name: str, *, revision: str | None = None) -> Path:
    """The folder of a model of the hub: from the hub's cache, or downloaded into it.

    `HF_HOME` and `HF_HUB_OFFLINE` act as they always do. `revision` is a branch, tag or commit; None is the default
    branch.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        ModelError: It is not to be had.
    """
    return _snapshot(hub_name, **({} if revision is None else {"revision": revision}))


def _snapshot(hub_name: str, **where: Any) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra(f"a model of the hub ({hub_name})", "hub", error) from error
    try:
        return Path(snapshot_download(hub_name, allow_patterns=list(PATTERNS), **where))
    except (OSError, ValueError) as error:  # the library's errors: no network, no such model, a bad name
        raise ModelError(f"{hub_name} can't be got from the model hub: {error}") from error
