"""Porter's stemmer as Lucene runs it.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the three differences of Lucene's
PorterStemFilter: words of one or two letters are left alone, and step 2 has `bli -> ble` (for `abli -> able`) and
`logi -> log`. Whatever is not a, e, i, o, u or a vocalic y counts as a consonant, so digits, apostrophes and letters
of other scripts do.

PyStemmer's `porter` lacks the three, and undoubles before -ed and -ing only b d f g m n p r t, where the paper and
Lucene undouble every consonant but l s z ("revved": Lucene `rev`, PyStemmer `revv`). It is written in C, so words go
there unless they hold the letters of a difference; `porter_stem` below is the whole algorithm, for those few words and as
the yardstick in tests.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

__all__ = ["lucene_stems", "porter_stem", "snowball_porter"]

# Where the two can differ. Step 1 turns a final "y" to "i", so [iy] covers every way in which "bli" or "logi" can stand
# before step 2.
_DIFFERS = re.compile(r"bl[iy]|log[iy]|([^abdefgilmnoprstuz])\1(?:ed|ing)")

_STEP_2 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
)
_STEP_3 = (
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
)
_STEP_4 = (
    *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"),
    *("ou", "ism", "ate", "iti", "ous", "ive", "ize"),
)


@lru_cache(maxsize=1)
def snowball_porter() -> Any:
    """PyStemmer's `porter`, without its own cache (each word comes once)."""
    import Stemmer

    return Stemmer.Stemmer("porter", 0)


def lucene_stems(words: list[str]) -> list[str]:
    """Stems of lower-case words, as Lucene gives them.

    Args:
        words: Any strings, empty ones too.

    Returns:
        One stem a word; never empty for a word that is not.
    """
    stems: list[str] = snowball_porter().stemWords(words)
    return [
        word if len(word) <= 2 else porter_stem(word) if _DIFFERS.search(word) else stem
        for word, stem in zip(words, stems, strict=True)
    ]


def porter_stem(word: str) -> str:
    """The stem of one lower-case word."""
    if len(word) <= 2:
        return word
    word = _step_1(word)
    word = _replace(word, _STEP_2)
    word = _replace(word, _STEP_3)
    word = _step_4(word)
    return _step_5(word)


def _shape(word: str) -> str:
    """The word with v for each vowel and c for each consonant; y is a vowel after a consonant."""
    shape: list[str] = []
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and bool(shape) and shape[-1] == "c")
        shape.append("v" if vowel else "c")
    return "".join(shape)


def _measure(stem: str) -> int:
    """m of the paper: how often a vowel is followed by a consonant."""
    return _shape(stem).count("vc")


def _double_consonant(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _short_end(word: str) -> bool:
    """*o of the paper: consonant, vowel, consonant, and the last one is not w, x or y."""
    return _shape(word)[-3:] == "cvc" and word[-1] not in "wxy"


def _step_1(word: str) -> str:
    """Plurals, -ed, -ing, and y to i."""
    if word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("ies"):
        word = word[:-3] + "i"
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        if _measure(word[:-3]) > 0:
            word = word[:-1]
    else:
        for suffix in ("ed", "ing"):
            if word.endswith(suffix):
                if "v" in _shape(word[: -len(suffix)]):
                    word = _restored(word[: -len(suffix)])
                break
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = word[:-1] + "i"
    return word


def _restored(stem: str) -> str:
    """What stands after -ed or -ing was cut: an e comes back, a doubled consonant goes."""
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if _double_consonant(stem):
        return stem if stem[-1] in "lsz" else stem[:-1]
    if _measure(stem) == 1 and _short_end(stem):
        return stem + "e"
    return stem


def _replace(word: str, suffixes: tuple[tuple[str, str], ...]) -> str:
    """Steps 2 and 3: the first suffix that fits is replaced if the stem before it has m > 0."""
    for suffix, by in suffixes:
        if word.endswith(suffix):
            stem = word[: -len(suffix)]
            return stem + by if _measure(stem) > 0 else word
    return word


def _step_4(word: str) -> str:
    """The first suffix that fits is cut if the stem before it has m > 1; -ion only after s or t."""
    for suffix in _STEP_4:
        if word.endswith(suffix):
            stem = word[: -len(suffix)]
            if suffix == "ion" and not stem.endswith(("s", "t")):
                continue
            return stem if _measure(stem) > 1 else word
    return word


def _step_5(word: str) -> str:
    """A final e, and one l of two."""
    measure = _measure(word)
    if word.endswith("e") and (measure > 1 or (measure == 1 and not _short_end(word[:-1]))):
        word = word[:-1]
    if word.endswith("ll") and measure > 1:
        word = word[:-1]
    return word
