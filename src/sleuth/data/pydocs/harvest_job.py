"""Run the harvest in a process of its own and fold equal docstrings into documents."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from sleuth.errors import SleuthError
from sleuth.types import Doc

__all__ = ["Pydocs", "read_pydocs"]

PATIENCE_S = 120
"""The harvest takes about a second; a machine that needs two minutes has another problem (ours)."""


class Pydocs(Sequence[Doc]):
    """The documents, in the order of their ids, and every name they go by.

    Attributes:
        name: "pydocs", whatever the Python: an index of it may be brought up to date by another one.
        python: The version, which decides what the docstrings say.
        doc_id_of: Any name of the standard library that has a docstring -> its document's id.
    """

    def __init__(self, docs: Sequence[Doc], doc_id_of: dict[str, str]) -> None:
        self._docs = tuple(docs)
        self.doc_id_of = doc_id_of
        self.name = "pydocs"
        self.python = platform.python_version()

    def __len__(self) -> int:
        return len(self._docs)

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        return self._docs[at]

    def __iter__(self) -> Iterator[Doc]:
        return iter(self._docs)


def read_pydocs() -> Pydocs:
    """Harvest the running Python's standard library (about a second).

    A document's `doc_id` is its shortest name; `title` the name with its signature, `text` the
    docstring, `metadata` has `source` (the module), `kind` and `aliases` (its other names, sorted).

    Raises:
        SleuthError: The harvest failed; carries what it wrote to standard error.
    """
    program = Path(__file__).with_name("harvest.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", str(program)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise SleuthError(
            f"reading the standard library's docstrings failed: {error}\n{said.decode(errors='replace')}"
        ) from error
    return _fold([orjson.loads(line) for line in done.stdout.splitlines()])


def _fold(records: list[dict[str, str]]) -> Pydocs:
    """One document for each distinct docstring."""
    same: dict[str, dict[str, dict[str, str]]] = {}
    for record in records:
        same.setdefault(record["doc"], {}).setdefault(record["name"], record)
    docs, doc_id_of = [], {}
    for text, by_name in same.items():
        names = sorted(by_name, key=lambda name: (len(name), name))
        first = by_name[names[0]]
        doc_id_of.update(dict.fromkeys(names, names[0]))
        metadata = {"source": first["module"], "kind": first["kind"], "aliases": sorted(names[1:])}
        docs.append(Doc(names[0], text, names[0] + first["signature"], metadata))
    docs.sort(key=lambda doc: doc.doc_id)
    return Pydocs(docs, doc_id_of)
