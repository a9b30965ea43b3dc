"""What lies beside a run: its manifest and its trace, read for a comparison. Both may be absent."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from sleuth.errors import FormatError

__all__ = ["Changed", "Window", "changed_settings", "read_manifest", "read_windows"]

MOST_WINDOWS = 8
"""Comparisons that are kept for one document; a document of a head is rarely seen more often (ours)."""


NO_SETTINGS = frozenset({"output", "no_cache", "queries", "tag"})
"""What a manifest keeps of the command line that says nothing about how a run came to be."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A setting that two manifests give differently.

    Attributes:
        setting: Its name, the tables above it before it.
        a, b: Its values; None where a manifest lacks it.
        only: "a" or "b" where the other manifest does not have it at all; else "".
    """

    setting: str
    a: Any
    b: Any
    only: Literal["", "a", "b"] = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A comparison that showed a document.

    Attributes:
        stage: Whose.
        of: How many documents it showed.
        shown_at: The document's place there, 1-based.
        found_at: The place that the judge gave it; None where the judge named it at none, or could not be read.
        note: What else the trace holds: the outcome, an excerpt of the reasoning.
    """

    stage: str
    of: int
    shown_at: int
    found_at: int | None
    note: Mapping[str, Any]

    def __str__(self) -> str:
        found = "no place given" if self.found_at is None else f"judged {self.found_at}"
        return f"{self.stage}: shown {self.shown_at} of {self.of}, {found}"


def read_manifest(run: str | Path) -> dict[str, Any]:
    """The manifest of a run file; empty where there is none.

    Raises:
        FormatError: It is no JSON object.
    """
    path = Path(f"{run}.manifest.json")
    if not path.is_file():
        return {}
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise FormatError(path, f"not JSON ({error}); delete it to compare the runs without it") from None
    if not isinstance(found, dict):
        raise FormatError(path, "a manifest is a JSON object; delete it to compare the runs without it")
    return found


def changed_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Changed, ...]:
    """The settings and versions in which two manifests differ; empty unless both are there.

    What is null in one and absent in the other is set in neither.
    """
    if not (a and b):
        return ()
    flat_a, flat_b = (
        {**_flat("", _told(one.get("settings"))), **_flat("versions", one.get("versions", {}))} for one in (a, b)
    )
    names = [name for name in {**flat_a, **flat_b} if flat_a.get(name) != flat_b.get(name)]
    return tuple(
        Changed(name, flat_a.get(name), flat_b.get(name), _holder(name in flat_a, name in flat_b))
        for name in sorted(names)
    )


def _told(settings: Any) -> Any:
    return {key: settings[key] for key in settings if key not in NO_SETTINGS} if isinstance(settings, dict) else {}


def _holder(in_a: bool, in_b: bool) -> Literal["", "a", "b"]:
    if in_a and in_b:
        return ""
    return "a" if in_a else "b"


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            name: held
            for key, item in value.items()
            for name, held in _flat(f"{prefix}.{key}" if prefix else str(key), item).items()
        }
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return {n: held for at, item in enumerate(value, 1) for n, held in _flat(f"{prefix}.{at}", item).items()}
    return {prefix: value}


def read_windows(run: str | Path, wanted: Mapping[str, Collection[str]]) -> dict[tuple[str, str], list[Window]]:
    """Where documents were shown and what became of them, from the trace beside a run.

    Args:
        run: The run file; its trace is `<run>.trace.jsonl.gz`.
        wanted: query_id -> the documents that matter; others are passed over, so memory stays flat.

    Raises:
        FormatError: The trace is damaged.
    """
    path = Path(f"{run}.trace.jsonl.gz")
    found: dict[tuple[str, str], list[Window]] = {}
    for event in _events(path) if path.is_file() else ():
        query_id, shown = event.get("query_id"), event.get("shown")
        if not isinstance(shown, list) or not isinstance(query_id, str) or query_id not in wanted:
            continue
        for doc_id in wanted[query_id]:
            if doc_id in shown:
                windows = found.setdefault((query_id, doc_id), [])
                if len(windows) < MOST_WINDOWS:
                    windows.append(_window(event, shown, doc_id))
    return found


def _window(event: Mapping[str, Any], shown: list[Any], doc_id: str) -> Window:
    at, order = shown.index(doc_id), event.get("order", [])
    placed = order.index(at) + 1 if event.get("usable", True) and at in order else None
    kept = {
        key: value
        for key, value in event.items()
        if key not in ("stage", "query_id", "shown", "order", "usable") and isinstance(value, str | int | float)
    }
    return Window(str(event.get("stage", "")), len(shown), at + 1, placed, kept)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    line = 0
    try:
        with gzip.open(path, "rb") as handle:
            for line, text in enumerate(handle, 1):  # noqa: B007 (named in the error)
                event = orjson.loads(text)
                if isinstance(event, dict):
                    yield event
    except (orjson.JSONDecodeError, OSError, EOFError, zlib.error) as error:
        raise FormatError(path, f"damaged ({error}); delete it to compare the runs without it", line=line + 1) from None
