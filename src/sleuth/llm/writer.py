"""A thread that writes to a database for a whole process: what waits is committed together.

Hundreds of calls may end in the same moment; one transaction for all of them costs about as much as one for one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["Writer"]

T = TypeVar("T")

LARGEST_BATCH = 256
"""Pieces of work in one transaction, so that other processes get their turn within milliseconds (ours)."""

Work = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]
Outcome = tuple["Future[Any]", Any, "Exception | None"]


class Writer:
    """Does pieces of work in the order they come, in transactions.

    Args:
        connect: Opens the connection; called in the writer's thread.
        explain: Turns an error of SQLite into one of ours.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], explain: Callable[[Exception], Exception]) -> None:
        self._connect, self._explain = connect, explain
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="sleuth-cache", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have `work(connection)` done; the future is set once it is committed, or raises what went wrong.

        Cancelling the future does not undo the work. A piece that fails is rolled back alone.
        """
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    def pause(self) -> None:
        """Wait for the transaction at hand, close the connection and hold the thread there until `resume`."""
        self._lock.acquire()
        self._close_connection()

    def resume(self) -> None:
        """End `pause`; the connection is opened again when there is work."""
        self._lock.release()

    def close(self) -> None:
        """Do what waits, then end the thread and close the connection."""
        self._queue.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _serve(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._batch()
            with self._lock:
                outcomes = self._answer(batch)
                if ended:
                    self._close_connection()
            for future, value, error in outcomes:
                if not future.set_running_or_notify_cancel():
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(value)

    def _batch(self) -> tuple[list[Work], bool]:
        """What waits (at least one piece), and whether the end was asked for."""
        batch: list[Work] = []
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == LARGEST_BATCH:
                return batch, False
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _answer(self, batch: list[Work]) -> list[Outcome]:
        """All pieces in one transaction; where one of them fails, each in its own."""
        if not batch:
            return []
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 (whoever waits is told, whatever it is)
            return self._failed(batch, error)
        try:
            values = [work(self._connection) for work, _ in batch]
            self._connection.execute("COMMIT")
            return [(future, value, None) for (_, future), value in zip(batch, values, strict=True)]
        except Exception as error:  # noqa: BLE001
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if len(batch) == 1:
                return self._failed(batch, error)
        return [outcome for one in batch for outcome in self._answer([one])]

    def _failed(self, batch: list[Work], error: Exception) -> list[Outcome]:
        told = self._explain(error)
        return [(future, None, told) for _, future in batch]

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
