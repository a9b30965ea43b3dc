"""Tests of differences against exact values, other formulas, and known coverage."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.measures import bootstrap_interval, holm, paired_t_p, randomization_p

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 13])
def test_randomization_is_exact_for_few_queries(n: int) -> None:
    d = RNG.normal(0.3, 1, n).round(2)
    reached = abs(sum(d))
    patterns = [abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in product((1, -1), repeat=n)]
    expected = np.mean([each >= reached - 1e-9 for each in patterns])
    assert randomization_p(d) == pytest.approx(expected)


def test_queries_without_a_difference_do_not_stop_exactness() -> None:
    d = np.array([0.2, 0.1, 0.3])
    assert randomization_p(np.concatenate([d, np.zeros(500)])) == randomization_p(d) == 0.25


def test_sampled_agrees_with_exact() -> None:
    d = RNG.normal(0.35, 1, 13)
    exact, sampled = randomization_p(d), randomization_p(d, resamples=8191)
    assert exact != sampled
    assert sampled == pytest.approx(exact, abs=4 * np.sqrt(exact / 8191))


def test_p_is_never_zero_and_columns_are_independent() -> None:
    d = np.column_stack([np.full(200, 1.0), RNG.normal(size=200), np.zeros(200)])
    p = randomization_p(d)
    assert p[0] == pytest.approx(1 / 10_001) and p[2] == 1
    assert p[1] == randomization_p(d[:, 1]) == randomization_p(-d[:, 1])


def test_p_is_uniform_when_nothing_is_true() -> None:
    d = np.random.default_rng(0).normal(size=(30, 400))
    p = randomization_p(d, resamples=999)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.08)


def test_bootstrap_is_close_to_the_normal_interval() -> None:
    d = RNG.normal(0.1, 0.5, (400, 2))
    low, high = bootstrap_interval(d)
    half = 1.96 * d.std(axis=0) / 20
    assert low == pytest.approx(d.mean(axis=0) - half, abs=0.004)
    assert high == pytest.approx(d.mean(axis=0) + half, abs=0.004)
    wide = bootstrap_interval(d, alpha=0.01)
    assert (wide[0] < low).all() and (wide[1] > high).all()


def test_bootstrap_is_seeded() -> None:
    d = RNG.normal(size=50)
    assert bootstrap_interval(d, seed=3) == bootstrap_interval(d, seed=3) != bootstrap_interval(d, seed=4)
    assert bootstrap_interval(np.array([0.5])) == (0.5, 0.5)


def test_bootstrap_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    d = RNG.normal(size=(40, 2))
    whole = bootstrap_interval(d, resamples=101), randomization_p(d, resamples=101)
    monkeypatch.setattr("sleuth.measures.significance.BLOCK", 400)
    parts = bootstrap_interval(d, resamples=101), randomization_p(d, resamples=101)
    assert np.allclose(whole[0], parts[0]) and np.allclose(whole[1], parts[1], atol=0.2)


def test_groups_weigh_every_group_the_same() -> None:
    d = np.concatenate([np.full(90, 1.0), np.full(10, -1.0)])
    groups = np.repeat([0, 1], [90, 10])
    assert bootstrap_interval(d, groups=groups) == pytest.approx((0, 0), abs=1e-12)  # nothing varies within a group
    assert randomization_p(d, groups=groups) == 1
    assert randomization_p(d) < 0.001


def test_paired_t_equals_its_formula() -> None:
    from scipy import special

    d = RNG.normal(0.2, 1, (25, 3))
    t = d.mean(axis=0) / (d.std(axis=0, ddof=1) / 5)
    expected = special.betainc(24 / 2, 0.5, 24 / (24 + t * t))
    assert paired_t_p(d) == pytest.approx(expected)
    assert paired_t_p(d[:, 0]) == pytest.approx(expected[0])


def test_paired_t_degenerate() -> None:
    assert paired_t_p(np.zeros(5)) == 1 and paired_t_p(np.array([0.4])) == 1
    assert paired_t_p(np.full(5, 0.1)) == 0


def test_holm() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert len(holm(np.array([]))) == 0
    with pytest.raises(ShapeError):
        holm(np.zeros((2, 2)))


def test_refusals() -> None:
    for function in (bootstrap_interval, randomization_p, paired_t_p):
        with pytest.raises(ShapeError, match="n >= 1"):
            function(np.zeros(0))
        with pytest.raises(UsageError, match="not finite"):
            function(np.array([1.0, np.nan]))
    with pytest.raises(ShapeError, match="groups"):
        randomization_p(np.zeros(3), groups=np.zeros(2))
    with pytest.raises(UsageError, match="alpha"):
        bootstrap_interval(np.zeros(3), alpha=0)
