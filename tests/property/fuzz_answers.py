"""Damaged answers and adversarial texts for the parsers of replies; also used by `benchmarks/parser.py`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import NamedTuple

from sleuth.replies.choice import parse_choice
from sleuth.replies.grades import parse_grades
from sleuth.replies.outcome import Outcome
from sleuth.replies.permutation import parse_permutation
from sleuth.replies.score import GradeScale, YesNo, parse_score

__all__ = ["ADVERSARIAL", "Answer", "adversarial", "check", "damaged", "reference_answers"]

PACK = Path(__file__).resolve().parent.parent / "golden" / "parsing"
SCALES = (GradeScale(0, 5, label="Relevance score"), GradeScale(0, 100, label="SCORE"), GradeScale(0, 10), YesNo())
PIECES = (
    *("<think>", "</think>", "<answer>", "</answer>", "</thought>", "<analysis>", "[", "]", ">", " > ", "=", ",", "\n"),
    *(
        "[3]",
        "[1] > [2]",
        "[2] = [1]",
        "[B]",
        "[x1]",
        "[1, 2",
        "{",
        "}",
        '{"ranking": [',
        '"index": ',
        "```",
        "```json\n",
    ),
    *(
        "1. ",
        "2) ",
        "- ",
        "| ",
        "위",
        "번",
        "문서 ",
        "Passage ",
        "Error: ",
        "Ranking: ",
        "Relevance score: ",
        "SCORE: 7/10",
    ),
    *(
        "yes",
        "no",
        "예",
        "아니오",
        "③",
        "３",
        "٣",
        "²",
        "＜think＞",
        "&gt;",
        "&lt;think&gt;",
        "\ud800",
        "\x00",
        "\u3000",
        "0",
        "-1",
    ),
    *("9" * 30, " " * 200, "*", "`", "_", "%", "2.5", "null", "\\u0000", "e", "İ", "ſ", "🙂"),
)
FINISH = (None, "stop", "length", "content_filter", "")


class Answer(NamedTuple):
    text: str
    n: int
    finish_reason: str | None


def reference_answers() -> list[tuple[str, int]]:
    """(text, n) of every reference case that has a text."""
    found = []
    for name in ("permutations.jsonl", "scores.jsonl"):
        cases = map(json.loads, (PACK / name).read_text(encoding="utf-8").splitlines())
        found += [(case["text"], case.get("n", 5)) for case in cases if case["text"]]
    return found


def damaged(random: Random, answers: list[tuple[str, int]]) -> Answer:
    """A reference answer after one to six accidents."""
    text, n = random.choice(answers)
    for _ in range(random.randint(1, 6)):
        at, to = sorted((random.randint(0, len(text)), random.randint(0, len(text))))
        kind = random.randrange(8)
        if kind == 0:
            text = text[:at] + text[to:]
        elif kind == 1:
            text = text[:at]
        elif kind == 2:
            text = text[:to] + text[at:to] * random.randint(1, 3) + text[to:]
        elif kind == 3:
            text = text[:at] + text[at:to][::-1] + text[to:]
        elif kind == 4:
            text += random.choice(answers)[0]
        elif kind == 5:
            text = text[:at] + chr(random.randrange(0x110000)) + text[at:]
        else:
            text = text[:at] + random.choice(PIECES) + text[at:]
        text = text[:20_000]
    n = random.choice((n, n, n, random.randint(1, 30)))
    return Answer(text, n, random.choice(FINISH))


def check(answer: Answer) -> Outcome:
    """Read an answer with every parser; AssertionError where one gives what it promises never to give."""
    text, n, finish = answer
    found = parse_permutation(text, n, finish_reason=finish)
    assert sorted(found.order) == list(range(n)), "no permutation"
    assert 0 <= found.named <= n
    assert found.repairs == tuple(sorted(set(found.repairs)))
    assert ("missing_ids" in found.repairs) == (0 < found.named < n)
    assert found.outcome != "ok" or (not found.repairs and found.named == n)
    assert found.outcome not in ("ok", "repaired") or found.named > 0
    assert found.outcome != "invalid" or found.identity
    members = [position for group in found.ties for position in group]
    assert len(members) == len(set(members))
    for group in found.ties:
        place = found.order.index(group[0])
        assert len(group) > 1 and found.order[place : place + len(group)] == group == tuple(sorted(group))
    for scale in SCALES:
        score = parse_score(text, scale, finish_reason=finish)
        assert (score.value is not None) == (score.outcome in ("ok", "repaired")) == (score.normalized is not None)
        assert score.normalized is None or 0 <= score.normalized <= 1
    choice = parse_choice(text, n, finish_reason=finish)
    assert (choice.position is not None) == (choice.outcome in ("ok", "repaired"))
    assert choice.position is None or 0 <= choice.position < n
    grades = parse_grades(text, n, low=0, high=10, finish_reason=finish)
    assert len(grades.values) == n
    assert all(math.isnan(value) or 0 <= value <= 10 for value in grades.values)
    assert grades.outcome != "ok" or not any(map(math.isnan, grades.values))
    return found.outcome


UNITS = {
    "opening tags": "<think>",
    "closing tags": "</think>",
    "balanced tags": "<think>a</think>",
    "tags of all names": "<think><thought></think><analysis></answer><answer>",
    "open answers": "<answer>",
    "empty answers": "<answer></answer>",
    "answers of prose": "<answer>so it is</answer>",
    "angle brackets": "<",
    "open brackets": "[",
    "closed brackets": "[]",
    "unfinished lists": "[1, 2",
    "a chain": "[1] > ",
    "ties": "[2] = ",
    "a chain without brackets": "1 > ",
    "list numbers": "1. [2]\n",
    "a table": "| 1 | [2] |\n",
    "mentions": "[1] is good and ",
    "digits": "1",
    "white space": " ",
    "line breaks": "\n",
    "labels": "Passage ",
    "score labels": "Relevance score: ",
    "numbers": "SCORE: 7 ",
    "yes and no": "yes no ",
    "braces": '{"a":',
    "fences": "```[1",
    "full width": "［３］",
    "Arabic digits": "٣ > ",
    "entities": "&lt;think&gt;",
    "dotted names": "a.",
    "lines of grades": "[1]: 7\n",
}
ADVERSARIAL = (
    *UNITS,
    *("nested tags", "tags made by seams", "closings made by seams", "one long list", "a number and white space"),
    *(
        "a label and white space",
        "a grade and white space",
        "a JSON string",
        "nested lists",
        "many answers in a thought",
    ),
)


def adversarial(name: str, size: int) -> str:
    """A text of about this many characters that would take a careless parser for ever."""
    if name in UNITS:
        return (UNITS[name] * (size // len(UNITS[name]) + 1))[:size]
    deep = size // 22
    return {
        "nested tags": "<think>" * (size // 15) + "</think>" * (size // 15),
        "tags made by seams": "<thi" * deep + "<think>x</think>" + "nk>y</think>" * deep,
        "closings made by seams": "</thi" * deep + "<think>x</think>" + "nk><think></think>" * deep,
        "one long list": "Ranking: [" + "1 > " * (size // 4) + "1]",
        "a number and white space": "[1" + " " * size + "x",
        "a label and white space": '["Passage' + " " * size + 'x"] Relevance' + " " * size + "x",
        "a grade and white space": "[1]: 7" + " " * size + "x\nSCORE: 7" + " " * size + "x",
        "a JSON string": '{"ranking":"' + "[1] " * (size // 4) + '"}',
        "nested lists": "[" * (size // 2) + "]" * (size // 2),
        "many answers in a thought": "<think>" + "<answer>" * (size // 8) + "</answer>",
    }[name]
