"""Run `sleuth …` from shell blocks without starting Python anew for each: a server forks a child per command.

A command takes half a second to start and the pages have some sixty of them. So one process imports the command line
once and waits at a socket; the command `sleuth` that shell blocks find is a tiny client that hands over its
arguments, folder, environment and its three streams, and exits as the forked child does. The child runs the same
`main` as the installed script, in the interpreter that runs the tests.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["CommandServer"]

CLIENT = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
server.sendall(len(request).to_bytes(8, "big"))
socket.send_fds(server, [b"."], [0, 1, 2])
server.sendall(request)
answer = server.recv(1)
sys.exit(answer[0] if answer else 139)
"""


class CommandServer:
    """The server; a context manager.

    Attributes:
        folder: Put it first in PATH: it holds the commands `sleuth` and `python`.
    """

    def __enter__(self) -> CommandServer:
        self._place = tempfile.TemporaryDirectory(prefix="sleuth-", dir="/tmp")  # a socket's path must be short
        self.folder = Path(self._place.name)
        address = str(self.folder / "socket")
        _write_program(self.folder / "sleuth", CLIENT.format(python=sys.executable, address=address))
        _write_program(self.folder / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, address],
            env={**os.environ, "PYTHONUTF8": "1"},
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.terminate()
        self._server.communicate()
        self._place.cleanup()


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def serve(address: str) -> None:
    """Wait for clients; never returns."""
    _load_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(socket.AF_UNIX)
    door.bind(address)
    door.listen(16)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        client, _ = door.accept()
        if os.fork() == 0:
            door.close()
            _answer(client)
        client.close()


def _load_everything() -> None:
    """Run a command of each kind here, so that no child has to import what they need."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        place = Path(folder)
        (place / "docs.jsonl").write_text('{"_id": "d", "text": "one document"}', encoding="utf-8")
        (place / "queries.tsv").write_text("q\tdocument\n", encoding="utf-8")
        (place / "qrels.tsv").write_text("q 0 d 1\n", encoding="utf-8")
        index, run = str(place / "index"), str(place / "run.trec")
        for arguments in (
            ["index", str(place / "docs.jsonl"), "-o", index],
            ["retrieve", index, "--queries", str(place / "queries.tsv"), "--method", "bm25", "--depth", "1", "-o", run],
            ["search", index, "document"],
            ["evaluate", str(place / "qrels.tsv"), run],
        ):
            sys.argv = ["sleuth", *arguments]
            if code := _exit_code():
                sys.exit(f"sleuth {arguments[0]} exits with {code}")


def _answer(client: socket.socket) -> None:
    """In the child: take over the client's streams, run the command, tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size = int.from_bytes(client.recv(8, socket.MSG_WAITALL), "big")
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    arguments, folder, environment = json.loads(client.recv(size, socket.MSG_WAITALL))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["sleuth", *arguments]
    client.send(bytes([_exit_code()]))
    os._exit(0)


def _exit_code() -> int:
    import traceback

    from sleuth.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1])
