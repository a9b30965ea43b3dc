"""Cutting along structure: where the cuts lie, and what a chunk is called."""

from __future__ import annotations

import pytest

from sleuth.errors import UsageError
from sleuth.text.chunk import CHUNK_TOKENS, count_tokens, cut
from sleuth.text.clean import cleaned


def shown(text: str, **options) -> list[tuple[str, str]]:
    return [(chunk.heading, chunk.text) for chunk in cut(text, **options)]


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("", 0), ("two words", 2), ("snake_case is-two", 3), ("한국어", 3), ("質量 mass保存", 5), ("カナ", 2),
            ("x" * 32, 1), ("x" * 33, 2), ("..." * 10, 0), ("." * 64, 2), (" " * 130, 2), ("naïve Ωmega", 2), ("\U0001f600", 0),
        ],
    )  # fmt: skip
    def test_counting(self, text: str, tokens: int) -> None:
        assert count_tokens(text) == tokens

    @pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_tokens": 3, "overlap": 3}, {"overlap": -1}])
    def test_budgets_that_make_no_sense(self, options: dict) -> None:
        with pytest.raises(UsageError):
            cut("x", **options)


class TestSections:
    def test_the_largest_section_that_fits_is_a_chunk(self) -> None:
        text = "# A\n\none two\n\n## B\n\nthree\n\n### C\n\nfour\n\n## D\n\nfive six seven eight\n"
        assert shown(text, kind="markdown", max_tokens=100) == [("A", text.strip())]
        assert shown(text, kind="markdown", max_tokens=5) == [
            ("A", "# A\n\none two"),
            ("A > B", "## B\n\nthree\n\n### C\n\nfour"),
            ("A > D", "## D\n\nfive six seven eight"),
        ]

    def test_a_heading_alone_joins_what_follows(self) -> None:
        text = "# A\n\n## B\n\none two three\n\n## C\n\nfour five six\n"
        assert shown(text, kind="markdown", max_tokens=6) == [
            ("A > B", "# A\n\n## B\n\none two three"),
            ("A > C", "## C\n\nfour five six"),
        ]

    def test_a_heading_stays_with_a_long_paragraph(self) -> None:
        first, *_ = cut("# Title\n\n" + "A sentence of five words. " * 10, kind="markdown", max_tokens=11)
        assert first.text == "# Title\n\nA sentence of five words. A sentence of five words."

    def test_text_before_the_first_heading(self) -> None:
        assert shown("zero one two\n\n# A\n\nx y z\n", kind="markdown", max_tokens=4) == [
            ("", "zero one two"),
            ("A", "# A\n\nx y z"),
        ]

    def test_siblings_of_the_same_name_stay_apart(self) -> None:
        text = "# A\n\none two\n\n# A\n\nthree four\n"
        assert [h for h, _ in shown(text, kind="markdown", max_tokens=3)] == ["A", "A"]


class TestMarkdown:
    def test_fences_hide_headings(self) -> None:
        text = "# A\n\n```sh\n# no\n~~~\n```\n\n~~~~\n# no\n~~~\n~~~~~\n# B\n"
        assert [h for h, _ in shown(text, kind="markdown", max_tokens=4)] == ["A", "B"]

    def test_an_unclosed_fence_runs_to_the_end(self) -> None:
        assert shown("```\n# no\n\n# no\n", kind="markdown") == [("", "```\n# no\n\n# no")]

    def test_front_matter_is_no_heading(self) -> None:
        text = "---\ntitle: X\n---\n\n# A\n\nwords here\n"
        assert shown(text, kind="markdown", max_tokens=3) == [("", "---\ntitle: X\n---"), ("A", "# A\n\nwords here")]
        assert shown("---\ntitle: X\n", kind="markdown") == [("", "---\ntitle: X")]

    def test_setext_and_what_only_looks_like_it(self) -> None:
        text = "Big\nTitle\n===\n\nx\n\nSmall\n---\n\ny\n\n- item\n---\n\n| a |\n---\n"
        assert [h for h, _ in shown(text, kind="markdown", max_tokens=2)] == [
            "Big Title",
            "Big Title",
            "Big Title > Small",
            "Big Title > Small",
        ]

    @pytest.mark.parametrize(
        ("line", "title"),
        [
            ("# A `b` ##", "A b"), ("#\tTabbed", "Tabbed"), ("# [Link](http://x) and ![i](y)", "Link and i"), ("# **Bold**", "Bold"),
            ("#no", ""), ("####### seven", ""), ("    # indented", ""), ("# C#", "C"),
        ],
    )  # fmt: skip
    def test_titles(self, line: str, title: str) -> None:
        assert cut(line + "\n\nwords", kind="markdown")[0].heading == title


