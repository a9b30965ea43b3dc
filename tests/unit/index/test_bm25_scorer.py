"""The scorer's answers to hand-made collections, to bad input, and what it loads."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sleuth.errors import MissingExtra, ShapeError, UnknownName, UsageError
from sleuth.index.bm25 import BM25, Postings
from sleuth.text.stream import stream_of

DOCS = [["a", "b", "b"], [], ["a", "c"], ["b"], ["a", "b", "c", "c"]]


def scorer(*segments: list[list[str]], live: list[Any] | None = None, **options: Any) -> BM25:
    segments = segments or (DOCS,)
    return BM25(
        [Postings.build(stream_of(docs)) for docs in segments],
        live=live or [None] * len(segments),
        tie_ranks=[np.arange(len(docs))[::-1] for docs in segments],
        **{"engine": "numpy", **options},
    )


def test_explanations_sum_to_the_score() -> None:
    ours = scorer()
    for weighting in ("saturated", "tf", "binary", "bm25"):
        query = ["b", "c", "b", "nowhere"]
        found, scores = ours.search([query], depth=10, weighting=weighting)[0]
        for position, score in zip(found.tolist(), scores.tolist(), strict=True):
            terms = ours.explain(query, position, weighting=weighting)
            assert [t["term"] for t in terms] == ["b", "c", "nowhere"]
            assert sum(t["contribution"] for t in terms) == pytest.approx(score, rel=1e-12)
            assert [t["tf"] for t in terms] == [DOCS[position].count(t["term"]) for t in terms]
            assert [t["df"] for t in terms] == [3, 2, 0]
            assert terms[2]["idf"] == terms[2]["weight"] == terms[2]["contribution"] == 0.0
    assert ours.explain(["b"], 0)[0]["idf"] == pytest.approx(math.log(1 + 1.5 / 3.5))


def test_given_weights_are_used_as_they_are() -> None:
    ours = scorer()
    doubled, plain = (ours.search([q], depth=9, weighting="tf")[0] for q in ({"a": 2.0, "c": 0.5}, ["a", "a", "c"]))
    assert doubled[0].tolist() != [] and set(doubled[0].tolist()) == set(plain[0].tolist())
    alone = ours.score(["a"], np.arange(5), weighting="binary"), ours.score(["c"], np.arange(5), weighting="binary")
    for weighting in ("saturated", "tf", "binary"):
        np.testing.assert_allclose(
            ours.score({"a": 2.0, "c": 0.5}, np.arange(5), weighting=weighting), 2 * alone[0] + 0.5 * alone[1]
        )
    np.testing.assert_array_equal(ours.score({"a": 3, "c": 0}, np.arange(5)), ours.score({"a": 3}, np.arange(5)))


def test_weights_too_far_apart_for_float32() -> None:
    query = {"a": 1e90, "b": 1e-90, "c": 1e-91}
    found, _ = scorer().search([query, ["a"]], depth=3)[0]
    assert set(found.tolist()) == {0, 2, 4}
    everything, all_scores = scorer().search([query], depth=9, excluded=[{2}])[0]
    assert everything.tolist()[-1] == 3 and 2 not in everything.tolist()
    assert all_scores[-1] == pytest.approx(scorer().score({"b": 1e-90}, np.array([3]))[0])


def test_deleted_documents_count_for_nothing() -> None:
    live = np.array([True, True, False, True, False])
    before, after = scorer([d for d, kept in zip(DOCS, live, strict=True) if kept]), scorer(live=[live])
    assert after.df("c") == 0 and after.df("a") == before.df("a") == 1
    for weighting in ("saturated", "bm25"):
        assert after.statistics(weighting) == before.statistics(weighting)
        (docs, scores), (expected_docs, expected) = (
            s.search([["a", "b", "c"]], depth=9, weighting=weighting)[0] for s in (after, before)
        )
        assert scores.tolist() == expected.tolist()
        assert docs.tolist() == [[0, 1, 3][i] for i in expected_docs.tolist()]


def test_ties_across_segments_are_all_returned() -> None:
    twins = [["x", "y"], ["x", "z"], ["x", "y"]]
    found, scores = scorer(twins, twins).search([["x"]], depth=2)[0]
    assert len(set(scores.tolist())) == 1
    assert found.tolist() == [2, 1, 5, 4]  # two a segment, by `tie_ranks`; which two of them is for doc ids to say
    assert scorer(twins + twins).search([["x"]], depth=2)[0][0].tolist() == [5, 4]


def test_many_documents_tie_for_the_last_place() -> None:
    docs = [["same", "words"]] * 3_000 + [["same", "same"]]
    found, scores = scorer(docs).search([["same"]], depth=3)[0]
    assert found.tolist() == [3_000, 2_999, 2_998]
    assert scores[1] == scores[2] < scores[0]


def test_nothing_to_find() -> None:
    nothing = BM25([], live=[], tie_ranks=[], engine="numpy")
    assert [len(f) for f, _ in nothing.search([["a"], []], depth=5)] == [0, 0]
    assert nothing.df("a") == 0 and nothing.statistics().n_docs == 0
    for ours in (scorer([]), scorer([[], []]), scorer(live=[np.zeros(5, bool)])):
        for weighting in ("saturated", "bm25"):
            assert [len(f) for f, _ in ours.search([["a"], []], depth=5, weighting=weighting)] == [0, 0]
    assert scorer().search([], depth=5) == []
    assert scorer().score(["a"], np.zeros(0, np.int64)).shape == (0,)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a bare string", "bare str"),
        (b"bytes", "bare bytes"),
        ([1, 2], "expected str"),
        ([None], "expected str"),
        ({"a": -1.0}, "expected 0 or a number"),
        ({"a": float("nan")}, "expected 0 or a number"),
        ({"a": float("inf")}, "expected 0 or a number"),
        ({"a": 10**400}, "expected 0 or a number"),
        ({"a": "2"}, "expected 0 or a number"),
        ({"a": True}, "expected 0 or a number"),
        ({1: 2.0}, "expected str"),
    ],
)
def test_bad_queries_are_refused(query: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scorer().search([["a"], query], depth=3)


def test_bad_calls_are_refused() -> None:
    ours = scorer()
    for depth in (0, -1, True, 2.5, None):
        with pytest.raises(UsageError, match="depth"):
            ours.search([["a"]], depth=depth)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="bare string"):
        ours.search("why", depth=3)
    with pytest.raises(UnknownName, match="Did you mean 'saturated'"):
        ours.search([["a"]], depth=3, weighting="saturate")
    with pytest.raises(UsageError, match="no definition"):
        ours.search([["a"], {"a": 1.0}], depth=3, weighting="bm25")
    with pytest.raises(ShapeError, match="1 collections for 2 queries"):
        ours.search([["a"], ["b"]], depth=3, excluded=[set()])
    with pytest.raises(ShapeError, match=r"expected bool \(5,\)"):
        ours.search([["a"]], depth=3, within=np.ones(4, bool))
    with pytest.raises(ShapeError, match=r"expected bool \(5,\)"):
        ours.search([["a"]], depth=3, within=np.ones(5))
    with pytest.raises(UsageError, match=r"\[0, 5\)"):
        ours.score(["a"], np.array([5]))
    with pytest.raises(UsageError, match=r"\[0, 5\)"):
        ours.explain(["a"], -1)


def test_bad_collections_are_refused() -> None:
    for k1, b in ((-1, 0.5), (float("nan"), 0.5), (1.2, 1.5), (1.2, -0.1), (1e9, 0.5)):
        with pytest.raises(UsageError, match="k1 must"):
            scorer(k1=k1, b=b)
    with pytest.raises(UnknownName, match="engine"):
        scorer(engine="cuda")
    with pytest.raises(ShapeError, match="live has shape"):
        scorer(live=[np.ones(4, bool)])
    with pytest.raises(ShapeError, match="give one each"):
        BM25([Postings.build(stream_of(DOCS))], live=[], tie_ranks=[])


def test_without_numba_the_engine_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from sleuth.index.bm25 import select_numba

    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(select_numba, "_kernels", None)
    with pytest.raises(MissingExtra, match="sleuth\\[fast\\]"):
        scorer(engine="numba")


def test_a_one_shot_search_loads_neither_numba_nor_scipy() -> None:
    code = """
import sys
import numpy as np
from types import SimpleNamespace
from sleuth.index.bm25 import BM25, Postings
stream = SimpleNamespace(ids=np.array([0, 1, 0], np.int32), offsets=np.array([0, 2, 3]), terms=["b", "a"])
arrays = Postings.build(stream).arrays()
for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
    del sys.modules[name]
ours = BM25([Postings.from_arrays(arrays)], live=[None], tie_ranks=[np.arange(2)])
assert len(ours.search([["a", "b"]], depth=5)[0][0]) == 2
assert len(ours.score(["b"], np.array([0, 1]))) == 2 and ours.explain(["b"], 1)
bad = sorted(name for name in sys.modules if name.split(".")[0] in ("numba", "scipy", "torch"))
assert not bad, bad
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
