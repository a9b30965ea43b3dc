"""One spelling for characters that mean the same in an answer: `［３］`, `[٣]`, `③` and `【3】` are all `[3]`."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["fold_characters", "may_spell_tags", "without_markup"]

CIRCLED = {
    **{0x2460 + k: f"[{k + 1}]" for k in range(20)},  # ① … ⑳
    **{start + k: f"[{k + 1}]" for start in (0x2776, 0x2780, 0x278A) for k in range(10)},  # ❶ ➀ ➊ … of ten each
}
BRACKETS = {**dict.fromkeys(map(ord, "【〔〖"), "["), **dict.fromkeys(map(ord, "】〕〗"), "]")}
OTHERS = {0x3000: " ", **CIRCLED, **BRACKETS}

_KNOWN = re.compile("[\u3000\uff01-\uff5e\u2460-\u2473\u2776-\u2793【〔〖】〕〗]")
_FOREIGN_DIGIT = re.compile(r"[^\x00-\x7F\D]")
_SPELLED_TAG = re.compile("[\uff0f\uff1c\uff1e\uff21-\uff3a\uff41-\uff5a]|&[lg]t;")
_MARKUP = str.maketrans("", "", "*`_")


def fold_characters(text: str) -> str:
    """Full width becomes ASCII, CJK brackets `[` and `]`, circled numbers `[k]`, all decimal digits 0-9.

    `&gt;` and `&lt;` become `>` and `<`. Superscripts, fractions and Roman numerals stay: they are no digits
    (category Nd). Folding twice changes nothing more.
    """
    if not text.isascii() and (_KNOWN.search(text) or _FOREIGN_DIGIT.search(text)):
        # A table of just this text's characters: a lookup that misses would cost an exception for each character.
        text = text.translate({ord(character): _folded(character) for character in set(text)})
    return text.replace("&gt;", ">").replace("&lt;", "<") if "&" in text else text


def may_spell_tags(text: str) -> bool:
    """Whether folding could make a tag of what is none yet (`＜think＞`, `&lt;think&gt;`)."""
    return ("&" in text or not text.isascii()) and _SPELLED_TAG.search(text) is not None


def without_markup(text: str) -> str:
    """Text without `*`, `` ` `` and `_`, with which models set ids and grades in bold or code."""
    return text.translate(_MARKUP) if "*" in text or "`" in text or "_" in text else text


def _folded(character: str) -> str:
    code = ord(character)
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    if code in OTHERS:
        return OTHERS[code]
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
