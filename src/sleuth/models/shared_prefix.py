"""Which prompts of a batch share a beginning that is worth computing once.

Prompts of one query begin alike: system, instruction, query. Their keys and values can be computed once and read by
all, at the price of an attention mask for what follows, which halves the speed of attention on a CPU (measured). So
sharing pays where the shared part is long against the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["LEAST_TOKENS", "PrefixGroup", "common_length", "is_worth_sharing", "share_prefixes"]

LEAST_TOKENS = 64
"""Shorter beginnings are not shared: under 64 rows a matrix product's weights dominate its time (measured)."""

PAIRS_PER_TOKEN = 2000
"""What one token costs outside attention, in pairs of a token and a token it attends to: 3,800 for the shape of
Qwen3-0.6B in floating point operations, halved because attention runs further from its peak (ours)."""


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Prompts that share their first tokens.

    Attributes:
        length: Tokens shared; 0 for a prompt alone. Each member has at least one token more.
        members: Positions of the prompts.
    """

    length: int
    members: tuple[int, ...]


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many first tokens are equal."""
    size = min(len(left), len(right))
    different = np.asarray(left[:size]) != np.asarray(right[:size])
    return int(different.argmax()) if different.any() else size


def is_worth_sharing(length: int, rest: float) -> bool:
    """Whether a shared beginning pays, given the mean number of tokens after it.

    What is saved, `length` tokens and their attention, against attention over `rest` that a mask makes twice as
    dear: length · PAIRS_PER_TOKEN > (rest² − length²) / 2.
    """
    return length >= LEAST_TOKENS and length * PAIRS_PER_TOKEN > (rest * rest - length * length) / 2


def share_prefixes(prompts: Sequence[Sequence[int]]) -> list[PrefixGroup]:
    """Group prompts so that the most tokens are computed only once.

    Prompts are sorted; a group is a run of neighbours. Which runs, a dynamic program decides: a run of k prompts with
    `length` tokens in common saves (k − 1) · length, or nothing where it is not worth it.

    Args:
        prompts: Token ids of each, none empty.

    Returns:
        Groups that hold each position once, in the order of the sorted prompts.
    """
    order = sorted(range(len(prompts)), key=lambda at: tuple(prompts[at]))
    sizes = [len(prompts[at]) for at in order]
    common = [0, *(common_length(prompts[a], prompts[b]) for a, b in pairwise(order))]
    best = [0.0] * (len(order) + 1)
    begin_of = list(range(-1, len(order)))  # where the last run of the first i prompts begins
    length_of = [0] * (len(order) + 1)
    for end in range(1, len(order) + 1):
        best[end] = best[end - 1]
        begin_of[end] = end - 1
        length, tokens = sizes[end - 1] - 1, sizes[end - 1]
        for begin in range(end - 2, -1, -1):
            length = min(length, common[begin + 1], sizes[begin] - 1)
            if length < LEAST_TOKENS:
                break
            tokens += sizes[begin]
            count = end - begin
            saved = best[begin] + (count - 1) * length
            if saved > best[end] and is_worth_sharing(length, tokens / count - length):
                best[end], begin_of[end], length_of[end] = saved, begin, length
    groups = []
    end = len(order)
    while end > 0:
        begin = begin_of[end]
        groups.append(PrefixGroup(length_of[end], tuple(order[begin:end])))
        end = begin
    return groups[::-1]
