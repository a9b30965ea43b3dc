"""The reference cases of answers: 188 permutations and 77 scores (`parsing/README.md` has the rules)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sleuth.replies.permutation import parse_permutation
from sleuth.replies.score import GradeScale, YesNo, parse_score

PACK = Path(__file__).parent / "parsing"


def cases(name: str, count: int) -> list[Any]:
    lines = (PACK / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) == count
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", cases("permutations.jsonl", 188))
def test_permutation(case: dict[str, Any]) -> None:
    expected = case["expected"]
    found = parse_permutation(case["text"], case["n"], finish_reason=case.get("finish_reason"))
    assert {
        "permutation": [position + 1 for position in found.order],
        "ties": [[position + 1 for position in group] for group in found.ties],
        "outcome": found.outcome,
        "repairs": sorted(found.repairs),
    } == {**expected, "repairs": sorted(expected["repairs"])}
    assert found.repairs == tuple(sorted(found.repairs))
    assert found.identity == (expected["permutation"] == list(range(1, case["n"] + 1)))
    assert (found.named < case["n"]) == ("missing_ids" in found.repairs or found.named == 0)


@pytest.mark.parametrize("case", cases("scores.jsonl", 77))
def test_score(case: dict[str, Any]) -> None:
    scale, expected = case["scale"], case["expected"]
    graded = scale["type"] == "graded"
    found = parse_score(
        case["text"], GradeScale(scale["min"], scale["max"], label=scale["label"]) if graded else YesNo()
    )
    assert (found.outcome, found.value) == (expected["outcome"], expected["value"])
    assert found.normalized == pytest.approx(expected["normalised"])
