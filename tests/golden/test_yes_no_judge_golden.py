"""The yes/no judge over a model in process, from documents to scores: the reranker's reference probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.yes_no import YesNoJudge
from sleuth.types import Doc, Query, Ranking, Run

pytestmark = pytest.mark.slow

TOLERANCE = 2e-5  # of the reference, which sums in fp32


def test_documents_score_as_the_reference_says(golden: Path) -> None:
    """Cut cases are left out (the reference cuts whole prompts), and those whose text the reference parses as tokens."""
    from sleuth.llm.transformers import Transformers

    lines = (golden / "qwen3_reranker" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [
        case for line in lines if not {"truncation", "injection_control"} & set((case := json.loads(line))["tags"])
    ]
    assert len(cases) == 17
    queries = [Query(case["id"], case["query"], instruction=case["instruction"]) for case in cases]
    docs = {
        f"{case['id']}/{at}": Doc(f"{case['id']}/{at}", text)
        for case in cases
        for at, text in enumerate(case["documents"])
    }
    rankings = {}
    for case in cases:
        ids = tuple(f"{case['id']}/{at}" for at in range(len(case["documents"])))
        rankings[case["id"]] = Ranking(ids, tuple(range(len(ids), 0, -1)), scale="rank")
    llm = Transformers(golden / "qwen3_reranker" / "checkpoint", device="cpu", cache=None, family="qwen3-reranker")
    try:
        result = ScoreAndSort(YesNoJudge(llm, prompt="qwen3-reranker")).rerank(queries, Run(rankings), docs)
    finally:
        llm.close()
    for case in cases:
        found = {hit.doc_id: hit.score for hit in result.run[case["id"]]}
        expected = {f"{case['id']}/{at}": value for at, value in enumerate(case["expected"]["p_yes"])}
        assert found == pytest.approx(expected, abs=TOLERANCE, rel=0), case["id"]
        assert result.run[case["id"]].scale == "probability"
    assert result.counts["ok"] == len(docs) and "label_missing" not in result.counts
