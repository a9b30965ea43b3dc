"""`ko`, with its model."""

from __future__ import annotations

import pickle
import unicodedata

import pytest

from sleuth.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ko():
    pytest.importorskip("kiwipiepy")
    from sleuth.text.analyzer import get_analyzer

    return get_analyzer("ko")


def test_content_morphemes_in_dictionary_form(ko) -> None:
    assert ko.tokens("나는 학교에서 BM25 검색을 배웠다.") == ["학교", "bm", "25", "검색", "배우"]
    assert ko.tokens("걸었다") == ["걷"]


def test_forms_of_one_text(ko) -> None:
    text = "불가능한 검색"
    assert ko.tokens(unicodedata.normalize("NFD", text)) == ko.tokens(text) == ["불", "가능", "검색"]


def test_odd_texts(ko) -> None:
    texts = ["", " ", "\ud800 가방", "x\x00y", "검색"]
    stream = ko.encode(texts)
    assert [stream.tokens(at) for at in range(len(stream))] == [ko.tokens(text) for text in texts]
    assert ko.tokens("\ud800 가방") == ["가방"]
    with pytest.raises(UsageError, match="one string"):
        ko.encode("검색")


def test_long_text_goes_in_sections(ko) -> None:
    sentence = "나는 학교에서 검색을 배웠다. "
    assert ko.tokens(sentence * 500) == ko.tokens(sentence) * 500


def test_it_travels_by_name(ko) -> None:
    assert pickle.loads(pickle.dumps(ko)).name == "ko"
