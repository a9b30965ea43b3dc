"""Published runs and labels of nine BRIGHT tasks: the table that pytrec_eval gives must be ours, ties included."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleuth.data.readers import read_qrels, read_run
from sleuth.measures import evaluate, macro

MEASURES = ("nDCG@10", "R@1", "R@10", "R@100", "P@10", "AP", "RR")
TABLE = {
    "aops": (111, 524, 7.37, 1.98, 7.08, 22.07, 3.87, 5.65, 15.02),
    "biology": (103, 372, 43.49, 13.79, 49.23, 83.83, 17.96, 37.44, 54.88),
    "earth_science": (116, 585, 43.00, 19.28, 43.39, 73.79, 16.47, 37.27, 57.71),
    "economics": (103, 800, 32.65, 13.44, 34.20, 62.14, 13.59, 27.58, 37.11),
    "psychology": (101, 692, 39.57, 16.67, 44.96, 75.23, 16.44, 34.07, 44.99),
    "robotics": (101, 520, 20.82, 5.96, 23.62, 53.55, 9.41, 16.18, 28.01),
    "stackoverflow": (117, 478, 30.96, 10.33, 40.33, 78.23, 11.37, 26.85, 34.71),
    "sustainable_living": (108, 576, 27.34, 9.62, 32.15, 68.83, 11.48, 24.43, 33.31),
    "theoremqa_theorems": (76, 151, 36.68, 18.06, 44.86, 69.69, 8.42, 32.75, 39.79),
}


def test_nine_bright_tasks(shared_data: Path) -> None:
    home, reports = shared_data / "bright_meta", {}
    for task, (queries, labels, *expected) in TABLE.items():
        qrels = read_qrels(home / "qrels" / f"{task}.tsv")
        assert (len(qrels), sum(map(len, qrels.values()))) == (queries, labels)
        run = read_run(home / "runs_reasonir_gpt4cot_top100" / f"{task}.trec.gz")
        reports[task] = evaluate(qrels, {"reasonir": run}, MEASURES)
        assert [round(100 * reports[task].mean(name), 2) for name in MEASURES] == pytest.approx(expected, abs=0.0051), (
            task
        )
    assert round(100 * macro(reports).means["reasonir"]["nDCG@10"], 2) == pytest.approx(31.32, abs=0.0051)
