"""`make bench`: run every benchmark, one after another, and write `benchmarks/results/*.md`.

Each is a program of its own (`python -m benchmarks.NAME --help`); this only calls them. A benchmark that
needs the reference collections is left out, and said so, where `SLEUTH_TEST_DATA` is not set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ALONE = (
    "startup",
    "text_analysis",
    "bm25_speed",
    "index_speed",
    "dense_speed",
    "minilm_speed",
    "evaluate_speed",
    "parser",
    "readers_writer",
    "local_llm",
    "llm_calls",
    "llm_overhead",
)
WITH_DATA = ("collections_quality", "rerank_pools", "strategies")


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    failed = []
    jobs = [[name, "--output", str(RESULTS / f"{name}.md")] for name in ALONE]
    shared = os.environ.get("SLEUTH_TEST_DATA")
    if shared:
        jobs += [[name, "--data", f"{shared}/data", "--output", str(RESULTS / f"{name}.md")] for name in WITH_DATA]
    else:
        sys.stderr.write(f"{', '.join(WITH_DATA)}: left out; SLEUTH_TEST_DATA must name the folder of reference data\n")
    for name, *arguments in jobs:
        sys.stderr.write(f"== {name}\n")
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode:
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
