"""`auto`, the default: every language in one index.

Runs of Han, Kana and Hangul become overlapping pairs as in `cjk`; every other word goes by the rule of `code`
(identifier parts, English stop words, Porter, which leaves words of other alphabets alone). "BM25는" gives `bm25` and
`는`. Text is folded first (`fold.folded`); on ASCII text `auto` and `code` are the same.
"""

from __future__ import annotations

from sleuth.text.cjk import bigrams, is_cjk, script_runs
from sleuth.text.identifiers import identifier_forms, porter_stems
from sleuth.text.rules import Rules

__all__ = ["RULES"]


def _forms(piece: str) -> tuple[str, ...]:
    return bigrams(piece) if is_cjk(piece) else identifier_forms(piece)


RULES = Rules(pieces=script_runs, forms=_forms, stems=porter_stems, ascii_words="word", case_matters=True)
