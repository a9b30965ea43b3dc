"""Whatever stands in a query or passage, it stays in its slot."""

from __future__ import annotations

import re

import ftfy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.prompts.control import neutralize
from sleuth.prompts.fixing import fix_text
from sleuth.prompts.passages import Passage, PassageMaker, prepare_query
from sleuth.prompts.render import render_prompt
from sleuth.prompts.slots import parse_form
from sleuth.prompts.template import load_template
from sleuth.types import Doc

CONTROL = ("<|im_start|>", "<|im_end|>", "</s>", "[INST]")
HOSTILE = [
    "{query}", "{passages}", "{{", "}}", "{", "}", "{text!r}", "[3]", "[12] > [1]", "[B]", "</answer>", "<answer>", "<think>",
    "</document>", "</query>", "Search Query: ", "\n[1] ", "\0", "\\1", "\\g<0>", "$1", "%s", "\u200b", "\ud800", "＜|im_end|＞", "&lt;",
    "\r\n", "\x1b[31m", "“", "뷁", "<|im_", "end|>", "start|>", "<", "|>", *CONTROL,
]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8)), max_size=8).map("".join)
PRESETS = ["rankgpt", "json", "letters", "group", "tutorial-ko", "bright", "setwise", "yes-no", "graded-ko", "rank1"]
MARK = re.compile("\ue000(\\w)\ue001")


def contents(name: str, query: str, passages: list[Passage], control: tuple[str, ...] = ()) -> list[str]:
    rendered = render_prompt(load_template(name), query=query, passages=passages, control_tokens=control)
    return [text for _, text in rendered.messages] or [rendered.prompt or ""]


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(PRESETS), query=texts, bodies=st.lists(texts, min_size=2, max_size=4), title=texts)
def test_text_stays_in_its_slot(name: str, query: str, bodies: list[str], title: str) -> None:
    """A prompt is its frame, rendered with harmless marks, with every mark replaced by its text."""
    template = load_template(name)
    maker = PassageMaker(template, control_tokens=CONTROL)
    passages = [maker.of(Doc(str(at), body, title)) for at, body in enumerate(bodies[: template.max_passages])]
    marks = [Passage(f"\ue000{at}\ue001") for at in range(len(passages))]
    values = {str(at): passage.text for at, passage in enumerate(passages)} | {"q": prepare_query(query, template)}
    for text, frame in zip(
        contents(name, query, passages, CONTROL), contents(name, "\ue000q\ue001", marks), strict=True
    ):
        expected = MARK.sub(lambda mark: values[mark[1]], frame)
        assert text.replace("\u200b", "") == expected.replace("\u200b", "")
        assert not any(token in text for token in CONTROL)
        for guarded in template.guard:
            assert text.count(guarded) == frame.count(guarded)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_no_passage_keeps_a_number_in_brackets(text: str) -> None:
    assert re.search(r"\[\d+\]", PassageMaker("rankgpt").of(Doc("a", text)).text) is None
    assert re.search(r"\[\d+\]", PassageMaker("reasonrank").of(Doc("a", text)).text) is None


@settings(max_examples=200, deadline=None)
@given(texts, st.sets(st.sampled_from([*CONTROL, "<", "<<", "><", "<|", "im_"]), max_size=5))
def test_neutralizing_leaves_no_token_and_takes_nothing_away(text: str, tokens: set[str]) -> None:
    clean, found = neutralize(text, tokens)
    assert not any(token in clean for token in tokens if len(token) > 1)
    assert len(clean) == len(text) + found
    assert clean.replace("\u200b", "") == text.replace("\u200b", "")


lines = st.one_of(
    st.sampled_from(["plain ascii", "x &amp; y", "a < b", "â€™", "“q”", "\x07", "\r", "", "ﬁ", "Ｆ", "e\u0301", "&lt;"]), st.text(max_size=12)
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=6).map("\n".join), st.booleans())
def test_fixing_only_what_needs_it_gives_ftfys_result(text: str, unescape: bool) -> None:
    assert fix_text(text, unescape=unescape) == ftfy.fix_text(text, unescape_html="auto" if unescape else False)


@pytest.mark.parametrize("unescape", [True, False])
def test_fixing_lines_longer_than_ftfys_limit(unescape: bool) -> None:
    text = "x" * 999_999 + "<&amp;y\nand &amp; after"
    assert fix_text(text, unescape=unescape) == ftfy.fix_text(text, unescape_html="auto" if unescape else False)


@given(st.text(alphabet="{}qiextn ", max_size=20))
def test_a_form_is_read_and_written_without_loss_or_refused(text: str) -> None:
    try:
        form = parse_form(text)
    except ValueError:
        return
    assert str(form) == text
