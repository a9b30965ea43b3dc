"""Replies on disk: what was answered once is not asked again.

A SQLite file, keyed by `ChatRequest.digest(identity)`. It holds requests, tags and replies in full, and neither keys
nor headers. A call is written down before it is sent (`in_flight`), and its reply is committed before anybody sees it. So
after a kill only calls in flight are asked again, and those are known: they are counted as `unknown` when they are
asked again, because they may have been paid for.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import orjson

from sleuth.errors import FormatError, LLMError, UsageError
from sleuth.llm.cassette import reply_of, reply_record, without_surrogates
from sleuth.llm.chat import ChatRequest, Reply
from sleuth.llm.database import SIBLINGS, Database, remove_damaged
from sleuth.llm.in_flight import InFlight
from sleuth.manifest import atomic_file

__all__ = ["LARGEST_BYTES", "Begun", "Cache", "CacheStats", "cache_path", "default_path", "open_cache", "remove_cache"]

log = logging.getLogger(__name__)

LARGEST_BYTES = 10 * 2**30
"""A cache that is larger when it is opened loses the replies longest unused (ours: some 250,000 calls with 20
passages each). There is no limit of age by default: a model's name is part of the key, so answers do not go stale."""

TOUCH_S = 86_400.0
"""A use is noted at most once a day, so that hits cost no writing (ours)."""

