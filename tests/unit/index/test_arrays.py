"""Arrays are mapped, read-only, and refused when they are not what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sleuth.errors import IndexCorrupt
from sleuth.index.arrays import map_array, map_arrays, map_bytes, save_array, save_arrays


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.int32), np.zeros((0,), np.uint8), np.ones((3, 2), np.float32)])
def test_comes_back_equal_and_read_only(tmp_path: Path, array: np.ndarray) -> None:
    save_array(tmp_path / "a.npy", array)
    mapped = map_array(tmp_path / "a.npy")
    assert mapped.dtype == array.dtype
    assert np.array_equal(mapped, array)
    assert not mapped.flags.writeable
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


def test_stays_readable_after_removal(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.arange(100_000))
    mapped = map_array(tmp_path / "a.npy")
    (tmp_path / "a.npy").unlink()
    assert int(mapped.sum()) == 99_999 * 50_000


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexCorrupt, match="not plain rows"):
        map_array(tmp_path / "a.npy")


@pytest.mark.parametrize("keep", [0, 5, 40, 200])
def test_a_cut_off_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.npy"
    save_array(path, np.arange(1000))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(IndexCorrupt):
        map_array(path)


def test_empty_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert bytes(map_bytes(tmp_path / "x")) == b""


def test_several_arrays_share_a_file(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(5, dtype=np.uint8),
        "a.empty": np.zeros((0, 3), np.float32),
        "c": np.ones((7, 2), np.int64),
    }
    save_arrays(tmp_path / "x.npys", arrays)
    mapped = map_arrays(tmp_path / "x.npys")
    assert sorted(mapped) == sorted(arrays)
    for name, array in arrays.items():
        assert mapped[name].dtype == array.dtype
        assert np.array_equal(mapped[name], array)
        assert not mapped[name].flags.writeable
        assert array.size == 0 or mapped[name].ctypes.data % 64 == 0
    save_arrays(tmp_path / "y.npys", dict(reversed(arrays.items())))
    assert (tmp_path / "x.npys").read_bytes() == (tmp_path / "y.npys").read_bytes()


def test_damaged_files_of_several_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npys"
    save_arrays(path, {"a": np.arange(5), "b": np.arange(5)})
    content = path.read_bytes()
    for damaged in (content[:-1], content[:200], b"", content.replace(b'["a","b"]', b'["a","b",'), b"\0" + content[1:]):
        path.write_bytes(damaged)
        with pytest.raises(IndexCorrupt, match=r"x\.npys"):
            map_arrays(path)
