"""Whatever a model says, what comes back is a permutation; and what is rendered is read as it was."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sleuth.replies.characters import fold_characters
from sleuth.replies.permutation import parse_permutation
from sleuth.replies.thoughts import split_thoughts

_SPEC = importlib.util.spec_from_file_location("fuzz_answers", Path(__file__).with_name("fuzz_answers.py"))
fuzz_answers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_answers)

orders = st.integers(1, 60).flatmap(lambda n: st.permutations(range(1, n + 1)))
soup = st.lists(st.one_of(st.sampled_from(fuzz_answers.PIECES), st.text(max_size=8)), max_size=25).map("".join)


def read(text: str, n: int) -> tuple[list[int], str]:
    found = parse_permutation(text, n)
    return [position + 1 for position in found.order], str(found.outcome)


@given(soup, st.integers(1, 25), st.sampled_from(fuzz_answers.FINISH))
@settings(max_examples=200)
def test_anything_gives_what_is_promised(text: str, n: int, finish: str | None) -> None:
    fuzz_answers.check(fuzz_answers.Answer(text, n, finish))


@given(orders)
@settings(max_examples=50)
def test_a_rendered_permutation_is_read_as_it_was(order: list[int]) -> None:
    n = len(order)
    chain = " > ".join(f"[{one}]" for one in order)
    for text in (
        chain,
        chain.replace(" ", ""),
        f"Here are the {n} passages:\n\n**{chain}**\n\nI hope this helps with all {n}.",
        f"<think>[1] > [2], 7 of {n}</think><answer>{chain}</answer>",
        json.dumps(order),
        json.dumps({"ranking": [str(one) for one in order]}),
        json.dumps([{"index": one} for one in order]),
        "\n".join(f"{rank}. [{one}]" for rank, one in enumerate(order, 1)),
        "\n".join(f"| {rank}위 | [{one}] |" for rank, one in enumerate(order, 1)),
        ", ".join(f"[Passage {one}]" for one in order),
        "순위: " + chain,
        "가장 관련 있는 순서는 " + chain + " 입니다.",
        chain.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
        chain.translate({ord(c): chr(ord(c) + 0xFEE0) for c in "[]>0123456789"}),
        chain.replace(">", "&gt;"),
    ):
        assert read(text, n) == (order, "ok"), text


@given(orders)
def test_reading_and_rendering_again_changes_nothing(order: list[int]) -> None:
    first, _ = read(", ".join(map(str, order[: len(order) // 2 + 1])), len(order))
    assert read(" > ".join(f"[{one}]" for one in first), len(order)) == (first, "ok")


@given(st.integers(1, 26).flatmap(lambda n: st.permutations(range(n))))
def test_letters(order: list[int]) -> None:
    letters = [chr(65 + one) for one in order]
    expected = [one + 1 for one in order]
    for text in (" > ".join(f"[{one}]" for one in letters), " > ".join(letters), f"Answer: {', '.join(letters)}."):
        assert read(text, len(order)) == (expected, "ok")
    if len(order) > 1:
        assert read("".join(letters), len(order)) == (expected, "ok")


@given(orders.filter(lambda order: len(order) > 1), st.data())
@settings(max_examples=50)
def test_ties(order: list[int], data: st.DataObject) -> None:
    equal = data.draw(st.lists(st.booleans(), min_size=len(order) - 1, max_size=len(order) - 1))
    text, groups = f"[{order[0]}]", [[order[0]]]
    for one, tie in zip(order[1:], equal, strict=True):
        text += f" {'=' if tie else '>'} [{one}]"
        if not tie:
            groups.append([])
        groups[-1].append(one)
    found = parse_permutation(text, len(order))
    assert found.ties == tuple(tuple(sorted(one - 1 for one in group)) for group in groups if len(group) > 1)
    assert found.order == tuple(one - 1 for group in groups for one in sorted(group))
    assert found.outcome == "ok"


@given(orders, st.integers(0, 60))
def test_what_is_not_named_follows_in_prior_order(order: list[int], keep: int) -> None:
    kept = order[: 1 + keep % len(order)]
    found = parse_permutation(" > ".join(f"[{one}]" for one in kept), len(order), finish_reason="length")
    rest = [one for one in range(1, len(order) + 1) if one not in kept]
    assert [position + 1 for position in found.order] == kept + rest
    assert found.named == len(kept)
    assert found.outcome == ("unfinished" if rest else "ok")


@given(st.text())
@example("＆gt;")
@example("&&gt;gt;")
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold_characters(text)
    assert fold_characters(once) == once
    assert not re.search(r"(?![0-9])\d|[\uff01-\uff5e]", once)


# ── thoughts, against the rule as it is written ───────────────────────────────────────────────────

NAMES = "think|thinking|thought|reasoning|analysis"
fragments = st.sampled_from(
    [
        *("<think>", "</think>", "<thought>", "</thought>", "<THINK>", "<answer>", "</answer>", "[1]", "a", " "),
        *("<thi", "nk>", "</thi", "</", "<", ">", "think>", "ght>", "</thou", "<tho", "ught>"),
    ]
)


def as_written(text: str) -> tuple[str, bool]:
    """Rule 4, word by word, however slowly: the answer, and whether a thought was never closed."""
    pair = re.compile(rf"<({NAMES})>.*?</\1>", re.IGNORECASE | re.DOTALL)
    while found := pair.search(text):
        text = text[: found.start()] + text[found.end() :]
    closings = list(re.finditer(rf"</({NAMES})>", text, re.IGNORECASE))
    if closings:
        text = text[closings[-1].end() :]
    opening = re.search(rf"<({NAMES})>", text, re.IGNORECASE)
    if opening is None:
        return text, False
    after = text[opening.end() :]
    if after.rstrip().endswith("</answer>") and "<answer>" in after:
        return after[after.rindex("<answer>") :], True
    return text[: opening.start()], True


@given(st.lists(fragments, max_size=24).map("".join))
@settings(max_examples=300)
@example("<think></thi<thought>x</thought>nk>a")
@example("<thought><think></thou<think>a</think>ght>b</thought>c")
def test_thoughts_are_taken_out_as_the_rule_is_written(text: str) -> None:
    found = split_thoughts(text)
    assert (found.answer, found.unclosed) == as_written(text)


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────


RISKY = (
    *("opening tags", "nested tags", "tags made by seams", "open answers", "open brackets", "unfinished lists"),
    *("a number and white space", "a label and white space", "a grade and white space", "labels", "nested lists"),
)
"""Where a careless pattern or loop is quadratic; the other adversarial texts only take long for their many ids."""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", RISKY)
def test_time_grows_no_faster_than_the_text(name: str) -> None:
    """200,000 characters: quadratic work takes minutes, linear work a fraction of a second."""
    fuzz_answers.check(fuzz_answers.Answer(fuzz_answers.adversarial(name, 200_000), 20, None))


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", fuzz_answers.ADVERSARIAL)
def test_time_grows_no_faster_than_the_text_anywhere(name: str) -> None:
    fuzz_answers.check(fuzz_answers.Answer(fuzz_answers.adversarial(name, 400_000), 20, None))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ("balanced tags", "closings made by seams", *RISKY))
def test_five_megabytes(name: str) -> None:
    found = parse_permutation(fuzz_answers.adversarial(name, 5_000_000), 20)
    assert sorted(found.order) == list(range(20))


@pytest.mark.slow
def test_twenty_thousand_damaged_answers() -> None:
    random, answers = Random(7), fuzz_answers.reference_answers()
    outcomes = {fuzz_answers.check(fuzz_answers.damaged(random, answers)) for _ in range(20_000)}
    assert {str(outcome) for outcome in outcomes} == {"ok", "repaired", "unfinished", "invalid"}
