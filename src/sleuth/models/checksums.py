"""SHA-256 of model files, computed once per file.

Hashing 90 MB takes 60 ms, 16 GB ten seconds. So sums are remembered in the user's cache folder under the
file's path, size and time of change; a file that was changed is hashed again.
"""

from __future__ import annotations

import logging
from pathlib import Path

import orjson
import platformdirs

from sleuth.errors import ModelError
from sleuth.manifest import file_sha256, write_atomic

__all__ = ["check_sha256", "known_sha256"]

log = logging.getLogger(__name__)

SMALL_BYTES = 1 << 20
"""Smaller files are hashed each time: that is as fast as looking them up (ours)."""

LARGEST_MEMORY = 1000
"""Remembered files; beyond that the oldest are forgotten (ours)."""


def known_sha256(path: str | Path) -> str:
    """The SHA-256 of a file in hex, remembered where the file has not changed since."""
    path = Path(path).resolve()
    status = path.stat()
    if status.st_size < SMALL_BYTES:
        return file_sha256(path)
    memory = Path(platformdirs.user_cache_dir("sleuth")) / "checksums.json"
    key = f"{path}\n{status.st_size}\n{status.st_mtime_ns}"
    sums = _remembered(memory)
    if key not in sums:
        sums[key] = file_sha256(path)
        _remember(memory, dict(list(sums.items())[-LARGEST_MEMORY:]))
    return sums[key]


def check_sha256(path: str | Path, expected: str) -> None:
    """Refuse a file that is not the expected bytes.

    Raises:
        ModelError: It is another file; names both sums.
    """
    found = known_sha256(path)
    if found != expected:
        raise ModelError(f"{path} is not the expected file: its SHA-256 is {found}, expected {expected}")


def _remembered(memory: Path) -> dict[str, str]:
    try:
        sums = orjson.loads(memory.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.info("%s is unreadable and will be made anew: %s", memory, error)
        return {}
    return sums if isinstance(sums, dict) else {}


def _remember(memory: Path, sums: dict[str, str]) -> None:
    """Keep the sums; a folder that can't be written costs time at the next start, nothing else."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(memory, orjson.dumps(sums), sync=False)
    except OSError as error:
        log.info("checksums are not remembered: %s", error)
