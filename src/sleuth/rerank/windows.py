"""What strategies share about comparisons: window sizes, dealing, questions told apart, verdicts read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from sleuth.errors import UsageError
from sleuth.rerank.parts import ChatJudge, Comparison, LocalJudge, Task, Verdict

__all__ = ["Questions", "deal", "fit_window", "ranked", "rng_of", "sizes", "whole_number"]


def whole_number(name: str, value: object, least: int = 1) -> int:
    """The value, if it is a whole number of at least `least`.

    Raises:
        UsageError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def fit_window(judge: ChatJudge | LocalJudge, window: object, *, name: str = "window", least: int = 2) -> int:
    """The window, if this judge can compare so many documents at once.

    Raises:
        UsageError: It is no whole number, too small, or more than the judge takes; or the judge looks at one document at
            a time, and documents would have to be compared.
    """
    most = judge.max_docs
    if most == 1 and least > 1:
        raise UsageError(
            f"{judge.name} looks at one document at a time, and this strategy has it compare several; ScoreAndSort is the "
            "strategy of such judges"
        )
    size = whole_number(name, window, least)
    if most == 1 and size > 1:
        raise UsageError(f"{name}={size}, but {judge.name} looks at one document at a time; give {name}=1")
    if most is not None and size > most:
        raise UsageError(
            f"{name}={size}, but {judge.name} compares at most {most} documents at once; give {name}={most} or less"
        )
    if size < judge.min_docs:
        raise UsageError(f"{name}={size}, but {judge.name} needs at least {judge.min_docs} documents")
    return size


def rng_of(task: Task) -> np.random.Generator:
    """The one source of a strategy's randomness: the same task gives the same numbers."""
    return np.random.default_rng([task.seed & (2**64 - 1)])


def sizes(n: int, window: int) -> list[int]:
    """How many documents each of the fewest windows gets when n are dealt out evenly; largest first."""
    groups = -(-n // window)
    return [n // groups + (at < n % groups) for at in range(groups)] if groups else []


def deal(items: Sequence[int], window: int, rng: np.random.Generator) -> list[list[int]]:
    """Deal ordered items to the fewest windows, so that each holds a fair sample of all levels.

    With g windows, each run of g neighbours is dealt out one to a window, at random. Items keep their order inside a
    window.
    """
    groups = -(-len(items) // window)
    windows: list[list[int]] = [[] for _ in range(groups)]
    blocks = -(-len(items) // groups) if groups else 0
    seats = rng.permuted(np.tile(np.arange(groups), (blocks, 1)), axis=1).ravel().tolist()
    for at, item in zip(seats, items, strict=False):
        windows[at].append(item)
    return windows


class Questions:
    """Makes comparisons; a list shown again is another sample, so that a cache does not answer the second question
    with the first answer."""

    def __init__(self) -> None:
        self._asked: Counter[tuple[str, ...]] = Counter()

    def about(self, doc_ids: Iterable[str]) -> Comparison:
        """The comparison of these documents, in this order."""
        shown = tuple(doc_ids)
        comparison = Comparison(shown, sample=self._asked[shown])
        self._asked[shown] += 1
        return comparison


def ranked(verdict: Verdict, comparison: Comparison, current: Sequence[str]) -> tuple[str, ...]:
    """The compared documents, best first: as the judge named them, the others in the strategy's current order.

    Documents that a scoring judge gave no score (NaN) count as not named.
    """
    if verdict.scores is not None and verdict.usable:
        scored = sum(not math.isnan(score) for score in verdict.scores)
        if scored < len(verdict.scores) and verdict.named is None:
            verdict = Verdict(verdict.order, named=scored)
    return verdict.settled(comparison, current)
