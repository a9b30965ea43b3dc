"""Analyzers: text to the terms that lexical retrieval matches.

| name   | words                                   | case | stop words | stems          | text is folded |
|--------|-----------------------------------------|------|------------|----------------|----------------|
| `auto` | `code` for words, `cjk` for Han, Kana and Hangul | lower | 33 | PyStemmer porter | yes         |
| `code` | `\\w+` and the parts of identifiers      | lower | 33        | PyStemmer porter | no            |
| `word` | `\\w+`                                   | lower | 33        | PyStemmer porter | no            |
| `en`   | UAX #29, possessive cut off             | lower | 33         | Lucene's Porter | no            |
| `cjk`  | `\\w+`, Han, Kana and Hangul as pairs    | lower | none       | none           | yes            |
| `ko`   | kiwipiepy's content morphemes           | lower | by tag     | dictionary form | yes           |

`word`, `code` and `en` take text as it is, because published baselines do; the others fold composition, width and
presentation forms first (`fold.folded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

from sleuth.errors import UnknownName
from sleuth.text.stream import TokenStream

__all__ = ["ANALYZERS", "Analyzer", "TokenStream", "get_analyzer"]

ANALYZERS: tuple[str, ...] = ("auto", "code", "en", "word", "cjk", "ko")


@runtime_checkable
class Analyzer(Protocol):
    """Turns text into terms; the same text always gives the same terms.

    Attributes:
        name: One of `ANALYZERS`.
        version: Raised when its tokens change; stored in an index.
    """

    name: str
    version: int

    def tokens(self, text: str) -> list[str]:
        """The terms of one text, in order."""
        ...

    def encode(self, texts: Sequence[str]) -> TokenStream:
        """The terms of many texts as one stream."""
        ...


@lru_cache(maxsize=len(ANALYZERS))
def get_analyzer(name: str) -> Analyzer:
    """The analyzer of this name; the same object each time.

    Args:
        name: One of `ANALYZERS`.

    Raises:
        UnknownName: No such analyzer.
        MissingExtra: `ko` without kiwipiepy.
    """
    from sleuth.text import auto, cjk, english, identifiers
    from sleuth.text.encoding import RuleAnalyzer

    match name:
        case "auto":
            return RuleAnalyzer("auto", 1, auto.RULES)
        case "code":
            return RuleAnalyzer("code", 1, identifiers.CODE)
        case "en":
            return RuleAnalyzer("en", 1, english.RULES)
        case "word":
            return RuleAnalyzer("word", 1, identifiers.WORD)
        case "cjk":
            return RuleAnalyzer("cjk", 1, cjk.RULES)
        case "ko":
            from sleuth.text.korean import KoreanAnalyzer

            return KoreanAnalyzer()
    raise UnknownName("analyzer", name, list(ANALYZERS))
