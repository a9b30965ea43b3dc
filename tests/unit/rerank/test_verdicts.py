"""Verdicts from scores, orders and nothing."""

from __future__ import annotations

import itertools
import math

import pytest

from sleuth.rerank.parts import Comparison
from sleuth.rerank.verdicts import moved_one, no_verdict, order_verdict, score_verdict

NAN = math.nan


def test_scores_give_an_order_with_ties_and_unscored_documents_behind() -> None:
    verdict = score_verdict([1.0, NAN, 3.0, 1.0, -2.0])
    assert verdict.order == (2, 0, 3, 4, 1)
    assert verdict.ties == ((0, 3),)
    assert verdict.named == 4
    assert verdict.usable


def test_unscored_documents_keep_their_place_in_the_current_order() -> None:
    verdict = score_verdict([NAN, 2.0, 5.0])
    assert verdict.settled(Comparison(("a", "b", "c")), ("c", "a", "b")) == ("c", "b", "a")


def test_no_score_at_all_is_no_verdict() -> None:
    verdict = score_verdict([NAN, NAN], counts={"invalid": 1})
    assert not verdict.usable
    assert verdict.counts == {"invalid": 1, "fallback": 1}
    assert verdict.scores is not None and all(map(math.isnan, verdict.scores))


def test_no_verdict_keeps_the_current_order() -> None:
    verdict = no_verdict(3)
    assert verdict.scores is None
    assert verdict.settled(Comparison(("a", "b", "c")), ("c", "a", "b")) == ("c", "a", "b")


@pytest.mark.parametrize(
    ("order", "named", "counted"),
    [
        ((0, 1, 2), None, {"identity": 1}),
        ((0, 1, 2), 3, {"identity": 1}),
        ((0, 1, 2), 2, {}),
        ((1, 0, 2), None, {}),
        ((0,), None, {}),
        ((4, 0, 1, 2, 3), None, {"near_identity": 1}),
        ((4, 0, 1, 2, 3), 2, {}),
        ((4, 3, 0, 1, 2), None, {}),
    ],
)
def test_answers_that_return_the_given_order_are_counted(
    order: tuple[int, ...], named: int | None, counted: dict[str, int]
) -> None:
    assert order_verdict(order, named=named).counts == counted


def test_the_answer_of_the_korean_tutorial_is_nearly_the_given_order() -> None:
    assert order_verdict((19, *range(19))).counts == {"near_identity": 1}


@pytest.mark.parametrize("n", range(2, 7))
def test_moved_one_is_what_taking_one_out_and_putting_it_back_gives(n: int) -> None:
    made = set()
    for source, target in itertools.permutations(range(n), 2):
        order = [at for at in range(n) if at != source]
        order.insert(target, source)
        made.add(tuple(order))
    assert {order for order in itertools.permutations(range(n)) if moved_one(order)} == made
