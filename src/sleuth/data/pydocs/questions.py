"""The questions of pydocs and their labels, read from the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal

import orjson

from sleuth.data.pydocs.harvest_job import Pydocs
from sleuth.errors import UsageError
from sleuth.types import Qrels, Query

__all__ = ["LabelReport", "pydocs_qrels", "pydocs_queries"]

Split = Literal["dev", "test"]
Language = Literal["en", "ko"]


@dataclass(frozen=True, slots=True)
class LabelReport:
    """Labels for the documents at hand, and what could not be used.

    Attributes:
        qrels: query_id -> {doc_id: grade}, by the documents' own ids.
        missing: (query_id, name) of labels above 0 whose name this Python does not have.
        reasons: (query_id, doc_id) -> why the document has its grade, for grades above 0.
    """

    qrels: Qrels
    missing: tuple[tuple[str, str], ...]
    reasons: dict[tuple[str, str], str]


def pydocs_queries(split: Split = "test", *, language: Language = "en") -> list[Query]:
    """The questions of a split, 60 dev and 100 test; about a third also exist in Korean.

    Raises:
        UsageError: Unknown split or language.
    """
    if split not in ("dev", "test") or language not in ("en", "ko"):
        raise UsageError(f"pydocs has the splits dev and test, in en and ko; got {split!r}, {language!r}")
    field = "text" if language == "en" else "ko"
    records = map(orjson.loads, _lines("questions.jsonl"))
    return [
        Query(record["_id"], record[field], metadata={"language": language})
        for record in records
        if record["_id"].startswith(f"{split}-") and field in record
    ]


def pydocs_qrels(docs: Pydocs, split: Split = "test") -> LabelReport:
    """The labels of a split for these documents; a document labelled under two names keeps the higher grade."""
    labels: dict[str, dict[str, int]] = {}
    reasons: dict[tuple[str, str], str] = {}
    missing = []
    for line in _lines("labels.tsv"):
        query_id, name, grade, reason = (*line.split("\t"), "")[:4]
        if not query_id.startswith(f"{split}-"):
            continue
        judged = labels.setdefault(query_id, {})
        doc_id = docs.doc_id_of.get(name)
        if doc_id is None:
            if int(grade) > 0:  # without its document, a 0 says nothing
                missing.append((query_id, name))
        elif int(grade) > judged.get(doc_id, -1):
            judged[doc_id] = int(grade)
            if reason:
                reasons[query_id, doc_id] = reason
    return LabelReport(Qrels(labels, name=f"pydocs {split}"), tuple(missing), reasons)


def _lines(name: str) -> list[str]:
    return (resources.files("sleuth.data.pydocs") / name).read_text(encoding="utf-8").splitlines()
