"""Arrays on disk: `.npy` files that are mapped, not read.

Opening costs a few system calls whatever the size; pages come in when they are touched. The arrays are
read-only, and stay readable after their file was removed (POSIX), which is what lets a reader keep its
snapshot while a writer cleans up.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt

__all__ = ["map_array", "map_bytes", "save_array"]


def map_array(path: Path) -> NDArray[Any]:
    """A read-only array over a `.npy` file.

    Raises:
        FileNotFoundError: It is not there.
        IndexCorrupt: It is no `.npy` file, holds Python objects, or is shorter than its header says.
    """
    with path.open("rb") as handle:
        try:
            version = npy.read_magic(handle)
            if version != (1, 0):
                raise ValueError(f"version {version} of the .npy format")
            shape, fortran_order, dtype = npy.read_array_header_1_0(handle)
            if dtype.hasobject or fortran_order:
                raise ValueError("not plain rows of numbers")
        except (ValueError, SyntaxError, TypeError) as error:
            raise IndexCorrupt(f"{path} is not an array of an index ({error})") from error
        count = int(np.prod(shape, dtype=np.int64))
        if count == 0:
            empty = np.empty(shape, dtype=dtype)
            empty.flags.writeable = False
            return empty
        start = handle.tell()
        if os.fstat(handle.fileno()).st_size < start + count * dtype.itemsize:
            raise IndexCorrupt(f"{path} is shorter than its header says; it was cut off")
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype=dtype, count=count, offset=start).reshape(shape)


def map_bytes(path: Path) -> mmap.mmap | bytes:
    """A file's content, mapped; plain empty bytes for an empty file, which can't be mapped."""
    with path.open("rb") as handle:
        if os.fstat(handle.fileno()).st_size == 0:
            return b""
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a `.npy` file that `map_array` reads; equal arrays give equal bytes."""
    with path.open("wb") as handle:
        npy.write_array(handle, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
