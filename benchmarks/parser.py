"""How fast answers are read, how long the worst texts take, and a million damaged answers.

    python -m benchmarks.parser --fuzz 1000000

Rates are the best of several rounds on one core; all times are processor time. The adversarial texts and the damaged answers are those of
`tests/property/fuzz_answers.py`; each damaged answer is read by every parser of replies (as a permutation, on four
scales, as a choice, as grades), and what comes back is checked. It fails on any exception and any broken promise.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

from benchmarks.machine import header
from sleuth.replies.permutation import parse_permutation
from sleuth.replies.score import GradeScale, YesNo, parse_score

CASES = Path(__file__).resolve().parent.parent / "tests" / "property" / "fuzz_answers.py"
SIZE = 5_000_000
ROUNDS = 7
WORDS = [
    "the",
    "passage",
    "explains",
    "how",
    "tides",
    "move,",
    "and",
    "[3]",
    "names",
    "7",
    "moons",
    "while",
    "step",
    "1.",
    "of",
    "it",
    ">",
    "2",
    "is",
    "<",
    "good",
]
TARGETS = {"a plain list of 20": 10_000, "with a thought of 12,000 characters before it": 1_500}


def fuzz_answers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_answers", CASES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain_lists(count: int) -> list[str]:
    random = Random(0)
    return [" > ".join(f"[{one}]" for one in random.sample(range(1, 21), 20)) for _ in range(count)]


def with_thoughts(lists: list[str]) -> list[str]:
    """`<think>` and 12,000 characters of prose with brackets, numbers and angles, then `<answer>`."""
    random = Random(1)
    thoughts = [" ".join(random.choices(WORDS, k=4000))[:12_000] for _ in lists]
    return [f"<think>{thought}</think>\n<answer>{one}</answer>" for thought, one in zip(thoughts, lists, strict=True)]


def per_second(read: Callable[[str], object], texts: list[str]) -> float:
    best = 0.0
    for _ in range(ROUNDS):
        start = time.process_time()
        for text in texts:
            read(text)
        best = max(best, len(texts) / (time.process_time() - start))
    return best


def rates() -> list[str]:
    lists = plain_lists(2000)
    thoughts = with_thoughts(lists[:300])
    chinese = [f"<think>{'这篇文章讨论了潮汐，因此[3]比[1]更相关。' * 523}</think>{one}" for one in lists[:300]]
    json_lists = [text.replace("] > [", ", ") for text in lists]
    label = GradeScale(0, 5, label="Relevance score")

    def permutation(text: str) -> object:
        return parse_permutation(text, 20)

    measured = {
        "a plain list of 20": per_second(permutation, lists),
        "with a thought of 12,000 characters before it": per_second(permutation, thoughts),
        "with a thought of 12,000 Chinese characters before it": per_second(permutation, chinese),
        "a list of 20 in the middle of prose": per_second(
            permutation, [f"The order is {one}, I think" for one in lists]
        ),
        "a JSON list of 20": per_second(permutation, json_lists),
        "a labelled grade": per_second(lambda text: parse_score(text, label), ["Relevance score: 4."] * 2000),
        "yes or no": per_second(lambda text: parse_score(text, YesNo()), ["Yes."] * 2000),
    }
    rows = ["| answer | a second, one core | target |", "|---|---|---|"]
    for name, rate in measured.items():
        target = TARGETS.get(name)
        said = "" if target is None else f"≥ {target:,}: {'met' if rate >= target else 'missed'}"
        rows.append(f"| {name} | **{rate:,.0f}** | {said} |")
    return rows


def adversarial(cases: ModuleType) -> list[str]:
    rows = ["| 5,000,000 characters of | seconds | outcome |", "|---|---|---|"]
    for name in cases.ADVERSARIAL:
        text = cases.adversarial(name, SIZE)
        start = time.process_time()
        found = parse_permutation(text, 20)
        took = time.process_time() - start
        assert sorted(found.order) == list(range(20))
        rows.append(f"| {name} | {took:.2f} | {found.outcome} |")
    return rows


def fuzz(cases: ModuleType, examples: int, seed: int) -> tuple[list[str], int]:
    """The log of damaged answers, and how many broke a promise or raised."""
    random, answers = Random(seed), cases.reference_answers()
    outcomes: Counter[str] = Counter()
    broken: list[str] = []
    raised = 0
    slowest, before, start = 0.0, 0.0, time.process_time()
    for number in range(examples):
        answer = cases.damaged(random, answers)
        began = time.process_time()
        try:
            outcomes[str(cases.check(answer))] += 1
        except AssertionError:
            broken.append(f"{answer!r}\n{traceback.format_exc()}")
        except Exception:  # noqa: BLE001 - anything at all is what this looks for
            raised += 1
            broken.append(f"{answer!r}\n{traceback.format_exc()}")
        slowest = max(slowest, time.process_time() - began)
        if number == examples // 20:
            before = peak_mb()
    lines = [
        "```text",
        f"{examples:,} damaged answers, seed {seed}, {time.process_time() - start:,.0f} s",
        *(f"  {outcome:12s} {count:10,}" for outcome, count in sorted(outcomes.items())),
        f"exceptions: {raised}",
        f"invalid permutations and other broken promises: {len(broken) - raised}",
        f"slowest answer, all parsers together: {slowest * 1000:.0f} ms",
        f"memory: {peak_mb():.0f} MB at most, {peak_mb() - before:.0f} MB more than after the first twentieth",
        *broken[:20],
        "```",
    ]
    return lines, len(broken)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", type=int, default=100_000, help="how many damaged answers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    cases = fuzz_answers()
    log, broken = fuzz(cases, options.fuzz, options.seed)
    lines = [
        *header(f"python -m benchmarks.parser --fuzz {options.fuzz} --seed {options.seed}"),
        "",
        *rates(),
        "",
        *adversarial(cases),
        "",
        "The texts that take longest are nothing but ids: up to 1,700,000 of them. Time grows linearly with all of them.",
        "",
        *log,
    ]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
