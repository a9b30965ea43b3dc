"""Vector search is brute force, whatever the corpus: few distinct values make ties everywhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.index import dense


@settings(max_examples=150, deadline=None)
@given(data=st.data(), dim=st.integers(1, 4), sizes=st.lists(st.integers(0, 25), min_size=1, max_size=4))
def test_search_is_brute_force(data, dim, sizes):
    n = sum(sizes)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (n, dim)).astype(np.float32)
    queries = rng.integers(-2, 3, (3, dim)).astype(np.float32)
    depth = data.draw(st.integers(0, 30))
    live = rng.random(n) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    within = rng.random(n) < data.draw(st.sampled_from([0.1, 0.6, 1.0]))
    excluded = [np.flatnonzero(rng.random(n) < 0.2) for _ in queries]
    cuts = np.cumsum(sizes)[:-1]
    ranks = [rng.permutation(size).astype(np.int32) for size in sizes]
    before = dense.BLOCK_ROWS
    dense.BLOCK_ROWS = data.draw(st.integers(1, 12))
    try:
        searcher = dense.DenseSearcher(np.split(vectors, cuts), live=np.split(live, cuts), tie_ranks=ranks)
        found = searcher.search(queries, depth=depth, excluded=excluded, within=within)
    finally:
        dense.BLOCK_ROWS = before
    rank = np.concatenate(ranks) if n else np.zeros(0)
    segment = np.repeat(np.arange(len(sizes)), sizes)
    for query, barred, (rows, scores) in zip(queries, excluded, found, strict=True):
        exact = vectors.astype(np.float64) @ query.astype(np.float64)
        allowed = live & within
        allowed[barred] = False
        pool = np.flatnonzero(allowed)
        np.testing.assert_array_equal(scores, exact[rows])
        assert len(set(rows.tolist())) == len(rows) and allowed[rows].all()
        # However the caller orders ties across segments (here: by rank, then segment), its best `depth` are all there.
        order = pool[np.lexsort((segment[pool], rank[pool], -exact[pool]))][:depth]
        assert set(order.tolist()) <= set(rows.tolist())
        got = rows[np.lexsort((segment[rows], rank[rows], -scores))][:depth]
        assert got.tolist() == order.tolist()
        if len(rows):
            assert scores[-1] == exact[order[-1]]
