"""`word` and `code`: plain words, and plain words with the parts of identifiers.

`word` is the yardstick of published baselines: runs of `\\w`, lower case, 33 stop words, PyStemmer's `porter` on every
token. `code` adds the parts of `snake_case` and `camelCase` after the whole word. Both take text as it is.

`code`'s rule was chosen on nine collections: it gains where documents hold code (+.043 nDCG@10 on CoSQA) and moves
plain text by at most .003; splitting at every case change, or leaving out the whole word, loses.
"""

from __future__ import annotations

import re

from sleuth.text.english import STOP_WORDS
from sleuth.text.fold import lowered
from sleuth.text.porter import snowball_porter
from sleuth.text.rules import Rules

__all__ = ["CODE", "WORD", "identifier_forms", "identifier_parts", "porter_stems"]

_WORD = re.compile(r"\w+")
_ASCII_WORD = re.compile(r"[A-Za-z0-9_]+")  # the same on ASCII, and a third faster
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[^\W_A-Z]+|[A-Z]+[^\W_A-Za-z]*")
_CAPITAL = re.compile(r"[A-Z]")
_PLURAL_ACRONYM = re.compile(r"[A-Z]{2,}s")


def identifier_parts(word: str) -> list[str]:
    """The parts of an identifier, in order; empty where it has none of its own.

    It is cut at every underscore, and each piece where the case changes if all parts have two characters or more.
    Digits stay with what is before them; a plural acronym such as GPUs stays whole.
    """
    pieces = [piece for piece in word.split("_") if piece] if "_" in word else [word]
    parts: list[str] = []
    for piece in pieces:
        parts += _case_parts(piece)
    return [] if parts == [word] else parts


def _case_parts(piece: str) -> list[str]:
    if _CAPITAL.search(piece, 1) is None or _PLURAL_ACRONYM.fullmatch(piece):
        return [piece]
    parts: list[str] = _PARTS.findall(piece)
    # Marks are in no part; a piece that the pattern does not cover stays whole.
    if all(len(part) >= 2 for part in parts) and sum(map(len, parts)) == len(piece):
        return parts
    return [piece]


def porter_stems(forms: list[str]) -> list[str]:
    """PyStemmer's `porter`; a form that it would empty ("s") is kept."""
    stems: list[str] = snowball_porter().stemWords(forms)
    return [stem or form for stem, form in zip(stems, forms, strict=True)] if "" in stems else stems


def _pieces(text: str) -> list[str]:
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def _word_forms(piece: str) -> tuple[str, ...]:
    form = lowered(piece)
    return () if form in STOP_WORDS else (form,)


def identifier_forms(piece: str) -> tuple[str, ...]:
    """The word and its parts in lower case, without stop words."""
    form = lowered(piece)
    if form == piece and "_" not in piece:
        return () if form in STOP_WORDS else (form,)
    forms = [form, *map(lowered, identifier_parts(piece))]
    return tuple(form for form in forms if form not in STOP_WORDS)


WORD = Rules(pieces=_pieces, forms=_word_forms, stems=porter_stems, ascii_words="word", case_matters=False)
CODE = Rules(pieces=_pieces, forms=identifier_forms, stems=porter_stems, ascii_words="word", case_matters=True)
