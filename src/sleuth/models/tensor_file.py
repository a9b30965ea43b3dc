"""Reading a safetensors file as mapped arrays.

The format (github.com/huggingface/safetensors, README "Format"): a u64 header length, a JSON header of
name -> {dtype, shape, data_offsets}, then the tensors' bytes. Arrays are views of the mapped file, so
opening a 90 MB checkpoint reads a few kilobytes and a lookup table costs only the rows that are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sleuth.errors import FormatError

__all__ = ["TensorFile"]

DTYPES: dict[str, Any] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
"""Types that are read; BF16 has no numpy type and is widened to float32."""

LARGEST_HEADER_BYTES = 100_000_000
"""The limit of the format's own reader."""


class TensorFile(Mapping[str, NDArray[Any]]):
    """Name -> array of one safetensors file; read-only views, except bfloat16, which is copied to float32.

    Args:
        path: The file.

    Raises:
        FormatError: It is no safetensors file, or a tensor lies outside it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        size = self.path.stat().st_size
        with self.path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if size < 8 or length > min(LARGEST_HEADER_BYTES, size - 8):
                raise FormatError(
                    path, "not a safetensors file, or one that was cut short; get the model's files again"
                )
            try:
                header = orjson.loads(handle.read(length))
                header.pop("__metadata__", None)
                self._entries = {name: self._entry(name, entry, size - 8 - length) for name, entry in header.items()}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise FormatError(path, f"not a readable safetensors header: {error}") from error
        self._data: NDArray[np.uint8] = (
            np.asarray(np.memmap(self.path, np.uint8, "r", offset=8 + length))
            if size > 8 + length
            else np.empty(0, np.uint8)
        )

    @staticmethod
    def _entry(name: str, entry: Mapping[str, Any], available: int) -> tuple[str, tuple[int, ...], int, int]:
        kind, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        begin, end = (int(offset) for offset in entry["data_offsets"])
        if not 0 <= begin <= end <= available or min(shape, default=0) < 0:
            raise ValueError(f"tensor {name!r} at bytes {begin} to {end} of {available} lies outside the file")
        if kind in DTYPES and end - begin != math.prod(shape) * np.dtype(DTYPES[kind]).itemsize:
            raise ValueError(f"tensor {name!r} has {end - begin} bytes, its shape {shape} of {kind} needs others")
        return kind, shape, begin, end

    def __getitem__(self, name: str) -> NDArray[Any]:
        kind, shape, begin, end = self._entries[name]
        if kind not in DTYPES:
            raise FormatError(self.path, f"tensor {name!r} has the type {kind}; readable are {', '.join(DTYPES)}")
        array: NDArray[Any] = self._data[begin:end].view(DTYPES[kind]).reshape(shape)
        if kind == "BF16":
            array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
