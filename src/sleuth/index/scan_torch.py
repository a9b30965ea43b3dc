"""A faster first pass over the vectors with torch (extra `models`): low precision selects, float64 orders.

The searcher (`sleuth.index.dense`) computes the scores of the candidates anew, so a coarse scan costs no
quality as long as the candidates hold the winners: the coarser the scan, the further below the bar a document
stays a candidate.

    bf16     where the CPU multiplies bfloat16 in hardware (AMX or AVX512-BF16), half the memory to read
    int8     on any other x86 with AVX2, through oneDNN: one scale a vector, a quarter of the memory to read
    float32  elsewhere

    searcher = DenseSearcher(segments, scan=TorchScan(segments))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import MissingExtra, UnknownName

__all__ = ["Precision", "TorchScan", "fastest_precision"]

Floats = NDArray[np.float32]
Precision = Literal["bf16", "int8", "float32"]

SIGMAS = 6.0
"""A coarse score is taken to err by less than six standard deviations of its rounding (ours: a normal error exceeds
that once in 10^9; recall was 1.000 in every measurement, benchmarks/dense_speed.py)."""

BF16_STEP = 2.0**-8
"""Spacing of bfloat16 at 1: eight bits of significand."""


def fastest_precision() -> Precision:
    """What this CPU scans fastest in.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch = _torch()
    if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    if torch.cpu._is_avx2_supported() and torch.backends.mkldnn.is_available():
        return "int8"
    return "float32"


class _Prepared(NamedTuple):
    """A batch: queries in the scan's precision, their scales (B, 1) and lengths (B,)."""

    queries: Any
    scales: Floats
    norms: NDArray[np.float64]


class TorchScan:
    """A Scan (`sleuth.index.dense`) on torch. Blocks are converted when they are first scanned and kept.

    Args:
        segments: (n_i, dim) float32, the searcher's own.
        precision: By default what is fastest here.

    Raises:
        MissingExtra: torch is not installed.
        UnknownName: No such precision.
    """

    least_queries = 8
    """A product with fewer queries is bound by memory, and oneDNN slower there than numpy's (measured, Zen 3)."""

    def __init__(self, segments: Sequence[Floats], *, precision: Precision | None = None) -> None:
        self._torch = _torch()
        self.precision: Precision = fastest_precision() if precision is None else precision
        if self.precision not in get_args(Precision):
            raise UnknownName("precision", str(precision), list(get_args(Precision)))
        self._segments = segments
        self._blocks: dict[tuple[int, int, int], Any] = {}

    def prepare(self, queries: Floats) -> _Prepared:
        """Queries in the scan's precision, each scaled to a largest component of 1."""
        scales = np.abs(queries).max(axis=1, keepdims=True, initial=0.0).astype(np.float32)
        scales[scales == 0] = 1
        norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        scaled = self._torch.from_numpy(np.ascontiguousarray(queries / scales))
        if self.precision == "bf16":
            scaled = scaled.bfloat16()
        elif self.precision == "int8":
            scaled = (scaled * self._steps).round_().add_(self._steps + 1).to(self._torch.uint8)
        return _Prepared(scaled, scales, norms)

    def scores(self, prepared: _Prepared, segment: int, begin: int, end: int) -> Floats:
        """(B, end - begin) coarse inner products."""
        block = self._block(segment, begin, end)
        with self._torch.inference_mode():
            if self.precision == "int8":
                found = self._multiply_int8(prepared.queries, *block)
            else:
                found = (prepared.queries @ block.T).float()
        scores: Floats = found.numpy()
        scores *= prepared.scales
        return scores

    def error(self, prepared: _Prepared, segment: int, begin: int, end: int, longest: float) -> NDArray[np.float64]:
        """(B,) six standard deviations of a score's rounding in this block.

        A value rounded to steps s errs by s / sqrt(12); an inner product with it by that times the length of the
        other vector. bfloat16's steps are relative, and its scores are rounded too.
        """
        norms, scales = prepared.norms, prepared.scales[:, 0].astype(np.float64)
        if self.precision == "float32":
            return np.zeros(len(norms))
        if self.precision == "bf16":
            found: NDArray[np.float64] = longest * norms * BF16_STEP * (1 / 2 + SIGMAS * np.sqrt(2 / 12))
            return found
        vector_step = float(self._block(segment, begin, end)[1].max())
        query_steps = scales / self._steps
        return np.asarray(SIGMAS / np.sqrt(12) * np.hypot(norms * vector_step, query_steps * longest))

    @property
    def _steps(self) -> int:
        """Query components are -_steps .. _steps in int8.

        Without VNNI, AVX2 adds two products of 8 x 8 bits in 16 bits, which overflow; 7-bit queries keep it exact.
        """
        return 127 if self._torch.cpu._is_vnni_supported() else 63

    def _multiply_int8(self, queries: Any, packed: Any, scales: Any, zeros: Any) -> Any:
        """(B, n) float32 products of uint8 queries with int8 vectors, scales applied."""
        return self._torch.ops.onednn.qlinear_pointwise(
            queries, 1 / self._steps, self._steps + 1, packed, scales, zeros,
            None, 1.0, 0, self._torch.float32, "none", [], "",
        )  # fmt: skip

    def _block(self, segment: int, begin: int, end: int) -> Any:
        """A block in the scan's precision, converted once."""
        key = segment, begin, end
        if key not in self._blocks:
            self._blocks[key] = self._convert(self._segments[segment][begin:end])
        return self._blocks[key]

    def _convert(self, block: Floats) -> Any:
        """A block in the scan's precision."""
        torch = self._torch
        vectors = torch.from_numpy(np.array(block))  # a copy: a mapped file can't be written, which torch warns of
        if self.precision == "bf16":
            return vectors.bfloat16()
        if self.precision == "float32":
            return vectors
        scales = (vectors.abs().amax(dim=1) / 127).clamp_(min=1e-30)
        whole = (vectors / scales[:, None]).round_().to(torch.int8)
        zeros = torch.zeros(len(block), dtype=torch.int32)
        return torch.ops.onednn.qlinear_prepack(whole, None), scales, zeros


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("a scan on torch", "models", error) from error
    return torch
