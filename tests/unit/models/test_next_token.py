"""Drawing tokens, and answers held to choices."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import UsageError
from sleuth.models.next_token import ChoicePath, Drawing

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))


def shares(drawing: Drawing, logits=LOGITS, n: int = 2000):
    rng = np.random.default_rng(3)
    return np.bincount([drawing.pick(logits, rng) for _ in range(n)], minlength=len(logits)) / n


def test_zero_takes_the_likeliest_and_draws_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert Drawing().pick(LOGITS, rng) == 0
    assert rng.bit_generator.state == before


def test_draws_follow_the_distribution():
    np.testing.assert_allclose(shares(Drawing(1.0)), [0.5, 0.25, 0.15, 0.1], atol=0.04)
    squared = np.array([0.25, 0.0625, 0.0225, 0.01])
    np.testing.assert_allclose(shares(Drawing(0.5)), squared / squared.sum(), atol=0.04)


def test_top_k_and_top_p_keep_the_head():
    np.testing.assert_allclose(shares(Drawing(1.0, top_k=2)), [2 / 3, 1 / 3, 0, 0], atol=0.04)
    np.testing.assert_allclose(shares(Drawing(1.0, top_p=0.6)), [2 / 3, 1 / 3, 0, 0], atol=0.04)
    np.testing.assert_allclose(shares(Drawing(1.0, top_p=1e-9)), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(Drawing(1.0, top_k=1)), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(Drawing(1.0, top_k=3, top_p=0.5)), [1, 0, 0, 0], atol=0.04)
    np.testing.assert_allclose(shares(Drawing(1.0, top_k=99)), [0.5, 0.25, 0.15, 0.1], atol=0.04)


def test_impossible_tokens_are_never_drawn():
    logits = np.array([-np.inf, 0.0, -np.inf, 0.0], np.float32)
    assert set(np.flatnonzero(shares(Drawing(2.0), logits))) == {1, 3}


def walk(choices, order, ends=(9,)):
    """Follow a path whose logits prefer the tokens of `order`, one a step."""
    path, rng = ChoicePath(choices, ends), np.random.default_rng(0)
    steps = 0
    while path.chosen is None:
        logits = np.zeros(10, np.float32)
        logits[order[steps]] = 5
        path.step(logits, Drawing(), rng)
        steps += 1
    return path.chosen, steps


def test_a_path_ends_as_soon_as_one_text_is_left():
    assert walk([(1, 2, 3), (4, 5)], [4]) == (1, 1)
    assert walk([(1, 2, 3), (1, 2, 4)], [1, 2, 4]) == (1, 3)


def test_tokens_outside_the_choices_are_not_taken():
    assert walk([(1,), (4,)], [7])[0] in (0, 1)


def test_a_text_that_begins_another_ends_with_the_end():
    assert walk([(1,), (1, 2)], [1, 9]) == (0, 2)
    assert walk([(1,), (1, 2)], [1, 2]) == (1, 2)


def test_one_choice_and_equal_ones_are_certain():
    assert ChoicePath([(1, 2)], []).chosen == 0
    assert ChoicePath([(1, 2), (1, 2)], []).chosen == 0


def test_empty_choices_are_refused():
    for choices in ([], [()], [(1,), ()]):
        with pytest.raises(UsageError):
            ChoicePath(choices, [9])
