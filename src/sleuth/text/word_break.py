"""Words of any script by UAX #29, as Lucene's StandardTokenizer finds them.

Each character becomes one letter for its class and a short regular expression runs over those letters. The classes
follow the Word_Break property as Python's `unicodedata` gives it (general categories) with the property's own
exceptions, so tokens of characters that a newer Unicode added may change with Python.

What Lucene adds to the annex: a Han or Hiragana character is a token by itself, a run of Thai, Lao, Khmer or Myanmar
stays one token, an emoji sequence is a token, and a token is cut at 255 characters.

Sources: UAX #29 (Unicode 9, which Lucene 9 follows) rules WB3c to WB17; Lucene's StandardTokenizerImpl.jflex.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["MAX_TOKEN_LENGTH", "CodePoints", "cut_long", "words"]

MAX_TOKEN_LENGTH = 255
"""Lucene's default: a longer token is cut there and goes on as the next one."""


class CodePoints(dict[int, str]):
    """A table for `str.translate` that fills itself; subclasses say what a code point becomes."""

    def __missing__(self, code: int) -> str:
        value = self.look_up(code)
        self[code] = value
        return value

    def look_up(self, code: int) -> str:
        raise NotImplementedError


def _ranges(text: str) -> list[tuple[int, int]]:
    """Hexadecimal code points and ranges, both ends included, separated by spaces."""
    pairs = (part.split("-") for part in text.split())
    return [(int(pair[0], 16), int(pair[-1], 16)) for pair in pairs]


# Classes: A letter, H Hebrew letter, N digit, K Katakana, E connector such as "_"; L, M, B, Q what joins letters,
# digits or both, and the apostrophe; D the quotation mark; I Han, G Hiragana, S South East Asian; R regional indicator,
# P emoji, T emoji only before a presentation selector; X extends the character before it, V does so and asks for emoji
# presentation, Z is the zero width joiner; O is everything else. The first line that fits decides.
_EXCEPTIONS: list[tuple[str, str]] = [
    ("Q", "27"),
    ("D", "22"),
    ("B", "2E 2018-2019 2024 FE52 FF07 FF0E"),
    ("L", "3A B7 387 55F 5F4 2027 FE13 FE55 FF1A"),
    ("M", "2C 3B 37E 589 60C-60D 66C 7F8 2044 FE10 FE14 FE50 FE54 FF0C FF1B"),
    ("V", "FE0F 20E3"),
    ("Z", "200D"),
    ("O", "200B"),
    ("X", "200C FF9E-FF9F 1F3FB-1F3FF E0020-E007F"),
    ("T", "23 2A A9 AE 2122 3030 303D"),
    ("R", "1F1E6-1F1FF"),
    (
        "P",
        "203C 2049 2139 2194-2199 21A9-21AA 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 25AA-25AB 25B6 25C0 25FB-25FE "
        "2600-2604 260E 2611 2614-2615 2618 261D 2620 2622-2623 2626 262A 262E-262F 2638-263A 2640 2642 2648-2653 "
        "265F-2660 2663 2665-2666 2668 267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB 26B0-26B1 "
        "26BD-26BE 26C4-26C5 26C8 26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705 2708-270D 270F "
        "2712 2714 2716 271D 2721 2728 2733-2734 2744 2747 274C 274E 2753-2755 2757 2763-2764 2795-2797 27A1 27B0 27BF "
        "2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3297 3299 1F004 1F0CF 1F170-1F171 1F17E-1F17F 1F18E 1F191-1F19A "
        "1F201-1F202 1F21A 1F22F 1F232-1F23A 1F250-1F251 1F300-1F321 1F324-1F393 1F396-1F397 1F399-1F39B 1F39E-1F3F0 "
        "1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D 1F549-1F54E 1F550-1F567 1F56F-1F570 1F573-1F57A 1F587 1F58A-1F58D 1F590 "
        "1F595-1F596 1F5A4-1F5A5 1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4 1F5D1-1F5D3 1F5DC-1F5DE 1F5E1 1F5E3 1F5E8 1F5EF "
        "1F5F3 1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6D9 1F6DC-1F6E5 1F6E9 1F6EB-1F6EC 1F6F0 1F6F3-1F6FC "
        "1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FAFF",
    ),
    (
        "I",
        "2E80-2E99 2E9B-2EF3 2F00-2FD5 3005 3007 3021-3029 3038-303B 3400-4DBF 4E00-9FFF F900-FA6D FA70-FAD9 "
        "16FE2-16FE3 16FF0-16FF6 20000-2FFFF 30000-33479",
    ),
    ("G", "3041-3096 309D-309F 1B001-1B11F 1B150-1B152 1F200"),
    (
        "K",
        "3031-3035 309B-309C 30A0-30FA 30FC-30FF 31F0-31FF 32D0-32FE 3300-3357 FF66-FF9D 1B000 1B120-1B122 1B164-1B168",
    ),
    ("H", "5D0-5F2 FB1D FB1F-FB28 FB2A-FB4F"),
    ("E", "5F 203F-2040 2054 FE33-FE34 FE4D-FE4F FF3F"),
    (
        "S",
        "E01-E3A E40-E4E E81-EBD EC0-ECE EDC-EDF 1000-103F 1050-108F 109A-109F 1780-17D3 17D7 17DC-17DD 1950-19C9 "
        "19DE-19DF 1A20-1A7C 1AA0-1AAD A9E0-A9EF A9FA-A9FE AA60-AADF 11700-1172B 1173A-1173B 1173F-11746",
    ),
    ("A", "5F3 70F 24B6-24E9 1F130-1F149 1F150-1F169 1F172-1F17D 1F180-1F189"),
    ("N", "66B"),
]
_OF_CATEGORY = {"Lu": "A", "Ll": "A", "Lt": "A", "Lm": "A", "Lo": "A", "Nl": "A", "Nd": "N"} | {
    "Mn": "X",
    "Mc": "X",
    "Me": "X",
    "Cf": "X",
}


