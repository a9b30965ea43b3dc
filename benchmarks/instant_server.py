"""A chat server that answers at once: the other side of `benchmarks.llm_overhead`.

Plain asyncio, HTTP/1.1 with kept connections, one answer made beforehand, so that the client is what is measured. It
prints its port, and ends when its standard input closes.

    python -m benchmarks.instant_server [--text "[2] > [1]"] [--delay-s 0.0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

TEXT = " > ".join(f"[{place}]" for place in range(20, 0, -1))
"""A permutation of 20, worst first: every window is turned around, so that an order has to be read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--delay-s", type=float, default=0.0, help="seconds that the model would take")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.text, arguments.delay_s))


async def _serve(text: str, delay_s: float) -> None:
    answer = _answer(text)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length(head))
                if delay_s:
                    await asyncio.sleep(delay_s)
                writer.write(answer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 4000, "completion_tokens": 100, "total_tokens": 4100}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "instant",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": usage,
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


if __name__ == "__main__":
    main()
