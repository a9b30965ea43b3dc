"""What reranking costs beside the model: 100 queries x 100 documents, listwise, against a server that answers at once.

    python -m benchmarks.llm_overhead [--queries 100] [--peer-python PYTHON]

The same requests (templates `rankgpt` and `reasonrank`, windows of 20, stride 10: nine calls a query, each waiting for
the one before it) are sent twice in this process: by the official SDK alone, which keeps as many in flight and drops
the answers, and by a whole reranking stage (prompts, SDK, retries, ledger, trace, parser, strategy, run). CPU is this
process's own, all threads; the server is a process of its own. "With cache" writes every call down before and after
it is sent; "from cache" runs the same stage again. Passages have 100 words each.

With `--peer-python`, an interpreter that has rank_llm 0.25.7 (it can't live in one environment with current
transformers), its `SafeOpenai` sends the same windows to the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openai

from benchmarks.instant_server import TEXT
from benchmarks.machine import header
from sleuth.context import Context
from sleuth.llm.cache import Cache
from sleuth.llm.chat import Capabilities, ChatRequest, Reply, Usage
from sleuth.llm.openai import OpenAI
from sleuth.rerank.listwise import Listwise
from sleuth.rerank.window import SlidingWindow
from sleuth.types import Doc, Query, Ranking, Run

CONCURRENCY = 16
DOCUMENTS = 100
WORDS = 100
PEER = Path(__file__).with_name("rank_llm_loop.py")


@dataclass
class Measured:
    """One way of sending all calls."""

    name: str
    calls: int
    seconds: float
    cpu_s: float


class Recorder:
    """Answers at once, in this process, and keeps the requests: what the SDK alone is then given to send."""

    name, identity, concurrency = "recorder", "recorder", CONCURRENCY
    capabilities = Capabilities()
    price = tokenizer = family = None

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        self.requests.append(request)
        future: Future[Reply] = Future()
        future.set_result(Reply(TEXT, finish_reason="stop", usage=Usage(4000, 100)))
        return future


class Workload:
    """Synthetic queries and documents; the words are those of a Zipf vocabulary, the same for every run."""

    def __init__(self, queries: int) -> None:
        rng = np.random.default_rng(0)
        words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(3, 10))) for _ in range(20_000)]
        draws = np.minimum(rng.zipf(1.3, (queries, DOCUMENTS + 1, WORDS)) - 1, 19_999)
        self.docs: dict[str, Doc] = {}
        rankings, self.queries = {}, []
        for q in range(queries):
            self.queries.append(Query(f"q{q}", " ".join(words[w] for w in draws[q, 0, :20])))
            ids = [f"q{q}d{d}" for d in range(DOCUMENTS)]
            for d, doc_id in enumerate(ids):
                self.docs[doc_id] = Doc(doc_id, " ".join(words[w] for w in draws[q, d + 1]))
            rankings[f"q{q}"] = Ranking(ids, np.arange(DOCUMENTS, 0, -1.0), scale="bm25")
        self.run = Run(rankings)

    def stage(self, backend: Any, prompt: str, context: Context | None = None) -> Run:
        judge = Listwise(backend, prompt=prompt)
        result = SlidingWindow(judge, window=20, stride=10).rerank(self.queries, self.run, self.docs, context=context)
        assert result.complete
        return result.run

    def requests(self, prompt: str) -> list[ChatRequest]:
        recorder = Recorder()
        self.stage(recorder, prompt)
        return recorder.requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", help="an interpreter that has rank_llm 0.25.7")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    os.environ.pop("OPENAI_API_KEY", None)
    work = Workload(arguments.queries)
    command = f"python -m benchmarks.llm_overhead --queries {arguments.queries} --repeats {arguments.repeats}"
    command += " --peer-python PYTHON" if arguments.peer_python else ""
    lines = ["# Cost of reranking beside the model", "", *header(command)]
    lines += [f"openai {openai.__version__} · {CONCURRENCY} calls in flight · median of {arguments.repeats} runs", ""]
    lines += ["| what | template | calls | calls/min | CPU a call, ms | beyond the SDK, ms |"]
    lines += ["|---|---|---|---|---|---|"]
    with instant_server() as url:
        for prompt in ("rankgpt", "reasonrank"):
            lines += rows(work, prompt, url, arguments.repeats)
        if arguments.peer_python:
            lines.append(peer_row(work, url, arguments.peer_python))
        lines += ["", memory_line(work, url)]
    text = "\n".join(lines) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def rows(work: Workload, prompt: str, url: str, repeats: int) -> Iterator[str]:
    requests = work.requests(prompt)
    sent = [messages_of(request) for request in requests]
    found: dict[str, list[Measured]] = {}

    def note(name: str, job: Callable[[], object]) -> None:
        found.setdefault(name, []).append(measure(name, len(requests), job))

    for repeat in range(repeats + 1):
        if repeat == 1:
            found.clear()  # the first round only warms up
        with tempfile.TemporaryDirectory() as folder:
            settings: dict[str, Any] = {"model": "instant", "base_url": url, "concurrency": CONCURRENCY}
            plain = OpenAI(**settings, cache=None)
            cached = OpenAI(**settings, cache=Cache(Path(folder) / "llm.sqlite"))
            note("SDK alone", partial(asyncio.run, sdk_alone(url, sent)))
            note("Sleuth's stage", partial(work.stage, plain, prompt, Context()))
            note("Sleuth's stage, with cache", partial(work.stage, cached, prompt, Context()))
            note("Sleuth's stage, from cache", partial(work.stage, cached, prompt, Context()))
            plain.close()
            cached.close()
    base = statistics.median(m.cpu_s for m in found["SDK alone"])
    for name, runs in found.items():
        yield row(name, prompt, runs, base)


def row(name: str, prompt: str, runs: list[Measured], base_cpu_s: float | None) -> str:
    calls = runs[0].calls
    cpu_s = statistics.median(m.cpu_s for m in runs)
    rate = calls / statistics.median(m.seconds for m in runs) * 60
    beyond = "" if base_cpu_s is None or name == "SDK alone" else f"{(cpu_s - base_cpu_s) / calls * 1000:+.2f}"
    return f"| {name} | {prompt} | {calls:,} | {rate:,.0f} | {cpu_s / calls * 1000:.2f} | {beyond} |"


def memory_line(work: Workload, url: str) -> str:
    """Resident memory while one backend answers run after run."""
    backend = OpenAI(model="instant", base_url=url, cache=None, concurrency=CONCURRENCY)
    calls = 9 * len(work.queries)
    found = []
    for _ in range(5):
        work.stage(backend, "rankgpt", Context())
        gc.collect()
        found.append(resident_mb())
    backend.close()
    return f"Memory of this process: {found[0]:.1f} MB after {calls:,} calls, {found[-1]:.1f} MB after {5 * calls:,}."


def measure(name: str, calls: int, job: Callable[[], object]) -> Measured:
    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    job()
    return Measured(name, calls, time.perf_counter() - start, time.process_time() - cpu)


async def sdk_alone(url: str, sent: list[list[dict[str, str]]]) -> None:
    """The official SDK as its manual shows it, so many calls at a time."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    waiting = iter(sent)

    async def worker() -> None:
        for messages in waiting:
            done = await client.chat.completions.create(
                model="instant", messages=messages, max_tokens=1024, temperature=0.0
            )
            assert done.choices[0].message.content

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    await client.close()


def messages_of(request: ChatRequest) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in request.messages]


def peer_row(work: Workload, url: str, python: str) -> str:
    """rank_llm's loop over the same documents, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "requests.json"
        docs = work.docs
        data.write_text(
            json.dumps(
                [
                    {"query": q.text, "passages": [docs[doc_id].text for doc_id in work.run[q.query_id].doc_ids]}
                    for q in work.queries
                ]
            )
        )
        done = subprocess.run([python, str(PEER), url, str(data)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    measured = Measured("rank_llm", found["calls"], found["seconds"], found["cpu_s"])
    return row(f"rank_llm {found['version']}, `SafeOpenai`", "rank_GPT", [measured], None)


@contextmanager
def instant_server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.instant_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
