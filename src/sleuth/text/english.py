"""`en`: English as Lucene analyzes it.

Words by UAX #29, the possessive 's cut off, lower case, Lucene's 33 stop words, Porter. Text is taken as it is (no
Unicode normalization), because Lucene takes it so.

Source: Lucene's EnglishAnalyzer, Anserini's DefaultEnglishAnalyzer with `porter`.
"""

from __future__ import annotations

import re

from sleuth.text.fold import lowered
from sleuth.text.porter import lucene_stems
from sleuth.text.rules import Rules
from sleuth.text.word_break import MAX_TOKEN_LENGTH, cut_long, words

__all__ = ["RULES", "STOP_WORDS"]

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)
"""Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET."""

# UAX #29 on ASCII: letters join over one of : . ' and digits over one of , ; . '
_ASCII = re.compile(
    r"[A-Za-z0-9_]+(?:[:.',;](?:(?<=[A-Za-z][:.'])(?=[A-Za-z])|(?<=[0-9][,;.'])(?=[0-9]))[A-Za-z0-9_]+)*"
)
_APOSTROPHES = "'’＇"
_CONNECTORS = "_‿⁀⁔︳︴﹍﹎﹏＿"


def _pieces(text: str) -> list[str]:
    """Tokens before any filter, long ones whole. None reaches over white space, so each side of it is cut alone."""
    if text.isascii():
        return _ASCII.findall(text)
    found: list[str] = []
    for chunk in text.split():
        found += _ASCII.findall(chunk) if chunk.isascii() else words(chunk)
    return found


def _forms(piece: str) -> tuple[str, ...]:
    """The token lowered and without 's; nothing for a stop word or a run of connectors; several if it is too long."""
    if len(piece) > MAX_TOKEN_LENGTH:
        return tuple(form for part in cut_long(piece) for form in _forms(part))
    if piece[-1] in "sS" and len(piece) > 1 and piece[-2] in _APOSTROPHES:
        piece = piece[:-2]
    form = lowered(piece)
    return () if form in STOP_WORDS or not form.strip(_CONNECTORS) else (form,)


RULES = Rules(pieces=_pieces, forms=_forms, stems=lucene_stems, ascii_words="uax29", case_matters=False)
