"""Reference windows: sequences of two published implementations, mended where their loops leave documents out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sleuth.errors import UsageError
from sleuth.llm.oracle_model import OracleModel
from sleuth.rerank.parts import Task, Verdict
from sleuth.rerank.simulated import SimulatedJudge
from sleuth.rerank.window import SlidingWindow, spans
from sleuth.types import Qrels


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sequences(golden: Path) -> None:
    cases = lines(golden / "window" / "cases.jsonl")
    assert len(cases) == 49
    for case in cases:
        n, start, end = case["n"], case["rank_start"], case["rank_end"]
        found = spans(n, case["window"], case["stride"], start=start, end=end)
        assert [list(span) for span in found] == case["windows"], case
        assert len(found) == case["count"]
        cover = [sum(low <= at < high for low, high in found) for at in range(start, n if end is None else min(end, n))]
        assert min(cover, default=0) == case["min_cover"]


def test_one_pass_with_a_perfect_judge(golden: Path) -> None:
    cases = lines(golden / "window" / "oracle.jsonl")
    assert len(cases) == 12
    judge = SimulatedJudge(OracleModel(Qrels({})))
    for case in cases:
        merit = case["merit_rank"]
        task = Task("q", tuple(map(str, range(case["n"]))), None, 0)
        steps = SlidingWindow(judge, window=case["window"], stride=case["stride"]).steps(task)
        verdicts: tuple[Verdict, ...] | None = None
        while True:
            try:
                ask = steps.send(verdicts)  # type: ignore[arg-type]
            except StopIteration as end:
                order = end.value
                break
            shown = [int(doc_id) for doc_id in ask.comparisons[0].doc_ids]
            verdicts = (Verdict(tuple(sorted(range(len(shown)), key=lambda at: merit[shown[at]]))),)
        assert [int(doc_id) for doc_id in order.doc_ids] == case["expected_order"]
        head = case["exact_head"]
        assert [merit[int(doc_id)] for doc_id in order.doc_ids[:head]] == list(range(head))


def test_settings_that_leave_documents_out(golden: Path) -> None:
    judge = SimulatedJudge(OracleModel(Qrels({})))
    cases = lines(golden / "window" / "invalid.jsonl")
    assert len(cases) == 5
    for case in cases:
        with pytest.raises(UsageError, match=r"window|stride"):
            SlidingWindow(judge, window=case["window"], stride=case["stride"])
        with pytest.raises(UsageError):
            spans(100, case["window"], case["stride"])


def test_published_numbers_of_calls() -> None:
    judge = SimulatedJudge(OracleModel(Qrels({})))
    assert SlidingWindow.preset(judge).calls(100) == (9, 9)
    assert SlidingWindow.preset(judge, "10/5").calls(100) == (19, 19)
