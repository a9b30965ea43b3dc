"""Requests that come one by one, answered together: a thread that waits a moment for batch mates.

The thread starts with the first request and ends with its owner or the process; a forked child starts its own.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Job", "MicroBatches"]

Question = TypeVar("Question")
Result = TypeVar("Result")

WAIT_S = 0.005
"""How long a request waits for batch mates: requests of one strategy step arrive within a few milliseconds (ours)."""

FAREWELL_S = 5.0
"""How long an end waits for what is under way (ours)."""


@dataclass(slots=True)
class Job(Generic[Question, Result]):
    """One request and where its answer goes."""

    question: Question
    future: Future[Result] = field(default_factory=Future)
    began: float = field(default_factory=time.perf_counter)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self.future.cancelled()

    def give(self, result: Result) -> None:
        """Answer; a job that was cancelled meanwhile stays so."""
        if not self.future.done():
            try:
                self.future.set_result(result)
            except InvalidStateError:
                return

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        if not self.future.done():
            try:
                self.future.set_exception(error)
            except InvalidStateError:
                return


class MicroBatches(Generic[Question, Result]):
    """Hands jobs to one thread, some at a time.

    Args:
        work: Gets one or more jobs, gives each its answer; what it raises goes to those without one.
        most: Jobs at a time at most.
        wait_s: How long the first of them waits for others; they are taken at once where `most` are there.
    """

    def __init__(
        self, work: Callable[[list[Job[Question, Result]]], None], *, most: int, wait_s: float = WAIT_S
    ) -> None:
        self._work, self._most, self._wait_s = work, most, wait_s
        self._lock = threading.Lock()
        self._line: _Line[Question, Result] | None = None

    def submit(self, question: Question) -> Future[Result]:
        """The answer to come; cancel it and it is not worked on any more."""
        job: Job[Question, Result] = Job(question)
        with self._lock:  # so that no job comes behind the end of its line
            self._current().jobs.put(job)
        return job.future

    def close(self) -> None:
        """End the thread once what it works on is done; jobs that wait are cancelled. A later request starts another.

        Waits 5 s at most: cancel what is under way to end it sooner.
        """
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.end()

    def _current(self) -> _Line[Question, Result]:
        if self._line is None or self._line.pid != os.getpid():
            self._line = _Line(self._work, self._most, self._wait_s)
            weakref.finalize(self, self._line.end)
        return self._line


class _Line(Generic[Question, Result]):
    """A queue and its thread, of one process."""

    def __init__(self, work: Callable[[list[Job[Question, Result]]], None], most: int, wait_s: float) -> None:
        self.pid = os.getpid()
        self.jobs: queue.SimpleQueue[Job[Question, Result] | None] = queue.SimpleQueue()
        self._work, self._most, self._wait_s = work, most, wait_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sleuth-model", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Also called when the owner is collected or the process ends, in whatever thread that happens."""
        if self.pid != os.getpid():
            return
        self._ending.set()
        self.jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(FAREWELL_S)

    def _serve(self) -> None:
        while (first := self.jobs.get()) is not None:
            batch = [first] if self._ending.is_set() else self._mates(first)
            if self._ending.is_set():
                for job in batch:
                    job.future.cancel()
                continue
            wanted = [job for job in batch if not job.cancelled]
            if not wanted:
                continue
            try:
                self._work(wanted)
            except BaseException as error:  # noqa: BLE001 (a thread has nobody to raise to: those who wait get it)
                for job in wanted:
                    job.fail(error)
            del batch, wanted, first

    def _mates(self, first: Job[Question, Result]) -> list[Job[Question, Result]]:
        batch = [first]
        until = time.perf_counter() + self._wait_s
        while len(batch) < self._most:
            try:
                job = self.jobs.get(timeout=max(0.0, until - time.perf_counter()))
            except queue.Empty:
                break
            if job is None:
                self.jobs.put(None)
                break
            batch.append(job)
        return batch
