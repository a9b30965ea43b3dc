"""`sleuth diff` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs of two queries, labels, a corpus and queries."""
    (tmp_path / "a.trec").write_text("q1 Q0 a 1 3 x\nq1 Q0 b 2 2 x\nq2 Q0 a 1 1 x\n")
    (tmp_path / "b.trec").write_text("q1 Q0 b 1 3 y\nq1 Q0 c 2 2 y\nq2 Q0 a 1 1 y\n")
    (tmp_path / "qrels").write_text("q1 0 b 1\nq2 0 a 1\n")
    (tmp_path / "q.tsv").write_text("q1\twhy <b>hang</b>\nq2\t왜\n", encoding="utf-8")
    docs = [{"_id": name, "text": f"text of {name}"} for name in "abc"]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, docs)))
    return tmp_path


def test_a_table_of_what_moved(sleuth: Call, runs: Path) -> None:
    said = sleuth("diff", runs / "a.trec", runs / "b.trec", "--qrels", runs / "qrels")
    lines = said.stdout.splitlines()
    assert lines[0] == "query\tin\tout\tmoved\toverlap\tnDCG@10\tchange"
    assert lines[1].split("\t")[:4] == ["q1", "1", "1", "1"]
    assert lines[1].split("\t")[-2:] == ["1.0000", "+0.3691"]
    assert len(lines) == 2  # q2 is the same
    assert "1 of 2 queries have another first 10" in said.stderr


def test_without_labels_there_is_no_measure(sleuth: Call, runs: Path) -> None:
    assert sleuth("diff", runs / "a.trec", runs / "b.trec").stdout.splitlines()[0] == "query\tin\tout\tmoved\toverlap"


def test_the_page_and_json(sleuth: Call, runs: Path) -> None:
    page = runs / "diff.html"
    said = sleuth(
        "diff", runs / "a.trec", runs / "b.trec", "--qrels", runs / "qrels", "--queries", runs / "q.tsv", "--corpus",
        runs / "corpus.jsonl", "-o", page, "--json",
    )  # fmt: skip
    found = json.loads(said.stdout)
    assert (found["schema"], found["measure"], found["counts"]["better"]) == ("sleuth.diff/1", "nDCG@10", 1)
    text = page.read_text(encoding="utf-8")
    assert "why &lt;b&gt;hang&lt;/b&gt;" in text
    assert "text of c" in text


def test_settings_that_one_run_lacks_are_one_line(sleuth: Call, runs: Path) -> None:
    more = {f"setting-{at:02}": at for at in range(30)}
    for name, settings in (
        ("a", {"depth": 100, "tag": "x"}),
        ("b", {"depth": 50, "tag": "y", "stages": {"one": more}}),
    ):
        (runs / f"{name}.trec.manifest.json").write_text(json.dumps({"settings": settings}))
    page = runs / "diff.html"
    said = sleuth("diff", runs / "a.trec", runs / "b.trec", "-o", page).stderr.splitlines()
    assert "differs: depth: 100 → 50" in said
    assert [line for line in said if line.startswith("only in")] == [
        f"only in B: {', '.join(list(more)[:20])}, and 10 more"
    ]
    assert not any("None" in line for line in said)
    assert "Only in B: <bdi>setting-00, " in page.read_text(encoding="utf-8")


def test_a_terminal_gets_a_table(sleuth: Call, runs: Path, as_terminal: Callable[[], None]) -> None:
    as_terminal()
    shown = sleuth("diff", runs / "a.trec", runs / "b.trec", "--qrels", runs / "qrels").stdout
    assert "q1" in shown
    assert "+0.3691" in shown


@pytest.mark.parametrize(
    ("more", "says"), [(["-k", "0"], "-k must be at least 1"), (["-o", "nowhere/x.html"], "does not exist")]
)
def test_options_that_make_no_sense(sleuth: Call, runs: Path, more: list[str], says: str) -> None:
    assert says in sleuth("diff", runs / "a.trec", runs / "b.trec", *more, code=2).stderr


def test_runs_of_other_questions(sleuth: Call, runs: Path) -> None:
    (runs / "c.trec").write_text("z Q0 a 1 1 x\n")
    assert "no query in common" in sleuth("diff", runs / "a.trec", runs / "c.trec", code=2).stderr
