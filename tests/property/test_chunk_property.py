"""Whatever the text: chunks are slices of it, fit the budget, keep the order, and lose nothing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sleuth.text.chunk import count_tokens, cut
from sleuth.text.outline import structure_of

KINDS = ["plain", "markdown", "rst", "source"]

snippets = st.sampled_from(
    [
        "# Title\n", "## Sub `x`\n", "Setext\n===\n", "Other\n---\n", "---\na: b\n---\n", "```\n# no heading\n```\n",
        "~~~~py\n```\n", "Para one. Para two! Three?\n\n", "- item\n- item\n", "| a | b |\n", "=====\nOver\n=====\n",
        "def f(x):\n    return x\n\n", "class A:\n    def g(self):\n        pass\n", "@decorated\ndef h(): ...\n", "}\n", "    ",
        "func (s *T) Run() {\n\treturn\n}\n", "\n", "\n\n\n", "안녕하세요. 반갑습니다。", "质量守恒定律。能量守恒", "x" * 70, "." * 80, " " * 130, "\t", "word ",
    ]
)  # fmt: skip
texts = st.one_of(st.lists(st.one_of(snippets, st.text(max_size=20)), max_size=30).map("".join), st.text())


@settings(max_examples=150, deadline=None)
@given(text=texts, kind=st.sampled_from(KINDS), budget=st.integers(1, 40), data=st.data())
@example(text="# A\n" + "b " * 50, kind="markdown", budget=1, data=None)
def test_chunks_are_slices_that_fit_and_lose_nothing(
    text: str, kind: str, budget: int, data: st.DataObject | None
) -> None:
    overlap = data.draw(st.integers(0, budget - 1)) if data is not None else 0
    chunks = cut(text, kind=kind, max_tokens=budget, overlap=overlap)
    covered = bytearray(len(text))
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert count_tokens(chunk.text) <= budget
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    assert all(covered[at] or char.isspace() for at, char in enumerate(text))
    assert [c.start for c in chunks] == sorted(c.start for c in chunks)
    if not overlap:
        assert all(a.end <= b.start for a, b in itertools.pairwise(chunks))


@settings(max_examples=100, deadline=None)
@given(text=texts, kind=st.sampled_from(KINDS))
def test_blocks_lie_in_order_and_hold_all_that_is_visible(text: str, kind: str) -> None:
    found = structure_of(text, kind)
    at = 0
    for block in found.blocks:
        assert 0 <= block.start < block.end <= len(text)
        assert not text[at : block.start].strip()
        assert all(0 <= number < len(found.titles) for number in block.path)
        at = block.end
    assert not text[at:].strip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "unit", ["[", "#", "`", "-", "=", " ", ".", "(", "\n", "\t#", "a.", "あ", "*/", "[](", "\n-\n", "=\n=\n"]
)
def test_long_runs_of_one_thing_take_linear_time(kind: str, unit: str) -> None:
    text = "# " + unit * (10_000 // len(unit))
    chunks = cut(text, kind=kind, max_tokens=50, overlap=5)
    assert max(count_tokens(chunk.text) for chunk in chunks) <= 50
