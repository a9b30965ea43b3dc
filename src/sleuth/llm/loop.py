"""One event loop in a background thread owns every call to a model.

Public methods are synchronous, so runs that overlap in any number of threads or event loops meet here: they share
connections and each backend's limit of calls in flight. The thread starts with the first call, ends with the
process, and is made anew in a forked child (a thread does not survive a fork; what was in flight stays the parent's).

Nothing that runs in this thread may wait: a callback of a future that blocks stops every call of the process.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["after_fork", "current_loop", "run"]

T = TypeVar("T")

FAREWELL_S = 2.0
"""How long the end of the process waits for calls to be broken off (ours)."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_left_behind: list[asyncio.AbstractEventLoop] = []
"""Loops of a forked child's parent. To close one would take the parent's sockets out of the selector both share."""


def run(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine in the background; cancelling the future cancels the coroutine.

    May be called from any thread, also from inside another running event loop (await
    `asyncio.wrap_future(run(...))` there).
    """
    return asyncio.run_coroutine_threadsafe(work, current_loop())


def current_loop() -> asyncio.AbstractEventLoop:
    """The running background loop, started where there is none."""
    global _loop, _thread  # noqa: PLW0603 (one loop a process is the point)
    if _loop is None:
        with _lock:
            if _loop is None:
                made = asyncio.new_event_loop()
                _thread = threading.Thread(target=_serve, args=(made,), name="sleuth-calls", daemon=True)
                _thread.start()
                atexit.register(_end)
                _loop = made
    return _loop


def after_fork(
    forget: Callable[[], None],
    *,
    before: Callable[[], None] = lambda: None,
    in_parent: Callable[[], None] = lambda: None,
) -> None:
    """Have `forget` called in every forked child, before anything else runs there; the others around it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_child=forget, after_in_parent=in_parent)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _end() -> None:
    """Break off what is in flight, so that no thread outlives the interpreter."""
    global _loop, _thread
    atexit.unregister(_end)
    loop, thread, _loop, _thread = _loop, _thread, None, None
    if loop is not None and thread is not None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(FAREWELL_S)


def _forget() -> None:
    global _lock, _loop, _thread
    if _loop is not None:
        _left_behind.append(_loop)
    _lock, _loop, _thread = threading.Lock(), None, None


after_fork(_forget)
