"""`word`, and the parts of identifiers in `code`."""

from __future__ import annotations

import pytest

from sleuth.text.analyzer import get_analyzer
from sleuth.text.identifiers import identifier_parts


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("file_path", ["file", "path"]),
        ("parseHTTPResponse", ["parse", "HTTP", "Response"]),
        ("x_train", ["x", "train"]),
        ("x_parseHTTP", ["x", "parse", "HTTP"]),
        ("__init__", ["init"]),
        ("GPUs", []),
        ("mRNA", []),
        ("MeV", []),
        ("getX", []),
        ("2D", []),
        ("___", []),
        ("plain", []),
        ("Plain", []),
        ("naïveBayes", ["naïve", "Bayes"]),
        ("utf8Decoder", ["utf8", "Decoder"]),
        ("CONSTANT_CASE", ["CONSTANT", "CASE"]),
        ("URLs_GPUs", ["URLs", "GPUs"]),
    ],
)
def test_parts(word: str, parts: list[str]) -> None:
    assert identifier_parts(word) == parts


def test_code_gives_the_whole_word_and_then_its_parts() -> None:
    tokens = get_analyzer("code").tokens("The parseHTTPResponse is_valid GPUs")
    assert tokens == ["parsehttprespons", "pars", "http", "respons", "is_valid", "valid", "gpu"]


def test_word_is_plain() -> None:
    tokens = get_analyzer("word").tokens("The parseHTTPResponse is_valid, node.js isn't 3.14")
    assert tokens == ["parsehttprespons", "is_valid", "node", "j", "isn", "t", "3", "14"]


def test_word_stems_short_tokens_and_keeps_those_that_stemming_empties() -> None:
    assert get_analyzer("word").tokens("s us Apology possibly") == ["s", "u", "apologi", "possibli"]


def test_stop_words_go_before_stemming() -> None:
    assert get_analyzer("word").tokens("being ins thes") == ["be", "in", "the"]
