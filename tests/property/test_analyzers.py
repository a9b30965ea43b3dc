"""Properties of the analyzers over any text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleuth.text.analyzer import get_analyzer
from sleuth.text.byte_words import byte_codes, cut_words, find_rows, place_rows
from sleuth.text.encoding import PieceTable
from sleuth.text.english import _ASCII
from sleuth.text.porter import _DIFFERS, lucene_stems, porter_stem, snowball_porter
from sleuth.text.word_break import words

NAMES = ["auto", "code", "en", "word", "cjk"]
ascii_text = st.text(alphabet=st.sampled_from("abAsSZ019_.':,;- \t\n\x00\x1c\"#()"), max_size=60)
mixed_text = st.text(
    alphabet=st.one_of(
        st.sampled_from("abSZ09_.':,; \n"),
        st.sampled_from(
            "éßİΣ한글ㅋ日本かガ\u0301\u3099\u200d\u00ad\u00a0\u3000＇’Ａﬁ𝑥👨👩🇰🇷©\ufe0f\u20e3א״กिन\u1112\u1161²½"
        ),
        st.characters(),
    ),
    max_size=60,
)


@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.one_of(ascii_text, mixed_text), max_size=4))
def test_a_stream_is_the_tokens_of_its_texts(name: str, texts: list[str]) -> None:
    analyzer = get_analyzer(name)
    stream = analyzer.encode(texts)
    assert [stream.tokens(at) for at in range(len(stream))] == [analyzer.tokens(text) for text in texts]
    assert list(dict.fromkeys(stream.ids.tolist())) == list(range(len(stream.terms)))


@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.one_of(ascii_text, mixed_text), max_size=4))
def test_the_byte_path_gives_the_same_stream(name: str, texts: list[str]) -> None:
    rules = get_analyzer(name).rules  # type: ignore[attr-defined]
    table = PieceTable(rules)
    ids: list[int] = []
    ends = [0]
    for codes, offsets in byte_codes(
        [texts] if texts else [], rules, table, kernels=(cut_words, find_rows, place_rows)
    ):
        block, block_ends = table.expand(codes, offsets)
        ids += block.tolist()
        ends += block_ends[1:].tolist()
    pure = get_analyzer(name).encode(texts)
    assert (ids, ends, list(table.place)) == (pure.ids.tolist(), pure.offsets.tolist(), pure.terms)


@pytest.mark.parametrize("name", NAMES)
@given(left=mixed_text, right=mixed_text)
def test_white_space_always_separates(name: str, left: str, right: str) -> None:
    analyzer = get_analyzer(name)
    assert analyzer.tokens(f"{left}\n{right}") == analyzer.tokens(left) + analyzer.tokens(right)


@pytest.mark.parametrize("name", ["auto", "cjk"])
@given(text=mixed_text)
def test_composition_changes_nothing(name: str, text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    decomposed = unicodedata.normalize("NFD", composed)
    assert get_analyzer(name).tokens(decomposed) == get_analyzer(name).tokens(composed)


@given(text=ascii_text)
def test_the_ascii_pattern_is_the_annex(text: str) -> None:
    assert _ASCII.findall(text) == words(text)


@given(text=mixed_text)
def test_every_token_of_word_is_one_of_code(text: str) -> None:
    whole = get_analyzer("word").tokens(text)
    rest = iter(get_analyzer("code").tokens(text))
    assert all(token in rest for token in whole)


letters = st.text(alphabet="abcdefghijklmnopqrstuvwxyz'7é", max_size=8)
SUFFIXES = " s es ies ed ing eed bli bly logi logies ational ization fulness alize ement ion sion ible ll e y izer iveness ical"
suffixes = st.sampled_from(SUFFIXES.split(" "))


@given(stem=letters, first=suffixes, second=suffixes)
def test_lucenes_porter_is_porter(stem: str, first: str, second: str) -> None:
    word = stem + first + second
    assert lucene_stems([word]) == [porter_stem(word)]
    if len(word) > 2 and not _DIFFERS.search(word):
        assert snowball_porter().stemWord(word) == porter_stem(word)
