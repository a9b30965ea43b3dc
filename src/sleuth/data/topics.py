"""TREC topics: `<top>` blocks with `<num>`, `<title>`, `<desc>` and `<narr>`.

Closing tags are optional, as are the words "Number:", "Topic:", "Description:" and "Narrative:". The query's text
is the title, or the description where there is no title; description and narrative are kept in the metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sleuth.data.lines import SKIP_ARGUMENT, BadRecord, Lines, Report
from sleuth.data.records import distinct, id_of
from sleuth.data.trec import decoded
from sleuth.types import Query

__all__ = ["iter_topics"]

_TAGS = re.compile(r"<(/?)(top|num|title|desc|narr)>", re.IGNORECASE)
_LABELS = {"num": "number:", "title": "topic:", "desc": "description:", "narr": "narrative:"}
_NARRATION = {"desc": "description", "narr": "narrative"}


def iter_topics(path: str | Path, *, skip_bad_lines: bool = False, report: Report | None = None) -> Iterator[Query]:
    """TREC topics (module docstring), gzip or not.

    Raises:
        FormatError: A topic without number or text, or text outside all topics.
    """
    lines = Lines(path, skip_bad_lines=skip_bad_lines, report=report, hint=SKIP_ARGUMENT)
    yield from distinct(lines, _topics, lambda query: query.query_id)


def _topics(lines: Lines) -> Iterator[tuple[int, Query]]:
    """(line of its `<top>`, query) of each topic."""
    fields: dict[str, list[str]] | None = None
    field, began = "", 0
    for number, raw in lines:
        try:
            line = decoded(raw)
        except BadRecord as error:
            lines.bad(number, error)
            continue
        at = 0
        for tag in [*_TAGS.finditer(line), None]:
            text = line[at : tag.start() if tag else len(line)].strip()
            if text and fields is not None:
                fields.setdefault(field, []).append(text)
            elif text:
                lines.bad(number, "text outside <top> and </top>.")
            if tag is None:
                break
            at, closing, name = tag.end(), bool(tag.group(1)), tag.group(2).lower()
            if name == "top":
                yield from _topic(lines, began, fields)
                fields, began = (None if closing else {}), number
            field = "" if closing else name
    yield from _topic(lines, began, fields)


def _topic(lines: Lines, number: int, fields: dict[str, list[str]] | None) -> Iterator[tuple[int, Query]]:
    if fields is None:
        return
    texts = {name: _unlabelled(name, " ".join(parts)) for name, parts in fields.items()}
    text = texts.get("title") or texts.get("desc") or ""
    try:
        if not texts.get("num"):
            raise BadRecord("a topic without <num>.")
        if not text:
            raise BadRecord(f"topic {texts['num']} has neither <title> nor <desc>.")
        metadata = {_NARRATION[name]: value for name, value in texts.items() if name in _NARRATION}
        yield number, Query(id_of(texts["num"], "num"), text, metadata=metadata)
    except BadRecord as error:
        lines.bad(number, error)


def _unlabelled(name: str, text: str) -> str:
    """A field's text without the word that introduces it."""
    label = _LABELS.get(name, "")
    return text[len(label) :].strip() if label and text.lower().startswith(label) else text.strip()
