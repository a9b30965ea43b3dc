"""BRIGHT (Su et al. 2024): twelve tasks whose relevance takes reasoning, read from local JSON lines.

**Layout.** One folder a kind, one file a task, as the data set's own configurations are named:
`documents/<task>.jsonl`, `long_documents/<task>.jsonl`, `examples/<task>.jsonl`, `gpt4_reason/<task>.jsonl`, …; or the
kinds of a single task as files, `documents.jsonl`, `examples.jsonl`, …; each also as `.gz`.

**Records.** Documents have `id` and `content`. Examples have `query`, `id`, `excluded_ids`, `gold_ids`, `gold_ids_long`,
`gold_answer` and `reasoning` (a human note on why the gold is relevant: never a rewrite). `["N/A"]`, and an empty
list, mean none. Repeated gold ids collapse. A `*_reason` file holds the same examples with a language model's text as
`query`: it is joined by id as a rewrite, and ids that only one side has are counted, because older files list more
queries than there are now.

**Label sets.** Three circulate; scores of different sets can't be compared, so `Qrels.name` says which it is.
`hub-current` is what the hub has now, `mteb-old` the older gold that MTEB pins, `dedup-fixed` is `hub-current` with
every document whose text equals a gold document's text added. `labels_from_texts` makes the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple

from sleuth.data.beir import named_file
from sleuth.data.candidates import read_whole_json
from sleuth.data.lines import BadRecord, Lines, Report, json_object
from sleuth.data.records import distinct, iter_queries, query_of, string_list
from sleuth.errors import FormatError, UnknownName, UsageError
from sleuth.types import Doc, Qrels, Query

__all__ = [
    "LABEL_SETS",
    "TASKS",
    "Joined",
    "TaskFacts",
    "bright_file",
    "join_excluded",
    "join_rewrites",
    "label_set_of",
    "labels_from_texts",
    "read_gold",
]

LabelSet = Literal["hub-current", "mteb-old", "dedup-fixed"]
LABEL_SETS: tuple[LabelSet, ...] = ("hub-current", "mteb-old", "dedup-fixed")


class TaskFacts(NamedTuple):
    """What a complete task has: how a copy is recognized.

    Attributes:
        queries: Examples.
        documents: Passages of the corpus.
        labels: Distinct (query, gold) pairs of `hub-current`.
        labels_fixed: Of `dedup-fixed`.
        long_documents: Of the long split, 0 where there is none.
    """

    queries: int
    documents: int
    labels: int
    labels_fixed: int
    long_documents: int = 0


TASKS: dict[str, TaskFacts] = {
    "biology": TaskFacts(103, 57_359, 372, 393, 524),
    "earth_science": TaskFacts(116, 121_249, 585, 589, 601),
    "economics": TaskFacts(103, 50_220, 800, 800, 516),
    "psychology": TaskFacts(101, 52_835, 692, 692, 512),
    "robotics": TaskFacts(101, 61_961, 520, 521, 508),
    "stackoverflow": TaskFacts(117, 107_081, 478, 580, 1858),
    "sustainable_living": TaskFacts(108, 60_792, 576, 1073, 554),
    "leetcode": TaskFacts(142, 413_932, 262, 262),
    "pony": TaskFacts(112, 7_894, 2219, 2219, 577),
    "aops": TaskFacts(111, 188_002, 524, 524),
    "theoremqa_questions": TaskFacts(194, 188_002, 439, 439),
    "theoremqa_theorems": TaskFacts(76, 23_839, 151, 151),
}
"""The twelve tasks in BRIGHT's order, 1,384 queries. Source: the data set's public topic, label and index files."""


def bright_file(folder: Path, kind: str, task: str | None = None) -> Path | None:
    """Where a kind of records of a task lies in a BRIGHT folder; None if the folder has no such kind.

    Args:
        folder: In one of the two layouts (module docstring).
        kind: "documents", "long_documents", "examples", "gpt4_reason", …
        task: Which; may be left out where there is only one.

    Raises:
        UsageError: Several tasks and none named.
        UnknownName: No such task here.
    """
    if (single := named_file(folder, kind)) is not None:
        return single
    home = folder / kind
    if not home.is_dir():
        return None
    found: dict[str, Path] = {}
    for path in sorted(home.iterdir()):
        if path.is_file() and (name := path.name.removesuffix(".gz")).endswith(".jsonl"):
            found.setdefault(name.removesuffix(".jsonl"), path)
    if not found:
        return None
    if task is None and len(found) > 1:
        example = next(iter(found.values()))
        raise UsageError(f"{home} has several tasks ({', '.join(found)}); name one file of it, such as {example}")
    if task is not None and task not in found:
        raise UnknownName("task", task, list(found))
    return found[task] if task is not None else next(iter(found.values()))


# ── labels ────────────────────────────────────────────────────────────────────────────────────────


def read_gold(
    path: str | Path,
    *,
    long: bool = False,
    name: str | None = None,
    skip_bad_lines: bool = False,
    report: Report | None = None,
) -> Qrels:
    """The labels in an examples file, relevance 1 each.

    Args:
        path: Examples as JSON lines, gzip or not.
        long: Of the long documents (`gold_ids_long`); a query without any is left out.
        name: The label set. By default the one whose counts these labels have (`label_set_of`), else "gold_ids".

    Raises:
        FormatError: A bad line, no gold ids, or a gold document that its query excludes.
    """
    key = "gold_ids_long" if long else "gold_ids"
    lines = Lines(path, skip_bad_lines=skip_bad_lines, report=report)

    def parse(these: Lines) -> Iterator[tuple[int, tuple[Query, list[str]]]]:
        for number, line in these:
            try:
                record = json_object(line)
                query, gold = query_of(record), string_list(record, key)
                if both := query.excluded_ids.intersection(gold):
                    raise BadRecord(f"document {min(both)!r} is gold and excluded at once.")
            except BadRecord as error:
                these.bad(number, error)
                continue
            yield number, (query, gold)

    rows = distinct(lines, parse, lambda row: row[0].query_id)
    labels = {query.query_id: dict.fromkeys(gold, 1) for query, gold in rows if gold or not long}
    qrels = Qrels(labels)
    qrels.name = name or (key if long else label_set_of(qrels) or key)
    return qrels


def label_set_of(qrels: Qrels, task: str | None = None) -> LabelSet | None:
    """Which set these short labels are, told by their counts; None if they are no complete known set.

    Two tasks never share their counts. Where both sets of a task are equal, it is "hub-current". The counts of
    "mteb-old" are not known exactly, so it is never told.

    Args:
        qrels: All labels of one task.
        task: Which; None tries all.

    Raises:
        UnknownName: No such task.
    """
    if task is not None and task not in TASKS:
        raise UnknownName("task", task, list(TASKS))
    counts = len(qrels), sum(sum(grade > 0 for grade in judged.values()) for judged in qrels.values())
    for facts in TASKS.values() if task is None else [TASKS[task]]:
        if counts == (facts.queries, facts.labels):
            return "hub-current"
        if counts == (facts.queries, facts.labels_fixed):
            return "dedup-fixed"
    return None


def labels_from_texts(qrels: Qrels, docs: Iterable[Doc]) -> Qrels:
    """`dedup-fixed`: the labels, and every document whose stripped text equals a gold document's.

    An added document gets the highest relevance among its equals; labels that are there are kept. Documents
    without text are equal to nothing. Only hashes are kept in memory.

    Args:
        qrels: `hub-current`.
        docs: The corpus; it is read twice, so an iterator won't do.

    Raises:
        UsageError: `docs` can be read only once.
    """
    if iter(docs) is docs:
        raise UsageError("the documents are read twice: pass a list or a Corpus, not an iterator")
    gold = {doc for judged in qrels.values() for doc, grade in judged.items() if grade > 0}
    hash_of = {doc.doc_id: _text_hash(doc) for doc in docs if doc.doc_id in gold and doc.full_text}
    wanted = set(hash_of.values())
    same: dict[bytes, list[str]] = {}
    for doc in docs:
        if doc.full_text and (key := _text_hash(doc)) in wanted:
            same.setdefault(key, []).append(doc.doc_id)
    labels: dict[str, dict[str, int]] = {}
    for query_id, judged in qrels.items():
        added: dict[str, int] = {}
        for doc_id, grade in judged.items():
            if grade > 0 and doc_id in hash_of:
                for equal in same[hash_of[doc_id]]:
                    added[equal] = max(grade, added.get(equal, grade))
        labels[query_id] = {**added, **judged}
    return Qrels(labels, name="dedup-fixed")


def _text_hash(doc: Doc) -> bytes:
    return blake2b(doc.full_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


# ── joining ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Joined:
    """Queries with something joined to them.

    Attributes:
        queries: As many as before, in their order.
        matched: Queries that something was joined to.
        missing: Ids of queries that nothing was found for.
        extra: Ids (or texts) of the file that no query has.
    """

    queries: tuple[Query, ...]
    matched: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def join_rewrites(queries: Sequence[Query], path: str | Path) -> Joined:
    """Fill `rewrites` from a file; what a query has already stays before it.

    The file is JSON lines of queries, joined by id (BRIGHT's `*_reason`), or one JSON object from a query's text to its
    rewrite or rewrites, joined by text.

    Raises:
        FormatError: Neither.
    """
    found = read_whole_json(path)
    if isinstance(found, dict) and not {"query", "text"} & found.keys():
        for text, rewrite in found.items():
            if not (
                isinstance(rewrite, str) or (isinstance(rewrite, list) and all(isinstance(r, str) for r in rewrite))
            ):
                raise FormatError(path, f"the rewrite of {text[:60]!r} is no string or list of strings")
        by_text = {text: (value,) if isinstance(value, str) else tuple(value) for text, value in found.items()}
        return _joined(queries, by_text, [query.text for query in queries])
    by_id = {query.query_id: query.rewrites or (query.text,) for query in iter_queries(path)}
    return _joined(queries, by_id, [query.query_id for query in queries])


def _joined(queries: Sequence[Query], found: dict[str, tuple[str, ...]], keys: list[str]) -> Joined:
    pairs = list(zip(queries, keys, strict=True))
    return Joined(
        tuple(replace(query, rewrites=query.rewrites + found.get(key, ())) for query, key in pairs),
        sum(key in found for key in keys),
        tuple(query.query_id for query, key in pairs if key not in found),
        tuple(found.keys() - set(keys)),
    )


def join_excluded(queries: Sequence[Query], path: str | Path) -> Joined:
    """Add the `excluded_ids` of JSON lines with `_id` (or `id`) and `excluded_ids`.

    Raises:
        FormatError: A bad line.
    """
    lines, found = Lines(path, hint=""), {}
    for number, line in lines:
        try:
            record = json_object(line)
            found[query_of({"text": "", **record}).query_id] = frozenset(string_list(record, "excluded_ids"))
        except BadRecord as error:
            lines.bad(number, error)
    ids = [query.query_id for query in queries]
    return Joined(
        tuple(
            replace(query, excluded_ids=query.excluded_ids | found.get(query.query_id, frozenset()))
            for query in queries
        ),
        sum(query_id in found for query_id in ids),
        tuple(query_id for query_id in ids if query_id not in found),
        tuple(found.keys() - set(ids)),
    )
