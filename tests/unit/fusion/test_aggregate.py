"""Borda and Kemeny against values by hand and against every permutation."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.fusion import borda, kemeny, kendall_distance
from sleuth.types import Ranking


def shuffles(seed: int, n: int, lists: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[f"d{i:02d}" for i in rng.permutation(n)] for _ in range(lists)]


def test_borda_points() -> None:
    result = borda([["a", "b", "c"], ["b", "a", "c"], ["b", "c", "a"]])
    assert result.score_of() == {"b": 5, "a": 3, "c": 1}
    assert result.scale == "rank"


def test_borda_shares_what_a_partial_list_leaves() -> None:
    points = borda([["a"], ["b", "a", "c", "d"]]).score_of()
    assert points == {"a": 3 + 2, "b": 1 + 3, "c": 1 + 1, "d": 1 + 0}


def test_borda_ties_by_id_descending_and_weights() -> None:
    assert borda([["a", "b"], ["b", "a"]]).doc_ids == ("b", "a")
    assert borda([["a", "b"], ["b", "a"]], weights=[2, 1]).doc_ids == ("a", "b")


def test_kemeny_follows_the_majority_where_borda_does_not() -> None:
    # Three of five put a first; two put it last. Borda's winner is b.
    lists = [["a", "b", "c"]] * 3 + [["b", "c", "a"]] * 2
    assert borda(lists).doc_ids[0] == "b"
    assert kemeny(lists).doc_ids == ("a", "b", "c")


@pytest.mark.parametrize("seed", range(8))
def test_kemeny_is_exact(seed: int) -> None:
    lists = [order[: 6 - seed % 3] for order in shuffles(seed, 6, 5)]
    ids = sorted({doc_id for order in lists for doc_id in order})
    weights = [1.0, 2.0, 0.5, 1.0, 1.0]
    best = min(kendall_distance(order, lists, weights=weights) for order in permutations(ids))
    result = kemeny(lists, weights=weights)
    assert kendall_distance(result, lists, weights=weights) == pytest.approx(best)
    assert result.scores.tolist() == list(range(len(ids) - 1, -1, -1))


@pytest.mark.parametrize("seed", range(5))
def test_the_heuristic_is_near_and_never_worse_than_borda(seed: int) -> None:
    lists = shuffles(seed, 9, 5)
    exact, near = kemeny(lists), kemeny(lists, exact_up_to=0)
    costs = [kendall_distance(order, lists) for order in (exact, near, borda(lists))]
    assert costs == sorted(costs)
    assert costs[1] <= 1.1 * costs[0]


@pytest.mark.parametrize("exact_up_to", [0, 12])
def test_neighbours_agree_with_the_majority(exact_up_to: int) -> None:
    lists = shuffles(4, 10, 7)
    order = kemeny(lists, exact_up_to=exact_up_to).doc_ids
    for above, below in pairwise(order):
        assert sum(each.index(above) < each.index(below) for each in lists) >= 4


def test_unanimous_lists_are_kept() -> None:
    order = [f"문서 {i}" for i in (3, 1, 2)]
    assert kemeny([order] * 3).doc_ids == tuple(order) == borda([order] * 3).doc_ids
    long = [f"d{i}" for i in np.random.default_rng(0).permutation(60)]
    assert kemeny([long] * 2).doc_ids == tuple(long)


def test_empty_and_rankings() -> None:
    assert len(borda([])) == len(kemeny([])) == len(kemeny([[], []])) == 0
    assert kemeny([Ranking(["a", "b"], [2, 1])]).doc_ids == ("a", "b")


def test_refusals() -> None:
    with pytest.raises(UsageError, match="twice"):
        borda([["a", "a"]])
    with pytest.raises(UsageError, match="text"):
        kemeny(["abc"])
    with pytest.raises(ShapeError, match=r"\(1,\)"):
        kemeny([["a"]], weights=[1, 2])
    with pytest.raises(UsageError, match="finite"):
        borda([["a"]], weights=[float("nan")])
    with pytest.raises(UsageError, match="between 0 and 20"):
        kemeny([["a"]], exact_up_to=21)
    with pytest.raises(UsageError, match="'b'"):
        kendall_distance(["a"], [["a", "b"]])
