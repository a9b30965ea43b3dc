"""nDCG@10 on real collections against published baselines and the known values of the default recipe.

All nine collections are measured by `benchmarks/collections_quality.py`; here are the small ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sleuth.data.readers import read_corpus, read_qrels, read_queries
from sleuth.errors import ModelError
from sleuth.front import build_index, locate_minilm, make_retriever
from sleuth.fusion.smoothed import Smoothed
from sleuth.measures.evaluation import evaluate
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.lexical import Lexical
from sleuth.retrieve.rm3 import RM3
from sleuth.stages import Retriever

NDCG = "nDCG@10"


def ndcg(retriever: Retriever, folder: Path, split: str, depth: int = 100) -> float:
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
    queries = [query for query in read_queries(folder / "queries.jsonl") if query.query_id in qrels]
    return evaluate(qrels, retriever.retrieve(queries, depth=depth).run, [NDCG]).mean(NDCG)


def index_of(folder: Path, path: Path, **settings: Any) -> Any:
    return build_index(read_corpus(folder), path, **settings)


@pytest.mark.parametrize(
    ("name", "analyzer", "expected", "tolerance"),
    [
        ("cranfield", "word", 0.3575, 0.002),
        ("cranfield", "en", 0.358, 0.005),
        ("cacm", "word", 0.4594, 0.002),
        ("cacm", "en", 0.474, 0.005),
    ],
)
def test_published_baselines(
    shared_data: Path, tmp_path: Path, name: str, analyzer: str, expected: float, tolerance: float
) -> None:
    index = index_of(shared_data / name, tmp_path / "i", analyzer=analyzer, k1=0.9, b=0.4)
    assert ndcg(Lexical(index, query_weighting="tf"), shared_data / name, "test") == pytest.approx(
        expected, abs=tolerance
    )


@pytest.mark.parametrize(("name", "expected"), [("cranfield", 0.377), ("cacm", 0.464)])
def test_rm3(shared_data: Path, tmp_path: Path, name: str, expected: float) -> None:
    index = index_of(shared_data / name, tmp_path / "i", analyzer="word", k1=0.9, b=0.4)
    lexical = Lexical(index, query_weighting="tf", feedback=RM3())
    assert ndcg(lexical, shared_data / name, "test") == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize(("name", "expected", "tolerance"), [("cranfield", 0.3743, 0.005), ("cacm", 0.4499, 0.01)])
def test_default_bm25(shared_data: Path, tmp_path: Path, name: str, expected: float, tolerance: float) -> None:
    index = index_of(shared_data / name, tmp_path / "i")
    assert ndcg(make_retriever(index, "bm25"), shared_data / name, "test") == pytest.approx(expected, abs=tolerance)


@pytest.mark.slow
def test_korean_needs_bigrams(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "korquad1"
    bigrams = index_of(folder, tmp_path / "cjk", analyzer="cjk", k1=0.9, b=0.4)
    assert ndcg(Lexical(bigrams, query_weighting="tf"), folder, "test") == pytest.approx(0.9597, abs=0.002)
    automatic = index_of(folder, tmp_path / "auto")
    assert ndcg(make_retriever(automatic, "bm25"), folder, "test") >= 0.95
    words = index_of(folder, tmp_path / "word", analyzer="word")
    assert ndcg(make_retriever(words, "bm25"), folder, "test") < 0.85


def test_ids_with_spaces(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "limit_small"
    index = index_of(folder, tmp_path / "i", analyzer="word", k1=0.9, b=0.4)
    assert ndcg(Lexical(index, query_weighting="tf"), folder, "test") == pytest.approx(0.9919, abs=0.002)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "minilm", "rrf", "z", "recipe", "tolerance"),
    [
        ("cranfield", 0.3949, 0.4283, 0.4292, 0.4501, 0.005),
        ("cacm", 0.4101, 0.5355, 0.5242, 0.5453, 0.01),
    ],
)
def test_hybrids(
    shared_data: Path, tmp_path: Path, name: str, minilm: float, rrf: float, z: float, recipe: float, tolerance: float
) -> None:
    try:
        locate_minilm()
    except ModelError as error:
        pytest.skip(str(error))
    index = index_of(shared_data / name, tmp_path / "i", dense="minilm")
    lexical, dense = make_retriever(index, "bm25"), make_retriever(index, "dense")
    systems = {
        minilm: dense,
        rrf: Hybrid(lexical, dense, fusion="rrf"),
        z: Hybrid(lexical, dense, fusion=Smoothed(0.3, smoothing=False, feedback=False)),
        recipe: Hybrid(lexical, dense),
    }
    for expected, system in systems.items():
        assert ndcg(system, shared_data / name, "test") == pytest.approx(expected, abs=tolerance)
