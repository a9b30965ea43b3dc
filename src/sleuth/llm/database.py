"""The cache's SQLite file: made at once or not at all, opened, read, written and closed, also around a fork.

Write-ahead logging lets readers and one writer work at the same time, over processes. `synchronous=NORMAL`: a killed
process loses nothing that was committed; a machine that loses power may lose the last commits, never the file.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sleuth.errors import FormatError, LLMError, UsageError
from sleuth.llm.loop import after_fork
from sleuth.llm.writer import Writer

__all__ = ["SCHEMA_VERSION", "SIBLINGS", "Database", "connect", "explain", "make", "remove_damaged"]

T = TypeVar("T")

SCHEMA_VERSION = 1
APPLICATION = 0x534C4C4D
"""Tells our file from other SQLite files ("SLLM")."""

BUSY_S = 30.0
"""How long to wait for another process's transaction, which takes milliseconds (ours)."""

SQLITE_MAGIC = b"SQLite format 3\0"
ANOTHER = "name another file (SLEUTH_CACHE=PATH)"
EMPTY = "sleuth cache prune --all"

SIBLINGS = ("", "-wal", "-shm")

SCHEMA = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,   -- SHA-256 of the backend's identity and the request's content
    made REAL NOT NULL,         -- when the reply came, seconds since 1970
    used REAL NOT NULL,         -- when it was last asked for, to a day
    bytes INTEGER NOT NULL,     -- of tags, reply and request
    identity TEXT NOT NULL,
    tags TEXT NOT NULL,         -- JSON; of whoever asked first
    reply TEXT NOT NULL,        -- JSON
    request TEXT NOT NULL       -- JSON; its SHA-256 is the digest without identity
);
CREATE INDEX replies_used ON replies (used, bytes);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class _Parts:
    """What has to be closed: a reading connection, and a writer with its thread."""

    def __init__(self) -> None:
        self.reader: sqlite3.Connection | None = None
        self.writer: Writer | None = None

    def close(self) -> None:
        writer, self.writer = self.writer, None
        reader, self.reader = self.reader, None
        if writer is not None:
            writer.close()
        if reader is not None:
            reader.close()


class Database:
    """The file, for all threads of this process.

    Args:
        path: The file; made where absent or empty, with its folder, mode 0600.

    Raises:
        UsageError: The path is a folder or can't be made.
        FormatError: The file is damaged, no cache, or of another version of Sleuth.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._parts = _Parts()
        self._finalizer = weakref.finalize(self, self._parts.close)
        make(path)
        _living.add(self)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            FormatError, LLMError: As `explain` has it.
        """
        try:
            with self._lock:
                if self._parts.reader is None:
                    self._parts.reader = connect(self.path)
                return self._parts.reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    def write(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have `work` done in a transaction of the writer's thread (`Writer.do`)."""
        with self._lock:
            if self._parts.writer is None:
                self._parts.writer = Writer(partial(connect, self.path), partial(explain, self.path))
            return self._parts.writer.do(work)

    def shrink(self) -> None:
        """Give the space of what was removed back to the file system.

        Raises:
            FormatError, LLMError: As `explain` has it.
        """
        try:
            connection = connect(self.path)
            try:
                connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    def close(self) -> None:
        """Write what waits and close; using it again opens it again."""
        with self._lock:
            self._parts.close()

    # ── fork ──

    def _pause(self) -> None:
        """Close everything: SQLite's own book of locks, copied to a child, would be wrong there."""
        self._lock.acquire()
        if self._parts.writer is not None:
            self._parts.writer.pause()
        if self._parts.reader is not None:
            self._parts.reader.close()
            self._parts.reader = None

    def _resume(self) -> None:
        if self._parts.writer is not None:
            self._parts.writer.resume()
        self._lock.release()

    def _forget(self) -> None:
        """In a child: the writer's thread and what waited for it are the parent's."""
        self._finalizer.detach()
        self._lock, self._parts = threading.Lock(), _Parts()
        self._finalizer = weakref.finalize(self, self._parts.close)


# ── the file ──────────────────────────────────────────────────────────────────────────────────────


def make(path: Path) -> None:
    """Make the file where there is none: under another name first, so that nobody sees half of it.

    Raises:
        UsageError: The path is a folder, or can't be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; the cache of replies (SLEUTH_CACHE) is a file")
    try:
        status = path.stat() if path.exists() else None
        if status is not None and status.st_size:
            if status.st_mode & 0o077 and hasattr(os, "getuid") and status.st_uid == os.getuid():
                path.chmod(0o600)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
        os.close(descriptor)
        new = Path(name)
        try:
            _fill(new)
            if status is None:
                _put(new, path)
            else:
                os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the cache of replies can't be made at {path} ({error.strerror or error}); "
            "SLEUTH_CACHE=PATH names another place, SLEUTH_CACHE=off goes without"
        ) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where there is none.

    Raises:
        UsageError: As of `make`.
        FormatError: Another program's file, or of another version.
        sqlite3.Error: It can't be opened.
    """
    make(path)
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise FormatError(path, f"is a SQLite file, but not a cache of replies; {ANOTHER}")
        if version != SCHEMA_VERSION:
            made = f"has version {version} of the cache's schema, this Sleuth reads {SCHEMA_VERSION}"
            raise FormatError(path, f"{made}; {ANOTHER}, or empty it: {EMPTY}")
    except BaseException:
        connection.close()
        raise
    return connection


def explain(path: Path, error: Exception) -> Exception:
    """What an error of SQLite means for the user; other errors stay as they are."""
    if not isinstance(error, sqlite3.Error):
        return error
    if type(error) is sqlite3.DatabaseError:  # its subclasses are faults of use or of the machine, not of the file
        if "not a database" in str(error):
            return FormatError(path, f"is no cache of replies ({error}); {ANOTHER}, or delete it")
        return FormatError(path, f"the cache of replies is damaged ({error}); {ANOTHER}, or empty it: {EMPTY}")
    if "locked" in str(error):
        problem = f"another process has been writing to it for {BUSY_S:g} s"
    else:
        problem = f"it can't be used ({error})"
    return LLMError(f"the cache of replies, {path}: {problem}. SLEUTH_CACHE=PATH names another, off goes without")


def remove_damaged(path: Path) -> None:
    """Remove the files unread. Not while another process uses them.

    Raises:
        FormatError: The file doesn't begin as a cache does.
    """
    with open(path, "rb") as file:
        head = file.read(len(SQLITE_MAGIC) + 84)
    if not head.startswith(SQLITE_MAGIC) or head[68:72] != APPLICATION.to_bytes(4, "big"):
        raise FormatError(path, "does not look like a cache of replies, so it stays; delete it yourself if it is one")
    for suffix in SIBLINGS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _fill(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(SCHEMA)
    finally:
        connection.close()


def _put(new: Path, path: Path) -> None:
    """Give a new file its name, unless another process was first."""
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(new, path)


_living: weakref.WeakSet[Database] = weakref.WeakSet()
_paused: list[Database] = []


def _before_fork() -> None:
    _paused[:] = list(_living)
    for database in _paused:
        database._pause()


def _after_in_parent() -> None:
    while _paused:
        _paused.pop()._resume()


def _after_in_child() -> None:
    while _paused:
        _paused.pop()._forget()


after_fork(_after_in_child, before=_before_fork, in_parent=_after_in_parent)
