"""`en` against real Lucene: Anserini's DefaultEnglishAnalyzer with Porter, 100 texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sleuth.text.analyzer import get_analyzer


@pytest.fixture(scope="module")
def cases(golden: Path) -> list[dict[str, object]]:
    lines = (golden / "bm25" / "analyzer.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 100
    return [json.loads(line) for line in lines]


def test_tokens_are_lucenes(cases: list[dict[str, object]]) -> None:
    analyzer = get_analyzer("en")
    wrong = {case["text"]: analyzer.tokens(str(case["text"])) for case in cases}
    assert wrong == {case["text"]: case["tokens"] for case in cases}


def test_a_stream_is_lucenes(cases: list[dict[str, object]]) -> None:
    stream = get_analyzer("en").encode([str(case["text"]) for case in cases])
    assert [stream.tokens(at) for at in range(len(stream))] == [case["tokens"] for case in cases]
