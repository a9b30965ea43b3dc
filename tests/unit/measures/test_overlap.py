"""rbo: the paper's forms on uneven lists, limits and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import UsageError
from sleuth.measures import rbo
from sleuth.types import Ranking


def extrapolated_by_hand(a: list[str], b: list[str], p: float) -> float:
    """Eq. 32 of the paper, term by term."""
    s_list, l_list = sorted((a, b), key=len)
    s, n = len(s_list), len(l_list)
    x = {d: len(set(s_list[:d]) & set(l_list[:d])) for d in range(1, n + 1)}
    first = sum(x[d] / d * p**d for d in range(1, n + 1))
    second = sum(x[s] * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (first + second) + ((x[n] - x[s]) / n + x[s] / s) * p**n


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.98])
def test_extrapolated_on_uneven_lists(seed: int, p: float) -> None:
    rng = np.random.default_rng(seed)
    pool = [f"d{i}" for i in range(12)]
    a = [pool[i] for i in rng.permutation(12)[: rng.integers(1, 9)]]
    b = [pool[i] for i in rng.permutation(12)[: rng.integers(1, 12)]]
    assert rbo(a, b, p) == pytest.approx(extrapolated_by_hand(a, b, p))
    assert rbo(a, b, p) == rbo(b, a, p)
    assert 0 <= rbo(a, b, p) <= 1 + 1e-12


def test_equal_lists_extrapolate_to_one_and_disjoint_ones_to_zero() -> None:
    ids = [f"문서 {i}" for i in range(7)]
    assert rbo(ids, ids, 0.9) == pytest.approx(1)
    assert rbo(ids, ids[:3], 0.9) == pytest.approx(1)
    assert rbo(ids, ["x", "y"], 0.9) == 0


def test_truncated_stops_at_the_shorter_list() -> None:
    a, b = list("abcdef"), list("acb")
    agreement = [1, 1 / 2, 1]
    assert rbo(a, b, 0.5, form="truncated") == pytest.approx(sum(0.5**i * x for i, x in enumerate(agreement, 1)))
    assert rbo(a, b, 0.5, form="normalized") == pytest.approx(rbo(a, b, 0.5, form="truncated") / (1 - 0.5**3))


def test_empty_lists() -> None:
    assert (
        rbo([], [], 0.9) == 1 and rbo([], [], 0.9, form="normalized") == 1 and rbo([], [], 0.9, form="truncated") == 0
    )
    for form in ("extrapolated", "truncated", "normalized"):
        assert rbo([], ["a"], 0.9, form=form) == 0


def test_rankings() -> None:
    assert rbo(Ranking(["a", "b"], [2, 1]), ("a", "b"), 0.9) == pytest.approx(1)


def test_refusals() -> None:
    for p in (0, -0.1, 1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="p must lie"):
            rbo(["a"], ["a"], p)
    with pytest.raises(UsageError, match="form must be"):
        rbo(["a"], ["a"], 0.5, form="ext")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a lists a document twice"):
        rbo(["a", "a"], ["a"], 0.5)
    with pytest.raises(UsageError, match="got the text"):
        rbo(["a"], "ab", 0.5)
    with pytest.raises(UsageError, match="b must hold ids"):
        rbo(["1"], [1], 0.5)  # type: ignore[list-item]
