"""Text to permutation: what a listwise judge said, whatever it said.

The rules are `tests/golden/parsing/README.md`. The parser never raises, never reads ids out of a thought, and never
turns an error message into a ranking; what to do about a bad outcome is the judge's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from sleuth.errors import UsageError
from sleuth.replies.ids import Named, find_ids
from sleuth.replies.outcome import Outcome
from sleuth.replies.region import Region, find_region

__all__ = ["Permutation", "candidate_count", "parse_permutation"]


@dataclass(frozen=True, slots=True)
class Permutation:
    """An order of n candidates.

    Attributes:
        order: 0-based positions, best first, each of 0 … n - 1 once.
        ties: Groups of positions that the answer holds equal, each of 2 or more, ascending; in `order` a group stands
            together, in prior order.
        outcome: How well the answer could be read.
        repairs: What was done to it, sorted: `duplicate_ids`, `missing_ids`, `order_of_mention`, `out_of_range_ids`,
            `rejected_tokens`, `unclosed_answer`, `unclosed_thought`. Empty where no id was used.
        named: How many leading places of `order` the answer itself gave; the rest was appended in prior order.
    """

    order: tuple[int, ...]
    ties: tuple[tuple[int, ...], ...]
    outcome: Outcome
    repairs: tuple[str, ...]
    named: int

    @property
    def identity(self) -> bool:
        """Whether `order` is the prior order."""
        return self.order == tuple(range(len(self.order)))


def parse_permutation(text: str | None, n: int, *, finish_reason: str | None = None) -> Permutation:
    """Read a model's ranking of n passages that it saw numbered from 1 (or lettered from A).

    Takes time linear in the text.

    Args:
        text: The answer. None, and anything else that is no str, counts as empty.
        n: How many candidates were shown, >= 1.
        finish_reason: As the server gave it; only "length", cut at the token limit, means something here: with it
            an answer that does not name all n is `unfinished`.

    Returns:
        Always a permutation of all n.

    Raises:
        UsageError: n is no integer, or below 1. Never because of the text.
    """
    n = candidate_count(n)
    cut = finish_reason == "length"
    region = find_region(text)
    named = next((found for part in region.texts if (found := find_ids(part, n)) is not None), None)
    if named is not None:
        built = _built(named, n, region, cut)
        if built is not None:
            return built
    outcome = region.ended or Outcome.INVALID
    if region.open or (cut and not region.error):
        outcome = Outcome.UNFINISHED
    return Permutation(tuple(range(n)), (), outcome, (), 0)


def candidate_count(n: int) -> int:
    """`n` as an int.

    Raises:
        UsageError: It is no integer, or below 1.
    """
    try:
        count = index(n)
    except TypeError:
        raise UsageError(f"n counts the candidates that were shown and must be an int, got {n!r}") from None
    if count < 1:
        raise UsageError(f"n counts the candidates that were shown and must be at least 1, got {n}")
    return count


def _built(named: Named, n: int, region: Region, cut: bool) -> Permutation | None:
    """Rules 8 to 11; None where no id is in range."""
    repairs: set[str] = set()
    seen: set[int] = set()
    groups: list[list[int]] = []
    for one, tied in zip(named.ids, named.tied, strict=True):
        if not tied:
            groups.append([])
        if one is None:
            continue
        if not 1 <= one <= n:
            repairs.add("out_of_range_ids")
        elif one in seen:
            repairs.add("duplicate_ids")
        else:
            seen.add(one)
            groups[-1].append(one - 1)
    if not seen:
        return None
    ties = tuple(tuple(sorted(group)) for group in groups if len(group) > 1)
    order = [position for group in groups for position in (sorted(group) if len(group) > 1 else group)]
    if len(order) < n:
        repairs.add("missing_ids")
        order += [position for position in range(n) if position + 1 not in seen]
    noted = {
        "rejected_tokens": named.rejected,
        "order_of_mention": named.mention,
        "unclosed_answer": region.open,
        "unclosed_thought": region.forced,
    }
    repairs |= {name for name, happened in noted.items() if happened}
    outcome = Outcome.REPAIRED if repairs else Outcome.OK
    if len(seen) < n and (region.open or cut):
        outcome = Outcome.UNFINISHED
    return Permutation(tuple(order), ties, outcome, tuple(sorted(repairs)), len(seen))
