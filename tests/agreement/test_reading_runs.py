"""Runs and labels are read as pytrec_eval reads them, and what we write it orders as we do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sleuth.data.readers import read_qrels, read_run
from sleuth.data.writers import write_qrels, write_run
from sleuth.types import Ranking, Run

pytestmark = pytest.mark.slow


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A run with many ties, and labels."""
    rng = np.random.default_rng(7)
    lines, labels = [], []
    for query in range(40):
        docs = rng.permutation(500)[:200]
        scores = rng.integers(0, 30, size=200) / 7
        lines += [f"q{query} Q0 d{doc} {rank} {score:.9g} t" for rank, (doc, score) in enumerate(zip(docs, scores), 1)]
        labels += [f"q{query} 0 d{doc} {rng.integers(-1, 3)}" for doc in rng.permutation(500)[:60]]
    (tmp_path / "run").write_text("\n".join(lines) + "\n")
    (tmp_path / "qrels").write_text("\n".join(labels) + "\n")
    return tmp_path / "run", tmp_path / "qrels"


def test_the_same_values(made: tuple[Path, Path]) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    with open(made[0]) as handle:
        run = pytrec_eval.parse_run(handle)
    with open(made[1]) as handle:
        labels = pytrec_eval.parse_qrel(handle)
    ours = read_run(made[0])
    assert {q: {d: np.float32(s) for d, s in docs.items()} for q, docs in run.items()} == {
        q: {d: np.float32(s) for d, s in ranking.score_of().items()} for q, ranking in ours.items()
    }
    assert labels == {q: dict(judged) for q, judged in read_qrels(made[1]).items()}


def test_it_finds_our_order_in_what_we_write(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Measures of a written run equal those of explicit descending scores, whatever ties there were."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    run, qrels = read_run(made[0], ties="file"), read_qrels(made[1])
    run = Run({query: Ranking(ranking.doc_ids, np.round(ranking.scores)) for query, ranking in run.items()})
    write_run(run, tmp_path / "out")
    write_qrels(qrels, tmp_path / "out.qrels")
    with open(tmp_path / "out") as handle:
        written = pytrec_eval.parse_run(handle)
    with open(tmp_path / "out.qrels") as handle:
        labels = pytrec_eval.parse_qrel(handle)
    evaluator = pytrec_eval.RelevanceEvaluator(labels, {"ndcg", "map", "recip_rank", "P"})
    explicit = {q: {doc: float(-rank) for rank, doc in enumerate(ranking.doc_ids)} for q, ranking in run.items()}
    assert evaluator.evaluate(written) == evaluator.evaluate(explicit)
