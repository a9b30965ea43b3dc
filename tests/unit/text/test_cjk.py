"""Pairs of Han, Kana and Hangul, in `cjk` and in `auto`."""

from __future__ import annotations

import unicodedata

import pytest

from sleuth.text.analyzer import get_analyzer
from sleuth.text.cjk import bigrams


@pytest.mark.parametrize(
    ("run", "pairs"),
    [
        ("검", ("검",)),
        ("검색", ("검색",)),
        ("검색어", ("검색", "색어")),
        ("使う", ("使う",)),
        ("𠮷野家", ("𠮷野", "野家")),
        ("か\u3099き", ("かき",)),
    ],
)
def test_pairs(run: str, pairs: tuple[str, ...]) -> None:
    assert bigrams(run) == pairs


def test_cjk_keeps_other_words_whole() -> None:
    tokens = get_analyzer("cjk").tokens("The BM25는 snake_case Running 검색 엔진 2024년")
    assert tokens == ["the", "bm25", "는", "snake_case", "running", "검색", "엔진", "2024", "년"]


def test_auto_gives_each_script_its_rule() -> None:
    tokens = get_analyzer("auto").tokens("The BM25는 parseHTTP를 Running 검색엔진 Python的")
    assert tokens == ["bm25", "는", "parsehttp", "pars", "http", "를", "run", "검색", "색엔", "엔진", "python", "的"]


@pytest.mark.parametrize("text", ["The snake_case parseHTTP, isn't 3.14", "GPUs & x_train\tfile.txt"])
def test_auto_is_code_on_ascii(text: str) -> None:
    assert get_analyzer("auto").tokens(text) == get_analyzer("code").tokens(text)


@pytest.mark.parametrize("name", ["auto", "cjk"])
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_text_means_the_same_in_every_form(name: str, form: str) -> None:
    text = "검색 한글 ガギグ résumé ABC"
    assert get_analyzer(name).tokens(unicodedata.normalize(form, text)) == get_analyzer(name).tokens(text)


@pytest.mark.parametrize("name", ["auto", "cjk"])
def test_marks_stay_in_their_word(name: str) -> None:
    assert get_analyzer(name).tokens("हिन्दी العَرَبِيَّة") == ["हिन्दी", "العَرَبِيَّة"]


@pytest.mark.parametrize("name", ["auto", "cjk"])
def test_jamo_and_compatibility_jamo_are_hangul(name: str) -> None:
    assert get_analyzer(name).tokens("ㅋㅋㅋ \u1112\u119e\u11ab") == ["ㅋㅋ", "ㅋㅋ", "\u1112\u119e", "\u119e\u11ab"]