DELETED_AT_ONCE = 1_000
"""Replies removed in one transaction, so that other processes get their turn (ours)."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What the cache knows when a call is about to be sent.

    Attributes:
        reply: Another process committed it meanwhile; then nothing is to be sent.
        unknown: How often this request was sent by processes that did not live to see the reply.
    """

    reply: Reply | None = None
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache holds.

    Attributes:
        path: The file.
        replies: How many.
        bytes: Of requests, tags and replies.
        file_bytes: Of the files on disk.
        oldest, newest: When the first and last reply came, seconds since 1970; None where there is none.
        unknown: Calls that were sent without their replies being seen, and not asked again since.
        identities: Backend's identity -> replies.
    """

    path: str
    replies: int
    bytes: int
    file_bytes: int
    oldest: float | None
    newest: float | None
    unknown: int
    identities: dict[str, int]


class Cache:
    """A cache file, for all threads of this process; other processes may use it at the same time.

    Args:
        path: The file; made where absent, with mode 0600. SQLite's `-wal` and `-shm` lie beside it, and the folder
            `.calls`.

    Raises:
        UsageError: The file can't be made there.
        FormatError: It is damaged, or no cache of this version.
        LLMError: It can't be used.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        self._database = Database(self.path)
        self._in_flight = InFlight(_calls_of(self.path))
        self._finalizer = weakref.finalize(self, self._in_flight.close)
        self._database.read("SELECT 1 FROM replies LIMIT 1")

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"

    # ── calls ──

    def get(self, key: str) -> Reply | None:
        """The reply under a key, marked as cached.

        Raises:
            FormatError, LLMError: The file is damaged or can't be used.
        """
        rows = self._database.read("SELECT reply, used FROM replies WHERE key = ?", (key,))
        if not rows:
            return None
        text, used = rows[0]
        now = time.time()
        if now - used > TOUCH_S:
            self._database.write(lambda c: c.execute("UPDATE replies SET used = ? WHERE key = ?", (now, key)).rowcount)
        return self._reply(text)

    def begin(self, key: str) -> Begun:
        """Write down that a call is about to be sent; or find that it needn't be.

        Raises:
            FormatError, LLMError: The file is damaged or can't be used.
        """
        reply = self.get(key)
        if reply is not None:
            return Begun(reply)
        try:
            return Begun(None, self._in_flight.begin(key))
        except OSError as error:
            raise LLMError(f"{self._in_flight.folder} can't be written ({error.strerror or error})") from error

    def keep(self, key: str, identity: str, request: ChatRequest, reply: Reply) -> Future[Reply]:
        """Commit a reply, which ends its call; the future has what is stored, which is another's where another process was faster."""
        clean = without_surrogates
        tags = {
            "stage": clean(request.tags.stage),
            "query_id": clean(request.tags.query_id),
            "doc_ids": [clean(doc_id) for doc_id in request.tags.doc_ids],
        }
        parts = (
            orjson.dumps(tags),
            orjson.dumps(reply_record(reply, history=True)),
            orjson.dumps(request.content(), option=orjson.OPT_SORT_KEYS),
        )
        now, size = time.time(), sum(map(len, parts))

        def work(connection: sqlite3.Connection) -> Reply:
            added = connection.execute(
                "INSERT INTO replies (key, made, used, bytes, identity, tags, reply, request) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (key, now, now, size, identity, *(part.decode() for part in parts)),
            )
            if added.rowcount:
                return reply
            (stored,) = connection.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            return self._reply(stored)

        kept = self._database.write(work)
        kept.add_done_callback(lambda done: self.give_up(key) if done.exception() else self.end(key))
        return kept

    def end(self, key: str) -> None:
        """A call that was begun has ended, and how is known."""
        self._in_flight.end(key)

    def give_up(self, key: str) -> None:
        """A call was broken off after it was sent, and may have been paid for."""
        self._in_flight.give_up(key)

    def _reply(self, text: str) -> Reply:
        try:
            return reply_of(orjson.loads(text), cached=True)
        except (orjson.JSONDecodeError, UsageError) as error:
            problem = f"a stored reply can't be read ({error}); empty the cache: sleuth cache prune --all"
            raise FormatError(self.path, problem) from error

    # ── care ──

    def stats(self) -> CacheStats:
        """What the cache holds."""
        read = self._database.read
        ((replies, size, oldest, newest),) = read("SELECT count(*), sum(bytes), min(made), max(made) FROM replies")
        identities = read("SELECT identity, count(*) FROM replies GROUP BY identity ORDER BY count(*) DESC, identity")
        left = [key for key in self._in_flight.left_behind() if not read("SELECT 1 FROM replies WHERE key = ?", (key,))]
        return CacheStats(
            path=str(self.path),
            replies=replies,
            bytes=size or 0,
            file_bytes=_bytes_on_disk(self.path),
            oldest=oldest,
            newest=newest,
            unknown=len(left),
            identities=dict(identities),
        )

    def prune(self, *, max_bytes: int | None = None, max_age_s: float | None = None) -> int:
        """Remove replies, longest unused first, and give the space back.

        Args:
            max_bytes: Keep at most so many bytes of requests, tags and replies; 0 removes all, also what is known of
                calls without replies.
            max_age_s: Remove what was not used for longer (to a day, see TOUCH_S).

        Returns:
            How many were removed.

        Raises:
            UsageError: A negative limit.
            FormatError, LLMError: The file is damaged or can't be used.
        """
        for name, limit in (("max_bytes", max_bytes), ("max_age_s", max_age_s)):
            if limit is not None and not limit >= 0:
                raise UsageError(f"{name} must be 0 or more, got {limit}")
        removed = 0
        if max_age_s is not None:
            before = time.time() - max_age_s
            removed += self._remove(lambda c: _unused(c, before))
        if max_bytes is not None:
            removed += self._remove(lambda c: _excess(c, max_bytes))
        if max_bytes == 0:
            self._in_flight.forget()
        if removed:
            self._database.shrink()
        return removed

    def _remove(self, choose: Callable[[sqlite3.Connection], list[tuple[int]]]) -> int:
        """Remove what `choose` names, some at a time, until it names nothing."""

        def work(connection: sqlite3.Connection) -> int:
            chosen = choose(connection)
            connection.executemany("DELETE FROM replies WHERE id = ?", chosen)
            return len(chosen)

        removed = 0
        while some := self._database.write(work).result():
            removed += some
        return removed

    def export(self, path: str | Path, *, identity: str | None = None) -> int:
        """Write all replies as a cassette, oldest first, at once or not at all.

        A rule's `when` is the request's digest without identity, so that the cassette answers any backend.

        Args:
            path: The file.
            identity: Only of this backend; needed where several answered the same requests.

        Returns:
            How many rules were written.

        Raises:
            UsageError: The folder does not exist; or two backends answered the same request differently.
            FormatError, LLMError: The cache is damaged or can't be used.
        """
        if not Path(path).absolute().parent.is_dir():
            raise UsageError(f"the folder {Path(path).absolute().parent} does not exist; make it first")
        of: dict[str, tuple[str, bytes]] = {}
        written, last = 0, 0
        with atomic_file(path) as file:
            while rows := self._database.read(EXPORTED, (last, identity, identity)):
                for last, whose, request, reply in rows:  # noqa: B007 (the next page begins after the last one)
                    digest = hashlib.sha256(request.encode()).hexdigest()
                    record = reply_record(self._reply(reply))
                    line = orjson.dumps({"when": {"request": digest}, "reply": record})
                    told = hashlib.sha256(line).digest()
                    if digest in of:
                        if of[digest][1] != told:
                            raise UsageError(
                                f"{of[digest][0]!r} and {whose!r} answered the same request differently; "
                                "choose one with --identity (identity=)"
                            )
                        continue
                    of[digest] = (whose, told)
                    file.write(line + b"\n")
                    written += 1
        return written

    def close(self) -> None:
        """Write what waits and close the file; using the cache again opens it again."""
        self._database.close()
        self._in_flight.close()


