"""Which calls are in flight, written down so that a kill can't hide them.

Each process that sends has one small file in a folder beside the cache: a row of slots, one for each call in flight,
with the call's key. Writing a slot costs microseconds and survives the process (though not a loss of power). The
process holds a lock on its file, which the kernel drops when the process ends, however it ends. So a file that can be
locked is of a dead process, and a key that stands in it was sent without its reply being seen: whoever asks for it
again counts it as unknown, and clears the slot. A file without keys is removed.

Where there are no such locks (Windows), every other file counts as dead.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sleuth.llm.loop import after_fork

if sys.platform != "win32":
    import fcntl

__all__ = ["InFlight"]

log = logging.getLogger(__name__)

SLOT_BYTES = 32
"""A key: SHA-256; zeros are a free slot."""

FREE = bytes(SLOT_BYTES)

HIDDEN = "."
FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0)

LOOK_AGAIN_S = 1.0
"""How old the list of other processes' files may get (ours); a changed folder is listed at once."""


@dataclass(eq=False)
class _File:
    """A process's file, kept open.

    Attributes:
        keys: Key -> its slots' offsets, of another process that is dead; else None.
    """

    path: Path
    descriptor: int
    keys: dict[bytes, list[int]] | None = None


class InFlight:
    """The calls in flight of this process, and those that dead processes left.

    Args:
        folder: Where the processes' files lie; made with the first call, mode 0700.

    All methods are safe in any thread. Keys are SHA-256 in hex.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._mine: _File | None = None
        self._slot_of: dict[bytes, int] = {}
        self._given_up: dict[bytes, list[int]] = {}
        self._free: list[int] = []
        self._slots = 0  # bytes of the own file
        self._others: dict[str, _File] = {}
        self._listed: tuple[int, float] = (-1, 0.0)
        _living.add(self)

    def begin(self, key: str) -> int:
        """Write down that a call is about to be sent.

        Returns:
            How often it was sent before without its reply being seen, and not counted yet.
        """
        raw = bytes.fromhex(key)
        with self._lock:
            if self._mine is None:
                self._mine = self._open_mine()
            if raw in self._slot_of:  # the same call is just being broken off
                self._given_up.setdefault(raw, []).append(self._slot_of.pop(raw))
            unknown = self._claim(raw)
            slot = self._free.pop() if self._free else self._slots
            if slot == self._slots:
                self._slots += SLOT_BYTES
            _write(self._mine.descriptor, raw, slot)
            self._slot_of[raw] = slot
        return unknown

    def end(self, key: str) -> None:
        """The call came to an end that is known: its reply is committed, or it failed."""
        raw = bytes.fromhex(key)
        with self._lock:
            slots = self._given_up.pop(raw, [])
            if raw in self._slot_of:
                slots.append(self._slot_of.pop(raw))
            self._clear(slots)

    def give_up(self, key: str) -> None:
        """The call was broken off after it was sent: it stays written down until it is asked again."""
        raw = bytes.fromhex(key)
        with self._lock:
            slot = self._slot_of.pop(raw, None)
            if slot is not None:
                self._given_up.setdefault(raw, []).append(slot)

    def left_behind(self) -> list[str]:
        """The keys that were sent without their replies being seen, and not asked again since."""
        with self._lock:
            self._look()
            found = [key for other in self._others.values() for key in (other.keys or {})]
            return [key.hex() for key in (*found, *self._given_up)]

    def forget(self) -> None:
        """Remove what dead processes left."""
        with self._lock:
            self._look()
            for other in [other for other in self._others.values() if other.keys is not None]:
                self._remove(other)

    def close(self) -> None:
        """Close all files; the own one is removed unless a call's end is not known."""
        with self._lock:
            for other in self._others.values():
                os.close(other.descriptor)
            if self._mine is not None:
                if not self._slot_of and not self._given_up:
                    self._mine.path.unlink(missing_ok=True)
                os.close(self._mine.descriptor)
            self._start()

    # ── inside, with the lock held ──

    def _start(self) -> None:
        self._mine = None
        self._slots = 0
        self._listed = (-1, 0.0)
        self._slot_of, self._given_up, self._free, self._others = {}, {}, [], {}

    def _open_mine(self) -> _File:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / secrets.token_hex(8)
        unlocked = self.folder / f"{HIDDEN}{path.name}"
        descriptor = os.open(unlocked, FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        _try_lock(descriptor)
        unlocked.rename(path)  # others see it only once it is locked
        return _File(path, descriptor)

    def _clear(self, slots: list[int]) -> None:
        for slot in slots:
            if self._mine is not None:
                _write(self._mine.descriptor, FREE, slot)
                self._free.append(slot)

    def _claim(self, key: bytes) -> int:
        """Take a key out of what was left behind; returns how often it stood there."""
        self._look()
        given_up = self._given_up.pop(key, [])
        self._clear(given_up)
        count = len(given_up)
        for other in [other for other in self._others.values() if other.keys and key in other.keys]:
            count += self._claim_from(other, key)
        return count

    def _claim_from(self, other: _File, key: bytes) -> int:
        count = 0
        keys = other.keys or {}
        with _locked(other.descriptor):  # another process may claim the same
            for slot in keys.pop(key):
                if _read(other.descriptor, SLOT_BYTES, slot) == key:
                    _write(other.descriptor, FREE, slot)
                    count += 1
        if not keys:
            self._remove(other)
        return count

    def _remove(self, other: _File) -> None:
        other.path.unlink(missing_ok=True)
        os.close(other.descriptor)
        del self._others[other.path.name]

    def _look(self) -> None:
        """Find other processes' files, and which of them are dead."""
        try:
            changed, now = self.folder.stat().st_mtime_ns, time.monotonic()
        except FileNotFoundError:
            return
        if changed != self._listed[0] or now - self._listed[1] > LOOK_AGAIN_S:
            self._listed = changed, now
            self._list()
        for other in list(self._others.values()):
            if other.keys is None and _try_lock(other.descriptor):
                other.keys = _keys_in(other.descriptor)
                _unlock(other.descriptor)
                if not other.keys:
                    self._remove(other)

    def _list(self) -> None:
        for path in self.folder.iterdir():
            mine = self._mine is not None and path == self._mine.path
            if mine or path.name in self._others or path.name.startswith(HIDDEN):
                continue
            with suppress(FileNotFoundError):  # removed meanwhile
                self._others[path.name] = _File(path, os.open(path, FLAGS))

    def _forget_parent(self) -> None:
        """In a forked child: its parent's files are the parent's. Open, they would seem alive after its death."""
        for other in self._others.values():
            os.close(other.descriptor)
        if self._mine is not None:
            os.close(self._mine.descriptor)
        self._lock = threading.Lock()
        self._start()


def _write(descriptor: int, key: bytes, slot: int) -> None:
    os.lseek(descriptor, slot, os.SEEK_SET)
    os.write(descriptor, key)


def _read(descriptor: int, size: int, slot: int) -> bytes:
    os.lseek(descriptor, slot, os.SEEK_SET)
    return os.read(descriptor, size)


def _keys_in(descriptor: int) -> dict[bytes, list[int]]:
    size = os.fstat(descriptor).st_size
    found: dict[bytes, list[int]] = {}
    content = _read(descriptor, size, 0)
    for slot in range(0, len(content) - SLOT_BYTES + 1, SLOT_BYTES):
        key = content[slot : slot + SLOT_BYTES]
        if key != FREE:
            found.setdefault(key, []).append(slot)
    return found


def _try_lock(descriptor: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            log.debug("no file locks here (%s)", error)
    return True


def _unlock(descriptor: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _unlock(descriptor)


_living: weakref.WeakSet[InFlight] = weakref.WeakSet()


def _forget() -> None:
    for one in list(_living):
        one._forget_parent()


after_fork(_forget)
