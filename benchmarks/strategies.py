"""Reranking strategies measured with a simulated judge on published candidate lists.

    python -m benchmarks.strategies --data DATA --seeds 5

The lists are ReasonIR's 100 candidates for the 936 queries of nine BRIGHT tasks (`bright_meta`), excluded ids
dropped. nDCG@10 and R@10 are means over tasks of means over queries; labels outside a list count. The judge is
`sleuth.llm.oracle_model`: **these figures are results of no model.** They say which strategy spends calls best.

The interval is the 95 % bootstrap interval (queries within tasks) of the difference from sliding windows
20/10, each query's value being its mean over the seeds. One draw of the judge varies by about 0.9 nDCG@10, most of it
common to all rows. Seconds: at 50 ms a call and 16 calls side by side, one query.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alone import walk
from benchmarks.machine import header
from sleuth.data.readers import read_qrels, read_run
from sleuth.llm.oracle_model import PRESETS, OracleModel
from sleuth.measures.evaluation import evaluate
from sleuth.measures.significance import bootstrap_interval
from sleuth.rerank.consistency import SelfConsistency
from sleuth.rerank.funnel import Funnel
from sleuth.rerank.groups import Groups
from sleuth.rerank.heap import Heap
from sleuth.rerank.partition import Partition
from sleuth.rerank.parts import Task
from sleuth.rerank.score_sort import ScoreAndSort
from sleuth.rerank.simulated import SimulatedJudge
from sleuth.rerank.strategy import Strategy
from sleuth.rerank.tournament import Tournament
from sleuth.rerank.uncertainty import Uncertainty
from sleuth.rerank.window import SlidingWindow
from sleuth.types import Qrels, Ranking, Run

CALL_S = 0.05
MEASURES = ("nDCG@10", "R@10")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """A row: a strategy and the kind of judge it is measured with."""

    name: str
    make: Callable[[SimulatedJudge], Strategy]
    judge: dict[str, Any]
    settings: bool = False
    """Also measured at all settings of the judge."""
    most_seeds: int = 1000
    """Many calls: fewer seeds do, marked in the table."""


def _entry(
    name: str,
    make: Callable[..., Strategy],
    *,
    settings: bool = False,
    judge: Any = None,
    most_seeds: int = 1000,
    **options: Any,
) -> Entry:
    return Entry(name, lambda simulated: make(simulated, **options), judge or {}, settings, most_seeds)


CHOICE, SCORES = {"kind": "choice"}, {"kind": "scores"}
ENTRIES = (
    _entry("one window, top 20", SlidingWindow, depth=20, settings=True),
    _entry("sliding window 20/10", SlidingWindow, settings=True),
    _entry("sliding window 10/5", SlidingWindow, window=10, stride=5, settings=True),
    _entry("sliding window 20/10, two passes", SlidingWindow, passes=2),
    _entry("top-down partition", Partition, settings=True),
    _entry("tournament, 1 round", Tournament, settings=True),
    _entry("tournament, 2 rounds", Tournament, rounds=2),
    _entry("self-consistency of the top 20, 5 samples", SelfConsistency),
    _entry("self-consistency, Kemeny", SelfConsistency, aggregate="kemeny"),
    _entry("heap, 20 a call (choices)", Heap, judge=CHOICE),
    _entry("heap, 4 a call (choices)", Heap, size=4, judge=CHOICE, most_seeds=2),
    _entry("score and sort, one by one", ScoreAndSort, judge={**SCORES, "max_docs": 1}, most_seeds=2),
    _entry("score and sort, grades 0-5", ScoreAndSort, judge={**SCORES, "max_docs": 1, "grades": 5}, most_seeds=2),
    _entry("groups of 20, 2 epochs", Groups, judge=SCORES),
    _entry("uncertainty, 9 calls", Uncertainty, settings=True),
    _entry("uncertainty, 20 calls", Uncertainty, calls=20),
    _entry("funnel 40, 20 (economical)", Funnel, rounds="economical", settings=True),
    _entry("funnel 60, 20x2", Funnel, rounds=["60", "20x2"]),
    _entry("funnel 60, 40, 20", Funnel, rounds=["60", "40", "20"]),
    _entry("funnel 100, 20x4", Funnel, rounds=["100", "20x4"]),
    _entry("**funnel 100, 40, 20x2 (standard)**", Funnel, settings=True),
    _entry("the same, prior weight 0.5", Funnel, prior_weight=0.5, settings=True),
    _entry("the same, prior weight 2", Funnel, prior_weight=2.0, settings=True),
    _entry("the same, flat prior", Funnel, prior="flat", settings=True),
    _entry("the same, prior by rank", Funnel, prior="rank"),
    _entry("funnel of 20 calls (thorough)", Funnel, rounds="thorough", settings=True),
)
REFERENCE = "sliding window 20/10"


@dataclass
class Lists:
    """The candidate lists of all tasks under one roof; query ids carry their task."""

    qrels: Qrels
    run: Run
    task_of: list[int]
    _models: dict[tuple[str, int], OracleModel] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Path) -> Lists:
        """All tasks of `bright_meta`."""
        home = data / "bright_meta"
        labels: dict[str, Any] = {}
        lists: dict[str, Ranking] = {}
        task_of: list[int] = []
        for number, path in enumerate(sorted((home / "qrels").glob("*.tsv"))):
            qrels, run = read_qrels(path), read_run(home / "runs_reasonir_gpt4cot_top100" / f"{path.stem}.trec.gz")
            excluded_path = home / "excluded" / f"{path.stem}.jsonl.gz"
            excluded = _excluded(excluded_path) if excluded_path.exists() else {}
            for query_id in qrels:
                name = f"{path.stem}/{query_id}"
                labels[name] = qrels[query_id]
                lists[name] = run[query_id].without(excluded.get(query_id, ()))
                task_of.append(number)
        return cls(Qrels(labels), Run(lists), task_of)

    def model(self, preset: str, seed: int) -> OracleModel:
        """The judge of a setting and seed; what it has drawn is kept while the setting stays."""
        if (preset, seed) not in self._models:
            if any(other != preset for other, _ in self._models):
                self._models.clear()
            self._models[preset, seed] = OracleModel(self.qrels, self.run, preset=preset, seed=seed)
        return self._models[preset, seed]

    def macro(self, values: Floats) -> float:
        """Mean over tasks of means over queries, x 100."""
        tasks = np.array(self.task_of)
        return float(100 * np.mean([values[tasks == task].mean() for task in np.unique(tasks)]))

    def interval(self, difference: Floats) -> tuple[float, float]:
        """95 % bootstrap interval over queries within tasks, x 100."""
        low, high = bootstrap_interval(100 * difference, groups=np.array(self.task_of))
        return float(low), float(high)

    def won(self, difference: Floats) -> int:
        """Tasks whose mean rises."""
        tasks = np.array(self.task_of)
        return sum(difference[tasks == task].mean() > 0 for task in np.unique(tasks))


def _excluded(path: Path) -> dict[str, frozenset[str]]:
    import gzip
    import json

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {row["_id"]: frozenset(row["excluded_ids"]) for row in map(json.loads, lines)}


@dataclass
class Found:
    """A strategy's means over seeds: measures of each query, and costs."""

    ndcg: Floats
    recall: Floats
    calls: float
    shown: float
    depth: float
    seconds: float


