"""Ids are found by bytes, ranked by bytes, and any string is an id."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import IndexCorrupt, UsageError
from sleuth.index import ids as ids_module
from sleuth.index.ids import IdTable, id_bytes, id_keys

ODD = [
    "a b",
    "100%",
    "%41",
    "../../etc/passwd",
    "/abs",
    "C:\\x",
    "문서 1",
    "é",
    "e\u0301",
    "\x00",
    "\n",
    "😀",
    "a#0",
    "A",
    "a",
]


def table(names: list[str]) -> IdTable:
    return IdTable(IdTable.columns([id_bytes(name) for name in names]))


def find(it: IdTable, names: list[str]) -> list[int]:
    raw = [name.encode() for name in names]
    return it.find(raw, id_keys(raw)).tolist()


def test_finds_every_id_and_nothing_else() -> None:
    it = table(ODD)
    assert find(it, ODD) == list(range(len(ODD)))
    assert find(it, ["b", "", "a ", "A#0", "문서"]) == [-1] * 5
    assert [name.decode() for name in it.names(np.array([3, 0, 3]))] == [ODD[3], ODD[0], ODD[3]]
    assert find(it, []) == []
    assert [it.find_one(name.encode()) for name in [*ODD, "b", ""]] == [*range(len(ODD)), -1, -1]


def test_rank_is_descending_byte_order() -> None:
    it = table(ODD)
    by_rank = [ODD[row] for row in np.argsort(it.rank)]
    assert by_rank == sorted(ODD, key=str.encode, reverse=True)


def test_ids_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids_module, "id_keys", lambda names: np.full(len(list(names)), 7, dtype=np.uint64))
    it = table(["x", "y", "z"])
    raw = [b"z", b"y", b"x", b"w"]
    assert it.find(raw, np.full(4, 7, dtype=np.uint64)).tolist() == [2, 1, 0, -1]


@pytest.mark.parametrize("bad", ["", "\ud800", None, 7])
def test_refuses_what_is_no_id(bad: object) -> None:
    with pytest.raises(UsageError, match="id"):
        id_bytes(bad)  # type: ignore[arg-type]


def test_empty_and_damaged_columns() -> None:
    assert find(table([]), ["a"]) == [-1]
    assert table([]).find_one(b"a") == -1
    columns = IdTable.columns([b"a", b"b"])
    with pytest.raises(IndexCorrupt, match="rank"):
        IdTable({name: column for name, column in columns.items() if name != "rank"})
    with pytest.raises(IndexCorrupt, match="offsets"):
        IdTable({**columns, "offsets": columns["offsets"].astype(np.int32)})
    with pytest.raises(IndexCorrupt, match="lengths"):
        IdTable({**columns, "rows": columns["rows"][:1]})
