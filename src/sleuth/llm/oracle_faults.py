"""How real models' answers go wrong, for the oracle: by family, as parsers see them.

The first group says nothing usable; the second can be repaired, at a loss; the names are those of the reference cases of
`sleuth.replies.permutation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["FAULTS", "LOST", "faulty_text", "permutation_text"]

Order = Sequence[int]


def permutation_text(order: Order) -> str:
    """`[3] > [1] > [2]` of 0-based positions."""
    return " > ".join(f"[{at + 1}]" for at in order)


def _half(order: Order) -> Order:
    return order[: max(1, len(order) // 2)]


LOST: Mapping[str, Callable[[Order], str]] = {
    "refusal": lambda order: "I'm sorry, but I can't put these passages in an order.",
    "error_text": lambda order: "Error: rate limit reached, please try again in 20 s [429]",
    "empty": lambda order: " \n",
    "answer_empty": lambda order: "<answer> </answer>",
    "json_broken": lambda order: '{"ranking": [' + ", ".join(str(at + 1) for at in _half(order)),
    "think_unclosed": lambda order: f"<think>\nPassage {permutation_text(_half(order))} looks best, but then again",
    "prose_numbers": lambda order: (
        f"I would say that passage {order[0] + 1} answers the question and the others do not."
    ),
}
"""Nothing can be read from these."""

FAULTS: Mapping[str, Callable[[Order], str]] = {
    **LOST,
    "missing": lambda order: permutation_text(_half(order)),
    "duplicates": lambda order: permutation_text([*order[:1], *order]),
    "out_of_range": lambda order: f"{permutation_text(order)} > [{len(order) + 1}]",
    "rejected": lambda order: f"{permutation_text(order)} > [none]",
    "order_of_mention": lambda order: "".join(f"[{at + 1}] is on topic, and " for at in order[:3]) + "that is all.",
    "korean": lambda order: f"관련 있는 순서는 {permutation_text(_half(order))} 입니다.",
}
"""Family -> the text that stands for this order."""


def faulty_text(drawn: float, order: Order, *, families: Mapping[str, Callable[[Order], str]] = FAULTS) -> str:
    """The text of one family.

    Args:
        drawn: Even in [0, 1); picks the family.
        order: What the model would have said, at least one position.
        families: What to pick from.
    """
    names = list(families)
    return families[names[min(int(drawn * len(names)), len(names) - 1)]](order)
