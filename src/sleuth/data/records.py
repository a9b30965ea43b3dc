"""One record a line: JSON lines and TSV, as documents and queries.

**Documents** (JSON): an id (`_id`, `id` or `doc_id`), a text (`text`, BRIGHT's `content` or Anserini's
`contents`), optionally `title` and `metadata` (an object). **Queries**: an id (`_id`, `id`, `query_id` or
`qid`), a text (`text` or BRIGHT's `query`), optionally `rewrites`, `instruction`, `task`, `excluded_ids`,
`metadata`. Fields not named here go into `metadata`, so that nothing a file says is lost. `null` is the same as
leaving an optional field out. **TSV**: `id<TAB>text`, for documents also `id<TAB>title<TAB>text`; a first line that
names the columns may order them otherwise; there is no quoting; all lines have as many columns as the first.

Ids are strings and opaque: spaces and percent signs stay as they are. A whole number is taken for its
decimal string; an empty id, another type, or a line break or NUL in it is a bad line. Text may be empty and is kept
character by character. The literal "N/A" in `excluded_ids` means none, as BRIGHT writes it. Metadata nested
deeper than 32 levels is a bad line, because it could not be written back. A repeated id is a bad line that names the
first one; with `skip_bad_lines` the first one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sleuth.data.lines import SKIP_ARGUMENT, BadRecord, Lines, Report, json_object, opening
from sleuth.errors import FormatError
from sleuth.types import Doc, Query

__all__ = ["NONE_MARK", "distinct", "doc_of", "id_of", "iter_docs", "iter_queries", "query_of", "string_list"]

NONE_MARK = "N/A"
"""BRIGHT's way of writing "there is none" inside a list."""

DOC_IDS, DOC_TEXTS = ("_id", "id", "doc_id"), ("text", "content", "contents")
QUERY_IDS, QUERY_TEXTS = ("_id", "id", "query_id", "qid"), ("text", "query")
_DOC_COLUMNS = {"docid": "_id", "pid": "_id", "corpus-id": "_id", "passage": "text", "title": "title"}
_QUERY_COLUMNS = {"query-id": "_id"}
_DEEPEST = 32
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_T = TypeVar("_T")


def iter_docs(path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None) -> Iterator[Doc]:
    """The documents of a JSONL or TSV file, one at a time (module docstring).

    Raises:
        FormatError: A bad line, unless they are to be skipped, or a file that is neither.
    """
    lines = Lines(path, skip_bad_lines=skip_bad_lines, report=report)
    yield from distinct(lines, lambda these: _records(these, doc_of, _doc_of_row), lambda doc: doc.doc_id)


def iter_queries(path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None) -> Iterator[Query]:
    """The queries of a JSONL or TSV file, one at a time (module docstring).

    Raises:
        FormatError: A bad line, unless they are to be skipped, or a file that is neither.
    """
    lines = Lines(path, skip_bad_lines=skip_bad_lines, report=report, hint=SKIP_ARGUMENT)
    yield from distinct(lines, lambda these: _records(these, query_of, _query_of_row), lambda query: query.query_id)


def distinct(
    lines: Lines, parse: Callable[[Lines], Iterator[tuple[int, _T]]], key: Callable[[_T], str]
) -> Iterator[_T]:
    """The records that `parse` finds in these lines, repeated ids handed back as bad lines.

    Only ids are remembered; the first line of a repeated id is found by reading the file once more.
    """
    seen: set[str] = set()
    for number, record in parse(lines):
        name = key(record)
        if name in seen:
            first = "" if lines.skip_bad_lines else f" (first on line {_first_line(lines, parse, key, name):,})"
            lines.bad(number, f"the id {name!r} is there twice{first}.")
            continue
        seen.add(name)
        yield record


def _first_line(
    lines: Lines, parse: Callable[[Lines], Iterator[tuple[int, _T]]], key: Callable[[_T], str], name: str
) -> int:
    for number, record in parse(Lines(lines.path)):
        if key(record) == name:
            return number
    raise FormatError(lines.path, f"changed while it was read: {name!r} is gone")


# ── one record ────────────────────────────────────────────────────────────────────────────────────


def doc_of(record: Mapping[str, Any]) -> Doc:
    """A document from a JSON object.

    Raises:
        BadRecord: A field is missing or of the wrong type.
    """
    id_key, text_key = _key(record, DOC_IDS, "an id"), _key(record, DOC_TEXTS, "a text")
    title = _text(record, "title") if record.get("title") is not None else ""
    metadata = _metadata(record, {id_key, text_key, "title", "metadata"})
    return Doc(id_of(record[id_key], id_key), _text(record, text_key), title, metadata)


def query_of(record: Mapping[str, Any]) -> Query:
    """A query from a JSON object.

    Raises:
        BadRecord: A field is missing or of the wrong type.
    """
    id_key, text_key = _key(record, QUERY_IDS, "an id"), _key(record, QUERY_TEXTS, "a text")
    known = {id_key, text_key, "rewrites", "instruction", "task", "excluded_ids", "metadata"}
    rewrites = record.get("rewrites")
    if isinstance(rewrites, str):
        rewrites = [rewrites]
    if rewrites is not None and not (isinstance(rewrites, list) and all(isinstance(r, str) for r in rewrites)):
        raise BadRecord('"rewrites" must be a list of strings.')
    excluded = string_list(record, "excluded_ids") if record.get("excluded_ids") is not None else []
    return Query(
        id_of(record[id_key], id_key),
        _text(record, text_key),
        rewrites=tuple(rewrites or ()),
        task=_text(record, "task") if record.get("task") is not None else None,
        instruction=_text(record, "instruction") if record.get("instruction") is not None else None,
        excluded_ids=frozenset(excluded),
        metadata=_metadata(record, known),
    )


