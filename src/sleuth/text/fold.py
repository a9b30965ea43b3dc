"""Spellings of one character made one: case, width, presentation forms, composition."""

from __future__ import annotations

import unicodedata

from sleuth.text.word_break import CodePoints

__all__ = ["folded", "lowered"]

_FORM_TAGS = ("<wide>", "<narrow>", "<font>", "<initial>", "<medial>", "<final>", "<isolated>")
_INVISIBLE = "\u00ad\u200c\u200d\u2060\ufeff"
"""Soft hyphen, the two joiners, word joiner, byte order mark: inside a word they are no letters of it."""


def lowered(text: str) -> str:
    """Lower case, character by character as Java's does it: the dotted capital I becomes a plain i.

    Python's own lower case of that letter has two characters, and its lower case of a capital sigma depends on what
    stands beside it; a term must depend on neither.
    """
    if text.isascii():
        return text.lower()
    return text.replace("İ", "i").replace("Σ", "σ").lower()


class _Forms(CodePoints):
    """Code point -> what it is a form of."""

    def look_up(self, code: int) -> str:
        character = chr(code)
        if character in _INVISIBLE or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            return ""
        if 0xFB00 <= code <= 0xFB06:
            return unicodedata.normalize("NFKC", character)
        tag, _, rest = unicodedata.decomposition(character).partition(" ")
        return "".join(chr(int(part, 16)) for part in rest.split()) if tag in _FORM_TAGS else character


_FORMS = _Forms()


def folded(text: str) -> str:
    """The text in NFC, with full- and halfwidth, mathematical and Arabic presentation forms and Latin ligatures undone.

    NFKC would also undo what means something: x² would become x2, ½ 1⁄2, ™ the letters TM glued to a name. So only
    forms of the same character are undone. Soft hyphens, joiners and variation selectors go. NFC composes Hangul Jamo
    and letters with accents, whichever way a file system or a PDF wrote them.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text.translate(_FORMS))
