"""fuse: values by hand, missing documents, parts, names, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from sleuth.errors import ShapeError, UnknownName, UsageError
from sleuth.fusion import PRESETS, Combination, fuse
from sleuth.types import Ranking, Run


def run(name: str, **queries: dict[str, float]) -> Run:
    return Run({q: Ranking.from_scores(scores, scale="bm25") for q, scores in queries.items()}, name=name)


BM25 = run("bm25", q1={"a": 10.0, "b": 6.0, "c": 2.0})
DENSE = run("dense", q1={"c": 0.9, "d": 0.5, "a": 0.1})


def fused(**options: object) -> dict[str, float]:
    return fuse([BM25, DENSE], **options)["q1"].score_of()  # type: ignore[arg-type]


def test_rrf_is_the_papers() -> None:
    assert fused() == pytest.approx({"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "d": 1 / 62, "b": 1 / 62})
    assert list(fused()) == ["c", "a", "d", "b"]  # ties by doc_id descending
    assert fused(k=1)["d"] == pytest.approx(1 / 3)


def test_weighted_rrf() -> None:
    assert fused(weights=[1, 0])["a"] == pytest.approx(1 / 61)
    assert list(fused(weights={"dense": 2, "bm25": 1})) == ["c", "a", "d", "b"]


def test_combsum_fills_missing_documents_with_the_lowest() -> None:
    assert fused(method="combsum") == pytest.approx({"c": 1.0, "a": 1.0, "d": 0.5, "b": 0.5})
    raw = fused(method="combsum", normalize="none")
    assert raw == pytest.approx({"a": 10.1, "b": 6 + 0.1, "c": 2.9, "d": 2 + 0.5})


def test_combmnz_counts_the_lists() -> None:
    assert fused(method="combmnz") == pytest.approx({"c": 2.0, "a": 2.0, "d": 0.5, "b": 0.5})


def test_weighted_and_its_preset() -> None:
    expected = {"c": 0.75, "a": 0.25, "d": 0.375, "b": 0.125}
    assert fused(method="weighted", weights=[0.25, 0.75]) == pytest.approx(expected)
    assert PRESETS["bge-reasoner"].runs([BM25, DENSE])["q1"].score_of() == pytest.approx(expected)


def test_zscore() -> None:
    z = np.sqrt(1.5)
    assert fused(method="combsum", normalize="zscore") == pytest.approx(
        {"a": 0.0, "c": 0.0, "b": -z, "d": -z}, abs=1e-12
    )


def test_parts_keep_each_lists_own_scores_and_parts() -> None:
    inner = Run({"q1": Ranking(["a", "b"], [2.0, 1.0], parts={"retrieve": [5.0, 6.0]}, scale="bm25")}, name="x")
    ranking = fuse([inner, DENSE])["q1"]
    at = {doc_id: i for i, doc_id in enumerate(ranking.doc_ids)}
    assert ranking.scale == "fused"
    assert set(ranking.parts) == {"x", "x/retrieve", "dense"}
    assert ranking.parts["x"][at["a"]] == 2 and np.isnan(ranking.parts["x"][at["d"]])
    assert ranking.parts["x/retrieve"][at["b"]] == 6 and np.isnan(ranking.parts["x/retrieve"][at["c"]])
    assert ranking.parts["dense"][at["c"]] == 0.9 and np.isnan(ranking.parts["dense"][at["b"]])


def test_same_names_are_told_apart() -> None:
    ranking = fuse([DENSE, DENSE, DENSE])["q1"]
    assert set(ranking.parts) == {"dense", "dense-2", "dense-3"}


def test_queries_of_all_runs_and_empty_lists() -> None:
    other = Run({"q2": Ranking.from_scores({"z": 1.0}), "q3": Ranking((), ())}, name="other")
    result = fuse([BM25, other], method="combsum")
    assert list(result) == ["q1", "q2", "q3"]
    assert list(result["q2"].score_of()) == ["z"] and len(result["q3"]) == 0
    assert len(fuse([Run(), Run(name="b")])) == 0


def test_depth_and_name() -> None:
    result = fuse([BM25, DENSE], depth=2, name="mine")
    assert result.name == "mine" and result["q1"].doc_ids == ("c", "a")
    assert len(fuse([BM25], depth=0)["q1"]) == 0


def test_one_run_keeps_its_order() -> None:
    for method in ("rrf", "combsum", "combmnz"):
        assert fuse([BM25], method=method)["q1"].doc_ids == BM25["q1"].doc_ids


def test_korean_and_odd_ids() -> None:
    odd = run("문서", q={"가 나": 2.0, "a%27s b\t|": 1.0, "": 0.5})
    assert fuse({"문서": odd, "<b>": odd})["q"].doc_ids == ("가 나", "a%27s b\t|", "")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "rff"}, UnknownName, "Did you mean 'rrf'"),
        ({"method": "combsum", "normalize": "min-max"}, UnknownName, "Did you mean 'minmax'"),
        ({"normalize": "zscore"}, UsageError, "rrf reads ranks"),
        ({"method": "combmnz", "normalize": "zscore"}, UsageError, "0 or more"),
        ({"method": "weighted"}, UsageError, "needs weights"),
        ({"method": "combsum", "weights": [1, 2]}, UsageError, "method='weighted'"),
        ({"method": "weighted", "weights": [1]}, ShapeError, r"\(2,\)"),
        ({"method": "weighted", "weights": [0, 0]}, UsageError, "all weights are 0"),
        ({"method": "weighted", "weights": [1, -1]}, UsageError, "0 or more"),
        ({"method": "weighted", "weights": [1, float("nan")]}, UsageError, "finite"),
        ({"method": "weighted", "weights": {"bm25": 1}}, UsageError, "'dense'"),
        ({"method": "weighted", "weights": {"bm25": 1, "dnse": 1}}, UnknownName, "Did you mean 'dense'"),
        ({"k": 0}, UsageError, "above 0"),
        ({"depth": -1}, UsageError, "depth"),
    ],
)
def test_refusals(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fuse([BM25, DENSE], **options)


def test_refused_input() -> None:
    with pytest.raises(UsageError, match="no run"):
        fuse([])
    with pytest.raises(UsageError, match="several runs"):
        fuse(BM25)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="got dict"):
        fuse([{"q1": {"a": 1.0}}])  # type: ignore[list-item]
    negative = run("n", q1={"a": -1.0, "b": -2.0})
    with pytest.raises(UsageError, match="minmax"):
        fuse([negative, BM25], method="combmnz", normalize="none")


def test_a_combination_is_a_value() -> None:
    assert Combination("rrf", k=60) == Combination()
    assert hash(Combination("weighted", weights={"a": 1.0})) == hash(Combination("weighted", weights={"a": 1.0}))
