"""Which processes that wrote to a cache still live.

Each process draws a number and holds a lock on that byte of one small file beside the cache. The kernel drops the
lock when the process ends, however it ends, so a number whose byte is free is of a dead process; unlike a process id
it is not used again, and means the same in every container. Where there are no such locks (Windows, some network
file systems), every other number counts as dead: a call still in flight elsewhere may then be counted as unknown.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from sleuth.llm.loop import after_fork

__all__ = ["Owners"]

log = logging.getLogger(__name__)

NUMBER_BITS = 40
"""Offsets stay below every file system's limit (ext4: 2^44), numbers of living processes apart (ours)."""


@dataclass
class _File:
    descriptor: int
    mine: int


_files: dict[str, _File] = {}
"""One descriptor a file and process, never closed: closing any of them would drop all the process's locks."""
_lock = threading.RLock()


class Owners:
    """The numbers of one cache's writers.

    Args:
        path: The file of locks; made where absent, with mode 0600. It stays empty.

    Raises:
        OSError: The file can't be made.
    """

    def __init__(self, path: Path) -> None:
        found = _files.get(str(path))
        if found is None:
            with _lock:
                found = _files.get(str(path))
                if found is None:
                    found = _files[str(path)] = _begin(path)
        self._file = found

    def mine(self) -> int:
        """This process's number; a forked child has its own."""
        return self._file.mine

    def alive(self, number: int) -> bool:
        """Whether the process with this number lives; 0 is nobody's."""
        if number in (0, self._file.mine):
            return number != 0
        return not _lock_byte(self._file.descriptor, number, only_test=True)


def _begin(path: Path) -> _File:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    number = 1 + secrets.randbelow(2**NUMBER_BITS)
    while not _lock_byte(descriptor, number, only_test=False):
        number = 1 + secrets.randbelow(2**NUMBER_BITS)
    return _File(descriptor, number)


def _lock_byte(descriptor: int, number: int, *, only_test: bool) -> bool:
    """Whether a byte was free (or can't be told); it is then locked, unless that is only to be tested."""
    if not hasattr(os, "lockf"):
        return True
    with _lock:  # the descriptor has one position, which all threads share
        os.lseek(descriptor, number, os.SEEK_SET)
        try:
            os.lockf(descriptor, os.F_TEST if only_test else os.F_TLOCK, 1)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            log.debug("no record locks here (%s)", error)
    return True


def _forget() -> None:
    """A child holds none of its parent's locks; it draws a number of its own."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    _files.clear()


after_fork(_forget)