class _WordBreak(CodePoints):
    """Code point -> class letter."""

    def look_up(self, code: int) -> str:
        for letter, ranges in self._exceptions():
            if any(low <= code <= high for low, high in ranges):
                return letter
        return _OF_CATEGORY.get(unicodedata.category(chr(code)), "O")

    def _exceptions(self) -> list[tuple[str, list[tuple[int, int]]]]:
        if not hasattr(self, "_parsed"):
            self._parsed = [(letter, _ranges(text)) for letter, text in _EXCEPTIONS]
        return self._parsed


_CLASSES = _WordBreak()
_EXTENDERS = re.compile("[XVZ]")
# What a token may go on with is decided by looking one character ahead, so the time is linear in any text.
_WORD = re.compile(
    "(?:[AHN](?=[AHNE])|K(?=[KE])|E(?=[AHNKE])|[AH][LBQ](?=[AH])|N[MBQ](?=N)|HD(?=H))*(?:HQ|[AHNKE])|S+|I|G|RR?|[Pp]p*"
)


def words(text: str) -> list[str]:
    """The tokens of a text in any script, in order; runs of connectors alone are among them."""
    classes = text.translate(_CLASSES)
    if "T" in classes:
        classes = re.sub("T(?=V)", "P", classes)
    if _EXTENDERS.search(classes) is None:
        return [text[match.start() : match.end()] for match in _WORD.finditer(classes)]
    # WB4: what extends belongs to the character before it. WB3c: an emoji after a joiner belongs to what was before.
    classes = classes.replace("ZP", "Zp")
    place = [at for at, letter in enumerate(classes) if letter not in "XVZ"]
    place.append(len(classes))
    base = _EXTENDERS.sub("", classes)
    return [text[place[match.start()] : place[match.end()]] for match in _WORD.finditer(base)]


def cut_long(word: str) -> list[str]:
    """A word that is too long, cut as Lucene's scanner does, which sees `MAX_TOKEN_LENGTH` characters at a time."""
    tokens: list[str] = []
    start = 0
    while start < len(word):
        window = word[start : start + MAX_TOKEN_LENGTH]
        found = words(window)
        skipped = window.find(found[0]) if found else len(window)
        if skipped == 0:
            tokens.append(found[0])
            start += len(found[0])
        start += skipped
    return tokens
