"""Documents as lines: what goes in comes out, filters find what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sleuth.errors import IndexCorrupt, UsageError
from sleuth.index.records import Records, checked_filters, digest, matches, record_line
from sleuth.types import Doc

DOCS = [
    Doc("a", "text", "Title", {"source": "a.md", "page": 3, "ok": True}),
    Doc("b", '"source":"a.md" is only quoted here', "", {"source": "b.md", "page": 30, "nothing": None}),
    Doc("c", "", "", {"source": 'q"uo\\te', "nested": {"source": "a.md"}, "page": 3.5}),
    Doc("문서", "한국어 본문\n둘째 줄", "제목", {"source": "가.md", "tags": ["x", "y"], "page": 1, "ok": 1}),
    Doc("e", "no metadata"),
]


def records(docs: list[Doc]) -> Records:
    lines = [record_line(doc) for doc in docs]
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64)
    return Records(b"".join(lines), offsets, "docs.jsonl")


def test_documents_come_back_as_they_were() -> None:
    stored = records(DOCS)
    assert [stored.doc(row) for row in range(len(stored))] == DOCS


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"source": "a.md"}, [0]),
        ({"source": ["a.md", "b.md", "a.md"]}, [0, 1]),
        ({"source": 'q"uo\\te'}, [2]),
        ({"source": "가.md"}, [3]),
        ({"page": 3}, [0]),
        ({"page": "3"}, [0]),
        ({"page": "3.5"}, [2]),
        ({"page": 1}, [3]),
        ({"ok": True}, [0]),
        ({"ok": "true"}, [0]),
        ({"ok": 1}, [3]),
        ({"nothing": None}, [1]),
        ({"nothing": "null"}, [1]),
        ({"absent": None}, []),
        ({"source": "a.md", "page": 30}, []),
        ({"source": "b.md", "page": 30}, [1]),
        ({"tags": ["x"]}, []),
        ({"nested": {"source": "a.md"}}, [2]),
        ({"source": []}, []),
    ],
)
def test_filters(fields: dict[str, Any], rows: list[int]) -> None:
    filters = checked_filters(fields)
    assert records(DOCS).rows_where(filters).tolist() == rows
    assert [row for row, doc in enumerate(DOCS) if matches(doc.metadata, filters)] == rows


def test_an_empty_filter_is_refused() -> None:
    with pytest.raises(UsageError, match="where"):
        checked_filters({})


@pytest.mark.parametrize(
    "doc",
    [
        Doc("x", "half \ud800"),
        Doc("x", "t", "", {"when": object()}),
        Doc("x", "t", "", {1: "key"}),  # type: ignore[dict-item]
        Doc("x", "t", "", {"big": 1 << 70}),
        {"_id": "x", "text": "t"},
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(doc: Any) -> None:
    with pytest.raises(UsageError, match="x"):
        record_line(doc)


def test_damage_is_reported_with_its_line() -> None:
    good = record_line(DOCS[0])
    offsets = np.array([0, len(good), 2 * len(good)], dtype=np.int64)
    damaged = Records(good + b"\x00" * len(good), offsets, "docs.jsonl")
    assert damaged.doc(0) == DOCS[0]
    with pytest.raises(IndexCorrupt, match=r"docs.jsonl, line 2 .*--check"):
        damaged.doc(1)
    with pytest.raises(IndexCorrupt, match="offsets"):
        Records(good, offsets, "docs.jsonl")


def test_hashes_tell_texts_apart() -> None:
    assert digest(b"a") != digest(b"b")
    assert len(digest(b"")) == 16
