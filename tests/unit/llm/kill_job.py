"""Asks 1,000 questions through a cache; the kill test runs it as a process of its own and ends it in the middle.

    python kill_job.py CACHE LOG CONCURRENCY

Writes to LOG, a line each and at once: "sent N" when question N reaches the model, "got N" when its reply is handed
out; at the end one JSON document with the ledger's row to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys

from sleuth.context import Context
from sleuth.llm.cache import Cache
from sleuth.llm.chat import ChatRequest, Message, Tags
from sleuth.llm.replay import Scripted

QUESTIONS = 1_000


def main() -> None:
    path, log, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def answer(request: ChatRequest) -> str:
        number = request.messages[0].content.split()[0]
        os.write(lines, f"sent {number}\n".encode())
        await asyncio.sleep(random.uniform(0.001, 0.01))
        return f"answer {number}"

    context = Context()
    backend = Scripted(answer, cache=Cache(path), concurrency=concurrency)
    texts = [f"{number} {'passage ' * 200}" for number in range(QUESTIONS)]
    requests = [ChatRequest((Message("user", text),), tags=Tags("rerank-1", f"q{text[:4]}")) for text in texts]
    futures = [backend.submit(request, context=context) for request in requests]
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: os.write(lines, f"got {number}\n".encode()))
    assert [future.result(60).text for future in futures] == [f"answer {number}" for number in range(QUESTIONS)]
    print(json.dumps(context.ledger.table()["rerank-1"]))


if __name__ == "__main__":
    main()
