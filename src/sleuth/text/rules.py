"""What an analyzer is made of: cut text into pieces, turn a piece into forms, stem the forms.

A piece is treated alike wherever it occurs, so everything after the cut is done once per distinct piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one analyzer.

    Attributes:
        pieces: Text -> pieces in order, each at least one character. White space always separates pieces, so cutting
            a text at white space first gives the same pieces.
        forms: Piece -> its forms in lower case, in order; none for a stop word.
        stems: Forms -> as many terms.
        ascii_words: What `pieces` does on ASCII, for the byte tokenizer: "word" is runs of [A-Za-z0-9_]; "uax29" also
            joins them over : . ' between letters and , ; . ' between digits.
        case_matters: Whether `forms` of a piece differs from `forms` of the piece in lower case.
    """

    pieces: Callable[[str], list[str]]
    forms: Callable[[str], Sequence[str]]
    stems: Callable[[list[str]], list[str]]
    ascii_words: Literal["word", "uax29"]
    case_matters: bool
