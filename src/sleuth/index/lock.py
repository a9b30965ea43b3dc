"""One writer at a time: the lock file of an index folder.

The file `lock` names its owner: pid, host and the time the process started (so that a reused pid is
told apart). On POSIX the owner also holds a record lock on it, which the kernel drops when the process
dies, however it dies. A lock is free when nobody holds the record lock and its owner was a process of
this host that is gone; then it is taken over without a word to the user but one in the log.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import IndexError_, IndexLocked

if sys.platform != "win32":
    import fcntl

__all__ = ["LOCK_FILE", "WriterLock"]

log = logging.getLogger(__name__)

LOCK_FILE = "lock"

GONE = "gone"
"""A killed process whose parent has not yet asked for its exit status still has a pid."""

_held: set[str] = set()
"""Lock files this process holds. Record locks do not see two threads of one process, and opening such a
file a second time would drop the first lock, so this set is asked first."""
_held_lock = threading.Lock()


class WriterLock:
    """Holds an index folder for writing; use it as a context manager.

    Args:
        folder: The index folder; must exist.

    Raises:
        IndexLocked: On entering, when another writer is at work; names its pid and host.
        IndexError_: On entering, when the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder.resolve() / LOCK_FILE
        self._descriptor = -1

    def __enter__(self) -> WriterLock:
        with _held_lock:
            if str(self.path) in _held:
                raise IndexLocked(f"{self.path.parent}: another thread of this process writes to it; wait for it")
            _held.add(str(self.path))
        try:
            self._descriptor = self._acquire()
        except BaseException as error:
            with _held_lock:
                _held.discard(str(self.path))
            if isinstance(error, OSError):
                raise IndexError_(
                    f"{self.path.parent} can't be written ({error.strerror}). Searching it works; to change it, "
                    "give yourself write permission or work on a copy."
                ) from error
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
        finally:
            with _held_lock:
                _held.discard(str(self.path))

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                owner = _read_owner(descriptor)
                if not _try_lock(descriptor) or _is_alive(owner):
                    raise IndexLocked(_message(self.path, owner))
                if not _still_there(descriptor, self.path):  # its owner finished and removed it meanwhile
                    os.close(descriptor)
                    continue
                if owner:
                    log.warning("%s: took over the lock of process %s, which is gone", self.path, owner.get("pid"))
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, orjson.dumps(_myself()))
                return descriptor
            except BaseException:
                os.close(descriptor)
                raise


def _try_lock(descriptor: int) -> bool:
    """Take the kernel's record lock; False when another process has it.

    File systems without such locks (some network ones) leave the decision to the owner's pid.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.debug("no record locks here (%s); relying on the lock file's pid", error)
    return True


def _read_owner(descriptor: int) -> dict[str, Any]:
    """What the lock file says; empty for a new one or one whose writer died before it wrote."""
    content = os.read(descriptor, 4096)
    try:
        owner = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _myself() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "pid": pid,
        "host": socket.gethostname(),
        "started": _start_time(pid),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _is_alive(owner: dict[str, Any]) -> bool:
    """Whether the owner may still be at work; when in doubt, it is."""
    pid, host = owner.get("pid"), owner.get("host")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if host != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's, and alive
    then, now = owner.get("started"), _start_time(pid)
    return now != GONE and not (then and now and then != now)


def _start_time(pid: int) -> str:
    """When a process of this host started, in the system's own terms; GONE if it only awaits its parent.

    Empty where it can't be told.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        # Fields 3 and 22, counted behind the last ")" because the command's name may hold anything.
        fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return GONE if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    if sys.platform == "darwin":
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return done.stdout.strip()
    return ""


def _message(path: Path, owner: dict[str, Any]) -> str:
    if not owner:
        return f"{path.parent}: another process has just begun to write to it; try again in a moment"
    who = f"process {owner.get('pid')} on {owner.get('host')}"
    elsewhere = owner.get("host") != socket.gethostname() or sys.platform == "win32"
    hint = f" If that process is gone, delete {path}." if elsewhere else ""
    return f"{path.parent}: {who} has been writing to it since {owner.get('since')}; wait for it to finish.{hint}"
