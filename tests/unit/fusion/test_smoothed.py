"""The smoothed hybrid against its definition, written a second time, and every edge case."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.fusion import Smoothed
from sleuth.types import Ranking

W, LAM, K, HEAD, BETA = 0.3, 0.4, 5, 5, 0.25


def plain_z(x: list[float]) -> list[float]:
    mean = math.fsum(x) / len(x)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / len(x))
    return [0.0] * len(x) if std < 1e-9 else [(value - mean) / std for value in x]


def by_hand(
    ids: list[str], b: np.ndarray, d: np.ndarray, v: np.ndarray, w: float = W, lam: float = LAM
) -> dict[str, float]:
    """The definition, document by document, in double precision and without shared code."""
    n = len(ids)
    have = [not (math.isnan(d[i]) or np.isnan(v[i]).any()) for i in range(n)]
    cos = [[float(np.dot(v[i].astype(np.float64), v[j].astype(np.float64))) for j in range(n)] for i in range(n)]
    bs = []
    for i in range(n):
        others = [j for j in range(n) if j != i and have[i] and have[j]]
        near = sorted(sorted(others, key=lambda j: ids[j], reverse=True), key=lambda j: -cos[i][j])[:K]
        total = math.fsum(max(cos[i][j], 0) for j in near)
        around = math.fsum(max(cos[i][j], 0) * b[j] for j in near)
        bs.append((1 - lam) * b[i] + lam * around / total if total > 1e-6 else b[i])

    def z_of_known(values: list[float]) -> list[float]:
        z = iter(plain_z([value for value, has in zip(values, have, strict=True) if has])) if any(have) else iter(())
        return [next(z) if has else 0.0 for has in have]

    zb, zd = plain_z(bs), z_of_known(list(d))
    first = [w * x + (1 - w) * y for x, y in zip(zb, zd, strict=True)]
    order = sorted(sorted(range(n), key=lambda i: ids[i], reverse=True), key=lambda i: -np.float32(first[i]))
    head = [i for i in order if have[i]][:HEAD]
    if head:
        mean = np.mean([v[i].astype(np.float64) for i in head], axis=0)
        m = mean / max(np.linalg.norm(mean), 1e-9)
        zd = z_of_known([d[i] + BETA * float(v[i].astype(np.float64) @ m) for i in range(n)])
    return {ids[i]: w * zb[i] + (1 - w) * zd[i] for i in range(n)}


def make_pool(
    seed: int, n: int, dim: int = 24, without: int = 0
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(n, dim)) + rng.normal(size=dim)
    v = (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
    q = v[: max(n // 4, 1)].mean(0)
    d = (v @ q / np.linalg.norm(q)).astype(np.float64)
    b = np.where(rng.random(n) < 0.3, 0.0, rng.gamma(2, 4, n))
    blind = rng.permutation(n)[:without]
    v[blind], d[blind] = np.nan, np.nan
    return [f"doc{i:03d}" for i in rng.permutation(n)], b, d, v


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("n", "without"), [(1, 0), (2, 0), (4, 1), (7, 0), (40, 0), (40, 9), (6, 6), (120, 1)])
def test_equals_the_definition(seed: int, n: int, without: int) -> None:
    ids, b, d, v = make_pool(seed, n, without=without)
    found = Smoothed().pool(ids, b, d, v)
    expected = by_hand(ids, b, d, v)
    assert found.fused.dtype == np.float32
    assert found.fused == pytest.approx([expected[doc_id] for doc_id in ids], abs=2e-5)


@pytest.mark.parametrize(
    ("weight", "strength"), [(0.0, 0.4), (0.3, 0.4), (0.5, 0.4 * 0.5 / 0.7), (0.65, 0.2), (1.0, 0.0)]
)
def test_smoothing_goes_as_trust_in_vectors_goes(weight: float, strength: float) -> None:
    assert Smoothed(weight=weight).strength == pytest.approx(strength)
    ids, b, d, v = make_pool(3, 30)
    expected = by_hand(ids, b, d, v, weight, strength)
    found = Smoothed(weight=weight).pool(ids, b, d, v)
    assert found.fused == pytest.approx([expected[doc_id] for doc_id in ids], abs=2e-5)


def test_switches() -> None:
    ids, b, d, v = make_pool(1, 30)
    plain = Smoothed(smoothing=False, feedback=False).pool(ids, b, d, v)
    assert plain.fused == pytest.approx(W * np.array(plain_z(list(b))) + (1 - W) * np.array(plain_z(list(d))), abs=1e-6)
    assert np.array_equal(plain.bm25, b) and np.array_equal(plain.cosines, d)
    assert np.array_equal(Smoothed(smoothing=False).pool(ids, b, d, v).bm25, b)
    assert np.array_equal(Smoothed(feedback=False).pool(ids, b, d, v).cosines, d)


def test_scores_follow_their_documents_in_any_order() -> None:
    ids, b, d, v = make_pool(2, 50, without=3)
    found = Smoothed().pool(ids, b, d, v)
    for seed in range(5):
        p = np.random.default_rng(seed).permutation(50)
        again = Smoothed().pool([ids[i] for i in p], b[p], d[p], v[p])
        assert np.array_equal(again.fused, found.fused[p])
        assert np.array_equal(again.cosines, found.cosines[p], equal_nan=True)


def test_the_input_is_not_changed() -> None:
    ids, b, d, v = make_pool(2, 20, without=4)
    before = b.copy(), d.copy(), v.copy()
    Smoothed().pool(ids, b, d, v)
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip((b, d, v), before, strict=True))


def test_one_candidate_scores_zero() -> None:
    ids, b, d, v = make_pool(5, 1)
    assert Smoothed().pool(ids, b, d, v).fused.tolist() == [0.0]


def test_no_candidates() -> None:
    empty = Smoothed().pool([], np.zeros(0), np.zeros(0), np.zeros((0, 8), dtype=np.float32))
    assert len(empty.fused) == 0
    assert len(Smoothed().ranking([], np.zeros(0), np.zeros(0), np.zeros((0, 8), dtype=np.float32))) == 0


def test_without_a_bm25_match_the_dense_order_with_feedback_remains() -> None:
    ids, _, d, v = make_pool(6, 30)
    found = Smoothed().pool(ids, np.zeros(30), d, v)
    assert found.fused == pytest.approx(0.7 * np.array(plain_z(list(found.cosines))), abs=1e-6)
    assert not np.array_equal(np.argsort(found.cosines), np.argsort(d))


def test_no_vectors_at_all_leaves_bm25() -> None:
    ids, b, d, v = make_pool(7, 12, without=12)
    found = Smoothed().pool(ids, b, d, v)
    assert found.fused == pytest.approx(0.3 * np.array(plain_z(list(b))), abs=1e-6)
    assert np.isnan(found.cosines).all()


def test_duplicates_are_neighbours_like_any_others() -> None:
    v = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (4, 1))
    b = np.array([8.0, 0.0, 0.0, 0.0])
    found = Smoothed(feedback=False).pool(list("abcd"), b, np.zeros(4), v)
    assert found.bm25 == pytest.approx([4.8, *[0.4 * 8 / 3] * 3])


def test_opposite_vectors_are_no_neighbours() -> None:
    v = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    assert Smoothed().pool(["a", "b"], np.array([3.0, 1.0]), np.zeros(2), v).bm25.tolist() == [3, 1]


def test_equally_near_neighbours_are_taken_by_doc_id_descending() -> None:
    # Six others are equally near to "x"; only five count, so "a", the last by id, must be left out.
    v = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (7, 1))
    b = np.array([0.0, 100.0, 0, 0, 0, 0, 0])
    assert Smoothed().pool(["x", "a", "b", "c", "d", "e", "f"], b, np.zeros(7), v).bm25[0] == 0
    assert Smoothed().pool(["x", "g", "b", "c", "d", "e", "f"], b, np.zeros(7), v).bm25[0] == pytest.approx(0.4 * 20)


def test_a_vector_of_zeros_is_allowed() -> None:
    v = np.array([[1.0, 0.0], [0.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    found = Smoothed().pool(list("abc"), np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, 0.2]), v)
    assert found.bm25[1] == 2 and np.isfinite(found.fused).all()


def test_ranking_has_parts_and_breaks_ties_by_id() -> None:
    ids, b, d, v = make_pool(8, 20, without=2)
    ranking = Smoothed().ranking(ids, b, d, v, names=("lex", "vec"), depth=15)
    assert isinstance(ranking, Ranking) and ranking.scale == "fused" and len(ranking) == 15
    assert set(ranking.parts) == {"lex", "vec", "smoothed/lex", "smoothed/vec"}
    for doc in ranking:
        at = ids.index(doc.doc_id)
        assert ranking.parts["lex"][doc.rank - 1] == b[at]
    v = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (3, 1))
    tied = Smoothed().ranking(["b", "가", "a"], np.ones(3), np.ones(3), v)
    assert tied.doc_ids == ("가", "b", "a")


def test_refusals() -> None:
    ids, b, d, v = make_pool(9, 5)
    with pytest.raises(UsageError, match="between 0 and 1"):
        Smoothed(weight=1.2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        Smoothed(weight=float("nan"))
    with pytest.raises(ShapeError, match=r"\(5,\)"):
        Smoothed().pool(ids, b[:4], d, v)
    with pytest.raises(ShapeError, match=r"\(5, dim\)"):
        Smoothed().pool(ids, b, d, v[:4])
    with pytest.raises(UsageError, match="BM25"):
        Smoothed().pool(ids, np.where(b == b.max(), np.nan, b), d, v)
    with pytest.raises(UsageError, match="infinite"):
        Smoothed().pool(ids, b, np.full(5, np.inf), v)
    with pytest.raises(UsageError, match="unit length, got one of length 3"):
        Smoothed().pool(ids, b, d, v * 3)
