"""Runs as JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sleuth.data import candidates
from sleuth.data.readers import read_run
from sleuth.errors import FormatError

REQUEST = {
    "query": {"text": "why", "qid": 3},
    "candidates": [{"docid": "a b", "score": 1, "doc": {}}, {"docid": "c", "score": 2.5, "doc": {"t": "[1]"}}],
}


def put(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([REQUEST, {**REQUEST, "query": {"qid": "x"}}], indent=1),
        json.dumps(REQUEST) + "\n\n" + json.dumps({**REQUEST, "query": {"qid": "x"}}),
        json.dumps({"3": {"a b": 1, "c": 2.5}, "x": {"a b": 1.0, "c": 2.5}}),
    ],
    ids=["array", "lines", "score.json"],
)
@pytest.mark.parametrize("name", ["r.json", "r.json.gz"])
def test_the_three_forms_are_one_run(tmp_path: Path, text: str, name: str) -> None:
    run = read_run(put(tmp_path / name, text))
    assert list(run) == ["3", "x"]
    assert run["3"].score_of() == {"c": 2.5, "a b": 1.0}
    assert run["x"] == run["3"]


def test_a_single_request_and_empty_files(tmp_path: Path) -> None:
    assert list(read_run(put(tmp_path / "r", json.dumps(REQUEST)))) == ["3"]
    assert len(read_run(put(tmp_path / "r", "{}"))) == len(read_run(put(tmp_path / "r", "[]"))) == 0
    assert len(read_run(put(tmp_path / "r", '{"q": {}}'))["q"]) == 0


def test_ties(tmp_path: Path) -> None:
    path = put(tmp_path / "s.json", json.dumps({"q": {"a": 3, "c": 5, "b": 5}}))
    assert read_run(path)["q"].doc_ids == ("c", "b", "a")
    path = put(tmp_path / "s.json", json.dumps({"q": {"a": 5, "c": 5, "b": 5.0000000001}}))
    assert read_run(path, ties="file")["q"].doc_ids == ("a", "c", "b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"q": [1]}', r"query 'q': expected {doc_id: score}, got list"),
        ('{"q": {"a": "1"}}', "query 'q': the score '1' is not a number"),
        ('{"q": {"a": true}}', "not a number"),
        ('{"q": {"a": 1e300}}', "query 'q': the score 1e.300 is beyond"),
        ('{"q": {"": 1}}', '"doc_id" is empty'),
        ("[1]", "entry 0 is no object with"),
        ('[{"query": {}, "candidates": []}]', 'entry 0 has no "query" with a "qid"'),
        ('[{"query": {"qid": "q"}, "candidates": [{"docid": "a"}]}]', "query 'q': a candidate without"),
        (json.dumps([REQUEST, REQUEST]), "query '3': the query is there twice"),
        (
            '[{"query": {"qid": "q"}, "candidates": [{"docid": "a", "score": 1}, {"docid": "a", "score": 2}]}]',
            "'a' is there twice",
        ),
        (json.dumps(REQUEST) + "\n{broken\n", "line 2: not JSON"),
        ("[" * 100_000, "line 1: not JSON"),
        ('{"_id": "q", "text": "a query"}', "query '_id': expected"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_run(put(tmp_path / "r.json", text))


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "LARGEST_JSON_BYTES", 10)
    with pytest.raises(FormatError, match="more than 10 bytes of JSON"):
        read_run(put(tmp_path / "r.json.gz", json.dumps({"q": {"a": 1.0}})))