def measure(lists: Lists, entry: Entry, *, preset: str = "mid", seeds: Sequence[int] = (0,), **judge: Any) -> Found:
    """Run a strategy on all queries, once a seed; the seed draws judge and strategy alike."""
    values, costs = [], []
    for seed in seeds:
        model = lists.model(preset, seed)
        strategy = entry.make(SimulatedJudge(model, **{**entry.judge, **judge}))
        ranked: dict[str, Ranking] = {}
        for query_id, ranking in lists.run.items():
            head = ranking if strategy.depth is None else ranking.head(strategy.depth)
            own = int.from_bytes(hashlib.blake2b(f"{seed}/{query_id}".encode(), digest_size=7).digest(), "big")
            walked = walk(strategy, Task(query_id, head.doc_ids, tuple(head.scores.tolist()), own))
            ids = (*walked.order.doc_ids, *ranking.doc_ids[len(head) :])
            ranked[query_id] = Ranking(ids, np.arange(len(ids), 0, -1.0), scale="rank")
            costs.append((walked.calls, walked.shown, walked.depth, walked.waves * CALL_S))
        report = evaluate(lists.qrels, {"it": Run(ranked)}, MEASURES)
        values.append(report.values["it"].T)
    ndcg, recall = np.mean(values, axis=0)
    return Found(ndcg, recall, *np.mean(costs, axis=0).tolist())


