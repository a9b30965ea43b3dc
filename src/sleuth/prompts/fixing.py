"""ftfy's `fix_text`, at a fraction of its cost on text that needs no fixing.

ftfy works line by line. A line of plain ASCII without control characters, carriage returns and (where entities are
unescaped) ampersands comes out as it went in, so it is not sent through. The result is that of `ftfy.fix_text`.
"""

from __future__ import annotations

import re

__all__ = ["fix_text"]

_SUSPECT = re.compile("[\x00-\x08\x0b\r\x0e-\x1f\x7f-\U0010ffff]")
_SUSPECT_OR_ENTITY = re.compile("[\x00-\x08\x0b\r\x0e-\x1f&\x7f-\U0010ffff]")
_LONGEST_LINE = 1_000_000
"""ftfy's own `max_decode_length`; a longer line is cut in pieces there, so all of it goes through."""


def fix_text(text: str, *, unescape: bool = True) -> str:
    """The text as `ftfy.fix_text` gives it.

    Args:
        text: Any text.
        unescape: Unescape HTML entities up to the first line that holds a "<" (ftfy's default); False leaves them.
    """
    if (_SUSPECT_OR_ENTITY if unescape else _SUSPECT).search(text) is None:
        return text
    import ftfy

    found = []
    for line in _lines(text):
        suspect = _SUSPECT_OR_ENTITY if unescape and "<" not in line else _SUSPECT
        if len(line) <= _LONGEST_LINE and suspect.search(line) is None:
            found.append(line)
        else:
            found.append(ftfy.fix_text(line, unescape_html="auto" if unescape else False))
        unescape = unescape and "<" not in line
    return "".join(found)


def _lines(text: str) -> list[str]:
    r"""Split after each "\n" and nowhere else."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
