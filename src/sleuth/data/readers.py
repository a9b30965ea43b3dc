"""Reading whatever the user has: corpora, queries, labels and runs, told apart by what they hold.

| | accepted |
|---|---|
| corpus | a folder of files, a BEIR or BRIGHT folder, JSON lines, TSV, one text file, `pydocs` |
| queries | JSON lines, TSV, TREC topics, BRIGHT's examples, a BEIR or BRIGHT folder |
| labels | TREC, BEIR, BRIGHT's examples, a BEIR or BRIGHT folder |
| run | TREC, rank_llm's candidates, BRIGHT's `score.json` |

All files may be gzip. The forms themselves are described in `records.py`, `topics.py`, `trec.py`, `beir.py`, `bright.py`, `candidates.py`
and `folder.py`. A bad line is a `FormatError` that names file, line and reason; with `skip_bad_lines` such lines
are left out and handed to `report` one by one (without it, their number is logged).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sleuth.data.beir import corpus_file, is_header, labels_file, queries_file, read_beir_labels
from sleuth.data.bright import bright_file, label_set_of, read_gold
from sleuth.data.candidates import read_json_run
from sleuth.data.corpus import Corpus, Notes, cut_docs
from sleuth.data.files import kind_of
from sleuth.data.folder import is_index, iter_file, iter_folder
from sleuth.data.lines import Report, opening
from sleuth.data.records import iter_docs, iter_queries
from sleuth.data.topics import iter_topics
from sleuth.data.trec import Ties, read_trec_labels, read_trec_run
from sleuth.errors import UsageError
from sleuth.text.chunk import budget_of
from sleuth.types import Doc, Qrels, Query, Run

__all__ = ["read_corpus", "read_qrels", "read_queries", "read_run"]


def read_corpus(
    source: str | Path,
    *,
    skip_bad_lines: bool = False,
    chunk_tokens: int | None = None,
    overlap: int | None = None,
    report: Report | None = None,
) -> Corpus:
    """Documents, streamed anew each time the result is iterated.

    Args:
        source: A folder of files, a BEIR folder (`corpus.jsonl`), a BRIGHT folder (`documents`), JSON lines, TSV, one text
            file, or "pydocs" (a folder of that name is `./pydocs`).
        skip_bad_lines: Leave bad lines of JSONL or TSV out; each is in `problems`.
        chunk_tokens: Longest chunk, in the tokens of `text/chunk.py`. Files are always cut, by default into 180; records are
            cut, into `<doc_id>#<n>`, only if this is given.
        overlap: Tokens that neighbouring chunks share. Default: 0.
        report: Called with each problem as it is met.

    Raises:
        UsageError: No such source, an empty name, an index, or a budget that is out of range or no whole number.
        FormatError: On iterating: a bad line, or a source of no known form.
    """
    _check_options(source, chunk_tokens=chunk_tokens, overlap=overlap)
    if overlap is not None and chunk_tokens is None:
        chunk_tokens = budget_of(None, overlap)[0]
    budget, shared = budget_of(chunk_tokens, overlap)
    is_keyword = source == "pydocs"
    path = Path(source)
    if not is_keyword and not _exists(path):
        raise UsageError(f"there is no corpus at {path}; expected a folder, a .jsonl or .tsv file, or 'pydocs'")
    if not is_keyword and is_index(path):
        raise UsageError(f"{path} is an index of Sleuth, not a corpus; name what it was made from")
    records = None if is_keyword else _corpus_records(path)
    if records is None and not is_keyword:
        name = str(path.resolve())
        if path.is_dir():
            read = partial(_folder, path, chunk_tokens=budget, overlap=shared)
        else:
            read = partial(_file, path, chunk_tokens=budget, overlap=shared)
        return Corpus(name, read, report=report, chunk_tokens=budget, overlap=shared)
    name = "pydocs" if records is None else str(records.resolve())
    whole = partial(_records, records, skip_bad_lines=skip_bad_lines)
    if chunk_tokens is None:
        return Corpus(name, whole, report=report)
    return Corpus(
        name,
        lambda notes: cut_docs(whole(notes), chunk_tokens=budget, overlap=shared),
        report=report,
        chunk_tokens=budget,
        overlap=shared,
    )


def _check_options(source: object, **budgets: object) -> None:
    if not isinstance(source, (str, Path)):
        raise UsageError(f"a corpus is named by a str or a path, got {type(source).__name__} {str(source)[:80]}")
    if isinstance(source, str) and not source.strip():
        raise UsageError("the corpus's name is empty (an unset variable?); for the current folder write '.'")
    for name, value in budgets.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise UsageError(f"{name} must be a whole number, got {type(value).__name__} {str(value)[:80]}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _corpus_records(path: Path) -> Path | None:
    """The file of records that a source is; None for files to be cut."""
    if path.is_dir():
        return corpus_file(path) or bright_file(path, "documents")
    return None if kind_of(path) is not None else path


def _folder(folder: Path, notes: Notes, *, chunk_tokens: int, overlap: int) -> Iterable[Doc]:
    return iter_folder(folder, notes, chunk_tokens=chunk_tokens, overlap=overlap)


def _file(path: Path, notes: Notes, *, chunk_tokens: int, overlap: int) -> Iterable[Doc]:
    return iter_file(path, path.name, notes, chunk_tokens=chunk_tokens, overlap=overlap)


def _records(path: Path | None, notes: Notes, *, skip_bad_lines: bool) -> Iterable[Doc]:
    """Documents of a file, or of the standard library where there is no file."""
    if path is not None:
        return iter_docs(path, skip_bad_lines=skip_bad_lines, report=notes.problem)
    from sleuth.data.pydocs import read_pydocs

    return read_pydocs()


def read_queries(path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None) -> list[Query]:
    """Queries, in the order of the file.

    Args:
        path: JSON lines, TSV, TREC topics, BRIGHT's examples, or a folder that holds `queries.jsonl` (BEIR) or `examples`
            (BRIGHT).
        skip_bad_lines, report: Module docstring.

    Raises:
        UsageError: No such file, or a folder without queries.
        FormatError: A bad line, or a form of none of these.
    """
    path = Path(path)
    if path.is_dir():
        found = queries_file(path) or bright_file(path, "examples")
        if found is None:
            raise UsageError(f"{path} has no queries; expected queries.jsonl (BEIR) or examples (BRIGHT) in it")
        path = found
    is_topics = opening(path)[:8].lower().startswith((b"<top>", b"<topics>", b"<?xml"))
    read = iter_topics if is_topics else iter_queries
    return list(read(path, skip_bad_lines=skip_bad_lines, report=report))


def read_qrels(
    path: str | Path, *, split: str | None = None, skip_bad_lines: bool = False, report: Report | None = None
) -> Qrels:
    """Labels. Their `name` says which they are: BRIGHT's label set where it is recognized, else the file's name.

    Args:
        path: TREC or BEIR labels, BRIGHT's examples, or a folder of BEIR (`qrels/<split>.tsv`) or BRIGHT.
        split: Of a BEIR folder; may be left out where it has only one. For BRIGHT's examples "long" are the labels
            of the long documents.
        skip_bad_lines, report: Module docstring.

    Raises:
        UsageError: No such file, no such split, or several and none named.
        FormatError: A bad line.
    """
    path = Path(path)
    if path.is_dir():
        examples = None if (path / "qrels").is_dir() else bright_file(path, "examples")
        path = examples or labels_file(path, split)
        split = split if examples else None
    head = opening(path)
    if head.startswith(b"{"):
        if split not in (None, "short", "long"):
            raise UsageError(f"BRIGHT's examples have the labels 'short' and 'long', not {split!r}")
        return read_gold(path, long=split == "long", skip_bad_lines=skip_bad_lines, report=report)
    if split is not None:
        raise UsageError(f"{path} is one file of labels; a split ({split!r}) is chosen in a folder")
    read = read_beir_labels if is_header(head) else read_trec_labels
    qrels = read(path, skip_bad_lines=skip_bad_lines, report=report)
    qrels.name = label_set_of(qrels) or path.name.split(".")[0]
    return qrels


def read_run(
    path: str | Path, *, ties: Ties = "score", skip_bad_lines: bool = False, report: Report | None = None
) -> Run:
    """A run, each list in the order that trec_eval reads: float32 scores descending, ties by doc_id descending.

    Args:
        path: A TREC run, rank_llm's candidates (JSON or JSON lines), or BRIGHT's `score.json`.
        ties: "file" keeps the file's order among equal scores. A score that rises along the file moves its line up
            in any case, because a list's scores never contradict its order. The rank column is ignored.
        skip_bad_lines, report: Module docstring; for TREC runs only.

    Raises:
        UsageError: No such file, or another word for `ties`.
        FormatError: A bad line.
    """
    if ties not in ("score", "file"):
        raise UsageError(f"ties must be 'score' or 'file', got {ties!r}")
    if opening(path).startswith((b"{", b"[")):
        return read_json_run(path, ties=ties)
    return read_trec_run(path, ties=ties, skip_bad_lines=skip_bad_lines, report=report)
