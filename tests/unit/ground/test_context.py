"""Budget, deadline, ledger, trace, seeds."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import orjson
import pytest

from sleuth.context import Budget, Context, Deadline, Ledger, LocalExecutor, Trace
from sleuth.errors import BudgetExceeded, DeadlineExceeded, UsageError


def test_budget_is_reserved_before_it_is_spent() -> None:
    budget = Budget(calls=3, tokens=100)
    first = budget.reserve(calls=2, tokens=60)
    with pytest.raises(BudgetExceeded, match=r"^tokens: 0 spent and 60 reserved of 100; the next step needs 50$"):
        budget.reserve(calls=1, tokens=50)
    budget.settle(first, calls=2, tokens=20)
    assert budget.spent()["tokens"] == 20
    budget.reserve(calls=1, tokens=80)
    with pytest.raises(BudgetExceeded, match="calls"):
        budget.reserve(calls=1)


def test_a_budget_tells_spent_from_reserved() -> None:
    budget = Budget(tokens=2_600_000, money=0.5)
    budget.settle(budget.reserve(tokens=2000, money=0.2), tokens=1_314_000, money=0.25)
    budget.reserve(tokens=1284, money=0.25)
    with pytest.raises(BudgetExceeded) as stopped:
        budget.reserve(tokens=1_290_000)
    assert str(stopped.value) == (
        "tokens: 1,314,000 spent and 1,284 reserved of 2,600,000; the next step needs 1,290,000"
    )
    with pytest.raises(BudgetExceeded, match=r"money: 0\.25 spent and 0\.25 reserved of 0\.5; .* needs 0\.000012$"):
        budget.reserve(money=0.000012)


def test_budget_refuses_nonsense() -> None:
    with pytest.raises(UsageError):
        Budget(calls=-1)
    with pytest.raises(UsageError, match="wishes"):
        Budget().reserve(wishes=3)


def test_budget_holds_under_threads() -> None:
    budget = Budget(calls=50)
    taken: list[int] = []

    def take() -> None:
        for _ in range(20):
            try:
                budget.settle(budget.reserve(calls=1), calls=1)
            except BudgetExceeded:
                return
            taken.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 50


def test_deadline() -> None:
    Deadline().check()
    with pytest.raises(UsageError):
        Deadline(0)
    late = Deadline(1e-9)
    while late.left_s() > 0:
        pass
    with pytest.raises(DeadlineExceeded):
        late.check()


def test_ledger_adds_up_and_stays_flat() -> None:
    ledger = Ledger()
    for _ in range(Ledger.SAMPLES + 500):
        ledger.add("rerank-1", latency_s=0.5, calls=1)
    with ledger.timed("retrieve", queries=3):
        pass
    table = ledger.table()
    assert table["rerank-1"]["calls"] == Ledger.SAMPLES + 500
    assert table["rerank-1"]["p95_s"] == 0.5
    assert table["retrieve"]["queries"] == 3
    assert len(ledger._accounts["rerank-1"].latencies_s) == Ledger.SAMPLES


def test_trace_in_memory_and_on_disk(tmp_path: Path) -> None:
    trace = Trace()
    trace.record("retrieve", "q1", thought="x" * 2000)
    assert len(trace.of("q1")[0]["thought"]) == 501
    path = tmp_path / "t.jsonl.gz"
    with Trace(path) as on_disk:
        on_disk.record("retrieve", "q1", found=3)
    assert orjson.loads(gzip.decompress(path.read_bytes())) == {"stage": "retrieve", "query_id": "q1", "found": 3}


def test_seeds_depend_on_names_only() -> None:
    context = Context(seed=7)
    first = context.rng("bootstrap", 3).integers(1 << 30, size=4).tolist()
    context.rng("other").integers(5)
    assert context.rng("bootstrap", 3).integers(1 << 30, size=4).tolist() == first
    assert Context(seed=8).rng("bootstrap", 3).integers(1 << 30, size=4).tolist() != first


def test_local_executor_keeps_order() -> None:
    assert list(LocalExecutor().map(lambda n: n * n, range(4))) == [0, 1, 4, 9]
