"""`ko`: Korean by morphemes, with kiwipiepy (extra `ko`).

Kept are the morphemes that carry content: nouns (NNG, NNP) and numerals (NR), stems of verbs and adjectives (VV, VA),
roots (XR), the affixes that change what a noun means (XPN as in 불-가능, XSN as in 한국-인), foreign words (SL), Han
characters (SH), digits (SN), what kiwi found no analysis for (UN), and addresses (W_URL, W_EMAIL, W_HASHTAG,
W_MENTION, W_SERIAL). Left out are particles, endings, copulas and auxiliary verbs, adverbs, determiners, pronouns
(NP), bound nouns such as 것 (NNB), interjections and symbols.

On 1,500 questions of KorQuAD 1.0 (961 paragraphs, BM25 k1 .9 b .4) this set gives nDCG@10 .958; nouns alone .951,
every morpheme .951, with adverbs, pronouns or bound nouns .955 to .956. Bigrams (`cjk`, `auto`) give .961 there and
need no model, which is why they are the default. What kiwi tags as a symbol, letters of other alphabets among them, is
lost: for text in several languages take `auto`.

Tokens depend on the model that kiwipiepy brings; rebuild an index when that is upgraded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from typing import Any

from sleuth.errors import MissingExtra, UsageError
from sleuth.text.fold import folded, lowered
from sleuth.text.stream import TokenStream, stream_of

__all__ = ["CONTENT_TAGS", "KoreanAnalyzer"]

CONTENT_TAGS = frozenset(
    {"NNG", "NNP", "NR", "VV", "VA", "XR", "XPN", "XSN", "SL", "SH", "SN", "UN"}
    | {"W_URL", "W_EMAIL", "W_HASHTAG", "W_MENTION", "W_SERIAL"}
)
"""Kiwi's tags that are kept; the mark of (ir)regular inflection (VV-I) is not looked at."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_TEXTS_AT_A_TIME = 1_000  # ours: enough to keep kiwi's threads busy, few enough to hold
# Kiwi's time grows with the square of the length, so long text goes to it in sections that end at white space. Ours:
# several paragraphs; at 1,700 characters a section 136,000 characters take 1.1 s, in one piece 8.4 s.
_SECTION = re.compile(r"[\s\S]{1,2000}(?!\S)|[\s\S]{1,2000}")


class KoreanAnalyzer:
    """Content morphemes of Korean text. The model (2 s, 300 MB) is loaded at the first text.

    Raises:
        MissingExtra: kiwipiepy is not installed.
    """

    name = "ko"
    version = 1

    def __init__(self) -> None:
        if find_spec("kiwipiepy") is None:
            raise MissingExtra("the analyzer 'ko'", "ko")

    def __repr__(self) -> str:
        return "get_analyzer('ko')"

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        from sleuth.text.analyzer import get_analyzer

        return get_analyzer, ("ko",)

    @cached_property
    def _kiwi(self) -> Any:
        try:
            from kiwipiepy import Kiwi
        except ImportError as error:
            raise MissingExtra("the analyzer 'ko'", "ko", error) from error
        return Kiwi()

    def tokens(self, text: str) -> list[str]:
        """The content morphemes of one text, in order.

        Raises:
            UsageError: `text` is not a string.
        """
        if not isinstance(text, str):
            raise UsageError(f"tokens takes a string, got {type(text).__name__}")
        return next(self._content([text]))

    def encode(self, texts: Sequence[str]) -> TokenStream:
        """The content morphemes of many texts as one stream; kiwi works on several texts at a time.

        Raises:
            UsageError: `texts` is one string, or holds something else than strings.
        """
        if isinstance(texts, str):
            raise UsageError("encode takes a sequence of texts, got one string; pass [text]")
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                raise UsageError(f"texts must be strings, got {type(text).__name__} at position {at}")
        return stream_of(self._content(texts))

    def _content(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """The content morphemes of each text."""
        for start in range(0, len(texts), _TEXTS_AT_A_TIME):
            sections = [_sections(text) for text in texts[start : start + _TEXTS_AT_A_TIME]]
            found = iter(self._kiwi.tokenize([part for parts in sections for part in parts]))
            for parts in sections:
                yield [
                    lowered(morpheme.form)
                    for morphemes in islice(found, len(parts))
                    for morpheme in morphemes
                    if morpheme.tag.partition("-")[0] in CONTENT_TAGS
                ]


def _sections(text: str) -> list[str]:
    """The text, folded and in sections; lone surrogates are replaced, since kiwi reads UTF-16 and refuses them."""
    sections: list[str] = _SECTION.findall(folded(_SURROGATES.sub("\ufffd", text)))
    return sections
