"""What a run carries along: budget, ledger, trace, progress, deadline, seed, executor.

One `Context` goes through all stages of a run. Stages use it, they never make their own: a limit
set once holds everywhere, and what happened is written down in one place. Every part has a default
that does nothing, so `context=None` is always fine (`Context.of(None)`).
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import orjson

from sleuth.errors import BudgetExceeded, DeadlineExceeded, UsageError

__all__ = ["Budget", "Context", "Deadline", "Executor", "Ledger", "LocalExecutor", "Progress", "Task", "Trace"]

T = TypeVar("T")
R = TypeVar("R")

THOUGHT_CHARACTERS = 500
"""How much of one text a trace keeps, so that memory stays flat over millions of calls (ours)."""


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


class Deadline:
    """A moment after which no new work starts.

    Args:
        seconds: From now, > 0; None never ends.
    """

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is not None and not seconds > 0:
            raise UsageError(f"a deadline must lie ahead, got {seconds} seconds")
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def left_s(self) -> float:
        """Seconds left, infinite without a deadline, never below 0."""
        return float("inf") if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raises DeadlineExceeded when the time is up."""
        if self.left_s() == 0.0:
            raise DeadlineExceeded(f"the deadline of {self.seconds:g} s has passed")


class Budget:
    """What a run may spend. Amounts are reserved before the work and settled after it.

    Args:
        calls, tokens, money, seconds: Upper limits; None is without limit. `money` is in the user's
            currency; `seconds` counts work time as reported, not the clock (that is Deadline).

    Thread-safe. A reservation that would go over a limit raises BudgetExceeded and reserves nothing.
    """

    KINDS = ("calls", "tokens", "money", "seconds")

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        money: float | None = None,
        seconds: float | None = None,
    ) -> None:
        self.limits: dict[str, float] = {}
        for kind, limit in zip(self.KINDS, (calls, tokens, money, seconds), strict=True):
            if limit is None:
                continue
            if not limit >= 0:  # also nan, which would limit nothing
                raise UsageError(f"a budget can't be negative or no number: {kind}={limit}")
            self.limits[kind] = float(limit)
        self._spent = dict.fromkeys(self.KINDS, 0.0)
        self._held = dict.fromkeys(self.KINDS, 0.0)
        self._lock = threading.Lock()

    def reserve(self, **amounts: float) -> Mapping[str, float]:
        """Set amounts aside; hand the result to `settle` once the work is done."""
        self._known(amounts)
        with self._lock:
            for kind, amount in amounts.items():
                limit = self.limits.get(kind)
                spent, held = self._spent[kind], self._held[kind]
                if limit is not None and spent + held + amount > limit:
                    raise BudgetExceeded(
                        f"{kind}: {_told(spent)} spent and {_told(held)} reserved of {_told(limit)}; "
                        f"the next step needs {_told(amount)}"
                    )
            for kind, amount in amounts.items():
                self._held[kind] += amount
        return dict(amounts)

    def settle(self, reserved: Mapping[str, float], **spent: float) -> None:
        """Give a reservation back and book what was really spent."""
        self._known(spent)
        with self._lock:
            for kind, amount in reserved.items():
                self._held[kind] -= amount
            for kind, amount in spent.items():
                self._spent[kind] += amount

    def spent(self) -> dict[str, float]:
        """What was booked so far, by kind."""
        with self._lock:
            return dict(self._spent)

    def _known(self, amounts: Mapping[str, float]) -> None:
        for kind, amount in amounts.items():
            if kind not in self._spent:
                raise UsageError(f"a budget has {', '.join(self.KINDS)}, not {kind!r}")
            if not amount >= 0:
                raise UsageError(f"an amount can't be negative or no number: {kind}={amount}")


def _told(amount: float) -> str:
    """1,314 of whole things; 2.5 or 0.000125 of money. Sums of fractions may end a hair below 0."""
    return f"{max(0.0, amount):,.6f}".rstrip("0").rstrip(".")


# ── records ───────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Account:
    amounts: dict[str, float] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)


