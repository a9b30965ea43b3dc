"""Many readers and one writer on one index: does every reader see one consistent state, and how fast does it open?

    python -m benchmarks.readers_writer --readers 8 --seconds 60

The writer changes the index as fast as it can: it brings it to the next version (every document of a version says
its number in its text, its metadata and its vector), deletes, adds and compacts. Every reader opens the index anew
again and again and looks at everything it sees: all documents must be of one version, as many as that version has,
and BM25, vectors, the store and `where` must agree. A reader that meets an error, or two versions, fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import header
from sleuth.index.build import build_index
from sleuth.index.handle import Index, open_index
from sleuth.stages import Embeddings
from sleuth.types import Doc


class VersionEncoder:
    """The vector of a text is the number in it, twice over."""

    name, identity, dim, max_tokens = "version", "version/1", 2, 16

    def encode_docs(self, docs: Sequence[str], *, context: Any = None) -> Embeddings:
        numbers = np.array([[float(text.rpartition("version")[2])] * 2 for text in docs], dtype=np.float32)
        return Embeddings(numbers, np.ones(len(docs), np.int32), np.zeros(len(docs), np.bool_))

    encode_queries = encode_docs


def corpus(version: int) -> list[Doc]:
    """The documents of one version: between 60 and 99 of them, some ids in every version, some in few."""
    size = 60 + 7 * version % 40
    return [Doc(f"doc {n}", f"some text of version{version}", "", {"version": version, "n": n}) for n in range(size)]


def write(path: Path, seconds: float) -> dict[str, int]:
    """Change the index until the time is up."""
    end, version, done = time.monotonic() + seconds, 0, {"updates": 0, "compactions": 0}
    while time.monotonic() < end:
        version += 1
        build_index(corpus(version), path, encoder=VersionEncoder(), replace=True, part_documents=25)
        done["updates"] += 1
        if version % 5 == 0:
            open_index(path).compact()
            done["compactions"] += 1
    return done


def read(path: Path, seconds: float) -> dict[str, Any]:
    """Open the index and look at all of it, again and again."""
    end, opened, states = time.monotonic() + seconds, [], set()
    while time.monotonic() < end:
        start = time.perf_counter()
        index = open_index(path)
        opened.append(time.perf_counter() - start)
        states.add(look(index))
    opened.sort()
    return {
        "opened": len(opened),
        "versions": len(states),
        "median_ms": 1000 * opened[len(opened) // 2],
        "p99_ms": 1000 * opened[int(0.99 * len(opened))],
    }


def look(index: Index) -> int:
    """The version of everything that is seen; stops the program when there are two."""
    docs = dict(index.docs)
    versions = {doc.metadata["version"] for doc in docs.values()}
    if len(versions) != 1:
        raise SystemExit(f"a reader saw versions {sorted(versions)} at once")
    version = versions.pop()
    expected = {doc.doc_id for doc in corpus(version)}
    seen = {
        "store": set(docs),
        "bm25": set(index.bm25_search([[f"version{version}"]], depth=1000)[0][0]),
        "dense": set(index.dense_search(np.ones((1, 2)), depth=1000)[0][0]),
        "where": set(index.where(version=version).docs),
    }
    wrong = [name for name, ids in seen.items() if ids != expected]
    if wrong or not np.all(index.vectors_of(list(docs)) == version):
        raise SystemExit(f"version {version}: {', '.join(wrong) or 'vectors'} does not hold what it should")
    return int(version)


def start(role: str, path: Path, seconds: float) -> subprocess.Popen[str]:
    """A reader or the writer in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.readers_writer", "--role", role, "--path", str(path)]
    return subprocess.Popen([*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", choices=("read", "write"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        sys.stdout.write(json.dumps({"read": read, "write": write}[options.role](options.path, options.seconds)) + "\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shared.index"
        build_index(corpus(0), path, encoder=VersionEncoder())
        roles = ["write", *["read"] * options.readers]
        processes = [start(role, path, options.seconds) for role in roles]
        answers = [process.communicate()[0] for process in processes]
        failed = [role for role, process in zip(roles, processes, strict=True) if process.returncode]
        sound = open_index(path).check() == []
    if failed or not sound:
        sys.stderr.write(f"failed: {', '.join(failed)}{'' if sound else ' the index is damaged'}\n")
        return 1
    text = report(options, [json.loads(answer) for answer in answers])
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0


def report(options: argparse.Namespace, answers: list[dict[str, Any]]) -> str:
    """The result as Markdown."""
    writer, readers = answers[0], answers[1:]
    command = f"python -m benchmarks.readers_writer --readers {options.readers} --seconds {options.seconds:g}"
    lines = [*header(command), "", "| process | work | versions seen | opening, median | opening, p99 |"]
    lines += ["|---|---|---|---|---|"]
    lines.append(f"| writer | {writer['updates']:,} updates, {writer['compactions']:,} compactions | | | |")
    for number, reader in enumerate(readers, 1):
        times = f"{reader['median_ms']:.1f} ms | {reader['p99_ms']:.1f} ms"
        lines.append(f"| reader {number} | {reader['opened']:,} openings | {reader['versions']:,} | {times} |")
    lines += ["", "Every reader saw one consistent version each time; no error; all checksums match at the end."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
