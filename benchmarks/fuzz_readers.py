"""Hand damaged files to every reader: `python benchmarks/fuzz_readers.py --examples 10000 --seed 1`.

Each example is a valid file after a few accidents (`tests/property/fuzz_cases.py`), read by all readers, strictly and
with bad lines skipped; what is accepted is written and read again. It fails on an exception that is not Sleuth's, on an
example that takes more than 20 seconds, and if memory grows by more than 500 MB.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 20.0
GROWTH_MB = 500


def load(path: Path) -> ModuleType:
    """A module by its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz_readers.txt")
    options = parser.parse_args()
    cases = load(ROOT / "tests" / "property" / "fuzz_cases.py")
    header = load(ROOT / "benchmarks" / "machine.py").header
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    def too_long(signum: int, frame: object) -> None:
        raise TimeoutError(f"more than {PATIENCE_S:g} s")

    signal.signal(signal.SIGALRM, too_long)
    random, names = Random(options.seed), cases.file_names()
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    slowest, before, start = (0.0, ""), 0.0, time.perf_counter()
    for number in range(options.examples):
        name = random.choice(names)
        data = cases.damaged(random, name)
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
        try:
            with TemporaryDirectory() as folder:
                (Path(folder) / name).write_bytes(data)
                outcomes += cases.attempt(Path(folder) / name)
        except Exception:  # noqa: BLE001 - anything at all is what this looks for
            faults.append(f"example {number} ({name}): {data[:300]!r}\n{traceback.format_exc()}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, (time.perf_counter() - began, f"example {number}, {name}, {len(data)} bytes"))
        if number == options.examples // 20:
            before = peak_mb()
    growth = peak_mb() - before
    if growth > GROWTH_MB:
        faults.append(f"memory grew by {growth:.0f} MB")
    lines = [
        *header(f"python benchmarks/fuzz_readers.py --examples {options.examples} --seed {options.seed}"),
        "",
        f"{options.examples:,} damaged files, {sum(outcomes.values()):,} readings, {time.perf_counter() - start:.0f} s",
        f"slowest: {slowest[0]:.2f} s ({slowest[1]})",
        f"memory: peak {peak_mb():.0f} MB, {growth:.0f} MB more than after the first twentieth",
        *(f"  {what:18s} {count:8,}" for what, count in sorted(outcomes.items())),
        f"faults: {len(faults)}",
        *faults[:20],
    ]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