def strategies_table(lists: Lists, seeds: Sequence[int]) -> list[str]:
    """All strategies at `mid`."""
    rows = ["| strategy | calls | passages | depth | s | nDCG@10 | R@10 | difference from 20/10 | tasks won |"]
    rows.append("|---|---|---|---|---|---|---|---|---|")
    first = evaluate(lists.qrels, {"it": lists.run}, MEASURES)
    start = [lists.macro(column) for column in first.values["it"].T]
    rows.append(f"| first stage | 0 | 0 | 0 | 0 | {start[0]:.1f} | {start[1]:.1f} | | |")
    reference = next(entry for entry in ENTRIES if entry.name == REFERENCE)
    sliding = {len(seeds): measure(lists, reference, seeds=seeds)}
    for entry in ENTRIES:
        began, own = time.perf_counter(), seeds[: entry.most_seeds]
        if len(own) not in sliding:
            sliding[len(own)] = measure(lists, reference, seeds=own)
        found = sliding[len(own)] if entry is reference else measure(lists, entry, seeds=own)
        change = found.ndcg - sliding[len(own)].ndcg
        low, high = lists.interval(change)
        told = "–" if entry.name == REFERENCE else f"{lists.macro(change):+.2f} [{low:+.1f}, {high:+.1f}]"
        won = "–" if entry.name == REFERENCE else str(lists.won(change))
        rows.append(
            f"| {entry.name}{f' ({len(own)} seeds)' if len(own) < len(seeds) else ''} | {found.calls:.3g} | {found.shown:.3g} | {found.depth:.2g} | {found.seconds:.2f} "
            f"| {lists.macro(found.ndcg):.1f} | {lists.macro(found.recall):.1f} | {told} | {won} |"
        )
        sys.stderr.write(f"{rows[-1]} {time.perf_counter() - began:.0f} s\n")
    return rows


def settings_table(lists: Lists, seeds: Sequence[int]) -> list[str]:
    """The main strategies at every setting of the judge, and with bad and broken-off answers; nDCG@10."""
    names = [name for name in PRESETS if name not in ("fickle", "stubborn", "length")]
    columns: list[tuple[str, str, dict[str, float]]] = [(name, name, {}) for name in names]
    columns += [("5 % bad", "mid", {"malformed": 0.05}), ("10 % cut", "mid", {"truncated": 0.1})]
    table: dict[str, list[str]] = {entry.name: [] for entry in ENTRIES if entry.settings}
    for name, preset, options in columns:
        for entry in ENTRIES:
            if entry.settings:
                found = measure(lists, entry, preset=preset, seeds=seeds, **options)
                table[entry.name].append(f"{lists.macro(found.ndcg):.1f}")
        sys.stderr.write(f"{name}: {', '.join(row[-1] for row in table.values())}\n")
    rows = ["| strategy | " + " | ".join(name for name, _, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return rows + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in table.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reference collections")
    parser.add_argument("--seeds", type=int, default=5, help="draws of the judge for the first table")
    parser.add_argument("--settings-seeds", type=int, default=2, help="the same for the second table; 0 leaves it out")
    parser.add_argument("--output", type=Path, help="write the tables here too")
    given = parser.parse_args()
    lists = Lists.read(given.data)
    command = f"python -m benchmarks.strategies --seeds {given.seeds} --settings-seeds {given.settings_seeds}"
    lines = ["# Reranking strategies with a simulated judge", "", *header(command), ""]
    lines += [
        f"{len(lists.run)} queries of nine BRIGHT tasks, ReasonIR's 100 candidates. **Results of no model**: the judge is",
        "simulated from labels (`sleuth.llm.oracle_model`). Bootstrap over queries within tasks. One draw of the judge",
        "varies by about 0.9 nDCG@10, most of it common to all rows.",
        "",
        f"## Setting `mid`, {given.seeds} seeds",
        "",
        *strategies_table(lists, range(given.seeds)),
    ]
    if given.settings_seeds:
        lines += [
            "",
            f"## All settings of the judge: nDCG@10, {given.settings_seeds} seed{'s' * (given.settings_seeds > 1)}",
            "",
        ]
        lines += settings_table(lists, range(given.settings_seeds))
    text = "\n".join(lines) + "\n"
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
