"""Exact vector search: against brute force in float64, with ties, deletions, exclusions and filters."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.index import dense
from sleuth.index.dense import DenseSearcher
from sleuth.index.memory_vectors import MemoryVectors


def brute(vectors, query, depth, allowed):
    """Rows in order of (score descending, row ascending) with everything that ties with the last."""
    scores = (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    rows = sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-scores[row], row))
    if depth < len(rows):
        rows = [row for row in rows if scores[row] >= scores[rows[depth - 1]]] if depth else []
    return rows, scores[rows]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(dense, "BLOCK_ROWS", 64)
    monkeypatch.setattr(dense, "BATCH_QUERIES", 3)
    monkeypatch.setattr(dense, "RESCORE_ROWS", 7)


def unit(rng, n, dim):
    vectors = rng.standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("depth", [1, 10, 63, 64, 65, 499, 500, 501])
def test_equals_brute_force(small_blocks, depth):
    rng = np.random.default_rng(depth)
    vectors, queries = unit(rng, 500, 24), unit(rng, 7, 24)
    segments = [vectors[:130], vectors[130:130], vectors[130:]]
    live = rng.random(500) < 0.8
    within = rng.random(500) < 0.7
    excluded = [rng.integers(0, 500, rng.integers(0, 40)) for _ in queries]
    searcher = DenseSearcher(segments, live=[live[:130], live[130:130], live[130:]])
    found = searcher.search(queries, depth=depth, excluded=excluded, within=within)
    for query, barred, (rows, scores) in zip(queries, excluded, found, strict=True):
        allowed = live & within
        allowed[barred] = False
        want, want_scores = brute(vectors, query, depth, allowed)
        assert rows.tolist() == want
        assert rows.dtype == np.int64 and scores.dtype == np.float64
        np.testing.assert_array_equal(scores, want_scores)


def test_a_few_rows_of_a_block_are_gathered(small_blocks):
    rng = np.random.default_rng(1)
    vectors, queries = unit(rng, 300, 8), unit(rng, 2, 8)
    within = np.zeros(300, bool)
    within[[3, 70, 71, 299]] = True
    for query, (rows, _) in zip(queries, DenseSearcher([vectors]).search(queries, depth=3, within=within), strict=True):
        assert rows.tolist() == brute(vectors, query, 3, within)[0]


def test_scores_that_float32_can_not_tell_apart_are_ordered_by_float64(small_blocks):
    rng = np.random.default_rng(2)
    base = unit(rng, 1, 384)[0]
    vectors = np.tile(base, (400, 1))
    vectors[np.arange(400), rng.integers(0, 384, 400)] *= np.float32(1 + 2e-7)  # last-bit differences
    rng.shuffle(vectors)
    rows, scores = DenseSearcher([vectors]).search(base[None], depth=5)[0]
    want, want_scores = brute(vectors, base, 5, np.ones(400, bool))
    assert rows.tolist() == want
    np.testing.assert_array_equal(scores, want_scores)


def test_all_that_tie_with_the_last_are_returned():
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 1, 1, 2, 1]]
    query = np.array([[0.5, 1.0, 0.0, 0.0]], np.float32)
    rows, scores = DenseSearcher([vectors[:3], vectors[3:]]).search(query, depth=2)[0]
    assert rows.tolist() == [1, 2, 3, 5]
    assert scores.tolist() == [1.0] * 4


def test_tie_ranks_order_and_limit_the_ties_of_a_segment():
    vectors = np.ones((6, 2), np.float32)
    ranks = [np.array([2, 0, 1], np.int32), np.array([1, 2, 0], np.int32)]
    searcher = DenseSearcher([vectors[:3], vectors[3:]], tie_ranks=ranks)
    rows, _ = searcher.search(np.ones((1, 2), np.float32), depth=2)[0]
    assert sorted(rows.tolist()) == [1, 2, 3, 5]  # the two best of each segment; the caller merges them
    assert [row for row in rows.tolist() if row < 3] == [1, 2]
    assert [row for row in rows.tolist() if row >= 3] == [5, 3]


def test_equal_vectors_tie_exactly_wherever_they_stand(small_blocks):
    rng = np.random.default_rng(3)
    vectors = unit(rng, 333, 100)
    vectors[[5, 77, 150, 332]] = vectors[5]
    rows, scores = DenseSearcher([vectors[:100], vectors[100:]]).search(vectors[5][None], depth=1)[0]
    assert rows.tolist() == [5, 77, 150, 332]
    assert len(set(scores.tolist())) == 1


def test_long_vectors_do_not_hide_behind_short_ones(small_blocks):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((400, 32)).astype(np.float32) * np.logspace(-3, 3, 400, dtype=np.float32)[:, None]
    query = rng.standard_normal((1, 32)).astype(np.float32)
    rows, _ = DenseSearcher([vectors]).search(query, depth=20)[0]
    assert rows.tolist() == brute(vectors, query[0], 20, np.ones(400, bool))[0]


def test_nothing_to_find():
    searcher = DenseSearcher([np.ones((3, 2), np.float32)])
    query = np.ones((1, 2), np.float32)
    assert searcher.search(query, depth=0)[0][0].tolist() == []
    assert searcher.search(query, depth=5, within=np.zeros(3, bool))[0][0].tolist() == []
    assert searcher.search(query, depth=5, excluded=[[0, 1, 2]])[0][0].tolist() == []
    assert searcher.search(np.empty((0, 2), np.float32), depth=5) == []
    assert DenseSearcher([]).search(query, depth=5)[0][0].tolist() == []


def test_score_is_what_search_gives():
    rng = np.random.default_rng(5)
    vectors, query = unit(rng, 50, 16), unit(rng, 1, 16)[0]
    searcher = DenseSearcher([vectors[:20], vectors[20:]], live=[np.zeros(20, bool), None])
    rows, scores = searcher.search(query[None], depth=10)[0]
    assert min(rows) >= 20
    np.testing.assert_array_equal(searcher.score(query, rows), scores)
    assert searcher.score(query, [0])[0] == pytest.approx(float(vectors[0] @ query), abs=1e-6)


def test_bad_input_is_named():
    searcher = DenseSearcher([np.ones((3, 2), np.float32)])
    with pytest.raises(ShapeError, match=r"\(B, 2\), got \(1, 3\)"):
        searcher.search(np.ones((1, 3), np.float32), depth=1)
    with pytest.raises(UsageError, match="NaN"):
        searcher.search(np.array([[np.nan, 1]], np.float32), depth=1)
    with pytest.raises(UsageError, match="depth"):
        searcher.search(np.ones((1, 2), np.float32), depth=-1)
    with pytest.raises(ShapeError, match="within"):
        searcher.search(np.ones((1, 2), np.float32), depth=1, within=np.ones(2, bool))
    with pytest.raises(ShapeError, match="excluded"):
        searcher.search(np.ones((1, 2), np.float32), depth=1, excluded=[])
    with pytest.raises(UsageError, match="rows must lie"):
        searcher.score(np.ones(2, np.float32), [3])
    with pytest.raises(ShapeError, match="live"):
        DenseSearcher([np.ones((3, 2), np.float32)], live=[np.ones(2, bool)])
    with pytest.raises(ShapeError, match="tie_ranks"):
        DenseSearcher([np.ones((3, 2), np.float32)], tie_ranks=[])
    with pytest.raises(ShapeError, match="one dim"):
        DenseSearcher([np.ones((3, 2), np.float32), np.ones((3, 4), np.float32)])


class TestMemoryVectors:
    def test_upsert_replaces_in_place(self):
        store = MemoryVectors(2)
        store.upsert(["a", "b", "c"], np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
        store.upsert(["a", "d"], np.array([[0, 2], [3, 0]], np.float32))
        query = np.array([[1, 0], [0, 1]], np.float32)
        assert [ids for ids, _ in store.search(query, depth=2)] == [["d", "b"], ["a", "b"]]
        assert len(store) == 4 and "c" in store

    def test_ties_are_ordered_by_id_descending_before_the_cut(self):
        store = MemoryVectors(1)
        store.upsert(["b", "d", "a", "c"], np.ones((4, 1), np.float32))
        ids, scores = store.search(np.ones((1, 1), np.float32), depth=3)[0]
        assert ids == ["d", "c", "b"] and scores.tolist() == [1, 1, 1]

    def test_deleted_rows_are_gone_and_used_again(self):
        store = MemoryVectors(1)
        store.upsert(["a", "b"], np.array([[5], [1]], np.float32))
        assert store.delete(["a", "nobody"]) == 1
        assert store.search(np.ones((1, 1), np.float32), depth=9)[0][0] == ["b"]
        store.upsert(["new"], np.array([[2]], np.float32))
        assert store.search(np.ones((1, 1), np.float32), depth=9)[0][0] == ["new", "b"]
        with pytest.raises(UsageError, match="'a'"):
            store.vectors(["a"])

    def test_follows_a_dictionary_through_random_changes(self):
        rng = np.random.default_rng(6)
        store, mirror = MemoryVectors(5), {}
        for _ in range(60):
            ids = [f"d{n}" for n in rng.integers(0, 50, 8)]
            new = rng.standard_normal((8, 5)).astype(np.float32)
            store.upsert(ids, new)
            mirror |= dict(zip(ids, new, strict=True))
            gone = [f"d{n}" for n in rng.integers(0, 50, 3)]
            assert store.delete(gone) == len(set(gone) & mirror.keys())
            mirror = {doc_id: vector for doc_id, vector in mirror.items() if doc_id not in gone}
        query = rng.standard_normal(5).astype(np.float32)
        scores = {i: float((v.astype(np.float64) * query.astype(np.float64)).sum()) for i, v in mirror.items()}
        want = sorted(sorted(scores, reverse=True), key=lambda i: -scores[i])
        barred = want[:2]
        assert store.search(query[None], depth=10, excluded=[barred])[0][0] == want[2:12]
        np.testing.assert_array_equal(store.vectors(want), np.stack([mirror[i] for i in want]))

    def test_bad_vectors_change_nothing(self):
        store = MemoryVectors(2)
        store.upsert(["a"], np.ones((1, 2), np.float32))
        with pytest.raises(UsageError, match="'b'"):
            store.upsert(["a", "b"], np.array([[0, 0], [np.inf, 0]], np.float32))
        assert store.vectors(["a"]).tolist() == [[1, 1]]
        with pytest.raises(ShapeError, match=r"\(1, 2\), got \(1, 3\)"):
            store.upsert(["a"], np.ones((1, 3), np.float32))
        with pytest.raises(UsageError, match="dim"):
            MemoryVectors(0)
        store.upsert([], np.empty((0, 2), np.float32))
        assert len(store) == 1
