"""Writing: what is written is read back the same, by us and by trec_eval's rule."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.data.readers import read_qrels, read_queries, read_run
from sleuth.data.writers import falling, write_qrels, write_queries, write_run
from sleuth.errors import FormatError, UsageError
from sleuth.types import Qrels, Query, Ranking, Run


def order_by_trec_eval(path: Path) -> list[str]:
    """The rule spelled out: float32, descending; ties by id, descending."""
    rows = [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    return [doc for _, doc in sorted(((np.float32(score), doc) for _, _, doc, _, score, _ in rows), reverse=True)]


floats = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1e-45, 1e-38, -1e-38, 3.4e38, -3.5e38, 0.1, 0.1 + 1e-9]),
)


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(floats, max_size=30), repeats=st.integers(1, 4))
def test_scores_fall_strictly_in_float32(scores: list[float], repeats: int) -> None:
    given_ = np.array(sorted(scores * repeats, reverse=True))
    fallen = falling(given_)
    assert fallen.dtype == np.float32
    assert np.isfinite(fallen).all()
    assert (fallen[1:] < fallen[:-1]).all()
    assert ((fallen == 0) | (np.abs(fallen) >= np.finfo(np.float32).tiny)).all()


def test_scores_change_no_more_than_they_must() -> None:
    assert falling(np.array([3.0, 2.5, -1.0])).tolist() == [3.0, 2.5, -1.0]
    one_less = float(np.nextafter(np.float32(1), np.float32(0)))
    assert falling(np.array([1.0, 1.0, 0.5])).tolist() == [1.0, one_less, 0.5]
    lowest = -float(np.finfo(np.float32).max)
    assert falling(np.array([-np.inf, -np.inf])).tolist()[1] == lowest
    assert falling(np.array([])).tolist() == []


def test_the_order_survives(tmp_path: Path) -> None:
    names = [f"d{n}" for n in range(50)]
    run = Run({"q": Ranking(names, np.repeat(np.linspace(1, 0, 10), 5)), "none": Ranking([], [])}, name="my run")
    for name in ("r.trec", "r.trec.gz"):
        write_run(run, tmp_path / name)
        assert read_run(tmp_path / name)["q"].doc_ids == tuple(names)
    assert order_by_trec_eval(tmp_path / "r.trec") == names
    first = (tmp_path / "r.trec").read_text().splitlines()[0]
    assert first == "q Q0 d0 1 1.0 my-run"
    assert gzip.decompress((tmp_path / "r.trec.gz").read_bytes()) == (tmp_path / "r.trec").read_bytes()
    packed = (tmp_path / "r.trec.gz").read_bytes()
    write_run(run, tmp_path / "r.trec.gz")
    assert (tmp_path / "r.trec.gz").read_bytes() == packed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.trec", "r.trec.gz"]


class TestIds:
    IDS = ("Olen Smith", "a\u00a0b", "Earth%27s", "문서")

    def test_white_space_is_kept_and_warned_about_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        run = {"q": Ranking(self.IDS, [4, 3, 2, 1]), "p": Ranking(self.IDS, [4, 3, 2, 1])}
        with caplog.at_level(logging.WARNING):
            write_run(run, tmp_path / "r")
        assert len(caplog.records) == 1
        assert "'Olen Smith' has white space" in caplog.text
        assert read_run(tmp_path / "r")["p"].doc_ids == self.IDS

    def test_escaping(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        write_run({"q 1": Ranking([*self.IDS, "a\nb"], [4, 3, 2, 1, 0])}, tmp_path / "r", escape_ids=True, tag="t")
        expected = ("Olen%20Smith", "a%C2%A0b", "Earth%2527s", "문서", "a%0Ab")
        assert read_run(tmp_path / "r")["q%201"].doc_ids == expected
        assert not caplog.records

    @pytest.mark.parametrize(
        ("query", "doc"), [("q 1", "a"), ("q", "a\nb"), ("q", " a"), ("q", ""), ("", "a"), ("q\t", "a")]
    )
    def test_what_cannot_be_read_back_is_refused_before_writing(self, tmp_path: Path, query: str, doc: str) -> None:
        (tmp_path / "r").write_text("old")
        for write in (
            lambda: write_run({query: Ranking([doc], [1])}, tmp_path / "r"),
            lambda: write_qrels({query: {doc: 1}}, tmp_path / "r"),
        ):
            with pytest.raises(UsageError, match=r"could not be read back .*--escape-ids"):
                write()
        assert (tmp_path / "r").read_text() == "old"


def test_qrels_round_trip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = {"q1": {"a b": 2, "c%20": 0}, "q2": {"d": -1}}
    for name in ("x.qrels", "x.tsv", "x.tsv.gz"):
        write_qrels(Qrels(labels), tmp_path / name)
        assert {q: dict(j) for q, j in read_qrels(tmp_path / name).items()} == labels
    write_qrels({"q 1": {" a": 1}}, tmp_path / "y.tsv")
    assert dict(read_qrels(tmp_path / "y.tsv")["q 1"]) == {" a": 1}
    with pytest.raises(UsageError, match="--escape-ids"):
        write_qrels({"q": {"a\tb": 1}}, tmp_path / "y.tsv")


def test_queries_round_trip(tmp_path: Path) -> None:
    queries = [
        Query("q 1", "왜?\n", ("r", ""), "task", "", frozenset({"b", "a"}), {"n": [1, {"x": None}]}),
        Query("2", ""),
    ]
    for name in ("q.jsonl", "q.jsonl.gz"):
        write_queries(queries, tmp_path / name)
        assert read_queries(tmp_path / name) == queries
    with pytest.raises(UsageError, match="query '3' can't be written as JSON"):
        write_queries([Query("3", "", metadata={"x": object()})], tmp_path / "q.jsonl")
    assert read_queries(tmp_path / "q.jsonl") == queries


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="can't be written"):
        write_run({}, tmp_path / "absent" / "r")
    with pytest.raises(UsageError, match="as UTF-8"):
        write_run({"q": Ranking(["\ud800"], [1])}, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []
