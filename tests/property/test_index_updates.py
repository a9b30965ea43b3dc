"""Whatever happened to an index, it answers like one built afresh from the documents it holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sleuth.index.build import build_index
from sleuth.index.handle import Index, open_index
from sleuth.types import Doc

WEIGHTINGS = ["saturated", "tf", "binary", "bm25"]
WORDS = ["pipe", "child", "wait", "hangs", "한국어", "don't", "snake_case", "the", "zz9"]
QUERIES = [["pipe"], ["child", "child", "wait", "hang"], ["absent"], ["pipe", "pipe", "pipe", "zz9", "snake"], []]

IDS = st.sampled_from([f"d{n}" for n in range(12)] + ["a b", "100%", "문서", "../x"])
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
DOCS = st.builds(
    lambda i, text, source: Doc(i, text, "", {"source": source}), IDS, TEXTS, st.sampled_from(["a.md", "b.md"])
)
BATCHES = st.lists(DOCS, max_size=8, unique_by=lambda doc: doc.doc_id)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), BATCHES),
        st.tuples(st.just("sync"), BATCHES),
        st.tuples(st.just("delete"), st.lists(IDS, unique=True)),
        st.tuples(st.just("delete where"), st.sampled_from(["a.md", "b.md"])),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=7,
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    yield


def apply(index: Index, model: dict[str, Doc], step: str, what: Any) -> None:
    """Do one step to the index and to a plain dict."""
    match step:
        case "add":
            index.add(what)
            model.update({doc.doc_id: doc for doc in what})
        case "sync":
            build_index(what, index.path, replace=True, part_documents=3)
            index.refresh()
            model.clear()
            model.update({doc.doc_id: doc for doc in what})
        case "delete":
            known = [doc_id for doc_id in what if doc_id in model]
            assert index.delete(known) == len(known)
            for doc_id in known:
                del model[doc_id]
        case "delete where":
            gone = [doc_id for doc_id, doc in model.items() if doc.metadata["source"] == what]
            assert index.delete(where={"source": what}) == len(gone)
            for doc_id in gone:
                del model[doc_id]
        case "compact":
            index.compact()


def assert_answers_alike(changed: Index, fresh: Index) -> None:
    assert changed.n_docs == fresh.n_docs
    for weighting in WEIGHTINGS:
        for one, other in zip(
            changed.bm25_search(QUERIES, depth=50, weighting=weighting),
            fresh.bm25_search(QUERIES, depth=50, weighting=weighting),
            strict=True,
        ):
            assert set(one[0]) == set(other[0])
            scores = dict(zip(other[0], other[1].tolist(), strict=True))
            assert np.allclose(one[1], [scores[doc_id] for doc_id in one[0]], rtol=0, atol=1e-6)
    for term in ("pipe", "hang", "absent"):
        assert changed.df(term) == fresh.df(term)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=BATCHES, steps=STEPS)
def test_any_history_answers_like_a_fresh_build(start: list[Doc], steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed"
        build_index(start, path, part_documents=3)
        index = open_index(path)
        model = {doc.doc_id: doc for doc in start}
        for step, what in steps:
            apply(index, model, step, what)
            assert dict(index.docs) == model
        assert index.check() == []
        build_index(model.values(), Path(folder) / "fresh")
        assert_answers_alike(index, open_index(Path(folder) / "fresh"))
        assert_answers_alike(open_index(path), open_index(Path(folder) / "fresh"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=BATCHES, cut=st.integers(0, 8))
def test_parts_and_merges_leave_the_bytes_of_one_build(start: list[Doc], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build_index(start, Path(folder) / "a", part_documents=1 + cut)
        build_index(start, Path(folder) / "b")
        files = [
            {
                name: file.sha256
                for segment in open_index(Path(folder) / at).manifest.segments
                for name, file in segment.files.items()
            }
            for at in "ab"
        ]
        assert files[0] == files[1]
