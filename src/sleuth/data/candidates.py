"""Runs as JSON: rank_llm's candidates and BRIGHT's `score.json`.

    rank_llm      [{"query": {"text": …, "qid": …}, "candidates": [{"docid": …, "score": …, "doc": …}, …]}, …]
                  as one array, or one such object a line
    score.json    {query_id: {doc_id: score, …}, …}

Scores follow the same rule as in TREC runs: cast to float32, ties by doc_id unless `ties="file"`. The file is read
whole, so it must stay below a limit of 1 GiB unpacked (ours). There are no lines to skip: anything wrong is an
error that names the query.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from sleuth.data.lines import BadRecord, Lines, json_object, reading
from sleuth.data.records import id_of
from sleuth.data.trec import Ties, ranking_of, score_of
from sleuth.errors import FormatError
from sleuth.types import Ranking, Run

__all__ = ["LARGEST_JSON_BYTES", "read_json_run", "read_whole_json"]

LARGEST_JSON_BYTES = 1 << 30


def read_json_run(path: str | Path, *, ties: Ties = "score") -> Run:
    """A run of either form (module docstring), gzip or not.

    Raises:
        FormatError: Neither form, a repeated query or document, a score that is no finite number.
    """
    rankings: dict[str, Ranking] = {}
    for where, query_id, doc_ids, scores in _lists(Path(path)):
        twice = "the query" if query_id in rankings else ""
        if len(set(doc_ids)) != len(doc_ids):
            twice = f"document {next(doc for doc in doc_ids if doc_ids.count(doc) > 1)!r}"
        if twice:
            raise FormatError(path, f"query {query_id!r}: {twice} is there twice", line=where)
        rankings[query_id] = ranking_of(doc_ids, scores, ties=ties)
    return Run(rankings, name=Path(path).name.split(".")[0] or "sleuth")


def read_whole_json(path: str | Path) -> Any:
    """One JSON value; None (with no JSON file being just `null`) if the file is not a single value.

    Raises:
        FormatError: Too large.
    """
    with reading(path) as handle:
        data = handle.read(LARGEST_JSON_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
    if len(data) > LARGEST_JSON_BYTES:
        raise FormatError(path, f"more than {LARGEST_JSON_BYTES:,} bytes of JSON; write it as a TREC run")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _lists(path: Path) -> Iterator[tuple[int | None, str, list[str], list[float]]]:
    """(line or None, query_id, doc ids, scores) of every query."""
    whole = read_whole_json(path)
    try:
        if isinstance(whole, list):
            for at, record in enumerate(whole):
                yield None, *_request(record, f"entry {at}")
        elif isinstance(whole, dict) and "candidates" in whole:
            yield None, *_request(whole, "entry 0")
        elif isinstance(whole, dict):
            for query_id, scores in whole.items():
                yield None, *_scores(id_of(query_id, "query_id"), scores)
    except BadRecord as error:
        raise FormatError(path, str(error)) from error
    if whole is None:
        lines = Lines(path)
        for number, line in lines:
            try:
                yield number, *_request(json_object(line), "this line")
            except BadRecord as error:
                raise FormatError(path, str(error), line=number) from error


def _request(record: Any, where: str) -> tuple[str, list[str], list[float]]:
    """One request of rank_llm."""
    if not isinstance(record, dict) or not isinstance(record.get("candidates"), list):
        raise BadRecord(f'{where} is no object with "query" and "candidates" (rank_llm) nor {{query_id: scores}}.')
    query = record.get("query")
    if not isinstance(query, dict) or "qid" not in query:
        raise BadRecord(f'{where} has no "query" with a "qid".')
    query_id = id_of(query["qid"], "qid")
    doc_ids, scores = [], []
    for candidate in record["candidates"]:
        if not isinstance(candidate, dict) or "docid" not in candidate or "score" not in candidate:
            raise BadRecord(f'query {query_id!r}: a candidate without "docid" and "score".')
        doc_ids.append(id_of(candidate["docid"], "docid"))
        scores.append(_number(candidate["score"], query_id))
    return query_id, doc_ids, scores


def _scores(query_id: str, scores: Any) -> tuple[str, list[str], list[float]]:
    """One query of score.json."""
    if not isinstance(scores, dict):
        raise BadRecord(f"query {query_id!r}: expected {{doc_id: score}}, got {type(scores).__name__}.")
    return query_id, [id_of(doc, "doc_id") for doc in scores], [_number(value, query_id) for value in scores.values()]


def _number(value: Any, query_id: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(f"query {query_id!r}: the score {str(value)[:40]!r} is not a number.")
    try:
        return score_of(repr(value))
    except BadRecord as error:
        raise BadRecord(f"query {query_id!r}: {error}") from error
