"""What a run was: versions, seed, inputs, settings, counts, cost.

A command that writes `X` also writes `X.manifest.json`. Secrets never enter it: settings whose name
speaks of a key, token or password are left out.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import orjson

__all__ = ["Manifest", "atomic_file", "file_sha256", "write_atomic"]

LIBRARIES = ("numpy", "scipy", "numba", "PyStemmer", "tokenizers", "torch", "transformers")
SECRET = re.compile(r"(api[_-]?key|secret|password|authorization|access[_-]?token)", re.IGNORECASE)


class Manifest(dict[str, Any]):
    """A JSON-like record of one run; start it with `Manifest.begin`, write it with `write`."""

    @classmethod
    def begin(cls, command: str, *, seed: int = 0, settings: Mapping[str, Any] | None = None) -> Manifest:
        """Versions, machine, time and settings as they are now."""
        from sleuth import __version__

        return cls(
            schema="sleuth.manifest/1",
            command=command,
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            versions={"sleuth": __version__, "python": platform.python_version(), **_versions()},
            platform=f"{sys.platform} {platform.machine()}",
            seed=seed,
            settings=_without_secrets(dict(settings or {})),
            inputs={},
            counts={},
            truncations={},
            cost={},
        )

    def add_input(self, name: str, path: str | Path) -> None:
        """Name a file the run read, with its SHA-256 and size; a folder only by name."""
        path = Path(path)
        entry: dict[str, Any] = {"path": str(path)}
        if path.is_file():
            entry |= {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        self["inputs"][name] = entry

    def write(self, output: str | Path) -> Path:
        """Write `<output>.manifest.json` atomically and return its path."""
        target = Path(f"{output}.manifest.json")
        self["finished"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_atomic(target, orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        return target


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hex, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: str | Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    with atomic_file(path, sync=sync) as handle:
        handle.write(content)


@contextmanager
def atomic_file(path: str | Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A file to write whose content appears under its name all at once, when the block ends well.

    The bytes go to a temporary file in the same folder, which is renamed over the target; if the block
    raises, the target stays as it was.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent or ".")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            if sync:
                handle.flush()
                os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable (no effect where the system has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_secrets(item) for key, item in value.items() if not SECRET.search(str(key))}
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return value
