"""One writer at a time; locks of dead processes are taken over, locks of living ones never."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from sleuth.errors import IndexLocked
from sleuth.index.lock import LOCK_FILE, WriterLock, _start_time

HOLD = """
import sys, time
from pathlib import Path
from sleuth.index.lock import WriterLock
with WriterLock(Path(sys.argv[1])):
    sys.stdout.write("held\\n"); sys.stdout.flush()
    time.sleep(60)
"""


def write_owner(folder: Path, **owner: object) -> None:
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "started": _start_time(os.getpid()), "since": "now"}
    (folder / LOCK_FILE).write_bytes(orjson.dumps({**mine, **owner}))


@pytest.fixture
def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_names_its_owner_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        owner = orjson.loads((tmp_path / LOCK_FILE).read_bytes())
        assert (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())
    assert list(tmp_path.iterdir()) == []
    with WriterLock(tmp_path):
        pass


def test_a_second_writer_of_this_process_is_refused(tmp_path: Path) -> None:
    with WriterLock(tmp_path), pytest.raises(IndexLocked, match="this process"), WriterLock(tmp_path / "." / ""):
        pass
    with WriterLock(tmp_path):
        pass


def test_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), WriterLock(tmp_path):
        raise RuntimeError
    with WriterLock(tmp_path):
        pass


def test_a_writer_elsewhere_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexLocked, match=f"process {holder.pid} on {socket.gethostname()}"), WriterLock(tmp_path):
            pass
        holder.kill()
        holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with WriterLock(tmp_path):
        assert orjson.loads((tmp_path / LOCK_FILE).read_bytes())["pid"] == os.getpid()


def test_a_killed_owner_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, its exit status not yet taken
    with WriterLock(tmp_path):
        pass
    holder.communicate()


def test_takes_over_from_a_dead_pid(tmp_path: Path, dead_pid: int) -> None:
    write_owner(tmp_path, pid=dead_pid)
    with WriterLock(tmp_path):
        pass


def test_takes_over_from_a_reused_pid(tmp_path: Path) -> None:
    if not _start_time(os.getpid()):
        pytest.skip("this system does not tell when a process started")
    write_owner(tmp_path, pid=os.getppid(), started="1")
    with WriterLock(tmp_path):
        pass


def test_respects_a_living_pid(tmp_path: Path) -> None:
    write_owner(tmp_path, pid=os.getppid(), started=_start_time(os.getppid()))
    with pytest.raises(IndexLocked, match=f"process {os.getppid()}"), WriterLock(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).exists()


def test_respects_another_host_and_says_what_to_delete(tmp_path: Path, dead_pid: int) -> None:
    write_owner(tmp_path, pid=dead_pid, host="elsewhere.example")
    with pytest.raises(IndexLocked, match=r"delete .*lock"), WriterLock(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": -1}', b"\xff\x00"])
def test_a_lock_that_says_nothing_is_free(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)
    with WriterLock(tmp_path):
        pass
