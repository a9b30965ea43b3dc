"""The documents of one segment, as lines of JSON.

    docs.jsonl     one document a line: `_id`, `text`, and `title` and `metadata` where there are any
    docs.offsets   int64   (n + 1,) where each line begins

The lines are kept plain, not compressed: a document is read with one slice of the mapped file, merging
copies bytes, and the file is itself a corpus in the usual form, so documents survive whatever happens to
the rest of the index.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sleuth.errors import IndexCorrupt, UsageError
from sleuth.types import Doc

__all__ = ["HASH_BYTES", "Records", "checked_filters", "digest", "matches", "record_line"]

HASH_BYTES = 16
"""128 bits: no two of 10^9 documents share one by chance (birthday bound about 10^-21)."""

Filters = Mapping[str, Sequence[Any]]
"""Field -> accepted values."""


def digest(content: bytes) -> bytes:
    """The hash that tells whether a text or a record has changed."""
    return blake2b(content, digest_size=HASH_BYTES).digest()


def record_line(doc: Doc) -> bytes:
    """A document as it is stored: one line of JSON. What JSON lacks becomes what is nearest: NaN null, a tuple a list.

    Raises:
        UsageError: It is no Doc, or its metadata or text can't be written as JSON; names the document.
    """
    if not isinstance(doc, Doc):
        raise UsageError(f"an index is made of sleuth.Doc, got {type(doc).__name__}: {doc!r:.80}")
    record: dict[str, Any] = {"_id": doc.doc_id, "text": doc.text}
    if doc.title:
        record["title"] = doc.title
    if doc.metadata:
        record["metadata"] = dict(doc.metadata)
    if not isinstance(doc.text, str) or not isinstance(doc.title, str):
        raise UsageError(f"document {doc.doc_id!r}: text and title must be strings")
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise UsageError(f"document {doc.doc_id!r} can't be stored as JSON: {error}") from error


def checked_filters(fields: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Filters with every value as a tuple of accepted ones.

    Raises:
        UsageError: No field is given.
    """
    if not fields:
        raise UsageError('name at least one metadata field, for example where(source="guide.md")')
    many = (list, tuple, set, frozenset)
    return {field: tuple(value) if isinstance(value, many) else (value,) for field, value in fields.items()}


def matches(metadata: Mapping[str, Any], filters: Filters) -> bool:
    """Whether every field equals one of its accepted values.

    An accepted value that is text also stands for the number, truth value or null that is written so
    ("3" for 3, "true" for True), because that is how values come from a command line.
    """
    return all(
        field in metadata and any(_equal(metadata[field], value) for value in values)
        for field, values in filters.items()
    )


def _equal(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, bool) != isinstance(wanted, bool) and not isinstance(wanted, str):
        return False  # Python holds True == 1; JSON does not
    if stored == wanted:
        return True
    plain = stored is None or isinstance(stored, bool | int | float)
    return isinstance(wanted, str) and plain and orjson.dumps(stored).decode() == wanted


class Records:
    """The stored documents of one segment.

    Args:
        lines: The content of `docs.jsonl`.
        offsets: `docs.offsets`.
        where: The file's name, for messages.
    """

    def __init__(self, lines: mmap.mmap | bytes, offsets: NDArray[Any], where: str) -> None:
        if offsets.dtype != np.int64 or offsets.ndim != 1 or not len(offsets) or int(offsets[-1]) != len(lines):
            raise IndexCorrupt(f"{where}: its offsets do not fit it")
        self.lines, self.offsets, self._where = lines, offsets, where

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def line(self, row: int) -> bytes:
        """One document as stored."""
        return bytes(self.lines[int(self.offsets[row]) : int(self.offsets[row + 1])])

    def doc(self, row: int) -> Doc:
        """One document.

        Raises:
            IndexCorrupt: The line is damaged.
        """
        record = self._record(row)
        return Doc(record["_id"], record["text"], record.get("title", ""), record.get("metadata", {}))

    def metadata(self, row: int) -> dict[str, Any]:
        """One document's metadata."""
        found: dict[str, Any] = self._record(row).get("metadata", {})
        return found

    def rows_where(self, filters: Filters) -> NDArray[np.int64]:
        """Rows whose metadata pass, ascending.

        The bytes of one field are searched for first; only lines that hold them are parsed.
        """
        rows: set[int] = set()
        field, values = next(iter(filters.items()))
        for value in values:
            rows.update(self._rows_with(_needle(field, value)))
        passed = [row for row in sorted(rows) if matches(self.metadata(row), filters)]
        return np.array(passed, dtype=np.int64)

    def _rows_with(self, needle: bytes) -> list[int]:
        """Rows whose line holds these bytes."""
        rows: list[int] = []
        at = self.lines.find(needle, 0)
        while at >= 0:
            row = int(np.searchsorted(self.offsets, at, side="right")) - 1
            rows.append(row)
            at = self.lines.find(needle, int(self.offsets[row + 1]))
        return rows

    def _record(self, row: int) -> dict[str, Any]:
        try:
            record: dict[str, Any] = orjson.loads(self.line(row))
            if isinstance(record, dict) and "_id" in record and "text" in record:
                return record
        except orjson.JSONDecodeError:
            pass
        raise IndexCorrupt(
            f"{self._where}, line {row + 1:,} is damaged; sleuth inspect INDEX --check tells what else is"
        )


def _needle(field: str, value: Any) -> bytes:
    """Bytes that every line with this field and value holds; quotes in texts are escaped, so they don't."""
    name = orjson.dumps(field) + b":"
    if isinstance(value, str) and not _reads_as_plain(value):
        return name + orjson.dumps(value)
    return name


def _reads_as_plain(value: str) -> bool:
    """Whether this text may stand for a number, a truth value or null."""
    try:
        return not isinstance(orjson.loads(value), str | list | dict)
    except orjson.JSONDecodeError:
        return False
