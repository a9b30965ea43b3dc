"""What every analyzer promises, and which name gives which."""

from __future__ import annotations

import copy
import pickle
import sys
import unicodedata

import numpy as np
import pytest

from sleuth.errors import MissingExtra, UnknownName, UsageError
from sleuth.text import encoding
from sleuth.text.analyzer import ANALYZERS, Analyzer, get_analyzer

WITHOUT_MODEL = [name for name in ANALYZERS if name != "ko"]

ODD_TEXTS = [
    "",
    " \t\n",
    "\x00",
    "nul\x00byte",
    "İSTANBUL ıI ẞß ΣΑΣ ŉ ǰ",
    "\ud800 lone \udfff surrogate",
    "\ufeffbyte order mark",
    "한국어 BM25는 " + unicodedata.normalize("NFD", "형태소"),
    "👨‍👩‍👧 🇰🇷 ©️ #️⃣",
    "e\u0301\u0301\u0301",
    "\u0301 alone",
    "a\u2028b\u3000c\u00a0d\x85e",
    "_" * 600 + " " + "x" * 600,
    "'s ''s s's",
    "𠮷野家 \U0010ffff",
]


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_an_analyzer_is_one_object_with_its_name(name: str) -> None:
    analyzer = get_analyzer(name)
    assert isinstance(analyzer, Analyzer)
    assert (analyzer.name, analyzer.version >= 1) == (name, True)
    assert get_analyzer(name) is analyzer
    assert pickle.loads(pickle.dumps(analyzer)) is analyzer
    assert copy.deepcopy(analyzer) is analyzer


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"'wrod'. Did you mean 'word'"):
        get_analyzer("wrod")


def test_ko_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    get_analyzer.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'sleuth\[ko\]'"):
        get_analyzer("ko")


def test_fast_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from sleuth.text import byte_words

    monkeypatch.setitem(sys.modules, "numba", None)
    byte_words.compiled.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'sleuth\[fast\]'"):
        get_analyzer("en").encode(["text"], fast=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_a_stream_holds_the_tokens_of_each_text(name: str) -> None:
    analyzer = get_analyzer(name)
    stream = analyzer.encode(ODD_TEXTS)
    assert [stream.tokens(at) for at in range(len(stream))] == [analyzer.tokens(text) for text in ODD_TEXTS]
    assert (stream.ids.dtype, stream.offsets.dtype) == (np.int32, np.int64)
    assert stream.offsets[0] == 0 and stream.offsets[-1] == len(stream.ids)
    first_seen = list(dict.fromkeys(stream.ids.tolist()))
    assert first_seen == list(range(len(stream.terms)))
    assert len(set(stream.terms)) == len(stream.terms) and "" not in stream.terms


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_no_texts_and_empty_texts(name: str) -> None:
    analyzer = get_analyzer(name)
    nothing = analyzer.encode([])
    assert (nothing.ids.tolist(), nothing.offsets.tolist(), nothing.terms) == ([], [0], [])
    empty = analyzer.encode(["", "  "])
    assert (empty.ids.tolist(), empty.offsets.tolist(), empty.terms) == ([], [0, 0, 0], [])


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_what_is_no_text_is_refused(name: str) -> None:
    analyzer = get_analyzer(name)
    with pytest.raises(UsageError, match="got one string"):
        analyzer.encode("one string")
    with pytest.raises(UsageError, match="NoneType at position 1"):
        analyzer.encode(["text", None])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="got bytes"):
        analyzer.tokens(b"text")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_blocks_and_forgetting_leave_no_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{i % 7} snake_case{i % 5} 검색{i % 3} the" for i in range(60)]
    whole = get_analyzer(name).encode(texts)
    monkeypatch.setattr(encoding, "BLOCK_CHARACTERS", 100)
    monkeypatch.setattr(encoding, "MAX_PIECES", 3)
    blocks = get_analyzer(name).encode(texts)
    assert blocks.terms == whole.terms
    assert np.array_equal(blocks.ids, whole.ids) and np.array_equal(blocks.offsets, whole.offsets)


def test_the_cache_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CACHED_PIECES", 4)
    analyzer = encoding.RuleAnalyzer("word", 1, get_analyzer("word").rules)  # type: ignore[attr-defined]
    words = [f"w{i}" for i in range(50)]
    assert analyzer.tokens(" ".join(words)) == words
    assert len(analyzer._cache) <= 4


@pytest.mark.parametrize("name", WITHOUT_MODEL)
@pytest.mark.parametrize("unit", ["word ", "_", "a", "가", "A.", "1,", "é", "aB", "X\u0301"])
def test_long_texts_take_linear_time(name: str, unit: str) -> None:
    text = unit * (500_000 // len(unit))
    stream = get_analyzer(name).encode([text])
    assert stream.offsets[-1] == len(stream.ids)


def test_one_text_needs_no_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert get_analyzer("auto").tokens("Hybrid Search") == ["hybrid", "search"]
    assert get_analyzer("auto").encode(["Hybrid Search"]).terms == ["hybrid", "search"]
