"""Normalizers: values by hand, and every degenerate case."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.fusion import NORMALIZERS, minmax, rank_points, unchanged, zscore

NAN = np.nan
SCORES = np.array([2.0, NAN, 10.0, 4.0])
RANKS = np.array([2, -1, 0, 1])


def test_values() -> None:
    assert unchanged(SCORES, RANKS).tolist() == [2, 2, 10, 4]
    assert minmax(SCORES, RANKS).tolist() == [0, 0, 1, 0.25]
    assert rank_points(SCORES, RANKS).tolist() == [0.5, 0.5, 1, 0.75]
    mean, std = 16 / 3, np.std([2, 10, 4])
    expected = [(2 - mean) / std, (2 - mean) / std, (10 - mean) / std, (4 - mean) / std]
    assert zscore(SCORES, RANKS) == pytest.approx(expected)


def test_one_document() -> None:
    one, rank = np.array([7.0, NAN]), np.array([0, -1])
    assert minmax(one, rank).tolist() == [1, 0]
    assert zscore(one, rank).tolist() == [0, 0]
    assert unchanged(one, rank).tolist() == [7, 7]
    assert rank_points(one, rank).tolist() == [1, 1]


def test_equal_scores_say_nothing_in_z() -> None:
    # .1 added up three times is not exactly 3 x .1, so a bare std would be a tiny number instead of 0.
    equal, ranks = np.array([0.1, 0.1, 0.1]), np.array([0, 1, 2])
    assert zscore(equal, ranks).tolist() == [0, 0, 0]
    assert zscore(equal * 1e12, ranks).tolist() == [0, 0, 0]
    assert minmax(equal, ranks).tolist() == [1, 1, 1]


def test_negative_scores() -> None:
    assert minmax(np.array([-3.0, -1.0, NAN]), np.array([1, 0, -1])).tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_a_list_without_documents_is_all_zero(name: str) -> None:
    assert NORMALIZERS[name](np.full(3, NAN), np.full(3, -1)).tolist() == [0, 0, 0]
    assert len(NORMALIZERS[name](np.zeros(0), np.zeros(0, dtype=np.int64))) == 0


def test_huge_scores_do_not_overflow() -> None:
    assert minmax(np.array([-1.7e308, 1.7e308]), np.array([1, 0])).tolist() == [0, 1]
