"""From a file to its lines: what every reader of a line format shares.

Files are UTF-8, plain or gzip (told apart by their first bytes, not by their names). A byte-order mark at
the start, `\\r` before a line's end and blank lines are not part of the data. Lines are numbered from 1 as an
editor numbers them, blank ones included.

A bad line is a `FormatError` that names file, line and reason; with `skip_bad_lines` it is left out, counted
and reported. A file that is no regular file, no UTF-8 or a broken gzip is an error in any case, because what
comes after the fault can't be trusted.
"""

from __future__ import annotations

import gzip
import logging
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import FormatError, UsageError

__all__ = [
    "LONGEST_LINE_BYTES",
    "SKIP_ARGUMENT",
    "SKIP_FLAG",
    "BadRecord",
    "Lines",
    "Problem",
    "Report",
    "json_object",
    "opening",
    "reading",
]

LONGEST_LINE_BYTES = 64 << 20
"""A longer line is refused unread, so memory stays bounded (ours; BRIGHT's longest record has 0.3 MB)."""

_OPENING_BYTES = 1 << 16
SKIP_FLAG = "Pass --skip-bad-lines (skip_bad_lines=True) to leave such lines out and count them."
SKIP_ARGUMENT = "Pass skip_bad_lines=True to leave such lines out and count them."
_LOG = logging.getLogger("sleuth.data")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was left out, and why.

    Attributes:
        path: The file; for a folder of files its path relative to the folder, as in a chunk's
            `source`. A folder that can't be listed ends in "/".
        reason: Why, in words.
        line: 1-based, where it is one line of the file that was left out.
    """

    path: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}, line {self.line:,}"
        return f"{where}: {self.reason}"


Report = Callable[[Problem], None]
"""Called with each Problem as it is met."""


class BadRecord(Exception):
    """Why a line is no good. Readers turn it into a FormatError or count it; it never leaves this room."""


@contextmanager
def reading(path: str | Path) -> Iterator[BufferedIOBase]:
    """Open a regular file for reading bytes, unpacked if it is gzip; its failures are FormatErrors.

    Raises:
        UsageError: There is no such file.
        FormatError: Not a regular file, not readable, UTF-16, or a broken gzip.
    """
    path = Path(path)
    _must_be_file(path)
    try:
        with open(path, "rb") as plain:
            magic = plain.read(2)
            plain.seek(0)
            if magic in (b"\xff\xfe", b"\xfe\xff"):
                raise FormatError(path, "is UTF-16; expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8")
            if magic == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=plain) as unpacked:
                    yield unpacked
            elif magic and path.suffix == ".gz":
                raise FormatError(path, "is named .gz but is not gzip")
            else:
                yield plain
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(path, f"is a broken gzip file ({error}); fetch or pack it again") from error
    except OSError as error:
        raise FormatError(path, f"can't be read: {error.strerror or error}") from error


def _must_be_file(path: Path) -> None:
    """Refuse what can't be read from its start again and again; a pipe would even wait for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except OSError as error:
        raise FormatError(path, f"can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is no path: {error}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise FormatError(path, f"is {kind}; expected a file")


def opening(path: str | Path) -> bytes:
    """The first non-blank line (64 KiB of it at most), without a byte-order mark; b"" for an empty file."""
    with reading(path) as handle:
        head = handle.read(_OPENING_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.split(b"\n", 1)[0].rstrip()


class Lines:
    """The lines of one file; iterate for `(line number, bytes)`, then hand back those that are bad.

    Args:
        path: Plain or gzip.
        skip_bad_lines: Count and report bad lines instead of raising.
        report: Gets each line left out; without it, one warning is logged at the end of the file.
        hint: Ends the message about a bad line: what the user can do. Commands have a flag where they read a
            corpus, labels or a run.

    Attributes:
        skipped: Lines left out so far.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        skip_bad_lines: bool = False,
        report: Report | None = None,
        hint: str = SKIP_FLAG,
    ) -> None:
        self.hint = hint
        self.path = Path(path)
        self.skip_bad_lines = skip_bad_lines
        self.report = report
        self.skipped = 0
        self._first: Problem | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        self.skipped, self._first = 0, None
        with reading(self.path) as handle:
            number = 0
            while line := handle.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if len(line) > LONGEST_LINE_BYTES:
                    size = len(line) + _drain(handle, line)
                    self.bad(number, f"{size:,} bytes in one line, more than the limit of {LONGEST_LINE_BYTES:,}.")
                    continue
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                line = line.removesuffix(b"\n").removesuffix(b"\r")
                if line and not line.isspace():
                    yield number, line
        if self.skipped and self.report is None:
            _LOG.warning("%s: %d bad lines left out; the first: %s", self.path, self.skipped, self._first)

    def bad(self, line: int, reason: str | Exception) -> None:
        """Refuse a line: raise, or count and report it.

        Raises:
            FormatError: Unless bad lines are to be skipped.
        """
        if not self.skip_bad_lines:
            raise FormatError(self.path, f"{reason} {self.hint}".rstrip(), line=line)
        problem = Problem(str(self.path), str(reason), line)
        self.skipped += 1
        self._first = self._first or problem
        if self.report is not None:
            self.report(problem)


def _drain(handle: BufferedIOBase, line: bytes) -> int:
    """Read to the end of an overlong line, keeping nothing; returns how many more bytes it had."""
    more = 0
    while line and not line.endswith(b"\n"):
        line = handle.readline(1 << 20)
        more += len(line)
    return more


def json_object(line: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        BadRecord: Not JSON (or nested beyond the parser's 1,024 levels, or not UTF-8), or no object.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRecord(f"not JSON ({error}); expected one object a line.") from error
    if not isinstance(record, dict):
        raise BadRecord(f"JSON of type {type(record).__name__}; expected an object.")
    return record
