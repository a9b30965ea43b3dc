"""How many threads numpy's matrix products use, for the length of a block.

Worker threads that each run a whole forward on one core beat one forward whose products are split over
the cores: the elementwise third of the work then runs in parallel too. For that BLAS must be told to keep
to one thread a call. numpy has no interface for it, its bundled OpenBLAS has.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

__all__ = ["blas_threads", "single_threaded_blas"]

NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")
"""How builds of OpenBLAS spell their functions: numpy's wheels first, then those of distributions."""

_lock = threading.Lock()
_state = {"users": 0, "before": 1}


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """(get_num_threads, set_num_threads) of the OpenBLAS that numpy is linked with, or None with another BLAS."""
    library = ctypes.CDLL(str(import_module("numpy._core._multiarray_umath").__file__))
    for name in NAMES:
        try:
            get, put = (getattr(library, name.format(verb)) for verb in ("get_num_threads", "set_num_threads"))
        except AttributeError:
            continue
        get.restype, get.argtypes = ctypes.c_int, []
        put.restype, put.argtypes = None, [ctypes.c_int]
        return get, put
    return None


def blas_threads() -> int:
    """Threads that a matrix product uses by default, as set by OMP_NUM_THREADS and its like; 1 if unknown."""
    functions = _openblas()
    return max(1, functions[0]()) if functions else 1


@contextmanager
def single_threaded_blas() -> Iterator[bool]:
    """Keep BLAS to one thread a call inside the block; True where that could be arranged.

    The setting is the process's, so it is counted: the first user sets it, the last one restores it.
    """
    functions = _openblas()
    if functions is None:
        yield False
        return
    get, put = functions
    with _lock:
        if _state["users"] == 0:
            _state["before"] = get()
            put(1)
        _state["users"] += 1
    try:
        yield True
    finally:
        with _lock:
            _state["users"] -= 1
            if _state["users"] == 0:
                put(_state["before"])