def id_of(value: Any, name: str) -> str:
    """An id from a JSON value: a string, or a whole number as its decimal string.

    Raises:
        BadRecord: Another type, empty, or a line break or NUL inside.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadRecord(f'"{name}" is {_shown(value)}; expected a string.')
    if not value:
        raise BadRecord(f'"{name}" is empty; every record needs an id.')
    if "\n" in value or "\r" in value or "\0" in value:
        raise BadRecord(f'"{name}" {value!r} has a line break or NUL in it, which no run file can hold.')
    return value


def string_list(record: Mapping[str, Any], key: str) -> list[str]:
    """A list of ids, each once, in order, without BRIGHT's "N/A".

    Raises:
        BadRecord: No list, or something in it that is no id.
    """
    value = record.get(key)
    if not isinstance(value, list):
        raise BadRecord(f'"{key}" is {_shown(value)}; expected a list of strings.')
    return list(dict.fromkeys(id_of(item, f"{key}[]") for item in value if item != NONE_MARK))


def _key(record: Mapping[str, Any], names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in record:
            return name
    there = ", ".join(list(record)[:8]) or "no fields"
    wanted = " or ".join(f'"{name}"' for name in names)
    raise BadRecord(f"{what} is missing: found {there}; expected {wanted}.")


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise BadRecord(f'"{key}" is {_shown(value)}; expected a string.')
    return value


def _metadata(record: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """The record's `metadata`, and every field that is not known; `metadata` wins."""
    given = record.get("metadata")
    if given is not None and not isinstance(given, dict):
        raise BadRecord(f'"metadata" is {_shown(given)}; expected an object.')
    found = {key: value for key, value in record.items() if key not in known} | (given or {})
    if any(isinstance(value, dict | list) for value in found.values()) and _too_deep(found):
        raise BadRecord(f"fields nested deeper than {_DEEPEST} levels.")
    return found


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            item
            for box in level
            for item in (box.values() if isinstance(box, dict) else box)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _shown(value: Any) -> str:
    """A JSON value for a message, short."""
    text = repr(value)
    return f"{text[:40]}… ({type(value).__name__})" if len(text) > 40 else f"{text} ({type(value).__name__})"


# ── many records ──────────────────────────────────────────────────────────────────────────────────


def _records(
    lines: Lines, of_object: Callable[[Mapping[str, Any]], _T], of_row: Callable[[list[str], list[str] | None], _T]
) -> Iterator[tuple[int, _T]]:
    """(line number, record) of a JSONL or TSV file, bad lines handed back to `lines`."""
    of_line = (lambda line: of_object(json_object(line))) if _is_json(lines.path) else _Rows(of_row)
    for number, line in lines:
        try:
            record = of_line(line)
        except BadRecord as error:
            lines.bad(number, error)
            continue
        if record is not None:
            yield number, record


def _is_json(path: Path) -> bool:
    """Whether this is JSON lines rather than TSV: by its name, else by its first line.

    Raises:
        FormatError: Neither.
    """
    head = opening(path)
    if head.startswith(b"["):
        raise FormatError(path, "is a JSON array; expected one object a line. Convert it: jq -c '.[]'", line=1)
    if head.startswith((b"PAR1", b"%PDF", b"PK\x03\x04")) or b"\0" in head:
        raise FormatError(path, "is a binary file; expected JSON lines or TSV")
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in _JSON_SUFFIXES or head.startswith(b"{"):
        return True
    if suffix == ".tsv" or b"\t" in head or not head:
        return False
    raise FormatError(path, "is neither JSON lines (one object a line) nor TSV (id<TAB>text)", line=1)


class _Rows:
    """Turns TSV lines into records; the first line may be a header (then the answer is None)."""

    def __init__(self, of_row: Callable[[list[str], list[str] | None], Any]) -> None:
        self._of_row = of_row
        self._columns: list[str] | None = None
        self._width = 0

    def __call__(self, line: bytes) -> Any:
        try:
            row = line.decode("utf-8").split("\t")
        except UnicodeDecodeError as error:
            raise BadRecord(f"not UTF-8 at byte {error.start}.") from error
        if not self._width:
            self._columns = _header(row)
        elif len(row) != self._width:
            raise BadRecord(f"{len(row)} columns, expected {self._width} as in the first line.")
        is_header = self._columns is not None and not self._width
        record = None if is_header else self._of_row(row, self._columns)
        self._width = len(row)
        return record


def _header(row: list[str]) -> list[str] | None:
    """The columns' canonical names if this row names them, else None."""
    names = [cell.strip().lower() for cell in row]
    known = {**_DOC_COLUMNS, **_QUERY_COLUMNS}
    canonical = [
        "_id" if name in QUERY_IDS + DOC_IDS else "text" if name in QUERY_TEXTS + DOC_TEXTS else known.get(name, name)
        for name in names
    ]
    return canonical if canonical.count("_id") == 1 and canonical.count("text") == 1 else None


def _doc_of_row(row: list[str], columns: list[str] | None) -> Doc:
    if columns is None:
        if len(row) not in (2, 3):
            raise BadRecord(f"{len(row)} columns, expected 2 (id, text) or 3 (id, title, text), or a header line.")
        columns = ["_id", "text"] if len(row) == 2 else ["_id", "title", "text"]
    return doc_of(dict(zip(columns, row, strict=True)))


def _query_of_row(row: list[str], columns: list[str] | None) -> Query:
    if columns is None:
        if len(row) != 2:
            raise BadRecord(f"{len(row)} columns, expected 2 (id, text), or a header line.")
        columns = ["_id", "text"]
    return query_of(dict(zip(columns, row, strict=True)))
