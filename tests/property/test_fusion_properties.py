"""What holds for every fusion: order of the input, better scores, the same list twice, extremes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.fusion import Smoothed, borda, fuse, kemeny
from sleuth.types import Ranking, Run

IDS = st.text(alphabet="ab가|% é\u200b\t0", max_size=4)
SCORES = st.floats(-1e6, 1e6, allow_nan=False, width=32)
LISTS = st.lists(st.dictionaries(IDS, SCORES, max_size=8), min_size=1, max_size=4)
METHODS = [
    {"method": "rrf"},
    *({"method": "combsum", "normalize": n} for n in ("none", "minmax", "zscore", "rank")),
    {"method": "combmnz", "normalize": "minmax"},
    {"method": "combmnz", "normalize": "rank"},
]


def as_run(scores: dict[str, float], name: str = "r") -> Run:
    return Run({"q": Ranking.from_scores(scores)}, name=name)


@pytest.mark.parametrize("options", METHODS, ids=lambda o: "-".join(o.values()))
@given(lists=LISTS, seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_order_of_runs_and_documents_is_irrelevant(options: dict, lists: list[dict[str, float]], seed: int) -> None:
    first = fuse([as_run(scores) for scores in lists], **options)["q"]
    shuffled = []
    rng = np.random.default_rng(seed)
    for at in rng.permutation(len(lists)):
        items = list(lists[at].items())
        shuffled.append(as_run(dict(items[i] for i in rng.permutation(len(items)))))
    second = fuse(shuffled, **options)["q"]
    assert first.doc_ids == second.doc_ids
    assert np.array_equal(first.scores, second.scores)
    assert set(first.doc_ids) == set().union(*lists)


@pytest.mark.parametrize("options", METHODS, ids=lambda o: "-".join(o.values()))
@given(scores=st.dictionaries(IDS, st.integers(-50, 50).map(float), min_size=1, max_size=8), times=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_list_fused_with_itself_keeps_its_order(options: dict, scores: dict[str, float], times: int) -> None:
    run = as_run(scores)
    assert fuse([run] * times, **options)["q"].doc_ids == run["q"].doc_ids


@given(lists=LISTS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_better_score_never_hurts(lists: list[dict[str, float]], data: st.DataObject) -> None:
    named = [i for i, scores in enumerate(lists) if scores]
    if not named:
        return
    at = data.draw(st.sampled_from(named))
    doc_id = data.draw(st.sampled_from(sorted(lists[at])))
    better = [dict(scores) for scores in lists]
    better[at][doc_id] += data.draw(st.floats(0, 1e6))
    for options in ({"method": "rrf"}, {"method": "combsum", "normalize": "rank"}):
        before = fuse([as_run(scores) for scores in lists], **options)["q"].doc_ids
        after = fuse([as_run(scores) for scores in better], **options)["q"].doc_ids
        assert after.index(doc_id) <= before.index(doc_id)


VALUES = st.floats(-100, 100, allow_nan=False)


@given(
    rows=st.lists(
        st.tuples(VALUES, VALUES, st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.booleans()), max_size=14
    ),
    weight=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_smoothed_is_finite_and_ignores_the_order_of_candidates(rows: list, weight: float, seed: int) -> None:
    n = len(rows)
    v = np.array([row[2] for row in rows], dtype=np.float32).reshape(n, 3)
    norm = np.linalg.norm(v, axis=1, keepdims=True)
    v = np.divide(v, norm, out=np.zeros_like(v), where=norm > 0)
    v[[not row[3] for row in rows]] = np.nan
    b, d = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    ids = [f"가{i % 7}-{i}" for i in range(n)]
    found = Smoothed(weight=weight).pool(ids, b, d, v)
    assert np.isfinite(found.fused).all()
    p = np.random.default_rng(seed).permutation(n)
    again = Smoothed(weight=weight).pool([ids[i] for i in p], b[p], d[p], v[p])
    assert np.array_equal(again.fused, found.fused[p])


@given(lists=st.lists(st.permutations(list("abcde")), min_size=1, max_size=5), seed=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_aggregation_ignores_the_order_of_lists(lists: list[list[str]], seed: int) -> None:
    shuffled = [lists[i] for i in np.random.default_rng(seed).permutation(len(lists))]
    assert borda(lists) == borda(shuffled)
    assert kemeny(lists) == kemeny(shuffled)
    assert borda([lists[0]]).doc_ids == kemeny([lists[0]]).doc_ids == tuple(lists[0])
