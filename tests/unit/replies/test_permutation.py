"""What the reference cases leave open: arguments, odd text, JSON's corners, lists and chains, sizes."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from sleuth.errors import UsageError
from sleuth.replies.outcome import Outcome
from sleuth.replies.permutation import parse_permutation


def ranked(text: object, n: int, **options: str) -> list[int]:
    return [position + 1 for position in parse_permutation(text, n, **options).order]  # type: ignore[arg-type]


def test_positions_are_0_based_and_what_comes_back_is_frozen() -> None:
    found = parse_permutation("[3] = [1] > [2]", 4)
    assert (found.order, found.ties, found.named) == ((0, 2, 1, 3), ((0, 2),), 3)
    assert (found.outcome, found.repairs, found.identity) == (Outcome.REPAIRED, ("missing_ids",), False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.named = 4  # type: ignore[misc]


def test_an_outcome_is_its_word() -> None:
    assert Outcome.OK == "ok"
    assert f"{Outcome.UNFINISHED}" == str(Outcome.UNFINISHED) == "unfinished"
    assert {"invalid": 1}[Outcome.INVALID] == 1


@pytest.mark.parametrize("n", [0, -1])
def test_n_below_one_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match=f"at least 1, got {n}"):
        parse_permutation("[1]", n)


@pytest.mark.parametrize("n", [2.0, "3", None])
def test_n_that_is_no_integer_is_refused(n: object) -> None:
    with pytest.raises(UsageError, match="must be an int"):
        parse_permutation("[1]", n)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, "", " \u3000\n", 7, 1.5, b"[2] > [1]", ["[2]"], {"ranking": [2, 1]}])
def test_what_is_no_text_is_an_empty_answer(text: object) -> None:
    found = parse_permutation(text, 2)  # type: ignore[arg-type]
    assert (found.order, found.outcome, found.repairs, found.named) == ((0, 1), "invalid", (), 0)


@pytest.mark.parametrize(
    "text",
    [
        "[2]\x00 > [1]",
        "\ufeff[2] > [1]",
        "[2] > [1]\ud800",
        "\u202e[2] > [1]",
        "[2]\u00a0>\u2009[1]",
        "[2]\r\n>\r\n[1]",
    ],
)
def test_special_characters_around_ids(text: str) -> None:
    assert ranked(text, 2) == [2, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>[1] > [2]</think>&lt;answer&gt;[2] &gt; [1]&lt;/answer&gt;", [2, 1]),
        ("&lt;think&gt;[1] > [2]&lt;/think&gt;[2] > [1]", [2, 1]),
        ("＜think＞[1] > [2]＜／think＞[2] > [1]", [2, 1]),
        ("<think>[1] > [2]，好的。</think>【2】＞【1】", [2, 1]),
        ("❷ ≻ ➀", [2, 1]),
        ("[२] > [१]", [2, 1]),
        ("[Ⅱ] > [Ⅰ]", [1, 2]),
    ],
)
def test_other_spellings(text: str, expected: list[int]) -> None:
    assert ranked(text, 2) == expected


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ('[[2], ["1"], [{"id": "[3]"}]]', ()),
        ('["Passage 2", "doc [1]", "[Document #3]"]', ()),
        ('{"ranking": "[2] > [1] > [3]"}', ()),
        ('{"ranking": 1, "order": [2, 1, 3]}', ()),
        ('{"answer": "nothing", "ids": [2, 1, 3]}', ()),
        ("[2, 1, true, 3]", ("rejected_tokens",)),
        ('[2, 1, 3, "B"]', ("rejected_tokens",)),
        ("[2, 1, 3, -1]", ("out_of_range_ids",)),
        ('[{"rank": 1}, {"id": 2}, {"id": 1}, {"id": 3}]', ("rejected_tokens",)),
        ("So: ```\n[1, 2, 3]\n``` no: ```json\n[2, 1, 3]\n```", ()),
        ('Take this: [{"index": 2}, {"index": 1}, {"index": 3}].', ()),
    ],
)
def test_json(text: str, repairs: tuple[str, ...]) -> None:
    assert (ranked(text, 3), parse_permutation(text, 3).repairs) == ([2, 1, 3], repairs)


@pytest.mark.parametrize("text", ['{"answer": "nothing"}', '["B", "A"]', "[true]", '{"ranking": {}}', '["none"]', "{}"])
def test_json_without_ids(text: str) -> None:
    found = parse_permutation(text, 3)
    assert (found.outcome, found.identity) == ("invalid", True)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[3, 1] > [2]", [3, 1, 2]),
        ("[3 > 1] = [2]", [3, 1, 2]),
        ("3 = 2 > 1", [2, 3, 1]),
        ("3 > 2 > 1 >", [3, 2, 1]),
        ("3번 > 1번 > 2번", [3, 1, 2]),
        ("정답: 문서 3, 문서 1, 문서 2.", [3, 1, 2]),
        ("Final Ranking: C B A", [3, 2, 1]),
        ("Output: CAB.", [3, 1, 2]),
        ("- [3]\n- [1]\n+ [2]", [3, 1, 2]),
        ("#1: [3]\n#2: [1]\n#3: [2]", [3, 1, 2]),
        ("(1) [3] (2) [1] (3) [2]", [3, 1, 2]),
        ("rank #4 [3]\nrank #5 [1]\nrank #6 [2]", [3, 1, 2]),
        ("| 1위 | [3] |\n| 2위 | [1] |\n| 3위 | [2] |", [3, 1, 2]),
        ("- 1. [3]\n- 2. [1]\n- 3. [2]", [3, 1, 2]),
    ],
)
def test_forms_that_are_ok(text: str, order: list[int]) -> None:
    assert (ranked(text, 3), parse_permutation(text, 3).outcome) == (order, "ok")


@pytest.mark.parametrize(
    "text",
    [
        "1 [3]\n2 [1]\n3 [2]",
        "1. [3]\n3. [1]\n2. [2]",
        "[3]\n2. [1]\n3. [2]",
        "1. [3], 12345. [1], 3. [2]",
        "(1 [3] (2 [1] (3 [2]",
        "[3] - [1] - [2]",
        "[3] [sic] [1] [2]",
        "[3] and [1], [2]",
        "[3] & [1] & [2]",
    ],
)
def test_what_is_no_list_is_an_order_of_mention(text: str) -> None:
    assert ranked(text, 3) == [3, 1, 2]
    assert "order_of_mention" in parse_permutation(text, 3).repairs


@pytest.mark.parametrize(
    "text",
    ["3.1.2", "31 2x", "3 1 2?", "Passage3Passage1", "A b C", "ABC D", "3 B 1", "-3 > 1", "3 > 12345", "CBAD", "cba"],
)
def test_bare_text_that_is_more_than_ids_is_invalid(text: str) -> None:
    assert parse_permutation(text, 3).outcome == "invalid"


def test_ties_go_through_what_is_dropped_but_not_through_what_is_unread() -> None:
    assert parse_permutation("[3] = [9] = [1] > [2]", 3).ties == ((0, 2),)
    assert parse_permutation("[3] > [x] = [1] > [2]", 3).ties == ()
    assert parse_permutation("[2] = [1] > [3] = [1]", 3).ties == ((0, 1),)


def test_of_equally_good_chains_the_last_counts() -> None:
    assert ranked("[1] > [2] > [2] or [3] > [1]", 3) == [3, 1, 2]
    assert ranked("[1] > [2] > [3] or [3] > [1] > [1]", 3) == [1, 2, 3]


def test_the_last_usable_answer_counts() -> None:
    assert ranked("<answer>[2] > [1]</answer><answer>none</answer><answer> </answer>", 2) == [2, 1]
    assert ranked("Inside <answer> tags, [1] first: <answer>2 > 1</answer>", 2) == [2, 1]


def test_numbers_of_any_length_are_no_trouble() -> None:
    digits = "9" * 10_000
    assert ranked(f"[{digits}, 2, 1]", 2) == [2, 1]
    assert ranked(f"x [{digits} > 2 > 1]", 2) == [2, 1]
    assert parse_permutation(digits, 2).outcome == "invalid"


def test_a_large_window() -> None:
    order = [*range(50_000, 0, -1)]
    assert ranked(" > ".join(f"[{one}]" for one in order), 50_000) == order


def test_a_small_stack_is_enough() -> None:
    """Brackets and braces nest deeper than any stack; nothing here recurses with them."""
    outcomes: list[str] = []
    texts = ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "<think>" * 100_000]
    worker = threading.Thread(target=lambda: outcomes.extend(parse_permutation(text, 5).outcome for text in texts))
    size = threading.stack_size(256 * 1024)
    try:
        worker.start()
    finally:
        threading.stack_size(size)
    worker.join()
    assert outcomes == ["invalid", "invalid", "invalid", "unfinished"]


@pytest.mark.parametrize(
    ("text", "outcome", "named"),
    [
        ("[2] > [1]", "unfinished", 2),
        ("[2] > [1] > [3]", "ok", 3),
        ("", "unfinished", 0),
        ("no", "unfinished", 0),
        ("[9] > [8]", "unfinished", 0),
        ("Error code: 500 [2]", "invalid", 0),
    ],
)
def test_a_reply_cut_at_its_limit(text: str, outcome: str, named: int) -> None:
    found = parse_permutation(text, 3, finish_reason="length")
    assert (found.outcome, found.named) == (outcome, named)


@pytest.mark.parametrize(
    "text",
    [
        "error code 3 > 1 > 2",
        "HTTP/1.1 500 [2]",
        "HTTP Error 503: [2] > [1]",
        "503 Server Error: [2]",
        "404 client error [2]",
        "httpx.ReadTimeoutError: [2] > [1]",
        "ValueException: [2] > [1]",
        "Connection refused [2]",
        "connection reset by peer [2]",
        "Internal Server Error [2]",
        "Service Unavailable [2]",
        "Gateway Timeout [2]",
        "Too many requests, retry in [2] s",
        "Rate limit of [2] a minute",
        ' {"error": "overloaded", "ranking": [2, 1]} ',
    ],
)
def test_error_messages(text: str) -> None:
    found = parse_permutation(text, 3)
    assert (found.outcome, found.identity, found.repairs) == ("invalid", True, ())


@pytest.mark.parametrize("text", ["No error: [2] > [1]", "Connection: [2] > [1]", '{"errors": 0, "ranking": [2, 1]}'])
def test_what_only_looks_like_an_error(text: str) -> None:
    assert ranked(text, 2) == [2, 1]
