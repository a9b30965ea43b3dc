"""The reference cases of file reading: what must be read, and what must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sleuth.data.readers import read_qrels, read_run
from sleuth.errors import FormatError

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "metrics"
CASES = [json.loads(line) for line in (GOLDEN / "file_parsing.jsonl").read_text(encoding="utf-8").splitlines()]
NAMES = sorted(path.stem for path in (GOLDEN / "files").glob("*.run"))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_file_parsing(case: dict, tmp_path: Path) -> None:
    (tmp_path / "a.run").write_bytes(case["run"].encode())
    (tmp_path / "a.qrels").write_bytes(case["qrels"].encode())
    if case["expect"] != "value":
        with pytest.raises(FormatError, match=r"line [0-9]+: "):
            read_run(tmp_path / "a.run")
            read_qrels(tmp_path / "a.qrels")
        return
    assert read_run(tmp_path / "a.run")["q1"].doc_ids == ("a", "b", "c")
    assert dict(read_qrels(tmp_path / "a.qrels")["q1"]) == {"b": 1, "z": 1}


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_labels_hold_every_line_of_the_file(name: str) -> None:
    run, qrels = read_run(GOLDEN / "files" / f"{name}.run"), read_qrels(GOLDEN / "files" / f"{name}.qrels")
    rows = [line.split() for line in (GOLDEN / "files" / f"{name}.run").read_text().splitlines()]
    labels = [line.split() for line in (GOLDEN / "files" / f"{name}.qrels").read_text().splitlines()]
    assert {(q, d) for q, _, d, *_ in rows} == {(q, d) for q, ranking in run.items() for d in ranking.doc_ids}
    assert {(q, d, int(g)) for q, _, d, g in labels} == {(q, d, g) for q, j in qrels.items() for d, g in j.items()}
    for ranking in run.values():
        ordered = sorted(zip(ranking.scores.tolist(), ranking.doc_ids), reverse=True)
        assert [doc for _, doc in ordered] == list(ranking.doc_ids)


def test_duplicates_name_both_lines(tmp_path: Path) -> None:
    case = next(case for case in CASES if case["id"] == "duplicate_run_document")
    (tmp_path / "a.run").write_text(case["run"])
    with pytest.raises(FormatError, match=r"line 3: document 'b' of query 'q1' is there twice \(first on line 2\)"):
        read_run(tmp_path / "a.run")