EXPORTED = "SELECT id, identity, request, reply FROM replies WHERE id > ? AND (? IS NULL OR identity = ?) ORDER BY id LIMIT 500"


def _unused(connection: sqlite3.Connection, before: float) -> list[tuple[int]]:
    found = connection.execute("SELECT id FROM replies WHERE used < ? LIMIT ?", (before, DELETED_AT_ONCE))
    return found.fetchall()


def _excess(connection: sqlite3.Connection, most: int) -> list[tuple[int]]:
    (total,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM replies").fetchone()
    chosen: list[tuple[int]] = []
    rows = connection.execute("SELECT id, bytes FROM replies ORDER BY used LIMIT ?", (DELETED_AT_ONCE,))
    for number, size in rows.fetchall():
        if total <= most:
            break
        chosen.append((number,))
        total -= size
    return chosen


def _bytes_on_disk(path: Path) -> int:
    files = [path.with_name(path.name + suffix) for suffix in SIBLINGS]
    return sum(file.stat().st_size for file in files if file.exists())


# ── which cache ───────────────────────────────────────────────────────────────────────────────────

_caches: dict[Path, Cache] = {}


def default_path() -> Path:
    """`llm.sqlite` in the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("sleuth")) / "llm.sqlite"


def cache_path(setting: str | Path | None = None) -> Path | None:
    """Where the cache is that a setting names, made or not; None where it is off. Settings as of `open_cache`."""
    if setting is None or setting == "default":
        setting = os.environ.get("SLEUTH_CACHE") or default_path()
    return None if str(setting).lower() == "off" else Path(setting).expanduser().absolute()


def open_cache(setting: str | Path | None = None) -> Cache | None:
    """The cache that a setting names; one object a file and process.

    Args:
        setting: "off", or the file's path. None and "default": the environment's SLEUTH_CACHE, which has the same
            values, else `default_path()`.

    Returns:
        None where it is off.

    Raises:
        UsageError, FormatError, LLMError: As of `Cache`.
    """
    path = cache_path(setting)
    if path is None:
        return None
    found = _caches.get(path)
    if found is None:
        found = _caches.setdefault(path, Cache(path))
        if path.stat().st_size > LARGEST_BYTES:
            removed = found.prune(max_bytes=LARGEST_BYTES)
            log.warning(
                "%s: removed the %d replies longest unused, to stay below %d bytes", path, removed, LARGEST_BYTES
            )
    return found


def remove_cache(path: Path) -> int | None:
    """Remove all that a cache holds; a file that is no cache of this version goes as a whole.

    Returns:
        How many replies were removed; None where the file could not be read and was removed unread.

    Raises:
        FormatError: The file doesn't begin as a cache does, so it may be something else and stays.
    """
    if not path.exists():
        return 0
    try:
        return (_caches.get(path) or Cache(path)).prune(max_bytes=0)
    except FormatError as error:
        log.info("%s", error)
    remove_damaged(path)
    shutil.rmtree(_calls_of(path), ignore_errors=True)
    return None


def _calls_of(path: Path) -> Path:
    return path.with_name(path.name + ".calls")
