"""The compiled byte path against the pure one."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.text.analyzer import get_analyzer

pytestmark = pytest.mark.slow
NAMES = ["auto", "code", "en", "word", "cjk"]


def same(name: str, texts: list[str]) -> None:
    pytest.importorskip("numba")
    fast = get_analyzer(name).encode(texts, fast=True)  # type: ignore[call-arg]
    pure = get_analyzer(name).encode(texts, fast=False)  # type: ignore[call-arg]
    assert fast.terms == pure.terms
    assert np.array_equal(fast.ids, pure.ids) and np.array_equal(fast.offsets, pure.offsets)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(
        st.text(alphabet=st.one_of(st.sampled_from("abSZ09_.':,; \n\x00é한＇’"), st.characters()), max_size=80),
        max_size=5,
    )
)
def test_on_any_text(name: str, texts: list[str]) -> None:
    same(name, texts)


@pytest.mark.parametrize("name", NAMES)
def test_on_golden_texts(name: str, golden: Path) -> None:
    lines = (golden / "bm25" / "analyzer.jsonl").read_text(encoding="utf-8").splitlines()
    same(name, [json.loads(line)["text"] for line in lines])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("collection", ["scifact", "cosqa", "korquad1"])
def test_on_collections(name: str, collection: str, shared_data: Path) -> None:
    path = shared_data / collection / "corpus.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        same(name, [json.loads(line)["text"] for line in islice(lines, 3_000)])


@pytest.mark.parametrize("name", NAMES)
def test_on_long_texts(name: str) -> None:
    same(name, ["word,Word_x " * 300_000, "", "minified.js;" * 200_000, "é" * 100_000, "\x00" * 1000])
