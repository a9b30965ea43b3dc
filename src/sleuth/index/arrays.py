"""Arrays on disk: files that are mapped, not read.

A file holds one array (`.npy`) or several (`.npys`): a list of their names, then one `.npy` after another, each
beginning at a multiple of 64 bytes. Few files mean few open files; a process may hold many segments.

Opening costs a few system calls whatever the size; pages come in when they are touched. The arrays are
read-only, and stay readable after their file was removed (POSIX), which is what lets a reader keep its
snapshot while a writer cleans up.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.lib import format as npy
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt

__all__ = ["map_array", "map_arrays", "map_bytes", "save_array", "save_arrays"]

ALIGN = 64
"""What numpy pads the headers of `.npy` to, so that data begin on a cache line."""


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write one array; equal arrays give equal bytes."""
    with path.open("wb") as handle:
        npy.write_array(handle, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write several arrays under their names; equal arrays give equal bytes."""
    names = sorted(arrays)
    with path.open("wb") as handle:
        for array in (np.frombuffer(orjson.dumps(names), dtype=np.uint8), *(arrays[name] for name in names)):
            handle.write(bytes(-handle.tell() % ALIGN))
            npy.write_array(handle, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def map_array(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, read-only.

    Raises:
        FileNotFoundError: It is not there.
        IndexCorrupt: It is no such file, holds Python objects, or is shorter than its header says.
    """
    return _array_at(map_bytes(path), 0, path)[0]


def map_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npys` file by name, read-only.

    Raises:
        FileNotFoundError, IndexCorrupt: As `map_array`.
    """
    content = map_bytes(path)
    listed, at = _array_at(content, 0, path)
    try:
        names = orjson.loads(listed.tobytes())
        if not isinstance(names, list):
            raise ValueError("no list of names")
    except ValueError as error:
        raise IndexCorrupt(f"{path} does not begin with the names of its arrays ({error})") from error
    arrays = {}
    for name in names:
        arrays[name], at = _array_at(content, at + -at % ALIGN, path)
    return arrays


def map_bytes(path: Path) -> mmap.mmap | bytes:
    """A file's content, mapped; plain empty bytes for an empty file, which can't be mapped."""
    with path.open("rb") as handle:
        if os.fstat(handle.fileno()).st_size == 0:
            return b""
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)


def _array_at(content: mmap.mmap | bytes, at: int, path: Path) -> tuple[NDArray[Any], int]:
    """The array whose `.npy` begins here, and where it ends."""
    head = io.BytesIO(content[at : at + 4096])
    try:
        if npy.read_magic(head) != (1, 0):
            raise ValueError("another version of the .npy format")
        shape, fortran_order, dtype = npy.read_array_header_1_0(head)
        if dtype.hasobject or fortran_order:
            raise ValueError("not plain rows of numbers")
    except (ValueError, SyntaxError, TypeError) as error:
        raise IndexCorrupt(f"{path} is not made of arrays of an index ({error})") from error
    count = int(np.prod(shape, dtype=np.int64))
    start = at + head.tell()
    end = start + count * dtype.itemsize
    if end > len(content):
        raise IndexCorrupt(f"{path} is shorter than its header says; it was cut off")
    if count == 0:
        array: NDArray[Any] = np.empty(shape, dtype=dtype)
        array.flags.writeable = False
        return array, end
    return np.frombuffer(content, dtype=dtype, count=count, offset=start).reshape(shape), end
