"""Where passages stand when an answer is generated from them.

Material in the middle of a long context is used worst ("lost in the middle", Liu et al., arXiv 2307.03172), so the
best passages go to both ends and the worst into the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["both_ends"]

_T = TypeVar("_T")


def both_ends(items: Sequence[_T]) -> list[_T]:
    """Best first, second best last, and so on inwards.

    Args:
        items: Best first; may be empty.

    Returns:
        The same items: ranks 1, 3, 5, … from the front, 2, 4, 6, … from the back.
    """
    return [*items[0::2], *reversed(items[1::2])]
