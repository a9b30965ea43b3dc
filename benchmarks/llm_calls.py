"""What a call to a model costs in this process beside the model: processor time of the calls' layer, with and without cache.

    python -m benchmarks.llm_calls

The backend answers after a random while from a function, so all the time measured is ours: the request's digest, the
budget, the note that it is in flight, waiting, the ledger, and storing request and reply. Target: 0.7 ms a call.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import header
from sleuth.context import Budget, Context
from sleuth.llm.cache import Cache
from sleuth.llm.chat import ChatRequest, Message, Reply, Tags, Usage
from sleuth.llm.replay import Scripted

DOC_IDS = tuple(f"document-{number}" for number in range(20))


def requests_of(count: int, characters: int) -> list[ChatRequest]:
    """Distinct requests of about so many characters."""
    text = "passage " * (characters // 8)
    return [
        ChatRequest((Message("user", f"{number} {text}"),), tags=Tags("rerank-1", f"q{number}", DOC_IDS))
        for number in range(count)
    ]


def measure(cache: Cache | None, requests: Sequence[ChatRequest], *, latency_s: float) -> tuple[float, float]:
    """(processor time in ms, calls a second) of one pass over the requests."""

    async def answer(_: ChatRequest) -> Reply:
        await asyncio.sleep(random.uniform(0.5, 1.5) * latency_s)
        return Reply("[2] > [1]", finish_reason="stop", usage=Usage(10_000, 100))

    backend = Scripted(answer, cache=cache, concurrency=32)
    context = Context(budget=Budget(calls=10**9, tokens=10**12))
    processor_s, wall_s = time.process_time(), time.perf_counter()
    for future in [backend.submit(request, context=context) for request in requests]:
        future.result()
    processor_s, wall_s = time.process_time() - processor_s, time.perf_counter() - wall_s
    return 1000 * processor_s / len(requests), len(requests) / wall_s


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = [*header(f"python -m benchmarks.llm_calls --calls {options.calls}"), ""]
    lines += ["| prompt, characters | answers after, s | cache | ms a call | calls a second |", "|---|---|---|---|---|"]
    for characters in (4_000, 40_000):
        requests = requests_of(options.calls, characters)
        for latency_s in (0.02, 0.5):
            with tempfile.TemporaryDirectory() as folder:
                cache = Cache(Path(folder) / "llm.sqlite")
                for name, kept in (("off", None), ("empty", cache), ("full", cache)):
                    milliseconds, rate = measure(kept, requests, latency_s=latency_s)
                    lines.append(f"| {characters:,} | {latency_s} | {name} | {milliseconds:.2f} | {rate:,.0f} |")
                cache.close()
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
