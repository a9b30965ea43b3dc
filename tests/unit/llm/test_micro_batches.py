"""Requests that come one by one, answered together by one thread."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from sleuth.llm.micro_batches import MicroBatches


def doubled(jobs):
    for job in jobs:
        job.give(job.question * 2)


def test_everything_is_answered_whoever_asks():
    line = MicroBatches(doubled, most=8, wait_s=0.001)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: line.submit(n).result(10), range(200)))
    line.close()
    assert found == [n * 2 for n in range(200)]


def test_what_waits_goes_together_up_to_the_limit():
    gate, sizes = threading.Event(), []

    def work(jobs):
        assert gate.wait(10)
        sizes.append(len(jobs))
        doubled(jobs)

    line = MicroBatches(work, most=4, wait_s=0.0)
    first = line.submit(0)
    rest = [line.submit(n) for n in range(1, 10)]
    gate.set()
    assert [one.result(10) for one in (first, *rest)] == [n * 2 for n in range(10)]
    line.close()
    assert sum(sizes) == 10 and max(sizes) == 4


def test_an_error_goes_to_those_without_an_answer():
    def work(jobs):
        jobs[0].give("fine")
        raise ValueError("broken")

    line = MicroBatches(work, most=2, wait_s=5)
    one, two = line.submit(1), line.submit(2)
    assert one.result(10) == "fine"
    with pytest.raises(ValueError, match="broken"):
        two.result(10)
    line.close()


def test_a_cancelled_job_is_not_worked_on():
    gate, seen = threading.Event(), []

    def work(jobs):
        assert gate.wait(10)
        seen.extend(job.question for job in jobs)
        doubled(jobs)

    line = MicroBatches(work, most=1)
    first, second, third = line.submit(1), line.submit(2), line.submit(3)
    assert second.cancel()
    gate.set()
    assert (first.result(10), third.result(10)) == (2, 6)
    line.close()
    assert seen == [1, 3]


def test_a_job_cancelled_midway_stays_cancelled():
    began, gate = threading.Event(), threading.Event()

    def work(jobs):
        began.set()
        assert gate.wait(10)
        doubled(jobs)

    line = MicroBatches(work, most=1)
    future = line.submit(1)
    assert began.wait(10)
    assert future.cancel()
    gate.set()
    with pytest.raises(CancelledError):
        future.result(10)
    assert line.submit(4).result(10) == 8, "the thread lives on"
    line.close()


def test_closing_cancels_what_waits_and_a_later_request_begins_anew():
    began, gate = threading.Event(), threading.Event()

    def work(jobs):
        began.set()
        assert gate.wait(10)
        doubled(jobs)

    line = MicroBatches(work, most=1)
    first, second = line.submit(1), line.submit(2)
    assert began.wait(10)
    closing = threading.Thread(target=line.close)
    closing.start()
    gate.set()
    closing.join(10)
    assert first.result(10) == 2
    with pytest.raises(CancelledError):
        second.result(10)
    assert line.submit(3).result(10) == 6
    line.close()


def test_a_dropped_owner_ends_its_thread():
    before = {thread for thread in threading.enumerate() if thread.name == "sleuth-model"}
    line = MicroBatches(doubled, most=1)
    assert line.submit(1).result(10) == 2
    (thread,) = {thread for thread in threading.enumerate() if thread.name == "sleuth-model"} - before
    gone = weakref.ref(line)
    del line
    gc.collect()
    thread.join(10)
    assert gone() is None and not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_its_own_thread():
    line = MicroBatches(doubled, most=2)
    assert line.submit(1).result(10) == 2
    child = os.fork()
    if child == 0:
        os._exit(0 if line.submit(21).result(10) == 42 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert line.submit(2).result(10) == 4
    line.close()
