"""From a run and labels on disk to a table of means, against pytrec_eval.

    python -m benchmarks.evaluate_speed

The size of BRIGHT: 1,384 queries with 1,000 documents each, six measures. Each repetition is a new process
that reads both files, with its own reader (`pytrec_eval.parse_run`, `parse_qrel`), and computes the means; imports
are not counted, the two sides take turns, and their means must agree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import header

KEYS = {
    "nDCG@10": "ndcg_cut_10",
    "R@100": "recall_100",
    "AP": "map",
    "RR": "recip_rank",
    "P@10": "P_10",
    "Success@1": "success_1",
}
SIDES = ("sleuth", "pytrec_eval")


def write_files(folder: Path, queries: int, docs: int) -> tuple[Path, Path]:
    """A run with scores of four decimals, so some are tied, and ten labels a query, half of them in the run."""
    rng = np.random.default_rng(0)
    names = [f"StackExchange/posts-{at:06d}_{at % 9}.txt" for at in range(100_000)]
    run, qrels = folder / "run.trec", folder / "qrels.txt"
    with run.open("w") as lines, qrels.open("w") as labels:
        for query in range(queries):
            found = [names[at] for at in rng.choice(len(names), docs, replace=False)]
            scores = np.sort(rng.gamma(4, 5, docs))[::-1]
            for rank, (name, score) in enumerate(zip(found, scores, strict=True), 1):
                lines.write(f"{query} Q0 {name} {rank} {score:.4f} bm25\n")
            gold = {*(found[at] for at in rng.choice(docs, 5)), *(names[at] for at in rng.choice(len(names), 5))}
            labels.writelines(f"{query} 0 {name} {int(rng.integers(0, 3))}\n" for name in sorted(gold))
    return qrels, run


def with_sleuth(qrels: Path, run: Path) -> tuple[dict[str, float], list[float]]:
    from sleuth.data.readers import read_qrels, read_run
    from sleuth.measures.evaluation import evaluate

    marks = [time.perf_counter()]
    labels, lists = read_qrels(qrels), read_run(run)
    marks.append(time.perf_counter())
    means = evaluate(labels, lists, list(KEYS)).means[lists.name]
    marks.append(time.perf_counter())
    return means, marks


def with_pytrec_eval(qrels: Path, run: Path) -> tuple[dict[str, float], list[float]]:
    import pytrec_eval

    marks = [time.perf_counter()]
    with qrels.open() as file:
        labels = pytrec_eval.parse_qrel(file)
    with run.open() as file:
        lists = pytrec_eval.parse_run(file)
    marks.append(time.perf_counter())
    found = pytrec_eval.RelevanceEvaluator(labels, set(KEYS.values())).evaluate(lists)
    means = {name: statistics.fmean(values[key] for values in found.values()) for name, key in KEYS.items()}
    marks.append(time.perf_counter())
    return means, marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1384)
    parser.add_argument("--docs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "QRELS", "RUN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, qrels, run = options.side
        means, (start, read, done) = (with_sleuth if side == "sleuth" else with_pytrec_eval)(Path(qrels), Path(run))
        sys.stdout.write(json.dumps({"means": means, "read": read - start, "measure": done - read}))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as scratch:
        files = [str(path) for path in write_files(Path(scratch), options.queries, options.docs)]
        means = {}
        for _ in range(options.repeats):
            for side in SIDES:
                command = [sys.executable, "-m", "benchmarks.evaluate_speed", "--side", side, *files]
                answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                means[side] = answer.pop("means")
                found[side].append(answer)
    worst = max(abs(means["sleuth"][name] - means["pytrec_eval"][name]) for name in KEYS)
    if worst > 1e-6:
        raise SystemExit(f"the means differ by {worst}: {means}")
    text = "\n".join(report(options, found)) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def report(options: argparse.Namespace, found: dict[str, list[dict[str, float]]]) -> list[str]:
    sizes = f"--queries {options.queries} --docs {options.docs} --repeats {options.repeats}"
    lines = header(f"python -m benchmarks.evaluate_speed {sizes}")
    lines += [
        "",
        f"{options.queries:,} queries × {options.docs:,} documents, {', '.join(KEYS)}; median of {options.repeats} "
        "new processes each, imports not counted. The means agree to 1e-6.",
        "",
        "| | reading | measuring | together (best … worst) |",
        "|---|---|---|---|",
    ]
    total = {}
    for side, runs in found.items():
        sums = sorted(one["read"] + one["measure"] for one in runs)
        total[side] = statistics.median(sums)
        read, measure = (statistics.median(one[part] for one in runs) for part in ("read", "measure"))
        lines.append(
            f"| {side} | {read:.2f} s | {measure:.2f} s | **{total[side]:.2f} s** ({sums[0]:.2f} … {sums[-1]:.2f}) |"
        )
    ratio = total["sleuth"] / total["pytrec_eval"]
    return [
        *lines,
        "",
        f"Sleuth takes {ratio:.2f} × pytrec_eval's time; target ≤ 1: {'met' if ratio <= 1 else 'missed'}.",
    ]


if __name__ == "__main__":
    main()
