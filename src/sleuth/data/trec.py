"""TREC's plain-text forms of runs and labels.

**Runs**: `query_id Q0 doc_id rank score tag`, any white space between. **Labels**: `query_id 0 doc_id relevance`. A
doc_id may hold white space: it is what stands between the second and the last three fields of a run, or the
last field of labels. White space is ASCII's, so an id may hold other spaces freely. Ids are never decoded.

A repeated document of a query is a bad line that names the first one, so is a score that is no finite number.
With `skip_bad_lines` the first of two lines stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from sleuth.data.lines import BadRecord, Lines, Report, reading
from sleuth.errors import UsageError
from sleuth.types import Qrels, Ranking, Run, tie_order

__all__ = [
    "Ties",
    "decoded",
    "grade_of",
    "labels_of",
    "ranking_of",
    "read_trec_labels",
    "read_trec_run",
    "score_of",
]

Ties = Literal["score", "file"]

_BLOCK_BYTES = 1 << 18
"""Read this much at once: small enough for the tokens to stay in the processor's cache (measured: 256 KiB is twice as
fast as 4 MiB)."""

_INTEGER = re.compile(rb"[+-]?[0-9]{1,10}")
_LARGEST_GRADE = 2**31 - 1
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

Columns = dict[str, tuple[list[str], list[NDArray[np.float32]]]]
"""query_id -> (doc ids, pieces of their scores), in the order of the file."""


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────


def read_trec_run(
    path: str | Path, *, ties: Ties = "score", skip_bad_lines: bool = False, report: Report | None = None
) -> Run:
    """A TREC run (module docstring), gzip or not; what `ties` means is said at `ranking_of`.

    A file without anything unusual is read in blocks (about a million lines a second); anything else is read
    line by line, which names the bad line.

    Raises:
        FormatError: A bad line, unless they are to be skipped.
    """
    run = _in_blocks(path, ties)
    if run is None:
        run = _line_by_line(Lines(path, skip_bad_lines=skip_bad_lines, report=report), ties)
    return run


def ranking_of(doc_ids: list[str], scores: NDArray[Any] | list[float], *, ties: Ties = "score") -> Ranking:
    """A list from a run file, in the order trec_eval reads it.

    Args:
        doc_ids: In the order of the file.
        scores: Theirs; they are cast to float32 and sorted descending.
        ties: "score": equal scores are ordered by doc_id in descending byte order, as trec_eval does. "file":
            they keep the order of the file. A rising score moves its line up in both cases.

    Raises:
        UsageError: Another word for `ties`, or a document that is there twice.
    """
    if ties not in ("score", "file"):
        raise UsageError(f"ties must be 'score' or 'file', got {ties!r}")
    values = np.asarray(scores).astype(np.float32)
    if len(values) < 2 or bool(np.all(values[1:] < values[:-1])):
        return Ranking(doc_ids, values)
    order = tie_order(doc_ids, values) if ties == "score" else np.argsort(-values, kind="stable")
    return Ranking([doc_ids[at] for at in order.tolist()], values[order])


def _in_blocks(path: str | Path, ties: Ties) -> Run | None:
    """The whole run, or None if anything about it is unusual."""
    columns: Columns = {}
    tag = b""
    with reading(path) as handle:
        rest = handle.read(3).removeprefix(b"\xef\xbb\xbf")
        while True:
            read = handle.read(_BLOCK_BYTES) or (rest and b"\n")
            if not read:
                break
            end = read.rfind(b"\n") + 1
            if not end:
                return None
            block, rest = rest + read[:end], read[end:]
            tag = tag or (block[: block.index(b"\n")].split() or [b""])[-1]
            if not _take(block, columns):
                return None
    try:
        rankings = {
            query_id: ranking_of(ids, np.concatenate(parts), ties=ties) for query_id, (ids, parts) in columns.items()
        }
    except UsageError:  # a document is there twice; line by line it is named
        return None
    return Run(rankings, name=_tag(tag))


def _take(block: bytes, columns: Columns) -> bool:
    """Add whole lines to the columns; False, having added nothing, if one is unusual.

    A NUL stands for the end of each line, so that all lines having six fields is one comparison.
    """
    n_lines = block.count(b"\n")
    tokens = block.replace(b"\n", b" \0 ").split()
    if len(tokens) != 7 * n_lines or tokens[6::7].count(b"\0") != n_lines:
        return False
    try:
        scores = _numbers(tokens[4::7])
        doc_ids = b"\n".join(tokens[2::7]).decode("utf-8").split("\n")
        groups = [(key.decode("utf-8"), len(list(same))) for key, same in groupby(tokens[0::7])]
    except ValueError:
        return False
    at = 0
    for query_id, count in groups:
        known_ids, known_scores = columns.setdefault(query_id, ([], []))
        known_ids += doc_ids[at : at + count]
        known_scores.append(scores[at : at + count])
        at += count
    return True


def _numbers(fields: list[bytes]) -> NDArray[np.float32]:
    """Scores, by the JSON parser where it can read them all: it is four times as fast as `float`.

    Raises:
        ValueError: One is no finite number.
    """
    joined = b",".join(fields)
    if joined.translate(None, b"0123456789+-.eE,"):
        raise ValueError("not numbers alone")
    try:
        values = orjson.loads(b"[%b]" % joined)
    except orjson.JSONDecodeError:  # +1, .5 and 1. are numbers, but not in JSON
        values = list(map(float, fields))
    with np.errstate(over="ignore"):
        scores = np.array(values, dtype=np.float64).astype(np.float32)
    if len(scores) != len(fields) or not np.isfinite(scores).all():
        raise ValueError("not finite, or a comma in a number")
    return scores


def _is_finite(score: float) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.float32(score)))


def _line_by_line(lines: Lines, ties: Ties) -> Run:
    columns: dict[str, tuple[list[str], list[float]]] = {}
    first_line: dict[str, dict[str, int]] = {}
    tag = b""
    for number, line in lines:
        try:
            query_id, doc_id, score, last = _run_line(line)
            known = first_line.setdefault(query_id, {})
            if doc_id in known:
                raise BadRecord(
                    f"document {doc_id!r} of query {query_id!r} is there twice (first on line {known[doc_id]:,})."
                )
        except BadRecord as error:
            lines.bad(number, error)
            continue
        known[doc_id] = number
        tag = tag or last
        doc_ids, scores = columns.setdefault(query_id, ([], []))
        doc_ids.append(doc_id)
        scores.append(score)
    return Run({query_id: ranking_of(*column, ties=ties) for query_id, column in columns.items()}, name=_tag(tag))


def _run_line(line: bytes) -> tuple[str, str, float, bytes]:
    """(query_id, doc_id, score, tag) of one line.

    Raises:
        BadRecord: Not six fields, or one of them is no good.
    """
    left = line.split(None, 2)
    right = left[2].rsplit(None, 3) if len(left) == 3 else []
    if len(right) < 4:
        raise BadRecord(_missing_column(line.split()))
    return decoded(left[0]), decoded(right[0].rstrip()), score_of(decoded(right[2])), right[3]


def _missing_column(fields: list[bytes]) -> str:
    """What is wrong with a line of too few fields, naming the one that is most likely missing."""
    columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
    reason = f"{columns}, expected 6 (query_id Q0 doc_id rank score tag)."
    if len(fields) != 5:
        return reason
    if not _INTEGER.fullmatch(fields[3]):
        return f"{reason} The rank is missing."
    is_score = _NUMBER.fullmatch(fields[4].decode("utf-8", "replace"))
    return f"{reason} The {'tag' if is_score else 'score'} is missing."


def score_of(text: str) -> float:
    """A score as a finite number within float32.

    Raises:
        BadRecord: It is none.
    """
    if not _NUMBER.fullmatch(text):
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise BadRecord(f"the score is {text}; there is no order with it, expected a finite number.")
        raise BadRecord(f"the score {text[:40]!r} is not a number.")
    value = float(text)
    if not _is_finite(value):
        raise BadRecord(f"the score {text[:40]} is beyond what a 32-bit float holds (3.4e38).")
    return value


def decoded(field: bytes) -> str:
    """A field as text.

    Raises:
        BadRecord: Not UTF-8.
    """
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(f"{field[:40]!r} is not UTF-8.") from error


def _tag(tag: bytes) -> str:
    return tag.strip().decode("utf-8", "replace") or "sleuth"


# ── labels ────────────────────────────────────────────────────────────────────────────────────────


def read_trec_labels(
    path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None, name: str = ""
) -> Qrels:
    """TREC labels (module docstring), gzip or not.

    Raises:
        FormatError: A bad line, unless they are to be skipped.
    """
    return labels_of(Lines(path, skip_bad_lines=skip_bad_lines, report=report), _label_line, name)


def labels_of(lines: Lines, parse: Callable[[bytes], tuple[str, str, int]], name: str) -> Qrels:
    """Labels from lines, unreadable ones and repeated documents handed back as bad.

    Args:
        lines: Of one file.
        parse: A line -> (query_id, doc_id, relevance), or BadRecord.
        name: Of the label set.
    """
    labels: dict[str, dict[str, int]] = {}
    first_line: dict[tuple[str, str], int] = {}
    for number, line in lines:
        try:
            query_id, doc_id, grade = parse(line)
            first = first_line.setdefault((query_id, doc_id), number)
            if first != number:
                raise BadRecord(
                    f"document {doc_id!r} of query {query_id!r} is labelled twice (first on line {first:,})."
                )
        except BadRecord as error:
            lines.bad(number, error)
            continue
        labels.setdefault(query_id, {})[doc_id] = grade
    return Qrels(labels, name=name)


def _label_line(line: bytes) -> tuple[str, str, int]:
    left = line.split(None, 2)
    right = left[2].rsplit(None, 1) if len(left) == 3 else []
    if len(right) < 2:
        count = len(line.split())
        columns = "1 column" if count == 1 else f"{count} columns"
        raise BadRecord(
            f"{columns}, expected 4 (query_id 0 doc_id relevance), or a first line "
            "'query-id<TAB>corpus-id<TAB>score' and 3."
        )
    return decoded(left[0]), decoded(right[0].rstrip()), grade_of(right[1])


def grade_of(field: bytes) -> int:
    """A relevance.

    Raises:
        BadRecord: No whole number, or beyond 32 bits.
    """
    if not _INTEGER.fullmatch(field) or abs(int(field)) > _LARGEST_GRADE:
        raise BadRecord(f"the relevance {decoded(field)[:40]!r} is not a whole number (of 32 bits).")
    return int(field)
