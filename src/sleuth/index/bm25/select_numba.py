"""Candidates and exact scores with compiled kernels: for batches, and for processes that search again and again.

Compiling takes seconds once per installation and about half a second per process afterwards, which is why a
one-shot search doesn't come here. All arrays are handed over as read-only views, for numba compiles once for
writable and once for read-only arrays, and a memory-mapped index is read-only.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import MissingExtra
from sleuth.index.bm25 import kernels_best, kernels_block, kernels_lookup, kernels_numba
from sleuth.index.bm25.assemble import BLOCK
from sleuth.index.bm25.searched import Saturation, Searched, saturation
from sleuth.index.bm25.select_numpy import NumpyEngine, Request

__all__ = ["NumbaEngine", "compiled", "is_compiled"]

ROW_SHARE = 0.08
"""Terms in more than this share of a segment get a row of impacts. Reading a document's byte of a row costs about a
twelfth of adding one posting (0.05 against 0.61 ns on Zen 3)."""
ROWS_AT_MOST = 256
ROW_BYTES = 1 << 26
"""Rows of a segment take at most 64 MiB (ours; one million documents of 60 words have 34 to 40 such terms)."""
STEP = 1.0 / 255.0
FAST = ("finish", "run_maxima", "scale_and_add")
"""Helpers whose sums and maxima may be reordered for vector instructions."""
INDEX = (
    *("ones", "ones_start", "ones_block", "more", "more_tf", "more_start", "more_block"),
    *("rare", "rare_tf", "rare_start", "big", "common"),
)
# In the order of use: a function that is compiled must find its helpers compiled.
HELPERS = (
    *((kernels_lookup, name) for name in ("find32", "find16", "contains16", "true_tf", "locate")),
    *((kernels_best, name) for name in ("arrange", "nth_best", "keep_best", "run_maxima", "scale_and_add", "finish")),
    *((kernels_block, name) for name in ("add_rare", "touch", "add_where", "look_up", "sift", "drop_below")),
    *((kernels_block, name) for name in ("score_whole", "score_few")),
    (kernels_numba, "walk"),
)

ALLOCATING = ("arrange", "select")
"""Kernels that make arrays; the others only use what they are given."""
_lock = threading.Lock()
_kernels: SimpleNamespace | None = None


def is_compiled() -> bool:
    """Whether this process has the kernels already."""
    return _kernels is not None


def compiled() -> SimpleNamespace:
    """The kernels, compiled or loaded from numba's cache at their first call.

    Raises:
        MissingExtra: numba is not installed.
    """
    global _kernels  # noqa: PLW0603 (made once a process)
    with _lock:
        if _kernels is None:
            try:
                import numba
            except ImportError as error:
                raise MissingExtra("the BM25 engine 'numba'", "fast", error) from error
            # Kernels find their helpers by their names in the module, so the compiled ones take those names.
            for home, name in HELPERS:
                helper = _compile(numba, home, name)
                for module in (kernels_lookup, kernels_best, kernels_block, kernels_numba):
                    if hasattr(module, name):
                        setattr(module, name, helper)
            made = {name: _compile(numba, kernels_numba, name) for name in kernels_numba.__all__}
            _kernels = SimpleNamespace(**made)
        return _kernels


def _compile(numba: Any, home: ModuleType, name: str) -> Any:
    options = {"cache": True, "nogil": True, "error_model": "numpy"}
    options |= {"fastmath": name in FAST, "forceinline": home in (kernels_lookup, kernels_block)}
    if name not in ALLOCATING and hasattr(numba.core.options.DefaultOptions, "_nrt"):
        # Without it, numba counts references to every array of every tuple at every call: half of a short query.
        options["_nrt"] = False
    return numba.njit(**options)(getattr(home, name))


class _Documents(NamedTuple):
    """What the kernels need of a segment's documents and common terms under given k1, b and average length.

    Attributes:
        rows: Impacts of the most frequent terms, (rows, n_docs) uint8.
        norm: Of each document, float32.
        inverse: 1 / (1 + norm), float32.
        row_of: The row of each common term, int64; -1 without one.
        top: The largest saturation of each common term, float64.
        marks: Of each row, one bit a document: whether it has the term, (rows, n_docs / 8) uint8, lowest bit first.
        ceiling: 255 * inverse, up to the next whole step, uint8.
    """

    rows: NDArray[np.uint8]
    norm: NDArray[np.float32]
    inverse: NDArray[np.float32]
    row_of: NDArray[np.int64]
    top: NDArray[np.float64]
    marks: NDArray[np.uint8]
    ceiling: NDArray[np.uint8]


class NumbaEngine:
    """Selection and exact scores by kernels.

    Args:
        kernels: `select`, `exact_scores` and `fill_row`; tests pass the plain functions.
    """

    def __init__(self, kernels: Any = None) -> None:
        self._kernels = kernels if kernels is not None else compiled()
        self._scratch = threading.local()

    def df(self, segment: Searched, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many documents each term number occurs, deleted ones included; 0 for -1."""
        out = np.empty(len(terms), dtype=np.int64)
        self._kernels.count_docs(terms, _index(segment), out)
        return out

    def candidates(self, segment: Searched, request: Request) -> list[NDArray[np.int64]]:
        """Per query, documents that include the best `depth` allowed ones with a shared term."""
        n_docs, n_queries = segment.postings.n_docs, len(request)
        if not len(request.terms):
            return [np.zeros(0, dtype=np.int64) for _ in range(n_queries)]
        documents = self._documents(segment, request.saturation)
        if request.allowed is not None:
            documents = documents._replace(inverse=_frozen(documents.inverse * request.allowed))
        width = min(n_docs, max(4 * request.depth, 1024))
        found = np.empty((n_queries, width), dtype=np.int32)
        count = np.zeros(n_queries, dtype=np.int64)
        self._kernels.select(
            *((request.bounds, request.terms, request.weights), request.floors, _index(segment), tuple(documents)),
            *(request.allowed is not None, *_flat(request.excluded, n_queries), min(request.depth, n_docs)),
            *(*self._buffers(), found, np.empty(found.shape, dtype=np.float32), count),
        )
        return [
            # More documents than fit are tied, or nearly so, for the last place: without a limit, then.
            NumpyEngine().candidates(segment, request.only(number))[0] if n < 0 else found[number, :n].astype(np.int64)
            for number, n in enumerate(count.tolist())
        ]

    def exact(
        self, segment: Searched, request: Request, docs: Sequence[NDArray[np.int64]]
    ) -> list[NDArray[np.float64]]:
        """Exact scores of documents of this segment, one array a query; 0.0 where no term is shared."""
        bounds, flat = _flat(docs, len(request))
        out, shape = np.zeros(len(flat)), request.saturation
        self._kernels.exact_scores(
            *((request.bounds, request.terms, request.weights), _index(segment)),
            tuple(self._documents(segment, shape)),
            *(
                _frozen(segment.postings.lengths),
                (shape.k1, shape.b, shape.avgdl),
                bounds,
                flat,
                np.empty(len(flat)),
                out,
            ),
        )
        ends = bounds.tolist()
        return [out[a:b] for a, b in pairwise(ends)]

    def _buffers(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Scratch of this thread: scores of a block, all 0 between calls, and the documents touched."""
        if not hasattr(self._scratch, "buffers"):
            # One place more: what may be dropped is written before it is counted.
            self._scratch.buffers = np.zeros(BLOCK, dtype=np.float32), np.empty(BLOCK + 1, dtype=np.int32)
        buffers: tuple[NDArray[np.float32], NDArray[np.int32]] = self._scratch.buffers
        return buffers

    def _documents(self, segment: Searched, shape: Saturation) -> _Documents:
        return segment.derived("documents", shape.key, lambda: self._make_documents(segment, shape))

    def _make_documents(self, segment: Searched, shape: Saturation) -> _Documents:
        postings = segment.postings
        norm = shape.norm(postings.lengths).astype(np.float32)
        shortest_once, highest, shortest_more = postings.array("bounds").astype(np.float64).T
        top = saturation(np.ones(len(highest)), shape.norm(shortest_once))
        top = np.maximum(top, saturation(highest, shape.norm(shortest_more)))
        df = np.diff(postings.array("ones_start")) + np.diff(postings.array("more_start"))
        most = max(1, min(ROWS_AT_MOST, ROW_BYTES // max(postings.n_docs, 1)))
        frequent = np.flatnonzero(df > ROW_SHARE * postings.n_docs)
        frequent = frequent[np.argsort(-df[frequent], kind="stable")[:most]]
        row_of = np.full(len(df), -1, dtype=np.int64)
        row_of[frequent] = np.arange(len(frequent))
        rows = np.zeros((len(frequent), postings.n_docs), dtype=np.uint8)
        for row, c in zip(rows, frequent.tolist(), strict=True):
            self._kernels.fill_row(row, c, int(postings.array("common")[c]), _index(segment), norm)
        inverse = np.float32(1.0) / (np.float32(1.0) + norm)
        marks = np.packbits(rows != 0, axis=1, bitorder="little")
        ceiling = np.minimum(255.0 * inverse + 1.0, 255.0).astype(np.uint8)
        frozen = map(_frozen, (rows, norm, inverse, row_of, top, marks, ceiling))
        return _Documents(*frozen)


def _index(segment: Searched) -> tuple[NDArray[Any], ...]:
    """The arrays of a segment that the kernels read, in their order."""
    return segment.derived("index", None, lambda: tuple(_frozen(segment.postings.array(name)) for name in INDEX))


def _flat(lists: Sequence[NDArray[np.int64]] | None, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Arrays end to end, and where each begins."""
    bounds = np.zeros(n + 1, dtype=np.int64)
    if lists is None:
        return bounds, np.zeros(0, dtype=np.int64)
    if n == 1:  # most searches: nothing to join
        bounds[1] = len(lists[0])
        return bounds, lists[0]
    np.cumsum([len(own) for own in lists], out=bounds[1:])
    return bounds, np.concatenate(lists).astype(np.int64, copy=False) if lists else np.zeros(0, dtype=np.int64)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view, whatever the array was."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
