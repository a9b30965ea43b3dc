"""The reference collections and runs, read whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleuth.data.bright import TASKS, join_excluded, join_rewrites
from sleuth.data.readers import read_corpus, read_qrels, read_queries, read_run

NINE = [
    "aops",
    "biology",
    "earth_science",
    "economics",
    "psychology",
    "robotics",
    "stackoverflow",
    "sustainable_living",
    "theoremqa_theorems",
]


@pytest.mark.parametrize(
    ("name", "docs", "queries", "split", "judged", "positive"),
    [
        ("cranfield", 1400, 225, None, 225, 1612),
        ("cacm", 3204, 64, None, 52, 796),
        ("limit_small", 46, 1000, "test", 1000, 2000),
        ("korquad1", 961, 5774, "test", 5774, 5774),
        ("noveleval", 420, 21, None, 21, 130),
        ("wikiqa_rerank", 12153, 999, "dev", 126, 140),
    ],
)
def test_collections(
    shared_data: Path, name: str, docs: int, queries: int, split: str | None, judged: int, positive: int
) -> None:
    folder = shared_data / name
    corpus = read_corpus(folder)
    ids = {doc.doc_id for doc in corpus}
    assert len(ids) == docs
    assert corpus.problems == []
    assert len(read_queries(folder)) == queries
    qrels = read_qrels(folder, split=split)
    assert len(qrels) == judged
    assert sum(grade > 0 for labels in qrels.values() for grade in labels.values()) == positive
    assert ids.issuperset(doc for labels in qrels.values() for doc in labels)


def test_ids_with_spaces(shared_data: Path) -> None:
    ids = [doc.doc_id for doc in read_corpus(shared_data / "limit_small")]
    assert all(" " in doc_id for doc_id in ids)


def test_exclusions_come_with_the_queries(shared_data: Path) -> None:
    queries = read_queries(shared_data / "leetcode_similar_train")
    assert {len(query.excluded_ids) for query in queries} == {1}


@pytest.mark.parametrize("task", NINE)
def test_bright_runs_and_labels(shared_data: Path, task: str) -> None:
    home = shared_data / "bright_meta"
    run = read_run(home / f"runs_reasonir_gpt4cot_top100/{task}.trec.gz")
    qrels = read_qrels(home / "qrels", split=task)
    queries = read_queries(home / f"queries/{task}.jsonl.gz")
    examples = read_qrels(home / f"queries/{task}.jsonl.gz")
    assert {len(ranking) for ranking in run.values()} == {100}
    assert set(run) == set(qrels) == {query.query_id for query in queries}
    assert {q: dict(j) for q, j in examples.items()} == {q: dict(j) for q, j in qrels.items()}
    assert (len(qrels), sum(map(len, qrels.values()))) == (TASKS[task].queries, TASKS[task].labels)
    assert qrels.name == examples.name == "hub-current"
    assert run.name == "reasonir"


def test_spaces_and_percent_signs_in_real_runs(shared_data: Path) -> None:
    runs = shared_data / "bright_meta/runs_reasonir_gpt4cot_top100"
    spaced = [
        doc for ranking in read_run(runs / "stackoverflow.trec.gz").values() for doc in ranking.doc_ids if " " in doc
    ]
    assert len(spaced) == 12
    percent = [
        doc for ranking in read_run(runs / "earth_science.trec.gz").values() for doc in ranking.doc_ids if "%" in doc
    ]
    assert (len(percent), len(set(percent))) == (97, 59)
    labels = read_qrels(shared_data / "bright_meta/qrels/earth_science.tsv")
    assert sum("%" in doc for judged in labels.values() for doc in judged) == 32


def test_ties_in_real_runs(shared_data: Path) -> None:
    path = shared_data / "bright_meta/runs_reasonir_gpt4cot_top100/robotics.trec.gz"
    by_score, by_file = read_run(path), read_run(path, ties="file")
    tied = [query for query, ranking in by_score.items() if len(set(ranking.scores.tolist())) < len(ranking)]
    assert len(tied) == 96
    assert all(by_score[query] == by_file[query] for query in by_score if query not in tied)
    assert any(by_score[query].doc_ids != by_file[query].doc_ids for query in tied)


def test_rewrites_and_exclusions_join(shared_data: Path) -> None:
    home = shared_data / "bright_meta"
    queries = read_queries(home / "queries/aops.jsonl.gz")
    joined = join_rewrites(queries, home / "rewrites/tongsearch_qr_7B.json.gz")
    assert (joined.matched, joined.missing, len(joined.extra)) == (111, (), 860 - 111)
    excluded = join_excluded(queries, home / "excluded/aops.jsonl.gz")
    assert sum(len(query.excluded_ids) for query in excluded.queries) == 622_653  # 622,756 listed, some twice
    assert read_queries(home / "queries/economics.jsonl.gz")[0].excluded_ids == frozenset()
