"""A build or an update in a process of its own, to be killed: `index_job.py build|sync FOLDER`.

Prints "begin" when the work begins. The encoder is slow on purpose, so that kills hit all stages.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sleuth.index.build import build_index
from sleuth.stages import Embeddings
from sleuth.types import Doc

DOCUMENTS = 1000
PART = 150


class SlowEncoder:
    """Vectors that depend on the text alone; a millisecond for each ten texts."""

    name, identity, dim, max_tokens = "slow", "slow/1", 8, 32

    def encode_docs(self, docs: Sequence[str], *, context: Any = None) -> Embeddings:
        time.sleep(len(docs) / 10_000)
        codes = np.array([[len(text), *text.encode()[-7:]] for text in docs], dtype=np.float32)
        n_tokens = np.array([len(text.split()) for text in docs], dtype=np.int32)
        return Embeddings(codes, n_tokens, n_tokens > self.max_tokens)

    encode_queries = encode_docs


def first_corpus() -> list[Doc]:
    """What `build` indexes."""
    return [
        Doc(f"file {n // 8}.md#{n % 8}", f"word{n % 97} and word{n % 89} in document number{n:05}", "", {"at": n})
        for n in range(DOCUMENTS)
    ]


def second_corpus() -> list[Doc]:
    """What `sync` brings the index up to: texts changed, records changed, documents gone and come."""
    docs = [replace(doc, text=doc.text + " anew") if n % 3 == 0 else doc for n, doc in enumerate(first_corpus())]
    docs = [replace(doc, metadata={"at": -1}) if n % 7 == 0 else doc for n, doc in enumerate(docs)]
    return docs[200:] + [Doc(f"new {n}", f"word{n} fresh number{n:06}") for n in range(300)]


def run(job: str, folder: Path) -> None:
    """Do the job."""
    docs = first_corpus() if job == "build" else second_corpus()
    build_index(docs, folder, encoder=SlowEncoder(), part_documents=PART)


if __name__ == "__main__":
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    run(sys.argv[1], Path(sys.argv[2]))
