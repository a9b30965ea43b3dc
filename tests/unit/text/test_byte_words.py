"""The byte path with its kernels run as plain Python: growth, blocks, forgetting."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest

from sleuth.text import byte_words
from sleuth.text.analyzer import get_analyzer
from sleuth.text.byte_words import ByteTable, byte_codes, cut_words, find_rows, place_rows
from sleuth.text.encoding import PieceTable

PLAIN = (cut_words, find_rows, place_rows)


def streams(name: str, blocks: list[list[str]]) -> list[list[str]]:
    """Tokens of each text by the byte path."""
    table = PieceTable(get_analyzer(name).rules)  # type: ignore[attr-defined]
    found = []
    for codes, offsets in byte_codes(blocks, get_analyzer(name).rules, table, kernels=PLAIN):  # type: ignore[attr-defined]
        ids, ends = table.expand(codes, offsets)
        terms = list(table.place)
        found += [[terms[i] for i in ids[a:b]] for a, b in pairwise(ends)]
    return found


@pytest.mark.parametrize("name", ["en", "word", "code", "auto", "cjk"])
def test_blocks_give_the_tokens_of_each_text(name: str) -> None:
    blocks = [["It's node.js 3.14, naïve x_y", "", "한국어 BM25는 ok"], ["\x00a\x00", "The the node.js"], [""]]
    assert streams(name, blocks) == [get_analyzer(name).tokens(text) for text in chain.from_iterable(blocks)]


def test_the_table_grows_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = get_analyzer("word").rules  # type: ignore[attr-defined]
    texts = [f"w{i} " + "x" * i + " é" * (i % 3) for i in range(100)]
    small, large = ByteTable(rules, PLAIN, rows=2), ByteTable(rules, PLAIN, rows=1000)
    data = byte_words._utf8(texts)
    for mine, other in zip(small.codes(*data), large.codes(*data), strict=True):
        assert np.array_equal(mine, other)
    assert list(small.pieces(0, rules.pieces)) == list(large.pieces(0, rules.pieces))
    monkeypatch.setattr(byte_words, "MAX_PIECES", 5)
    assert streams("word", [[text] for text in texts]) == [get_analyzer("word").tokens(text) for text in texts]


def test_equal_hashes_are_told_apart_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_hash(*arguments: np.ndarray) -> int:
        n = cut_words(*arguments)
        arguments[7][:] = 0
        return n

    monkeypatch.setattr(byte_words, "compiled", lambda: (one_hash, find_rows, place_rows))
    analyzer = get_analyzer("word")
    assert analyzer.encode(["one two one é tow"], fast=True).tokens(0) == ["on", "two", "on", "é", "tow"]  # type: ignore[call-arg]
