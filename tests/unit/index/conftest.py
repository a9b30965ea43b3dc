"""A tiny encoder, and indexes to work on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.index.build import build_index
from sleuth.index.handle import Index, open_index
from sleuth.stages import Embeddings
from sleuth.types import Doc


class HashEncoder:
    """Vectors that depend on the text alone; remembers what it was asked for."""

    name = "hash"
    max_tokens = 16

    def __init__(self, identity: str = "hash/1", dim: int = 4) -> None:
        self.identity, self.dim = identity, dim
        self.asked: list[str] = []

    def encode_docs(self, docs: Sequence[str], *, context: Any = None) -> Embeddings:
        self.asked += docs
        rows = [self.vector(text) for text in docs]
        lengths = np.array([len(text.split()) for text in docs], dtype=np.int32)
        vectors = np.array(rows, dtype=np.float32).reshape(len(docs), self.dim)
        return Embeddings(vectors, lengths, lengths > self.max_tokens)

    encode_queries = encode_docs

    def vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(f"{self.identity}/{text}".encode()).digest()[:8], "big")
        row = np.random.default_rng(seed).normal(size=self.dim).astype(np.float32)
        return row / np.linalg.norm(row)


def make_docs(n: int, *, start: int = 0) -> list[Doc]:
    """Documents with a shared vocabulary, sources of ten documents each, and a page number."""
    return [
        Doc(f"doc {i}%", f"word{i % 7} common text number{i}", "Title", {"source": f"{i // 10}.md", "page": i})
        for i in range(start, start + n)
    ]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about content; what survives a kill is tested in processes of their own."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def docs() -> list[Doc]:
    return make_docs(40)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Index]:
    """Build (or update) the index of this test and open it; `report` says what was done."""

    def build(docs: Any, *, encoder: Any = None, opener: Any = None, at: str = "an index", **options: Any) -> Index:
        path = tmp_path / at
        report = build_index(docs, path, encoder=encoder, open_encoder=opener, **options)
        index = open_index(path, encoder=encoder, open_encoder=opener)
        index.report = report
        return index

    return build
