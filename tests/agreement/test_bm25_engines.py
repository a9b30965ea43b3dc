"""The two engines against each other and against bm25s, on a collection of several blocks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sleuth.index.bm25 import BM25, Postings

pytestmark = pytest.mark.slow

DOCS, WORDS = 90_000, 30_000


@pytest.fixture(scope="module")
def stream() -> SimpleNamespace:
    """Documents of 0 to 40 words, Zipf-distributed, with words repeated as in text, one of them 700 times."""
    rng = np.random.default_rng(7)
    weights = 1.0 / (np.arange(WORDS) + 2.7)
    lengths = rng.integers(0, 41, size=DOCS)
    ids = rng.choice(WORDS, size=int(lengths.sum()), p=weights / weights.sum())
    again = rng.random(len(ids)) < 0.15  # burstiness: a word follows itself
    again[0] = False
    ids = ids[np.maximum.accumulate(np.where(again, 0, np.arange(len(ids))))]
    lengths[40_000] += 700
    at = int(lengths[:40_000].sum())
    ids = np.concatenate([ids[:at], np.full(700, 17), ids[at:]]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return SimpleNamespace(ids=ids, offsets=offsets, terms=[f"w{i}" for i in range(WORDS)])


@pytest.fixture(scope="module")
def postings(stream: SimpleNamespace) -> Postings:
    return Postings.build(stream)


def asked(n: int, length: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(WORDS) + 2.7)
    ids = rng.choice(WORDS, size=(n, length), p=weights / weights.sum())
    return [[f"w{i}" for i in row] for row in ids.tolist()]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 60, 400])
@pytest.mark.parametrize("depth", [1, 10, 100, 3000])
@pytest.mark.parametrize("deletions", [False, True])
def test_both_engines_give_the_same_documents_and_the_same_bits(
    postings: Postings, length: int, depth: int, deletions: bool
) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(length)
    live = rng.random(DOCS) < 0.9 if deletions else None
    ranks = rng.permutation(DOCS)
    queries = asked(6, length, seed=length)
    results = []
    for engine in ("numpy", "numba"):
        both = BM25([postings], live=[live], tie_ranks=[ranks], engine=engine)
        one_by_one = [both.search([q], depth=depth, weighting="tf")[0] for q in queries]
        results += [one_by_one, both.search(queries, depth=depth, weighting="tf")]
        results.append(both.search(queries * 2, depth=depth, weighting="tf")[: len(queries)])
    for other in results[1:]:
        for (docs, scores), (docs2, scores2) in zip(results[0], other, strict=True):
            assert docs.tolist() == docs2.tolist()
            assert scores.tobytes() == scores2.tobytes()


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_agrees_with_bm25s(stream: SimpleNamespace, postings: Postings, engine: str) -> None:
    if engine == "numba":
        pytest.importorskip("numba")
    bm25s = pytest.importorskip("bm25s")
    peer = bm25s.BM25(method="lucene", k1=0.9, b=0.4, dtype="float64")
    ids = stream.ids.tolist()
    docs = [ids[a:b] for a, b in zip(stream.offsets, stream.offsets[1:], strict=False)]
    # bm25s counts empty documents in N and the average, so they are left out of both.
    kept = [i for i, doc in enumerate(docs) if doc]
    peer.index(([docs[i] for i in kept], {t: i for i, t in enumerate(stream.terms)}), show_progress=False)
    ours = BM25([postings], live=[None], tie_ranks=[np.arange(DOCS)], k1=0.9, b=0.4, engine=engine)
    for query in asked(5, 12, seed=1) + asked(3, 200, seed=2):
        expected = np.zeros(DOCS)
        expected[kept] = peer.get_scores(query)
        found, scores = ours.search([query], depth=200, weighting="tf")[0]
        np.testing.assert_allclose(scores, expected[found], rtol=1e-6)
        best = np.sort(expected)[::-1][:200]
        np.testing.assert_allclose(scores, best, rtol=1e-6)
