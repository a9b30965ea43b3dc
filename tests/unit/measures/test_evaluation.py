"""evaluate and its Report: which queries count, comparisons, and every way to show it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from sleuth.errors import MissingExtra, UnknownName, UsageError
from sleuth.measures import evaluate, macro, nDCG
from sleuth.types import Qrels, Ranking, Run

QRELS = Qrels({"q1": {"a": 1, "b": 1}, "q2": {"c": 2}, "q3": {"d": 0}, "질문 4": {"문서": 1}}, name="hub-current")


def run(name: str = "sleuth", **queries: str) -> Run:
    return Run({q: Ranking(list(ids), list(range(len(ids), 0, -1))) for q, ids in queries.items()}, name=name)


GOOD = run(q1="abx", q2="c", q3="d", other="z")
BAD = run(q1="xya", q2="xc")


def test_a_query_that_the_run_lacks_counts_zero_or_is_skipped() -> None:
    assert evaluate(QRELS, BAD, "RR").mean("RR") == pytest.approx((1 / 3 + 1 / 2) / 4)
    skipped = evaluate(QRELS, BAD, "RR", missing="skip")
    assert skipped.mean("MRR") == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert list(skipped.per_query["sleuth"]) == ["q1", "q2"]
    assert np.isnan(skipped.values["sleuth"][2:]).all()


def test_an_empty_list_is_a_missing_query_as_in_a_file() -> None:
    report = evaluate(QRELS, run(q1="a", q2=""), "R@5", missing="skip")
    assert report.mean("R@5") == 0.5 and report.counts["sleuth"].missing == 3


def test_counts() -> None:
    counts = evaluate(QRELS, {"good": GOOD}).counts["good"]
    assert (counts.queries, counts.evaluated, counts.missing, counts.unjudged, counts.no_relevant) == (4, 4, 1, 1, 1)
    assert evaluate(QRELS, GOOD, missing="skip").counts["sleuth"].evaluated == 3


def test_a_query_without_relevant_documents_scores_zero_and_counts() -> None:
    assert evaluate(QRELS, GOOD, "nDCG").per_query["sleuth"]["q3"]["nDCG"] == 0


def test_default_measures_and_plain_dicts_of_labels() -> None:
    report = evaluate({"q1": {"a": 1}}, run(q1="a"))
    assert report.means == {"sleuth": {"nDCG@10": 1.0, "R@100": 1.0}}
    assert repr(report) == "Report('sleuth'; nDCG@10, R@100; 1 queries)"


def test_the_order_is_read_not_the_scores() -> None:
    tied = Run({"q1": Ranking(["x", "a"], [1.0, 1.0])})
    assert evaluate({"q1": {"a": 1}}, tied, "RR").mean("RR") == 0.5


def test_an_empty_run_is_a_bad_system_a_foreign_one_a_mistake() -> None:
    assert evaluate(QRELS, Run(), "AP").mean("AP") == 0
    with pytest.raises(UsageError, match="nothing to average"):
        evaluate(QRELS, Run(), "AP", missing="skip")
    for missing in ("zero", "skip"):
        with pytest.raises(UsageError, match=r"none of the 4 queries.*'zz'.*'q1'"):
            evaluate(QRELS, run(zz="a"), "AP", missing=missing)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="no query"):
        evaluate(Qrels(), GOOD)
    with pytest.raises(UsageError, match="'zero' or 'skip'"):
        evaluate(QRELS, GOOD, missing="drop")
    with pytest.raises(UsageError, match="no run"):
        evaluate(QRELS, {})
    with pytest.raises(UsageError, match=r"Ranking\.from_scores"):
        evaluate(QRELS, {"q1": {"a": 1.0}})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="got list"):
        evaluate(QRELS, [GOOD])  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="Did you mean 'good'"):
        evaluate(QRELS, {"good": GOOD, "bad": BAD}, baseline="god")
    with pytest.raises(UsageError, match=r"'q1', document 'a': relevance 0\.5"):
        evaluate({"q1": {"b": 1, "a": 0.5}}, GOOD)  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="alpha"):
        evaluate(QRELS, GOOD, alpha=1.0)
    with pytest.raises(UsageError, match="resamples"):
        evaluate(QRELS, GOOD, resamples=0)
    report = evaluate(QRELS, {"good": GOOD, "bad": BAD}, "AP")
    with pytest.raises(UsageError, match="say which: good, bad"):
        report.mean("AP")
    with pytest.raises(UnknownName, match=r"measure of this report .AP@10.\. Known: AP"):
        report.mean("AP@10", "good")


def noisy(seed: int, gain: float, queries: int = 60) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    return {f"q{i}": int(rank) for i, rank in enumerate(np.clip(rng.integers(0, 8, queries) - gain, 0, 9))}


def ranked(places: dict[str, int], name: str = "r") -> Run:
    return run(name, **{q: "xyzuvwrst"[:rank] + "a" for q, rank in places.items()})


LABELS = Qrels({f"q{i}": {"a": 1} for i in range(60)})
RUNS = {"new": ranked(noisy(1, 3)), "old": ranked(noisy(2, 0)), "same": ranked(noisy(2, 0))}


def test_comparisons_cover_all_pairs_in_order() -> None:
    report = evaluate(LABELS, RUNS, "RR,nDCG@10")
    assert [(c.measure, c.a, c.b) for c in report.comparisons] == [
        (m, a, b) for m in ("RR", "nDCG@10") for a, b in (("new", "old"), ("new", "same"), ("old", "same"))
    ]
    first, second, third = report.comparisons[:3]
    assert first.difference == pytest.approx(report.means["new"]["RR"] - report.means["old"]["RR"])
    assert first.interval[0] < first.difference < first.interval[1] and first.interval[0] > 0
    assert first.p < 0.01 and first.significant and first.p_t < 0.01 and first.queries == 60
    assert (third.difference, third.interval, third.p, third.p_holm, third.significant) == (0, (0, 0), 1, 1, False)
    assert (third.wins, third.losses) == (0, 0)
    # Holm over the three pairs of the measure: the two smallest p, equal here, times 3 and then no less.
    assert first.p_holm == pytest.approx(min(3 * first.p, 1)) == second.p_holm


def test_baseline_compares_each_run_with_it() -> None:
    report = evaluate(LABELS, RUNS, "RR", baseline="old")
    assert [(c.a, c.b) for c in report.comparisons] == [("new", "old"), ("same", "old")]


def test_figures_of_a_pair_do_not_depend_on_other_runs() -> None:
    alone = evaluate(LABELS, {"new": RUNS["new"], "old": RUNS["old"]}, "nDCG@10").comparisons[0]
    among = evaluate(LABELS, RUNS, "RR,nDCG@10").comparisons[3]
    assert (alone.p, alone.interval) == (among.p, pytest.approx(among.interval, abs=1e-12))
    other_seed = evaluate(LABELS, {"new": RUNS["new"], "old": RUNS["old"]}, "nDCG@10", seed=1).comparisons[0]
    assert other_seed.interval != alone.interval


def test_skipped_queries_are_left_out_of_a_pair() -> None:
    short = Run({q: r for q, r in RUNS["new"].items() if q != "q0"})
    report = evaluate(LABELS, {"short": short, "old": RUNS["old"]}, "RR", missing="skip")
    (only,) = report.comparisons
    assert only.queries == 59
    rest = [report.per_query["short"][q]["RR"] - report.per_query["old"][q]["RR"] for q in short]
    assert only.difference == pytest.approx(np.mean(rest))
    halves = {"left": run(q1="a"), "right": run(q2="a")}
    with pytest.raises(UsageError, match="share no query"):
        _ = evaluate(LABELS, halves, "RR", missing="skip").comparisons


def test_json_has_exactly_the_documented_form() -> None:
    report = evaluate(LABELS, {"runs/새 run.trec": RUNS["new"], "b": RUNS["old"]}, "nDCG@10,R@100")
    found = json.loads(report.to_json())
    assert set(found) == {"schema", "runs", "comparisons"}
    assert found["schema"] == "sleuth.evaluate/1"
    assert found["runs"] == report.means
    assert [set(c) for c in found["comparisons"]] == [
        {"a", "b", "measure", "difference", "interval", "p", "p_holm"}
    ] * 2
    assert found["comparisons"][0]["a"] == "runs/새 run.trec"
    assert json.loads(evaluate(LABELS, RUNS["new"]).to_json())["comparisons"] == []


def test_markdown() -> None:
    text = str(evaluate(QRELS, {"go|od\n1": GOOD, "bad": BAD}, "R@5"))
    lines = text.splitlines()
    assert lines[0] == "| run | R@5 | queries | missing |"
    assert lines[2] == "| go\\|od 1 | **0.5000** | 4 | 1 |"
    assert lines[3] == "| bad | 0.3750 | 4 | 2 |"
    assert "4 queries with labels, labels hub-current; queries that a run lacks count 0" in text
    assert "1 without a relevant document" in text and "1 queries of go|od" in text
    assert "| go\\|od 1 | bad | R@5 | +0.1250 |" in text and "seed 0; Holm" in text
    assert "randomization" not in str(evaluate(QRELS, GOOD, "R@5"))


def test_html_escapes_names() -> None:
    html = evaluate(QRELS, {"<script>": GOOD, "bad": BAD}, "R@5")._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html and "<b>0.5000</b>" in html


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "per query.csv"
    evaluate(QRELS, {"good, better": GOOD, "bad": BAD}, "R@5,RR", missing="skip").to_csv(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["run", "query_id", "R@5", "RR"]
    assert [row[:2] for row in rows[1:]] == [
        [r, q]
        for r, q in (
            ("good, better", "q1"),
            ("good, better", "q2"),
            ("good, better", "q3"),
            ("bad", "q1"),
            ("bad", "q2"),
        )
    ]
    assert float(rows[4][3]) == 1 / 3


def test_differences_of_two_runs() -> None:
    report = evaluate(QRELS, {"good": GOOD, "bad": BAD}, "RR")
    assert report.difference("good", "bad", "MRR") == pytest.approx({"q1": 2 / 3, "q2": 1 / 2, "q3": 0, "질문 4": 0})
    assert next(iter(report.difference("good", "bad", "RR"))) == "q1"


def test_plot_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"sleuth\[plot\]"):
        evaluate(QRELS, {"good": GOOD, "bad": BAD}, "RR").plot("good", "bad", "RR")


@pytest.mark.slow
def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "wins.svg"
    figure = evaluate(QRELS, {"good": GOOD, "bad": BAD}, "RR").plot("good", "bad", "RR", path)
    assert "good against bad: 2 wins, 0 losses, 2 equal" in figure.axes[0].get_title()
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_macro_counts_every_task_the_same() -> None:
    small = evaluate({"q1": {"a": 1}}, {"new": run(q1="a"), "old": run(q1="xa")}, "RR")
    large = evaluate(LABELS, {"new": RUNS["new"], "old": RUNS["old"]}, "RR")
    both = macro({"small": small, "large": large})
    assert both.means["new"]["RR"] == pytest.approx((1 + large.means["new"]["RR"]) / 2)
    assert both.micro["new"]["RR"] == pytest.approx((1 + 60 * large.means["new"]["RR"]) / 61)
    (only,) = both.comparisons
    assert only.difference == pytest.approx(both.means["new"]["RR"] - both.means["old"]["RR"])
    # The small task has one query: only the large one's half varies.
    (inner,) = large.comparisons
    assert only.interval == pytest.approx(tuple(0.25 + end / 2 for end in inner.interval), abs=0.01)
    text = str(both)
    assert "| run | small | large | macro |" in text and "| old | 0.5000 |" in text
    assert "<table>" in both._repr_html_()


def test_macro_refuses_tasks_that_differ() -> None:
    one = evaluate(QRELS, GOOD, "RR")
    for other in (
        evaluate(QRELS, GOOD, "AP"),
        evaluate(QRELS, {"x": GOOD}, "RR"),
        evaluate(QRELS, GOOD, "RR", missing="skip"),
    ):
        with pytest.raises(UsageError, match="'a' and 'b' differ"):
            macro({"a": one, "b": other})
    with pytest.raises(UsageError, match="no task"):
        macro({})


def test_measures_may_be_values() -> None:
    assert evaluate(QRELS, GOOD, [nDCG @ 3]).mean(nDCG @ 3) == evaluate(QRELS, GOOD, "ndcg_cut_3").mean("nDCG@3")