class TestRst:
    def test_levels_by_order_of_use(self) -> None:
        text = "=====\nTitle\n=====\n\none\n\nPart\n----\n\ntwo\n\nDeep\n~~~~\n\nthree\n\nNext\n----\n\nfour\n\n제목\n----\n\nfive\n"
        assert [h for h, _ in shown(text, kind="rst", max_tokens=2)] == [
            "Title", "Title > Part", "Title > Part > Deep", "Title > Next", "Title > 제목", "Title > 제목",
        ]  # fmt: skip

    def test_transitions_and_tables_are_no_titles(self) -> None:
        text = "one\n\n-----\n\ntwo\n\n=== ===\na   b\n=== ===\n"
        assert {h for h, _ in shown(text, kind="rst", max_tokens=2)} == {""}


class TestSource:
    PYTHON = '''"""A module."""

import os


# Above.
@decorated(
    1)
class A(Base):
    """Doc."""

    x = 1

    @property
    def g(self) -> int:
        """Doc of g."""
        return 1

    async def h(
        self,
    ) -> None:
        pass


def last():
    return os
'''

    def test_python(self) -> None:
        chunks = shown(self.PYTHON, kind="source", max_tokens=12)
        assert [heading for heading, _ in chunks] == ["", "A", "A > g", "A > h", "last"]
        by_heading = dict(chunks)
        assert by_heading["A"].startswith("# Above.\n@decorated(\n    1)\nclass A(Base):")
        assert by_heading["A > g"].startswith("    @property\n    def g")
        assert by_heading["A > h"].endswith("pass")
        assert by_heading["last"] == "def last():\n    return os"

    def test_other_languages(self) -> None:
        text = (
            "package main\n\n// Run runs.\nfunc (s *Server) Run(x int) error {\n\treturn nil\n}\n\n"
            "export default async function load(a) {\n  go()\n}\n\npub(crate) fn parse(x: u8) {\n    y()\n}\n\n"
            "public static class Foo {\n    int x;\n}\n"
        )
        chunks = shown(text, kind="source", max_tokens=11)
        assert [h for h, _ in chunks] == ["", "Run", "load", "parse", "Foo"]
        assert chunks[1][1].startswith("// Run runs.\nfunc (s *Server) Run")

    def test_a_long_function_is_cut_at_its_blank_lines(self) -> None:
        body = "\n\n".join(f"    a{n} = {n}\n    b{n} = {n}" for n in range(6))
        chunks = cut(f"def f():\n{body}\n", kind="source", max_tokens=10)
        assert {chunk.heading for chunk in chunks} == {"f"}
        assert all(chunk.text.startswith(("def", "    a")) for chunk in chunks)


class TestLongParagraphs:
    def test_cuts_follow_sentences(self) -> None:
        text = 'One two three. Four five (six!) "Seven eight?" Nine.'
        assert [c.text for c in cut(text, max_tokens=3)] == [
            "One two three.",
            "Four five (six!)",
            '"Seven eight?" Nine.',
        ]

    def test_korean_and_chinese_without_spaces(self) -> None:
        assert [c.text for c in cut("质量守恒。能量守恒！好", max_tokens=5)] == ["质量守恒。", "能量守恒！好"]
        assert [c.text for c in cut("가나다라마바사", max_tokens=3)] == ["가나다", "라마바", "사"]

    def test_one_endless_word(self) -> None:
        chunks = cut("x" * 1000, max_tokens=4)
        assert [len(chunk.text) for chunk in chunks] == [128] * 7 + [104]

    def test_overlap_repeats_whole_sentences_where_it_can(self) -> None:
        text = "One two three. Four five. Six seven eight. Nine ten."
        assert [c.text for c in cut(text, max_tokens=5, overlap=2)] == [
            "One two three. Four five.",
            "Six seven eight. Nine ten.",
        ]
        assert [c.text for c in cut(text, max_tokens=6, overlap=2)] == [
            "One two three. Four five.",
            "five. Six seven eight. Nine ten.",
        ]

    def test_overlap_does_not_cross_headings(self) -> None:
        chunks = cut("# A\n\none two three\n\n# B\n\nfour five six\n", kind="markdown", max_tokens=4, overlap=2)
        assert [chunk.text for chunk in chunks] == ["# A\n\none two three", "# B\n\nfour five six"]

    def test_the_default_budget(self) -> None:
        assert [count_tokens(c.text) for c in cut("word " * 400)] == [CHUNK_TOKENS, CHUNK_TOKENS, 40]


def test_nothing_gives_nothing() -> None:
    for kind in ("plain", "markdown", "rst", "source"):
        assert cut("", kind=kind) == cut(" \n\t\n", kind=kind) == []


class TestCleaned:
    def test_what_is_normalized(self) -> None:
        assert cleaned("\ufeffa\r\nb\rc\x00d\x0ce\tf\x85g\x7f\ud800") == "a\nb\nc d e\tf g \ufffd"

    def test_and_nothing_else(self) -> None:
        text = "e\u0301 \u00a0\u200b\u3000 ﬁ “x” \u2028 한글\n\n  \ufeff"
        assert cleaned(text) == text
