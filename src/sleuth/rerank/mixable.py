"""Which parts a step of interpolation will find, known before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping

from sleuth.errors import UnknownName, UsageError
from sleuth.rerank.interpolate import Interpolate
from sleuth.rerank.stage import FIRST
from sleuth.rerank.strategy import Strategy
from sleuth.stages import Reranker, Retriever

__all__ = ["check_mixes"]


def check_mixes(first: Retriever, stages: Mapping[str, Reranker]) -> None:
    """Refuse an `Interpolate` whose parts no earlier stage leaves.

    Known are `retrieve` once a judge has run, the names of earlier stages, and what the first stage's lists hold: a
    hybrid's members, the parts of an imported run (a retriever tells by `part_names()`). What another retriever or a
    reranker of your own leaves can't be known; behind one, nothing is refused.

    Args:
        first: Whose lists are reranked.
        stages: Name -> reranker, in order.

    Raises:
        UnknownName: No such part; lists the known ones.
        UsageError: Nothing to interpolate: no judge runs before the step.
    """
    left, latest = _left_by(first), ""
    for name, stage in stages.items():
        if left is None or not isinstance(stage, Interpolate | Strategy):
            return
        if isinstance(stage, Interpolate):
            _check(stage, name, left, latest)
        elif FIRST not in left:
            left.append(FIRST)
        left.append(name)
        latest = name


def _left_by(first: Retriever) -> list[str] | None:
    """The parts of a retriever's lists, in their order; None where it does not tell."""
    tell = getattr(first, "part_names", None)
    return list(tell()) if callable(tell) else None


def _check(step: Interpolate, name: str, left: list[str], latest: str) -> None:
    if not left:
        raise UsageError(
            f"stage {name!r}: no judge runs before it, so there is nothing to interpolate; put it behind one"
        )
    for what, part in (("part to interpolate with", step.with_), ("judge's part", step.judge)):
        member, slash, _ = (part or "").partition("/")  # a member that is itself fused leaves its parts as member/part
        if part is not None and part not in left and not (slash and member in left):
            raise UnknownName(f"{what} (stage {name!r})", part, left)
    if (step.judge or latest) == step.with_:
        raise UsageError(
            f"stage {name!r}: no judge runs after {step.with_!r}, so there is nothing to interpolate with it"
        )