class Ledger:
    """What each stage used: calls, attempts, tokens, seconds, money, and how long calls took.

    Thread-safe. Latencies are sampled down to 10,000 a stage (ours: p95 to about 1 %), evenly, so
    memory stays flat.
    """

    SAMPLES = 10_000

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, *, latency_s: float | None = None, **amounts: float) -> None:
        """Book amounts on a stage; `latency_s` is one call's duration."""
        with self._lock:
            account = self._accounts.setdefault(stage, _Account())
            for kind, amount in amounts.items():
                account.amounts[kind] = account.amounts.get(kind, 0.0) + amount
            if latency_s is not None:
                seen = self._seen[stage] = self._seen.get(stage, 0) + 1
                if len(account.latencies_s) < self.SAMPLES:
                    account.latencies_s.append(latency_s)
                else:
                    account.latencies_s[(seen * 7919) % self.SAMPLES] = latency_s

    @contextmanager
    def timed(self, stage: str, **amounts: float) -> Iterator[None]:
        """Book the time of a block as `seconds`, along with other amounts."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, seconds=time.perf_counter() - start, **amounts)

    def table(self) -> dict[str, dict[str, float]]:
        """Stage -> amounts, with `p50_s` and `p95_s` where calls were timed."""
        with self._lock:
            rows: dict[str, dict[str, float]] = {}
            for stage, account in self._accounts.items():
                row = dict(account.amounts)
                if account.latencies_s:
                    p50, p95 = np.percentile(account.latencies_s, [50, 95])
                    row["p50_s"], row["p95_s"] = float(p50), float(p95)
                rows[stage] = row
            return rows


class Trace:
    """What happened to each query, stage by stage: what `explain` and `diff` read.

    Args:
        path: A `.jsonl.gz` that events are appended to; None keeps them in memory.

    Long strings are cut to 500 characters. Thread-safe. Close it (or use it as a context manager) to
    finish the file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        # No name and no time in the header: equal runs write equal bytes.
        self._raw = open(path, "ab") if path is not None else None  # noqa: SIM115 (closed by close())
        self._file = gzip.GzipFile("", "ab", fileobj=self._raw, mtime=0) if self._raw is not None else None
        self._lock = threading.Lock()

    def record(self, stage: str, query_id: str, **event: Any) -> None:
        """Write one event down."""
        entry = {"stage": stage, "query_id": query_id, **{key: _shorten(value) for key, value in event.items()}}
        with self._lock:
            if self._file is not None:
                self._file.write(orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
            else:
                self.events.append(entry)

    def of(self, query_id: str) -> list[dict[str, Any]]:
        """The events of one query that are in memory, in order."""
        with self._lock:
            return [event for event in self.events if event["query_id"] == query_id]

    def close(self) -> None:
        """Finish the file; further records are refused by Python's file object."""
        if self._file is not None and self._raw is not None:
            self._file.close()
            self._raw.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _shorten(value: Any) -> Any:
    if isinstance(value, str) and len(value) > THOUGHT_CHARACTERS:
        return value[:THOUGHT_CHARACTERS] + "…"
    return value


# ── progress ──────────────────────────────────────────────────────────────────────────────────────


class Task(Protocol):
    """One bar."""

    def advance(self, steps: int = 1) -> None: ...


class Progress(Protocol):
    """Shows how far long work is; the terminal has one, the default shows nothing."""

    def task(self, name: str, total: int | None = None) -> AbstractContextManager[Task]: ...


class _NoTask:
    def advance(self, steps: int = 1) -> None:
        """Shows nothing."""


class _NoProgress:
    def task(self, name: str, total: int | None = None) -> AbstractContextManager[Task]:
        return nullcontext(_NoTask())


# ── where work runs ───────────────────────────────────────────────────────────────────────────────


class Executor(Protocol):
    """Where shards of corpus work run; results come in the order of the shards."""

    def map(self, function: Callable[[T], R], shards: Iterable[T]) -> Iterable[R]: ...


class LocalExecutor:
    """This process, one shard after another."""

    def map(self, function: Callable[[T], R], shards: Iterable[T]) -> Iterable[R]:
        """Lazy: a shard is worked on when its result is asked for."""
        return map(function, shards)


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Context:
    """What a run carries along (module docstring). Frozen; its parts hold the state.

    Attributes:
        seed: All randomness comes from it, by name (`rng`).
        stage: The name of the stage at work, which a pipeline gives it; "" outside of one.
    """

    budget: Budget = field(default_factory=Budget)
    ledger: Ledger = field(default_factory=Ledger)
    trace: Trace = field(default_factory=Trace)
    progress: Progress = field(default_factory=_NoProgress)
    deadline: Deadline = field(default_factory=Deadline)
    executor: Executor = field(default_factory=LocalExecutor)
    seed: int = 0
    stage: str = ""

    @staticmethod
    def of(context: Context | None) -> Context:
        """The given context, or a fresh one without limits."""
        return Context() if context is None else context

    def rng(self, *names: str | int) -> np.random.Generator:
        """A generator that depends on the seed and these names only, not on what ran before.

        Same seed and names: same numbers, on every platform and in every process.
        """
        key = "\x1f".join(map(str, (self.seed, *names))).encode()
        return np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:16], "big"))
