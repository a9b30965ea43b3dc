"""A process that is killed in the middle of its calls loses nothing it was given, and knows what it may pay for twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sleuth.llm.cache import Cache

JOB = Path(__file__).with_name("kill_job.py")
CONCURRENCY = 16
QUESTIONS = 1_000


def start(cache: Path, log: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(JOB), str(cache), str(log), str(CONCURRENCY)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def numbers(log: Path, what: str) -> set[int]:
    lines = log.read_text().splitlines() if log.exists() else []
    return {int(line.split()[1]) for line in lines if line.startswith(what)}


def kill_at(cache: Path, log: Path, replies: int) -> None:
    """Run the job until it was given so many replies, then end it as the kernel would."""
    process = start(cache, log)
    end = time.monotonic() + 60
    while len(numbers(log, "got")) < replies:
        assert process.poll() is None, "it ended by itself; the kill came too late"
        assert time.monotonic() < end
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("seed", range(20))
def test_a_killed_run_carries_on(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "llm.sqlite"
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    kill_at(path, logs[0], random.Random(seed).randrange(50, 900))
    left = Cache(path)
    stored, unknown = left.stats().replies, left.stats().unknown
    left.close()
    given, sent = numbers(logs[0], "got"), numbers(logs[0], "sent")
    assert len(given) <= stored < QUESTIONS
    assert len(sent) - stored <= unknown <= CONCURRENCY

    process = start(path, logs[1])
    row = json.loads(process.communicate(timeout=120)[0])
    asked_again = numbers(logs[1], "sent") & sent
    assert process.returncode == 0
    assert numbers(logs[1], "sent").isdisjoint(given)
    assert len(numbers(logs[1], "sent")) == row["calls"] == QUESTIONS - stored
    assert row["cache_hits"] == stored
    assert len(asked_again) == len(sent) - stored <= row["unknown"] == unknown


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_goes_on_beside_a_killed_one_learns_of_its_calls(tmp_path: Path) -> None:
    """The survivor asks for what the dead process had in flight, and counts it."""
    path, log = tmp_path / "llm.sqlite", tmp_path / "first.log"
    survivor = Cache(path)
    survivor.begin("0" * 64)  # has looked before the other one came
    kill_at(path, log, 100)
    left = survivor.stats().unknown
    assert 0 < left <= CONCURRENCY
    keys = survivor._in_flight.left_behind()
    assert sum(survivor.begin(key).unknown for key in keys) == left
    survivor.end("0" * 64)
    survivor.close()
