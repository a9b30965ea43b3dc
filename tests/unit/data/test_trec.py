"""Runs and labels in TREC's and BEIR's forms, good and bad."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from sleuth.data import trec
from sleuth.data.lines import Problem
from sleuth.data.readers import read_qrels, read_run
from sleuth.errors import FormatError, SleuthError, UsageError


def put(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


class TestRuns:
    def test_ties_are_broken_by_id_descending_in_float32(self, tmp_path: Path) -> None:
        run = read_run(put(tmp_path / "r", "q Q0 a 1 0.5 t\nq Q0 b 2 0.500000001 t\nq Q0 c 3 0.5000001 t\n"))
        assert run["q"].doc_ids == ("c", "b", "a")
        assert run["q"].scores.tolist() == [float(np.float32(0.5000001)), 0.5, 0.5]

    def test_ties_by_file_keep_the_order_of_the_file(self, tmp_path: Path) -> None:
        path = put(tmp_path / "r", "q Q0 a 1 2 t\nq Q0 c 2 1 t\nq Q0 b 3 1 t\nq Q0 d 4 3 t\n")
        assert read_run(path, ties="file")["q"].doc_ids == ("d", "a", "c", "b")
        assert read_run(path)["q"].doc_ids == ("d", "a", "c", "b")
        with pytest.raises(UsageError, match="'score' or 'file'"):
            read_run(path, ties="rank")  # type: ignore[arg-type]

    def test_queries_need_not_lie_together(self, tmp_path: Path) -> None:
        run = read_run(put(tmp_path / "r", "q1 Q0 a 1 1 tag\nq2 Q0 a 1 1 tag\nq1 Q0 b 2 2 tag\n"))
        assert list(run) == ["q1", "q2"]
        assert run["q1"].doc_ids == ("b", "a")
        assert run.name == "tag"

    def test_ids_are_opaque(self, tmp_path: Path) -> None:
        ids = ["Olen  Smith", "Earth%27s_core.txt", "한국어 문서", "a\u00a0b", "a\tb"]
        lines = "".join(f"q Q0 {doc} {n} {-n} t\n" for n, doc in enumerate(ids))
        assert read_run(put(tmp_path / "r", lines))["q"].doc_ids == tuple(ids)
        plain = "".join(f"q Q0 {doc} {n} {-n} t\n" for n, doc in enumerate(ids) if doc.split() == [doc])
        assert read_run(put(tmp_path / "r", plain))["q"].doc_ids == ("Earth%27s_core.txt",)

    @pytest.mark.parametrize("score", ["3e0", "+1", ".5", "1.", "-0", "007", "1E-3", "12345678901234567890123"])
    def test_numbers_of_every_spelling(self, tmp_path: Path, score: str) -> None:
        for line in (f"q Q0 a 1 {score} t\n", f"q Q0 a b 1 {score} t\n"):
            assert read_run(put(tmp_path / "r", line))["q"].scores.tolist() == [float(np.float32(float(score)))]

    @pytest.mark.parametrize(
        "score", ["nan", "inf", "-Infinity", "1e39", "1_0", "0x1p3", "1,5", "x", "true", "null", "١"]
    )
    def test_other_scores_are_refused(self, tmp_path: Path, score: str) -> None:
        for doc in ("b", "b c"):
            with pytest.raises(FormatError, match="line 2: the score"):
                read_run(put(tmp_path / "r", f"q Q0 a 1 9 t\nq Q0 {doc} 2 {score} t\n"))

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("q Q0 a 1 t", "line 4,211: 5 columns, expected 6 .* The score is missing.* --skip-bad-lines"),
            ("q Q0 a 1 0.5", "5 columns, expected 6 .* The tag is missing"),
            ("q Q0 a 0.5 t", "5 columns, expected 6 .* The rank is missing"),
            ("q", "1 column, expected 6"),
        ],
    )
    def test_a_missing_column_is_named_with_its_line(self, tmp_path: Path, line: str, reason: str) -> None:
        good = "".join(f"q Q0 d{n} {n} {-n} t\n" for n in range(4210))
        path = put(tmp_path / "r", good + line + "\n")
        with pytest.raises(FormatError, match=reason):
            read_run(path)
        problems: list[Problem] = []
        run = read_run(path, skip_bad_lines=True, report=problems.append)
        assert len(run["q"]) == 4210
        assert [problem.line for problem in problems] == [4211]

    def test_skipping_without_a_report_is_logged_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = put(tmp_path / "r", "x\ny\nq Q0 a 1 1 t\nq Q0 a 2 0 t\n")
        with caplog.at_level(logging.WARNING):
            run = read_run(path, skip_bad_lines=True)
        assert run["q"].score_of() == {"a": 1.0}
        assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["3 bad lines left out; the first"]

    def test_encodings_and_line_ends(self, tmp_path: Path) -> None:
        body = "q Q0 a 1 2 t\r\n\r\n  \nq Q0 b 2 1 t"
        for name, data in (("r", "\ufeff" + body), ("r.gz", body), ("packed.run", gzip.compress(body.encode()))):
            assert read_run(put(tmp_path / name, data))["q"].doc_ids == ("a", "b")
        with pytest.raises(FormatError, match=r"line 1: .*not UTF-8"):
            read_run(put(tmp_path / "latin", "q Q0 caf\xe9 1 1 t\n".encode("latin-1")))
        with pytest.raises(FormatError, match="UTF-16; expected UTF-8"):
            read_run(put(tmp_path / "wide", body.encode("utf-16")))

    def test_files_that_are_none(self, tmp_path: Path) -> None:
        whole = gzip.compress(b"q Q0 a 1 2 t\n" * 1000)
        for name, data, reason in [
            ("cut", whole[: len(whole) // 2], "broken gzip"),
            ("noise", whole[:12] + b"\0" * 20, "broken gzip"),
            ("plain.gz", b"", ""),
            ("text", b"q Q0 a 1 2 t\n", ""),
        ]:
            (tmp_path / name).write_bytes(data)
            if reason:
                with pytest.raises(FormatError, match=reason):
                    read_run(tmp_path / name, skip_bad_lines=True)
            else:
                assert len(read_run(tmp_path / name)) == bool(data)
        (tmp_path / "no.gz").write_bytes(b"q Q0 a 1 2 t\n")
        with pytest.raises(FormatError, match=r"named .gz but is not gzip"):
            read_run(tmp_path / "no.gz")
        with pytest.raises(UsageError, match="there is no file"):
            read_run(tmp_path / "absent")
        with pytest.raises(FormatError, match="is a folder"):
            read_run(tmp_path)
        with pytest.raises(UsageError):
            read_run("a\0b")

    def test_blocks_and_lines_agree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(0)
        rows = [
            f"q{rng.integers(5)} Q0 d{n}{'é' * int(rng.integers(2))} {n} {rng.integers(9) / 7:.3g} t"
            for n in range(3000)
        ]
        path = put(tmp_path / "r", "\n".join(rows))
        monkeypatch.setattr(trec, "_BLOCK_BYTES", 100)
        fast = read_run(path)
        assert trec._in_blocks(path, "score") is not None
        monkeypatch.setattr(trec, "_in_blocks", lambda path, ties: None)
        assert dict(read_run(path)) == dict(fast)
        assert sum(map(len, fast.values())) == 3000


class TestLabels:
    def test_trec(self, tmp_path: Path) -> None:
        qrels = read_qrels(put(tmp_path / "task.qrels", "q1 0 a b 2\nq1\t0\tc\t-1\n\nq2 0 %20 0\r\n"))
        assert {q: dict(j) for q, j in qrels.items()} == {"q1": {"a b": 2, "c": -1}, "q2": {"%20": 0}}
        assert qrels.name == "task"

    def test_beir(self, tmp_path: Path) -> None:
        text = "query-id\tcorpus-id\tscore\r\nq 1\t  a b\t1\r\nq 1\tc\t0\r\n"
        for name in ("test.tsv", "test.tsv.gz"):
            qrels = read_qrels(put(tmp_path / name, text))
            assert dict(qrels["q 1"]) == {"  a b": 1, "c": 0}
            assert qrels.name == "test"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("q 0 a 1\nq 0 a 1\n", r"line 2: .*labelled twice \(first on line 1\)"),
            ("q 0 a 1.0\n", "line 1: the relevance '1.0' is not a whole number"),
            ("q 0 a 99999999999\n", "32 bits"),
            ("q 0 1\n", "3 columns, expected 4"),
            ("q\td\t1\n", "first line 'query-id<TAB>corpus-id<TAB>score'"),
            ("query-id\tcorpus-id\tscore\nq\ta\t1\nq\ta\t0\n", r"line 3: .*labelled twice \(first on line 2\)"),
            ("query-id\tcorpus-id\tscore\nq a 1\n", "line 2: 1 column, expected 3"),
            ("query-id\tcorpus-id\tscore\nq\t\t1\n", 'line 2: "corpus-id" is empty'),
        ],
    )
    def test_bad_lines(self, tmp_path: Path, text: str, reason: str) -> None:
        path = put(tmp_path / "q.tsv", text)
        with pytest.raises(FormatError, match=reason):
            read_qrels(path)
        problems: list[Problem] = []
        read_qrels(path, skip_bad_lines=True, report=problems.append)
        assert len(problems) == 1

    def test_a_folder_needs_a_split_where_it_has_several(self, tmp_path: Path) -> None:
        home = tmp_path / "qrels"
        home.mkdir()
        with pytest.raises(UsageError, match="has no labels"):
            read_qrels(tmp_path)
        put(home / "dev.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n")
        assert read_qrels(tmp_path).name == "dev"
        put(home / "test.tsv.gz", "query-id\tcorpus-id\tscore\nq\tb\t1\n")
        with pytest.raises(UsageError, match=r"\(dev, test\); name one"):
            read_qrels(tmp_path)
        assert dict(read_qrels(tmp_path, split="test")["q"]) == {"b": 1}
        assert dict(read_qrels(home, split="dev")["q"]) == {"a": 1}
        with pytest.raises(UsageError, match="no labels for 'train'"):
            read_qrels(tmp_path, split="train")
        with pytest.raises(UsageError, match="one file of labels"):
            read_qrels(home / "dev.tsv", split="dev")


@pytest.mark.parametrize("reader", [read_run, read_qrels])
def test_empty_files_are_empty(tmp_path: Path, reader) -> None:
    for data in (b"", b"\n\n", b"\xef\xbb\xbf"):
        assert len(reader(put(tmp_path / "e", data))) == 0


def test_errors_are_sleuths_own(tmp_path: Path) -> None:
    with pytest.raises(SleuthError):
        read_qrels(put(tmp_path / "x", b"\x00\xff\xfe binary \n"))
