"""The journal survives what a crash can do to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sleuth.errors import FormatError, JournalError
from sleuth.journal import Journal


def write(path: Path, payloads: list[bytes]) -> None:
    with Journal.open(path, job="j") as journal:
        for payload in payloads:
            journal.append_bytes(payload, sync=False)


def read(path: Path) -> tuple[list[bytes], int]:
    with Journal.open(path, job="j") as journal:
        return list(journal.payloads()), journal.dropped_bytes


def test_records_come_back_in_order(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", job="j") as journal:
        journal.append({"n": 1})
        journal.append({"n": "가"})
    with Journal.open(tmp_path / "j", job="j") as journal:
        assert list(journal.records()) == [{"n": 1}, {"n": "가"}]
        journal.append({"n": 3})
        assert [r["n"] for r in journal.records()] == [1, "가", 3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(payloads=st.lists(st.binary(max_size=30), max_size=5), cut=st.integers(0, 250))
def test_a_torn_tail_is_dropped_and_said(tmp_path: Path, payloads: list[bytes], cut: int) -> None:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    write(path, payloads)
    whole = path.read_bytes()
    cut = min(cut, len(whole))
    path.write_bytes(whole[:cut])
    kept, dropped = read(path)
    assert kept == payloads[: len(kept)]
    header = 4 + 4 + 1
    ends = [header]
    for payload in payloads:
        ends.append(ends[-1] + 8 + len(payload))
    assert len(kept) == max(0, sum(end <= cut for end in ends) - 1)
    if cut >= header:
        assert dropped == cut - ends[len(kept)]
    write(path, [b"after"])
    assert read(path) == ([*kept, b"after"], 0)


def test_damage_in_the_middle_ends_the_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "j"
    write(path, [b"one", b"two", b"three"])
    content = bytearray(path.read_bytes())
    content[content.index(b"two")] ^= 1
    path.write_bytes(content)
    kept, dropped = read(path)
    assert kept == [b"one"]
    assert dropped == 8 + 3 + 8 + 5
    assert "dropped" in caplog.text


def test_another_job_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "j", [b"x"])
    with pytest.raises(JournalError, match="another job"):
        Journal.open(tmp_path / "j", job="k")


def test_a_foreign_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"precious notes")
    with pytest.raises(FormatError, match="not a journal"):
        Journal.open(tmp_path / "j", job="j")
    assert (tmp_path / "j").read_bytes() == b"precious notes"
