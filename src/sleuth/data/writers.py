"""Writing runs, labels and queries. A file appears under its name whole or not at all; `.gz` is packed.

**Runs.** A list's order is what counts, and trec_eval takes it from the scores, as 32-bit floats. So the scores
written are the list's own, lowered just enough to fall strictly from line to line in float32: any reader finds
our order again. (Infinite scores become the largest float; numbers too small for a normal float32 become 0.)

**Ids.** White space inside a doc_id is written as it is and warned about once: our reader takes it, others may not.
What no reader could get back is refused before anything is written: a query_id with white space, an id with a line
break or with white space at an end. `escape_ids` percent-encodes white space, control characters and "%" in all ids;
nothing decodes them, so labels must be escaped the same way.
"""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from sleuth.data.beir import HEADER
from sleuth.errors import FormatError, UsageError
from sleuth.manifest import atomic_file
from sleuth.types import Qrels, Query, Ranking, Run

__all__ = ["falling", "write_qrels", "write_queries", "write_run"]

_ASCII_SPACE = " \t\n\r\v\f"
_ESCAPED = re.compile(r"[\s%\x00-\x1f\x7f]")
_LOG = logging.getLogger("sleuth.data")


def write_run(
    run: Run | Mapping[str, Ranking], path: str | Path, *, tag: str | None = None, escape_ids: bool = False
) -> None:
    """Write a TREC run: `query_id Q0 doc_id rank score tag`, ranks from 1 (module docstring).

    Args:
        run: query_id -> Ranking.
        path: The file; `.gz` packs it.
        tag: The last column; white space in it becomes "-". Default: the run's name.
        escape_ids: Percent-encode what is awkward in ids.

    Raises:
        UsageError: An id that could not be read back.
        FormatError: The file can't be written.
    """
    name = tag if tag is not None else getattr(run, "name", "sleuth")
    last = "-".join(name.split()) or "sleuth"
    spell = _Escaped() if escape_ids else _Plain(path)
    lists = [(spell.query(query_id), spell.docs(ranking.doc_ids), ranking) for query_id, ranking in run.items()]
    with _output(path) as handle:
        for query_id, doc_ids, ranking in lists:
            scores = orjson.dumps(falling(ranking.scores), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
            rows = enumerate(zip(doc_ids, scores if doc_ids else [], strict=True), 1)
            text = "".join([f"{query_id} Q0 {doc_id} {rank} {score} {last}\n" for rank, (doc_id, score) in rows])
            handle.write(text.encode("utf-8"))


def falling(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores as float32 that fall strictly, changed as little as that takes.

    Args:
        scores: (n,) not rising, without NaN; n < 2**30.

    Returns:
        (n,) float32, normal numbers or 0, strictly falling.
    """
    largest = np.finfo(np.float32).max
    values = np.clip(scores, -largest, largest).astype(np.float32)
    keys = _ordinals(values)
    steps = np.arange(len(keys), dtype=np.int64)
    fallen = np.minimum.accumulate(keys + steps) - steps
    lowest = int(_ordinals(np.array([-largest], dtype=np.float32))[0])
    return _floats(np.maximum(fallen, lowest + steps[::-1]))


_TINY = 0x0080_0000
"""Bits of the smallest normal float32; those below it (subnormals) all count as 0."""


def _ordinals(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Floats as consecutive whole numbers in the same order, 0.0 as 0."""
    bits = values.view(np.int32).astype(np.int64)
    size = np.maximum((bits & 0x7FFF_FFFF) - (_TINY - 1), 0)
    ordinals: NDArray[np.int64] = np.where(bits < 0, -size, size)
    return ordinals


def _floats(ordinals: NDArray[np.int64]) -> NDArray[np.float32]:
    size = np.abs(ordinals)
    bits = np.where(size > 0, size + (_TINY - 1), 0).astype(np.int32)
    return cast("NDArray[np.float32]", np.copysign(bits.view(np.float32), np.sign(ordinals)).astype(np.float32))


# ── ids ───────────────────────────────────────────────────────────────────────────────────────────


class _Escaped:
    """Ids with white space, control characters and "%" percent-encoded as UTF-8."""

    def query(self, name: str) -> str:
        return self._one(name, "query_id")

    def docs(self, names: Sequence[str]) -> Sequence[str]:
        return [self._one(name, "doc_id") for name in names]

    def _one(self, name: str, what: str) -> str:
        if not name:
            raise UsageError(f"an empty {what} can't be written")
        return _ESCAPED.sub(lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8")), name)


class _Plain:
    """Ids as they are; refuses what can't be read back and warns once of what others may not read."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._warned = False

    def query(self, name: str) -> str:
        if any(space in name for space in _ASCII_SPACE):
            raise _lost(name, "query_id")
        return self._one(name, "query_id")

    def docs(self, names: Sequence[str]) -> Sequence[str]:
        if " ".join(names).split() == list(names):  # the usual case, at once
            return names
        return [self._one(name, "doc_id") for name in names]

    def _one(self, name: str, what: str) -> str:
        if name.split() == [name]:
            return name
        if not name or "\n" in name or name.strip(_ASCII_SPACE) != name:
            raise _lost(name, what)
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "%s: the %s %r has white space in it, which some readers of TREC files split; "
                "escape_ids=True (--escape-ids) avoids it",
                self._path,
                what,
                name,
            )
        return name


class _BetweenTabs:
    """Ids as they are where tabs stand between."""

    def query(self, name: str) -> str:
        if not name or any(mark in name for mark in "\t\n\r"):
            raise _lost(name, "query_id")
        return name

    def docs(self, names: Sequence[str]) -> Sequence[str]:
        if bad := [name for name in names if not name or any(mark in name for mark in "\t\n\r")]:
            raise _lost(bad[0], "doc_id")
        return names


def _lost(name: str, what: str) -> UsageError:
    return UsageError(
        f"the {what} {name!r} could not be read back from such a file; pass escape_ids=True (--escape-ids)"
    )


# ── labels and queries ────────────────────────────────────────────────────────────────────────────


def write_qrels(qrels: Qrels | Mapping[str, Mapping[str, int]], path: str | Path, *, escape_ids: bool = False) -> None:
    """Write labels: BEIR's form if the name ends in `.tsv` or `.tsv.gz`, else TREC's.

    Raises:
        UsageError: An id that could not be read back (with tabs between, spaces are harmless).
        FormatError: The file can't be written.
    """
    is_beir = Path(path).name.removesuffix(".gz").endswith(".tsv")
    spell = _Escaped() if escape_ids else _BetweenTabs() if is_beir else _Plain(path)
    rows = [
        (name, doc_id, grade)
        for query_id, judged in qrels.items()
        for name in [spell.query(query_id)]
        for doc_id, grade in zip(spell.docs(list(judged)), judged.values(), strict=True)
    ]
    with _output(path) as handle:
        if is_beir:
            handle.write("\t".join(HEADER).encode() + b"\n")
        for query_id, doc_id, grade in rows:
            line = f"{query_id}\t{doc_id}\t{grade}\n" if is_beir else f"{query_id} 0 {doc_id} {grade}\n"
            handle.write(line.encode("utf-8"))


def write_queries(queries: Iterable[Query], path: str | Path) -> None:
    """Write queries as JSON lines, fields that are empty left out; `read_queries` gives equal ones.

    Raises:
        UsageError: Metadata that is no JSON.
        FormatError: The file can't be written.
    """
    with _output(path) as handle:
        for query in queries:
            try:
                handle.write(orjson.dumps(_record(query), option=orjson.OPT_APPEND_NEWLINE))
            except TypeError as error:
                raise UsageError(f"query {query.query_id!r} can't be written as JSON: {error}") from error


def _record(query: Query) -> dict[str, Any]:
    record: dict[str, Any] = {"_id": query.query_id, "text": query.text}
    optional = {
        "rewrites": list(query.rewrites),
        "instruction": query.instruction,
        "task": query.task,
        "excluded_ids": sorted(query.excluded_ids),
        "metadata": dict(query.metadata),
    }
    return record | {key: value for key, value in optional.items() if value or value == ""}


@contextmanager
def _output(path: str | Path) -> Iterator[BinaryIO]:
    """The file to write, packed if its name says so; the same content gives the same bytes."""
    path = Path(path)
    try:
        with atomic_file(path) as plain:
            if path.suffix != ".gz":
                yield plain
                return
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0, compresslevel=6) as packed:
                yield cast("BinaryIO", packed)
    except OSError as error:
        raise FormatError(path, f"can't be written: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{path}: {error.object[error.start : error.end]!r} can't be written as UTF-8") from error
