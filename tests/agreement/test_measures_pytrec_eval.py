"""The same values as pytrec_eval (trec_eval's code) on random runs with many ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sleuth.data.readers import read_qrels, read_run
from sleuth.measures import evaluate, parse_measure
from sleuth.types import Qrels, Ranking, Run

pytestmark = pytest.mark.slow

KEYS = ["map", "ndcg", "recip_rank", "Rprec"]
KEYS += [f"{name}_{k}" for name in ("P", "recall", "ndcg_cut", "map_cut", "success") for k in (1, 3, 10, 100)]


def random_case(seed: int) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Coarse scores (many ties, some only in float32), graded and negative labels, missing queries."""
    rng = np.random.default_rng(seed)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for q in range(12):
        ids = [f"{'문서é d'[rng.integers(5)]}{i}" for i in rng.permutation(150)]
        grades = rng.choice([-1, 0, 1, 1, 2, 3], 30) if q % 5 else np.zeros(30, dtype=int)
        qrels[f"q{q}"] = {ids[i]: int(g) for i, g in enumerate(grades)}
        if q % 6 != 3:
            scores = rng.choice([1e-9, 1.0, 3e7], 1) * (rng.integers(0, 12, 120) + rng.choice([0, 1e-9], 120))
            run[f"q{q}"] = {ids[i]: float(s) for i, s in zip(rng.permutation(150)[:120], scores, strict=True)}
    run["unjudged"] = {"d1": 1.0}
    return qrels, run


def as_read(run: dict[str, dict[str, float]]) -> Run:
    """float32, ties by id descending: what reading a file gives."""
    lists = {q: (list(docs), np.array(list(docs.values()), dtype=np.float32)) for q, docs in run.items()}
    return Run({q: Ranking.from_scores(scores) for q, scores in lists.items()})


@pytest.mark.parametrize("seed", range(10))
def test_every_measure_on_every_query(seed: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_case(seed)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, KEYS).evaluate(run)
    report = evaluate(Qrels(qrels), as_read(run), KEYS, missing="skip")
    ours = report.per_query["sleuth"]
    assert ours.keys() == theirs.keys()
    for query_id, values in theirs.items():
        for key in KEYS:
            assert ours[query_id][str(parse_measure(key))] == pytest.approx(values[key], abs=1e-6), (query_id, key)


@pytest.mark.parametrize("seed", range(4))
def test_every_measure_through_files(seed: int, tmp_path: Path) -> None:
    """Both sides read the same files with their own readers; ranks in the file are shuffled on purpose."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_case(seed)
    rows = [f"{q} 0 {doc.replace(' ', '_')} {g}" for q, docs in qrels.items() for doc, g in docs.items()]
    (tmp_path / "qrels").write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = [
        f"{q} Q0 {doc.replace(' ', '_')} {r} {s!r} t"
        for q, docs in run.items()
        for r, (doc, s) in enumerate(docs.items())
    ]
    (tmp_path / "run").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with (tmp_path / "qrels").open(encoding="utf-8") as labels, (tmp_path / "run").open(encoding="utf-8") as lists:
        evaluator = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(labels), KEYS)
        theirs = evaluator.evaluate(pytrec_eval.parse_run(lists))
    report = evaluate(read_qrels(tmp_path / "qrels"), {"r": read_run(tmp_path / "run")}, KEYS, missing="skip")
    assert report.per_query["r"].keys() == theirs.keys()
    for query_id, values in theirs.items():
        for key in KEYS:
            found = report.per_query["r"][query_id][str(parse_measure(key))]
            assert found == pytest.approx(values[key], abs=1e-6), (query_id, key)


@pytest.mark.parametrize("seed", range(3))
def test_means_with_missing_queries_as_zero(seed: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_case(seed)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, KEYS).evaluate(run)
    report = evaluate(Qrels(qrels), as_read(run), KEYS)
    for key in KEYS:
        expected = sum(values[key] for values in theirs.values()) / len(qrels)
        assert report.mean(key) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rel", [1, 2, 3])
def test_relevance_level(rel: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_case(99)
    keys = {"P_5": "P", "map": "AP", "recall_10": "R", "recip_rank": "RR", "success_3": "Success", "Rprec": "Rprec"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, list(keys), relevance_level=rel).evaluate(run)
    names = {key: str(parse_measure(key)(rel=rel)) for key in keys}
    ours = evaluate(Qrels(qrels), as_read(run), list(names.values()), missing="skip").per_query["sleuth"]
    for query_id, values in theirs.items():
        for key, name in names.items():
            assert ours[query_id][name] == pytest.approx(values[key], abs=1e-6), (query_id, key)
