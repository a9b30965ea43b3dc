"""Every error that Sleuth raises on purpose.

    SleuthError
    ├── UsageError            a call or an option that makes no sense (also a ValueError)
    │   ├── CannotScore       this retriever can't score given candidates
    │   ├── CapabilityMissing a backend can't do what a judge needs
    │   ├── ShapeError        arrays that do not fit together
    │   └── UnknownName       a name (of a measure, analyzer, field, ...) that does not exist
    ├── FormatError           a file that isn't what it should be: names file, line and reason
    ├── MissingExtra          an optional dependency is not installed (also an ImportError)
    ├── ModelError            a model's files are absent, foreign or changed
    ├── IndexError_           something is wrong with an index folder
    │   ├── IndexNotFound     there is no index at this path
    │   ├── IndexCorrupt      half-written, damaged or foreign
    │   ├── IndexOutdated     made by another format version
    │   ├── IndexLocked       another writer is at work
    │   └── IndexMismatch     options or a corpus that are not this index's own
    ├── JournalError          a journal that belongs to another job
    ├── LLMError              a language model could not be asked, or not be understood
    │   ├── TransportError    no whole reply came: timeout, dropped connection, 429, 5xx, a body that is none
    │   ├── RequestRefused    the server refuses the request as it is (4xx)
    │   │   ├── AuthenticationFailed
    │   │   └── ContextTooLong
    │   ├── NoRule            a cassette has no answer to a request
    │   └── BadReply          an unreadable answer, where the judge was told to raise
    └── Stopped               a limit ended the work
        ├── BudgetExceeded
        └── DeadlineExceeded

A message says what happened, where, what was got and what was expected, and what to do next. The
command line prints it without a traceback; a traceback means a bug in Sleuth.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AuthenticationFailed",
    "BadReply",
    "BudgetExceeded",
    "CannotScore",
    "CapabilityMissing",
    "ContextTooLong",
    "DeadlineExceeded",
    "FormatError",
    "IndexCorrupt",
    "IndexError_",
    "IndexLocked",
    "IndexMismatch",
    "IndexNotFound",
    "IndexOutdated",
    "JournalError",
    "LLMError",
    "MissingExtra",
    "ModelError",
    "NoRule",
    "RequestRefused",
    "ShapeError",
    "SleuthError",
    "Stopped",
    "TransportError",
    "UnknownName",
    "UsageError",
    "nearest",
]


class SleuthError(Exception):
    """Base of all errors below; catch it to catch everything Sleuth raises on purpose."""


class UsageError(SleuthError, ValueError):
    """A call or an option that makes no sense as given."""


class CannotScore(UsageError):
    """This retriever has no way to score candidates that it did not retrieve itself."""


class CapabilityMissing(UsageError):
    """A backend can't do what a judge needs; names the capability and how to declare it."""


class ShapeError(UsageError):
    """Arrays whose shapes do not fit together; names the required and the actual shape."""


class UnknownName(UsageError):
    """A name that does not exist; the message lists the nearest known ones.

    Args:
        kind: What was asked for ("measure", "analyzer", ...).
        name: The unknown name.
        known: All names that would have been accepted.
    """

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = nearest(name, known)
        hint = f" Did you mean {near!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(self.known)}.")


class FormatError(SleuthError):
    """A file that is not what it should be.

    Args:
        path: The file.
        problem: What is wrong, what was expected, what to do.
        line: 1-based line number, where there is one.
    """

    def __init__(self, path: str | Path, problem: str, *, line: int | None = None) -> None:
        self.path, self.problem, self.line = str(path), problem, line
        where = self.path if line is None else f"{self.path}, line {line:,}"
        super().__init__(f"{where}: {problem}")


class MissingExtra(SleuthError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for.
        extra: The extra of this package that brings it.
        cause: The import error, kept so that a broken install isn't mistaken for an absent one.
    """

    def __init__(self, feature: str, extra: str, cause: ImportError | None = None) -> None:
        self.feature, self.extra = feature, extra
        detail = f" ({cause})" if cause is not None else ""
        super().__init__(f"{feature} needs the extra '{extra}'{detail}. Run: pip install 'sleuth[{extra}]'")


class ModelError(SleuthError):
    """A model's files are absent, of another kind than asked for, or not the expected bytes."""


class IndexError_(SleuthError):
    """Something is wrong with an index folder. (The underscore keeps Python's IndexError apart.)"""


class IndexNotFound(IndexError_):
    """There is no index at this path."""


class IndexCorrupt(IndexError_):
    """The folder is half-written, damaged or not an index; names the command that helps."""


class IndexOutdated(IndexError_):
    """The index was made by another format version; names the command that helps."""


class IndexLocked(IndexError_):
    """Another process writes to this index; names its pid and host."""


class IndexMismatch(IndexError_):
    """Options or a corpus that are not the index's own; names both and the flag that overrides."""


class JournalError(SleuthError):
    """A journal belongs to another job or was written with other settings."""


class LLMError(SleuthError):
    """A language model could not be asked, or its answer not be understood."""


class TransportError(LLMError):
    """No whole reply came; asking again may help.

    Args:
        message: What happened, and where.
        status: The HTTP status, where there was one.
        retry_after_s: How long the server wants us to wait, where it says so.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        super().__init__(message)


class RequestRefused(LLMError):
    """The server refuses this request as it is; asking again can't help."""


class AuthenticationFailed(RequestRefused):
    """The server refuses the key (401, 403)."""


class ContextTooLong(RequestRefused):
    """The request is longer than the model reads; names the query, the window and the tokens where known."""


class NoRule(LLMError):
    """A cassette has no answer to a request; names its tags and digest."""


class BadReply(LLMError):
    """An answer that could not be read, where `on_bad_reply="raise"`."""


class Stopped(SleuthError):
    """A limit ended the work; stages turn this into `complete=False` with the reason."""


class BudgetExceeded(Stopped):
    """The next step would have gone over the budget."""


class DeadlineExceeded(Stopped):
    """The time is up."""


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that looks most like `name`, or None when none is close (difflib, cut-off .6)."""
    import difflib

    folded = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None
