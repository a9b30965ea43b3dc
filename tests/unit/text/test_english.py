"""`en` beyond the golden texts."""

from __future__ import annotations

import pytest

from sleuth.text.analyzer import get_analyzer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("foo:bar foo: :bar", ["foo:bar", "foo", "bar"]),
        ("a1.b2 1.b a.1 1,2;3 1:2", ["a1", "b2", "1", "b", "1", "1,2;3", "1", "2"]),
        ("x..y x.'y x'.y", ["x", "y", "x", "y", "x", "y"]),
        ("_a_ __ _1_.2", ["_a_", "_1_", "2"]),
        ("Node's NODE'S node’s node＇S 's s's ss's", ["node", "node", "node", "node", "s", "s", "ss"]),
        ("revved trekked assemblies analogy", ["rev", "trek", "assembl", "analog"]),
        ("İstanbul ΟΔΟΣ", ["istanbul", "οδοσ"]),
        ("cafe\u0301 co\u00adop", ["cafe\u0301", "co\u00adop"]),
        ("ב״ה צה\"ל ד'", ["ב״ה", 'צה"ל', "ד'"]),
        ("①②③ ٣٫١٤", ["٣٫١٤"]),
    ],
)
def test_words_as_lucene_cuts_them(text: str, tokens: list[str]) -> None:
    assert get_analyzer("en").tokens(text) == tokens


@pytest.mark.parametrize("wide", ["", " é"])
def test_a_token_is_cut_at_255_characters(wide: str) -> None:
    tokens = get_analyzer("en").tokens("x" * 600 + wide)
    assert [len(token) for token in tokens[:3]] == [255, 255, 90]


def test_what_stands_at_the_cut_is_not_lost_or_joined() -> None:
    assert get_analyzer("en").tokens("x" * 254 + ".y") == ["x" * 254, "y"]
    assert get_analyzer("en").tokens("é" * 254 + ".y") == ["é" * 254, "y"]
    assert get_analyzer("en").tokens("x" * 253 + ".y") == ["x" * 253 + ".y"]
