"""What is normalized when text is read from a file, and nothing else is.

    byte-order mark at the start          dropped
    CR LF, and CR alone                   LF (as Python's text mode does)
    other control characters              a space each (NUL, form feed, DEL, U+0080-U+009F, ...); tab stays
    lone surrogates                       U+FFFD (they can't be written as UTF-8)

So positions in the cleaned text are positions in what `open(path, encoding="utf-8-sig").read()` gives.
Unicode forms, quotes, ligatures and spaces are left alone: how words are compared is the analyzers' business.
Text inside JSON or TSV records is not touched at all, because there it was written on purpose.
"""

from __future__ import annotations

import re

__all__ = ["cleaned"]

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def cleaned(text: str) -> str:
    """The text as it is kept (module docstring)."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))
