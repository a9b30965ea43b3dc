"""BRIGHT's records, layouts, label sets and joins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sleuth.data.bright import (
    TASKS,
    bright_file,
    join_excluded,
    join_rewrites,
    label_set_of,
    labels_from_texts,
    read_gold,
)
from sleuth.data.readers import read_corpus, read_qrels, read_queries
from sleuth.errors import FormatError, UnknownName, UsageError
from sleuth.types import Doc, Qrels, Query


def put(path: Path, *rows: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def example(name: str, *, gold=("a", "b", "a"), long=("N/A",), excluded=("N/A",)) -> dict:
    return {
        "query": f"Why {name}?", "reasoning": "a human note", "id": name, "excluded_ids": list(excluded),
        "gold_ids_long": list(long), "gold_ids": list(gold), "gold_answer": "N/A",
    }  # fmt: skip


def test_there_are_twelve_tasks_and_1384_queries() -> None:
    assert len(TASKS) == 12
    assert sum(task.queries for task in TASKS.values()) == 1384
    assert sum(task.long_documents > 0 for task in TASKS.values()) == 8
    pairs = [(t.queries, n) for t in TASKS.values() for n in {t.labels, t.labels_fixed}]
    assert len(set(pairs)) == len(pairs)


def test_examples_are_queries_and_labels(tmp_path: Path) -> None:
    path = put(tmp_path / "x.jsonl", example("1"), example("2", gold=["c"], long=["L", "L"], excluded=["d", "e"]))
    queries = read_queries(path)
    assert [(q.query_id, q.text, q.excluded_ids) for q in queries] == [
        ("1", "Why 1?", frozenset()),
        ("2", "Why 2?", frozenset({"d", "e"})),
    ]
    assert queries[0].rewrites == ()
    assert queries[0].metadata["reasoning"] == "a human note"
    short, long = read_qrels(path), read_qrels(path, split="long")
    assert {q: dict(j) for q, j in short.items()} == {"1": {"a": 1, "b": 1}, "2": {"c": 1}}
    assert {q: dict(j) for q, j in long.items()} == {"2": {"L": 1}}
    assert (short.name, long.name) == ("gold_ids", "gold_ids_long")
    assert read_gold(path, name="mteb-old").name == "mteb-old"
    with pytest.raises(UsageError, match="'short' and 'long'"):
        read_qrels(path, split="test")


def test_a_gold_document_that_is_excluded_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "x.jsonl", example("1"), example("2", gold=["c"], excluded=["c"]))
    with pytest.raises(FormatError, match="line 2: document 'c' is gold and excluded at once"):
        read_qrels(path)
    assert list(read_qrels(path, skip_bad_lines=True)) == ["1"]
    with pytest.raises(FormatError, match=r'"gold_ids" is None .*expected a list'):
        read_qrels(put(tmp_path / "y.jsonl", {"id": "1", "query": "x"}))


def test_both_layouts(tmp_path: Path) -> None:
    put(tmp_path / "a/documents/biology.jsonl", {"id": "x y", "content": "text"})
    put(tmp_path / "a/examples/biology.jsonl", example("1"))
    assert list(read_corpus(tmp_path / "a")) == [Doc("x y", "text")]
    assert read_queries(tmp_path / "a")[0].query_id == "1"
    assert list(read_qrels(tmp_path / "a")) == ["1"]
    put(tmp_path / "a/documents/pony.jsonl", {"id": "x", "content": "text"})
    with pytest.raises(UsageError, match=r"several tasks \(biology, pony\)"):
        read_corpus(tmp_path / "a")
    assert bright_file(tmp_path / "a", "documents", "pony") == tmp_path / "a/documents/pony.jsonl"
    with pytest.raises(UnknownName, match="pony"):
        bright_file(tmp_path / "a", "documents", "poni")
    put(tmp_path / "b/documents.jsonl", {"id": "x", "content": "text"})
    assert read_corpus(tmp_path / "b").name == str(tmp_path / "b/documents.jsonl")
    assert bright_file(tmp_path / "b", "examples") is None


def test_a_documents_folder_of_other_files_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.md").write_text("words")
    assert [doc.doc_id for doc in read_corpus(tmp_path)] == ["documents/a.md#0"]


def test_label_sets_are_told_by_their_counts() -> None:
    def labels(queries: int, total: int) -> Qrels:
        judged = {str(n): {f"d{n}": 1, "zero": 0} for n in range(queries)}
        judged["0"] |= {f"x{n}": 1 for n in range(total - queries)}
        return Qrels(judged)

    assert label_set_of(labels(103, 372)) == "hub-current"
    assert label_set_of(labels(103, 393), "biology") == "dedup-fixed"
    assert label_set_of(labels(103, 393), "economics") is None
    assert label_set_of(labels(103, 374)) is None
    with pytest.raises(UnknownName):
        label_set_of(labels(1, 1), "biologie")


def test_equal_texts_become_gold() -> None:
    docs = [
        Doc("a", " same "),
        Doc("b", "same"),
        Doc("c", "other"),
        Doc("d", ""),
        Doc("e", " "),
        Doc("f", "same"),
        Doc("g", "graded"),
    ]
    qrels = Qrels({"1": {"a": 1, "d": 1, "f": 0}, "2": {"c": 2, "gone": 1}}, name="hub-current")
    fixed = labels_from_texts(qrels, docs)
    assert {q: dict(j) for q, j in fixed.items()} == {"1": {"a": 1, "b": 1, "d": 1, "f": 0}, "2": {"c": 2, "gone": 1}}
    assert fixed.name == "dedup-fixed"
    assert "b" not in qrels["1"]
    with pytest.raises(UsageError, match="read twice"):
        labels_from_texts(qrels, iter(docs))


def test_rewrites_are_joined_by_id_or_by_text(tmp_path: Path) -> None:
    queries = [Query("1", "Why?", ("first",)), Query("2", "How?")]
    by_id = join_rewrites(
        queries, put(tmp_path / "r.jsonl", {"id": "1", "query": "thought"}, {"id": "9", "query": "old"})
    )
    assert [query.rewrites for query in by_id.queries] == [("first", "thought"), ()]
    assert [query.text for query in by_id.queries] == ["Why?", "How?"]
    assert (by_id.matched, by_id.missing, by_id.extra) == (1, ("2",), ("9",))
    (tmp_path / "r.json").write_text(json.dumps({"How?": ["x", "y"], "Who?": "z"}))
    by_text = join_rewrites(queries, tmp_path / "r.json")
    assert [query.rewrites for query in by_text.queries] == [("first",), ("x", "y")]
    assert by_text.extra == ("Who?",)
    (tmp_path / "bad.json").write_text(json.dumps({"How?": 3}))
    with pytest.raises(FormatError, match="the rewrite of 'How"):
        join_rewrites(queries, tmp_path / "bad.json")


def test_exclusions_are_joined(tmp_path: Path) -> None:
    queries = [Query("1", "Why?", excluded_ids=frozenset({"x"})), Query("2", "How?")]
    joined = join_excluded(queries, put(tmp_path / "e.jsonl", {"_id": "1", "excluded_ids": ["y", "N/A"]}))
    assert [query.excluded_ids for query in joined.queries] == [{"x", "y"}, frozenset()]
    assert joined.missing == ("2",)
    with pytest.raises(FormatError, match="line 1"):
        join_excluded(queries, put(tmp_path / "e.jsonl", {"_id": "1"}))
