"""trec_eval's values on the reference scenarios, BRIGHT's protocol, and reference RBO values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sleuth.measures import evaluate, evaluate_bright, parse_measure, rbo
from sleuth.types import Qrels, Ranking, Run

PACK = Path(__file__).resolve().parents[2] / "golden" / "metrics"
COUNTS = ("num_ret", "num_rel", "num_rel_ret")


def cases(name: str) -> list[dict]:
    return [json.loads(line) for line in (PACK / name).read_text(encoding="utf-8").splitlines()]


def as_run(scores: dict[str, dict[str, float]], dtype: type) -> Run:
    """What read_run does with a file's scores (float32), or what a stage does with its own (float64)."""
    return Run(
        {
            query_id: Ranking.from_scores((list(listed), np.array(list(listed.values()), dtype=dtype)))
            for query_id, listed in scores.items()
        }
    )


SCENARIOS = cases("scenarios.jsonl")


def ids(case: dict) -> str:
    return case["id"]


@pytest.mark.parametrize("case", SCENARIOS, ids=ids)
@pytest.mark.parametrize("missing", ["zero", "skip"])
def test_scenario_equals_trec_eval(case: dict, missing: str) -> None:
    keys = [key for key in next(iter(case["expected"]["per_query"].values())) if key not in COUNTS]
    report = evaluate(Qrels(case["qrels"]), as_run(case["run"], np.float32), keys, missing=missing)
    means = case["expected"]["mean_over_qrels" if missing == "zero" else "mean_over_evaluated"]
    for key in keys:
        name = str(parse_measure(key))
        assert report.mean(name) == pytest.approx(means[key], abs=1e-6), key
        for query_id, expected in case["expected"]["per_query"].items():
            assert report.per_query["sleuth"][query_id][name] == pytest.approx(expected[key], abs=1e-6), (query_id, key)
    counts = report.counts["sleuth"]
    assert counts.queries == case["expected"]["qrels_queries"]
    assert counts.queries - counts.missing == case["expected"]["evaluated_queries"]


@pytest.mark.parametrize("case", [c for c in SCENARIOS if "float32_differs" in c["tags"]], ids=ids)
def test_measures_read_the_order_they_are_given(case: dict) -> None:
    expected = case["expected"]["per_query_float64"]
    keys = [key for key in next(iter(expected.values())) if key not in COUNTS]
    report = evaluate(Qrels(case["qrels"]), as_run(case["run"], np.float64), keys)
    for query_id, values in expected.items():
        for key in keys:
            found = report.per_query["sleuth"][query_id][str(parse_measure(key))]
            assert found == pytest.approx(values[key], abs=1e-6), (query_id, key)


@pytest.mark.parametrize("case", cases("bright_protocol.jsonl"), ids=ids)
def test_bright_protocol(case: dict) -> None:
    run = as_run(case["run"], np.float32)
    keys = list(case["expected"]["mean"])
    report = evaluate_bright(case["gold_ids"], run, case["excluded_ids"], keys)
    for key in keys:
        name = str(parse_measure(key))
        assert round(report.mean(name), 5) == case["expected"]["mean"][key]
        for query_id, expected in case["expected"]["per_query"].items():
            assert report.per_query["sleuth"][query_id][name] == pytest.approx(expected[key], abs=1e-6)


@pytest.mark.parametrize("case", cases("rbo.jsonl"), ids=lambda case: f"{case['tag']}-{len(case['a'])}")
def test_rbo(case: dict) -> None:
    a, b = case["a"], case["b"]
    assert rbo(a, b, 1.0, form="normalized") == pytest.approx(case["average_overlap"], abs=1e-9)
    for p, expected in case["truncated"].items():
        assert rbo(a, b, float(p), form="truncated") == pytest.approx(expected, abs=1e-9)
        assert rbo(a, b, float(p), form="normalized") == pytest.approx(case["normalised"][p], abs=1e-9)
