"""From log-probabilities of labels to probabilities, in float64.

Servers give log-probabilities as float32 text and backends in process compute them in float32; both are summed up here
in float64, because a softmax in 16 bits collapses scores into ties (mteb#4934: MRR@10 moves by up to 38 points).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sleuth.errors import UsageError
from sleuth.llm.chat import Reply
from sleuth.prompts.tokens import open_tokenizer

__all__ = ["Shares", "one_token_spellings", "shares_of"]


@dataclass(frozen=True, slots=True)
class Shares:
    """How the probability of the asked answers is shared among them.

    Attributes:
        values: A share for each answer, together 1; all NaN where no label came back.
        missing: Which answers' labels all stayed away: their share is 0, and at most `bound` of the whole
            distribution each spelling.
        mass: What all labels together have of the model's distribution, in [0, 1]; little of it means that the model
            wanted to say something else.
        bound: exp(label_floor), the largest probability an absent label can have; 0 where all came back.
    """

    values: tuple[float, ...]
    missing: tuple[int, ...]
    mass: float
    bound: float

    @property
    def known(self) -> bool:
        """At least one label came back with a probability above 0."""
        return not math.isnan(self.values[0])


def shares_of(reply: Reply, answers: Sequence[Sequence[str]]) -> Shares:
    """Sum up each answer's spellings and normalize over the answers.

    Args:
        reply: With `labels`; values that are NaN count as absent.
        answers: The spellings of each answer, one answer at least.
    """
    found = [_known(reply.labels, spellings) for spellings in answers]
    top = max((value for values in found for value in values), default=-math.inf)
    missing = tuple(at for at, values in enumerate(found) if not values)
    bound = 0.0 if reply.label_floor is None else math.exp(min(reply.label_floor, 0.0))
    if top == -math.inf:
        return Shares((math.nan,) * len(answers), missing, 0.0, bound)
    sums = [math.fsum(math.exp(value - top) for value in values) for values in found]
    whole = math.fsum(sums)
    return Shares(tuple(one / whole for one in sums), missing, min(1.0, math.exp(top) * whole), bound)


def _known(labels: Mapping[str, float], spellings: Sequence[str]) -> list[float]:
    return [value for label in dict.fromkeys(spellings) if not math.isnan(value := labels.get(label, math.nan))]


def one_token_spellings(answers: Mapping[str, Sequence[str]], tokenizer: str | None) -> tuple[tuple[str, ...], ...]:
    """Each answer's spellings that can be a first token: those of one token, each token once.

    A preset lists spellings for many tokenizers; " 4" is one token of some and two of others, and some read "Yes" and
    " Yes" as the same token, which must not count twice.

    Args:
        answers: Answer -> its spellings.
        tokenizer: The model's; None keeps all spellings, and the server leaves out what it lacks.

    Raises:
        UsageError: An answer without a spelling of one token.
    """
    if tokenizer is None:
        return tuple(tuple(dict.fromkeys(spellings)) for spellings in answers.values())
    opened = open_tokenizer(tokenizer)
    found = []
    for answer, spellings in answers.items():
        by_token: dict[int, str] = {}
        for spelling in spellings:
            ids = opened.encode(spelling, add_special_tokens=False).ids
            # What it decodes to tells a word from the token for unknown words.
            if len(ids) == 1 and opened.decode(ids).strip().casefold() == spelling.strip().casefold():
                by_token.setdefault(ids[0], spelling)
        if not by_token:
            raise UsageError(
                f"no spelling of {answer!r} is one token of {tokenizer}: {', '.join(map(repr, spellings))}; pass "
                "labels of one token each, or read the answer as text (by='text')"
            )
        found.append(tuple(by_token.values()))
    return tuple(found)
