"""One order from several orders of the same things: Borda's count and Kemeny's median.

For a judge asked several times with shuffled input (permutation self-consistency, Tang et al. 2023), or
for lists without comparable scores. A list may be partial: what it lacks stands below what it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError
from sleuth.types import Ranking

__all__ = ["EXACT_UP_TO", "borda", "kemeny", "kendall_distance"]

Lists = Iterable[Ranking | Sequence[str]]

EXACT_UP_TO = 12
"""Largest number of documents for which Kemeny's order is found exactly. Ours: 12 take about 15 ms, each
one more doubles that."""


def borda(lists: Lists, *, weights: Sequence[float] | None = None) -> Ranking:
    """Order by Borda points: of n documents in all, rank r (0-based) earns n - 1 - r in each list.

    Documents that a list lacks share its remaining points equally.

    Args:
        lists: Rankings or sequences of ids, best first.
        weights: One a list, finite and >= 0. Default: all 1.

    Returns:
        Scale "rank", scores are the points; ties by doc_id descending.

    Raises:
        UsageError, ShapeError: A repeated id, bad weights.
    """
    orders = _orders(lists)
    factors = _factors(weights, len(orders))
    ids = sorted(set().union(*orders), reverse=True) if orders else []
    row = {doc_id: at for at, doc_id in enumerate(ids)}
    n = len(ids)
    points = np.zeros(n)
    for order, factor in zip(orders, factors.tolist(), strict=True):
        earned = np.full(n, (n - 1 - len(order)) / 2)  # the mean of what is left
        earned[[row[doc_id] for doc_id in order]] = n - 1 - np.arange(len(order))
        points += factor * earned
    return Ranking.from_scores((ids, points), scale="rank")


def kemeny(lists: Lists, *, weights: Sequence[float] | None = None, exact_up_to: int = EXACT_UP_TO) -> Ranking:
    """The order that contradicts the lists least: smallest weighted sum of Kendall distances (Kemeny 1959).

    Up to `exact_up_to` documents the optimum is found by dynamic programming over sets of documents.
    Above, Borda's order is improved by moving one document at a time to its best place until no move
    helps: every pair of neighbours then agrees with the majority (the local Kemenization of Dwork et al.
    2001), but a better order may exist.

    Args:
        lists: Rankings or sequences of ids, best first. A list prefers what it has to what it lacks,
            and says nothing about two documents that it lacks.
        weights: One a list, finite and >= 0. Default: all 1.
        exact_up_to: 0 to 20; memory and time double with each. Default: `EXACT_UP_TO`.

    Returns:
        Scale "rank", scores n - 1 … 0. Among equally good orders the one nearest to Borda's from the top.

    Raises:
        UsageError, ShapeError: A repeated id, bad weights, `exact_up_to` out of range.
    """
    if not 0 <= exact_up_to <= 20:
        raise UsageError(f"exact_up_to must lie between 0 and 20, got {exact_up_to}")
    orders = _orders(lists)
    ids = borda(orders, weights=weights).doc_ids
    cost = _costs(ids, orders, _factors(weights, len(orders)))
    best = _exact(cost) if len(ids) <= exact_up_to else _improved(cost)
    return Ranking([ids[at] for at in best], np.arange(len(ids) - 1, -1, -1, dtype=np.float64), scale="rank")


def kendall_distance(order: Ranking | Sequence[str], lists: Lists, *, weights: Sequence[float] | None = None) -> float:
    """Weighted number of pairs that `order` and the lists put the other way round: what `kemeny` minimizes.

    Raises:
        UsageError: A list has a document that `order` lacks.
    """
    (ids,) = _orders([order])
    orders = _orders(lists)
    strangers = set().union(*orders) - set(ids) if orders else set()
    if strangers:
        raise UsageError(f"document {min(strangers)!r} is in a list but not in the order")
    return float(np.triu(_costs(ids, orders, _factors(weights, len(orders))), 1).sum())


def _orders(lists: Lists) -> list[tuple[str, ...]]:
    orders = []
    for given in lists:
        if isinstance(given, str):
            raise UsageError(f"a list must be a Ranking or a sequence of ids, got the text {given!r}")
        order = given.doc_ids if isinstance(given, Ranking) else tuple(given)
        if len(set(order)) != len(order):
            raise UsageError("a list names a document twice")
        orders.append(order)
    return orders


def _factors(weights: Sequence[float] | None, n: int) -> NDArray[np.float64]:
    factors = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if factors.shape != (n,):
        raise ShapeError(f"weights must have shape ({n},), one a list, got {factors.shape}")
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise UsageError("weights must be finite and 0 or more")
    return factors


def _costs(ids: Sequence[str], orders: list[tuple[str, ...]], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n): [i, j] is the weight of the lists that prefer j to i, the price of putting i before j."""
    row = {doc_id: at for at, doc_id in enumerate(ids)}
    cost = np.zeros((len(ids), len(ids)))
    for order, factor in zip(orders, factors.tolist(), strict=True):
        place = np.full(len(ids), len(order))
        place[[row[doc_id] for doc_id in order]] = np.arange(len(order))
        cost += factor * (place[None, :] < place[:, None])
    return cost


def _exact(cost: NDArray[np.float64]) -> list[int]:
    """Held-Karp: the best way to finish depends only on which documents are already placed."""
    n = len(cost)
    full = (1 << n) - 1
    # price[i, s]: cost of placing i before all documents of the set s.
    price = np.zeros((n, full + 1))
    for j in range(n):
        price[:, 1 << j : 2 << j] = price[:, : 1 << j] + cost[:, j, None]
    cheapest = [0.0] * (full + 1)
    first = [0] * (full + 1)
    for rest in range(1, full + 1):
        best, chosen = np.inf, 0
        for i in range(n):
            if rest >> i & 1:
                without = rest ^ (1 << i)
                total = price[i, without] + cheapest[without]
                if total < best - 1e-9:  # equal up to rounding: the one that Borda puts first
                    best, chosen = total, i
        cheapest[rest], first[rest] = float(best), chosen
    order, rest = [], full
    while rest:
        order.append(first[rest])
        rest ^= 1 << first[rest]
    return order


def _improved(cost: NDArray[np.float64]) -> list[int]:
    """Insertion moves from the given order until none lowers the cost."""
    order = list(range(len(cost)))
    moved = True
    while moved:
        moved = False
        for item in range(len(cost)):
            at = order.index(item)
            others = order[:at] + order[at + 1 :]
            # Change of cost when `item` stands before others[p:] and after others[:p], for every p.
            ahead = np.concatenate([[0.0], np.cumsum(cost[others, item])])
            behind = np.concatenate([np.cumsum(cost[item, others][::-1])[::-1], [0.0]])
            total = ahead + behind
            best = int(np.argmin(total))
            if total[best] < total[at] - 1e-9:
                order = [*others[:best], item, *others[best:]]
                moved = True
    return order
