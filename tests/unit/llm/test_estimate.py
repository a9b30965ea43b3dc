"""Tokens of texts and requests: estimated from characters, or counted by a tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleuth.errors import ModelError, UsageError
from sleuth.llm.chat import ChatRequest, Message
from sleuth.llm.estimate import MESSAGE_TOKENS, estimate_tokens, request_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("x" * 36, 10),
        ("é" * 36, 10),
        ("가" * 16, 10),
        ("漢字かなカナ漢字" * 2, 10),
        ("x" * 36 + "가" * 16, 20),
        ("\U00020000" * 8, 5),
    ],
)
def test_estimates(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text("aé 가漢ぁ\n"), st.text("aé 가漢ぁ\n"))
def test_more_text_has_more_tokens(a: str, b: str) -> None:
    assert 0 <= estimate_tokens(a) <= estimate_tokens(a + b) <= estimate_tokens(a) + estimate_tokens(b)


def test_a_request_has_its_messages_and_what_a_template_adds() -> None:
    request = ChatRequest((Message("system", "x" * 36), Message("user", "x" * 72)), prefill="x" * 18)
    assert request_tokens(request) == 10 + 20 + 5 + 3 * MESSAGE_TOKENS
    assert request_tokens(ChatRequest(prompt="x" * 36)) == 10


def test_a_tokenizer_counts_exactly(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json", str(tmp_path)):
        assert estimate_tokens("a b a \ud800 가", place) == 5
    assert request_tokens(ChatRequest(prompt="a b", prefill="a"), tmp_path) == 3


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tokenizer\.json at"):
        estimate_tokens("a", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        estimate_tokens("a", tmp_path)
