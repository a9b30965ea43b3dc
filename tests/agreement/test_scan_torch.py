"""Low-precision scans find what exact search finds."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import UnknownName
from sleuth.index import dense
from sleuth.index.dense import DenseSearcher
from sleuth.index.scan_torch import TorchScan, fastest_precision

pytestmark = pytest.mark.slow


def clustered(n, dim, queries, seed=0):
    """Unit vectors around 48 latent directions, as embeddings of texts on some subjects are."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((48, dim)).astype(np.float32)
    topics = rng.standard_normal((60, 48)).astype(np.float32)

    def draw(count):
        latent = topics[rng.integers(0, 60, count)] + 0.7 * rng.standard_normal((count, 48)).astype(np.float32)
        vectors = latent @ mix + rng.standard_normal((count, dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return draw(n), draw(queries)


@pytest.mark.parametrize("precision", ["bf16", "int8", "float32"])
@pytest.mark.parametrize("depth", [10, 100])
def test_recall_is_one(precision, depth):
    vectors, queries = clustered(20_000, 384, 40)
    queries[::2] *= 17  # lengths of queries don't matter
    segments = [vectors[:300], vectors[300:]]
    live = [np.arange(300) % 2 == 0, None]
    excluded = [[301, 302]] * len(queries)
    exact = DenseSearcher(segments, live=live).search(queries, depth=depth, excluded=excluded)
    coarse = DenseSearcher(segments, live=live, scan=TorchScan(segments, precision=precision))
    for _ in range(2):
        for (rows, scores), (want, want_scores) in zip(
            coarse.search(queries, depth=depth, excluded=excluded), exact, strict=True
        ):
            assert rows.tolist() == want.tolist()
            np.testing.assert_array_equal(scores, want_scores)


def test_filters_and_odd_vectors(monkeypatch):
    monkeypatch.setattr(dense, "BLOCK_ROWS", 100)
    vectors, queries = clustered(730, 20, 5)
    vectors[7] = 0
    queries[1] = 0
    within = np.random.default_rng(1).random(730) < 0.5
    within[200:300] = False
    within[305] = True
    for precision in ("bf16", "int8", "float32"):
        found = DenseSearcher([vectors], scan=TorchScan([vectors], precision=precision)).search(
            queries, depth=20, within=within
        )
        want = DenseSearcher([vectors]).search(queries, depth=20, within=within)
        assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows, _ in want]


def test_mapped_read_only_vectors(tmp_path):
    vectors, queries = clustered(500, 16, 3)
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    found = DenseSearcher([mapped], scan=TorchScan([mapped])).search(queries, depth=5)
    assert [rows.tolist() for rows, _ in found] == [
        rows.tolist() for rows, _ in DenseSearcher([vectors]).search(queries, depth=5)
    ]


def test_the_cpu_decides():
    assert TorchScan([]).precision == fastest_precision()
    with pytest.raises(UnknownName, match="bf16, float32, int8"):
        TorchScan([], precision="int4")  # type: ignore[arg-type]
