"""`cjk`: words of any script in lower case, and Han, Kana and Hangul as overlapping pairs.

A run of Han, Kana and Hangul, mixed or not, gives each two neighbouring characters; a run of one gives that one. Other
words, numbers among them, stay whole. No stop words, no stemming. Text is folded first (`fold.folded`). Pairs over
script borders, and single characters kept, are Lucene's CJKBigramFilter's defaults.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from sleuth.text.fold import folded, lowered
from sleuth.text.rules import Rules
from sleuth.text.word_break import CodePoints

__all__ = ["RULES", "bigrams", "is_cjk", "script_runs"]

# Iteration marks and the long vowel mark belong to the script they are written in.
_CJK = (
    (0x1100, 0x11FF),  # Hangul Jamo that compose to no syllable
    (0x2E80, 0x2FD5),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3038, 0x303C),
    (0x3041, 0x3096),  # Hiragana
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),  # Katakana
    (0x30FC, 0x30FF),
    (0x3131, 0x318E),  # Hangul compatibility Jamo
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97C),
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xD7B0, 0xD7FB),
    (0xF900, 0xFAD9),
    (0x16FF0, 0x16FF1),
    (0x1AFF0, 0x1B168),
    (0x20000, 0x33479),
)


class _Scripts(CodePoints):
    """Code point -> c Han, Kana or Hangul, w any other character of words, m a mark, o the rest."""

    def look_up(self, code: int) -> str:
        if any(low <= code <= high for low, high in _CJK):
            return "c"
        character = chr(code)
        if character.isalnum() or character == "_":
            return "w"
        return "m" if unicodedata.category(character)[0] == "M" else "o"


_SCRIPTS = _Scripts()
_RUNS = re.compile("c[cm]*|w[wm]*")
_ASCII = re.compile(r"[A-Za-z0-9_]+")


def script_runs(text: str) -> list[str]:
    """The runs of Han, Kana and Hangul and the words between them, in order, marks with what they stand on."""
    if text.isascii():
        return _ASCII.findall(text)
    text = folded(text)
    return [text[match.start() : match.end()] for match in _RUNS.finditer(text.translate(_SCRIPTS))]


def is_cjk(piece: str) -> bool:
    """Whether a run begins with Han, Kana or Hangul."""
    return _SCRIPTS[ord(piece[0])] == "c"


def bigrams(run: str) -> tuple[str, ...]:
    """Each two neighbouring characters of a run, marks left out; the one character of a run of one."""
    classes = run.translate(_SCRIPTS)
    if "m" in classes:
        run = "".join(character for character, letter in zip(run, classes, strict=True) if letter == "c")
    return (run,) if len(run) == 1 else tuple(map("".join, pairwise(run)))


def _forms(piece: str) -> tuple[str, ...]:
    return bigrams(piece) if is_cjk(piece) else (lowered(piece),)


def _same(forms: list[str]) -> list[str]:
    return forms


RULES = Rules(pieces=script_runs, forms=_forms, stems=_same, ascii_words="word", case_matters=False)
