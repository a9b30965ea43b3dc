"""The layout of BEIR: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv` in one folder, each also as `.gz`.

A labels file begins with `query-id<TAB>corpus-id<TAB>score`. Columns are set apart by tabs alone, so ids may
hold spaces; there is no quoting.
"""

from __future__ import annotations

from pathlib import Path

from sleuth.data.lines import BadRecord, Lines, Report
from sleuth.data.records import id_of
from sleuth.data.trec import decoded, grade_of, labels_of
from sleuth.errors import UsageError
from sleuth.types import Qrels

__all__ = ["HEADER", "corpus_file", "is_header", "labels_file", "named_file", "queries_file", "read_beir_labels"]

HEADER = ("query-id", "corpus-id", "score")


def named_file(folder: Path, stem: str, *, suffixes: tuple[str, ...] = (".jsonl", ".jsonl.gz")) -> Path | None:
    """The file of this name in a folder, plain before packed; None if there is none."""
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)


def corpus_file(folder: Path) -> Path | None:
    """`corpus.jsonl[.gz]` of a folder, if it is there."""
    return named_file(folder, "corpus")


def queries_file(folder: Path) -> Path | None:
    """`queries.jsonl[.gz]` of a folder, if it is there."""
    return named_file(folder, "queries")


def labels_file(folder: Path, split: str | None = None) -> Path:
    """The labels of a folder: `qrels/<split>.tsv[.gz]`, the folder itself being `qrels` included.

    Args:
        folder: A BEIR folder or its `qrels`.
        split: Which; may be left out where there is only one.

    Raises:
        UsageError: No labels, no such split, or several and none named.
    """
    home = folder / "qrels" if (folder / "qrels").is_dir() else folder
    found: dict[str, Path] = {}
    for path in sorted(home.iterdir()):
        if path.is_file() and (name := path.name.removesuffix(".gz")).endswith(".tsv"):
            found.setdefault(name.removesuffix(".tsv"), path)
    if not found:
        raise UsageError(f"{folder} has no labels; expected {home / '<split>.tsv'}")
    splits = ", ".join(found)
    if split is None and len(found) > 1:
        raise UsageError(f"{home} has several sets of labels ({splits}); name one: split={next(iter(found))!r}")
    if split is not None and split not in found:
        raise UsageError(f"{home} has no labels for {split!r}; it has {splits}")
    return found[split] if split is not None else next(iter(found.values()))


def is_header(line: bytes) -> bool:
    """Whether this is the first line of BEIR labels."""
    return line.count(b"\t") == 2 and line.split(b"\t", 1)[0].strip() in (b"query-id", b"query_id", b"qid")


def read_beir_labels(
    path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None, name: str = ""
) -> Qrels:
    """Labels of BEIR's form (module docstring), gzip or not.

    Raises:
        FormatError: A bad line, unless they are to be skipped.
    """
    lines = _Body(path, skip_bad_lines=skip_bad_lines, report=report)
    return labels_of(lines, _row, name)


class _Body(Lines):
    """Lines after the header."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        rows = super().__iter__()
        next(rows, None)
        return rows


def _row(line: bytes) -> tuple[str, str, int]:
    fields = decoded(line).split("\t")
    if len(fields) != 3:
        columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
        raise BadRecord(f"{columns}, expected 3 ({', '.join(HEADER)}) with tabs between.")
    return id_of(fields[0], HEADER[0]), id_of(fields[1], HEADER[1]), grade_of(fields[2].strip().encode())
