"""Every engine against BM25's definition, on random collections: deletions, ties, exclusions, filters, weights.

The compiled kernels are plain Python before numba compiles them, so the fast tier runs them, too.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.index.bm25 import BM25, Postings, kernels_best, kernels_block, kernels_lookup, kernels_numba, select_numba
from sleuth.index.bm25.select_numba import NumbaEngine
from sleuth.text.stream import stream_of

WEIGHTINGS = ("saturated", "tf", "binary", "bm25")


def reference_scores(
    docs: Sequence[Sequence[str]], query: Any, weighting: str = "saturated", k1: float = 1.2, b: float = 0.75
) -> dict[int, float]:
    """Position -> score of every document that shares a term with the query."""
    every = weighting == "bm25"
    counted = [d for d in docs if d or every]
    n, tokens = len(counted), sum(map(len, counted))
    df = Counter(term for d in docs for term in set(d))
    if not tokens:
        return {}
    avgdl = tokens / n
    if isinstance(query, Mapping):
        qtf = {t: w for t, w in query.items() if w > 0 and df[t]}
        multiple = qtf
    else:
        qtf = {t: c for t, c in Counter(query).items() if df[t]}
        ql = sum(qtf.values())
        multiple = {
            t: {
                "saturated": 2 * c / (c + 1),
                "tf": c,
                "binary": 1.0,
                "bm25": math.log((n + 1) / (df[t] + 0.5)) * c / (c + k1 * (1 - b + b * ql / avgdl)),
            }[weighting]
            for t, c in qtf.items()
        }
    scores = {}
    for position, doc in enumerate(docs):
        tf = Counter(doc)
        shared = [t for t in sorted(qtf) if tf[t]]
        if shared:
            norm = k1 * (1 - b + b * len(doc) / avgdl)
            idf = {
                t: math.log((n + 1) / (df[t] + 0.5)) if every else math.log(1 + (n - df[t] + 0.5) / (df[t] + 0.5))
                for t in shared
            }
            scores[position] = math.fsum(multiple[t] * idf[t] * tf[t] / (tf[t] + norm) for t in shared)
    return scores


@dataclass
class Collection:
    """Documents in segments, some of them deleted, and the order of their ids among ties."""

    segments: list[list[list[str]]]
    dead: list[list[bool]]
    seed: int = 0
    ranks: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.ranks = [rng.permutation(len(s)).astype(np.int32) for s in self.segments]

    @property
    def bases(self) -> list[int]:
        return np.cumsum([0, *map(len, self.segments)]).tolist()

    @property
    def live(self) -> list[int]:
        """Positions of the documents that are not deleted."""
        flat = [gone for own in self.dead for gone in own]
        return [i for i, gone in enumerate(flat) if not gone]

    @property
    def live_docs(self) -> list[list[str]]:
        flat = [doc for own in self.segments for doc in own]
        return [flat[i] for i in self.live]

    def scorer(self, engine: str = "numpy", **options: Any) -> BM25:
        live = [np.logical_not(gone) if any(gone) else None for gone in self.dead]
        parts = [Postings.build(stream_of(own)) for own in self.segments]
        plain = engine == "plain kernels"
        scorer = BM25(parts, live=live, tie_ranks=self.ranks, engine="auto" if plain else engine, **options)
        if plain:
            scorer._numba = NumbaEngine(kernels_numba)
        return scorer

    def expected(self, query: Any, weighting: str, **options: Any) -> dict[int, float]:
        """Position among all documents -> score, by a fresh look at the live documents alone."""
        return {self.live[i]: s for i, s in reference_scores(self.live_docs, query, weighting, **options).items()}


def check_found(
    collection: Collection,
    found: tuple[np.ndarray, np.ndarray],
    expected: Mapping[int, float],
    depth: int,
) -> None:
    """The result is the best `depth` of `expected`, exactly scored, ties in order, and ties at the cut kept.

    A tie is a tie by definition, so documents with the same terms must get the same float64.
    """
    positions, scores = found
    assert len(positions) == len(set(positions.tolist()))
    assert np.all(np.diff(scores) <= 0)
    assert len(positions) >= min(depth, len(expected))
    for position, score in zip(positions.tolist(), scores.tolist(), strict=True):
        assert math.isclose(score, expected[position], rel_tol=1e-9), (position, score, expected[position])
    left = [s for p, s in expected.items() if p not in set(positions.tolist())]
    if left and len(scores):
        assert max(left) <= scores[-1] * (1 + 1e-9)
    if len(positions) > depth:
        assert len(collection.segments) > 1
        assert np.all(scores[depth - 1 :] == scores[-1])
    flat = [tuple(sorted(doc)) for own in collection.segments for doc in own]
    same: dict[tuple[str, ...], float] = {}
    for position, score in zip(positions.tolist(), scores.tolist(), strict=True):
        assert same.setdefault(flat[position], score) == score
    where = np.searchsorted(collection.bases[1:], positions, side="right").tolist()
    rows = list(zip(where, scores.tolist(), positions.tolist(), strict=True))
    for (a, s, x), (c, t, y) in itertools.pairwise(rows):
        if a == c and s == t:
            base = collection.bases[a]
            assert collection.ranks[a][x - base] < collection.ranks[a][y - base]


words = st.sampled_from(["a", "b", "c", "d", "e", "ab", "한글", "z\U0001f600", "naïve"])
documents = st.lists(words, max_size=12)


@st.composite
def collections(draw: Any) -> Collection:
    """One to three small segments; few words, so that ties and frequent terms are common."""
    segments = draw(st.lists(st.lists(documents, max_size=40), min_size=1, max_size=3))
    dead = []
    for own in segments:
        flags = st.lists(st.booleans(), min_size=len(own), max_size=len(own))
        dead.append(draw(flags) if draw(st.booleans()) else [False] * len(own))
    return Collection(segments, dead, draw(st.integers(0, 2**16)))


queries = st.one_of(
    st.lists(st.one_of(words, st.just("unknown")), max_size=20),
    st.dictionaries(words, st.one_of(st.just(0.0), st.floats(1e-100, 10)), max_size=6),
)

ENGINES = ["numpy", "plain kernels", pytest.param("numba", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """An engine's name; "plain kernels" also where an earlier test of this process has compiled them."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        for module in (kernels_lookup, kernels_best, kernels_block, kernels_numba) if name == "plain kernels" else ():
            for own, value in list(vars(module).items()):
                if hasattr(value, "py_func"):
                    patch.setattr(module, own, value.py_func)
        yield name


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_search_finds_the_best_by_definition(engine: str, data: Any) -> None:
    collection = data.draw(collections())
    asked = data.draw(st.lists(queries, min_size=1, max_size=10))
    depth = data.draw(st.sampled_from([1, 2, 5, 30, 1000]))
    weighting = data.draw(st.sampled_from(WEIGHTINGS))
    if weighting == "bm25":
        asked = [q for q in asked if not isinstance(q, Mapping)] or [["a"]]
    k1, b = data.draw(st.sampled_from([(1.2, 0.75), (0.9, 0.4), (0.0, 0.5), (2.0, 0.0), (1.0, 1.0)]))
    # Small collections have no middling terms by themselves: above the share, a term has a row of impacts.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select_numba, "ROW_SHARE", data.draw(st.sampled_from([0.08, 0.3, 0.6, 1.0])))
        patch.setattr(kernels_numba, "TOUCH", data.draw(st.sampled_from([1, 5, 20])))
        results = collection.scorer(engine, k1=k1, b=b).search(asked, depth=depth, weighting=weighting)
    assert len(results) == len(asked)
    for query, found in zip(asked, results, strict=True):
        check_found(collection, found, collection.expected(query, weighting, k1=k1, b=b), depth)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_exclusions_and_filters_act_before_the_cut_and_leave_statistics_alone(engine: str, data: Any) -> None:
    collection = data.draw(collections())
    size = collection.bases[-1]
    asked = data.draw(st.lists(queries, min_size=1, max_size=4))
    depth = data.draw(st.sampled_from([1, 3, 50]))
    within = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    excluded = [data.draw(st.sets(st.integers(0, max(size - 1, 0)), max_size=8)) for _ in asked]
    results = collection.scorer(engine).search(
        asked, depth=depth, excluded=excluded, within=None if within is None else np.array(within, dtype=np.bool_)
    )
    for query, out, found in zip(asked, excluded, results, strict=True):
        expected = collection.expected(query, "saturated")
        allowed = {p: s for p, s in expected.items() if p not in out and (within is None or within[p])}
        check_found(collection, found, allowed, depth)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_scores_of_given_documents_equal_the_definition_and_the_search(engine: str, data: Any) -> None:
    collection = data.draw(collections())
    query = data.draw(queries)
    weighting = data.draw(st.sampled_from(WEIGHTINGS if not isinstance(query, Mapping) else WEIGHTINGS[:3]))
    scorer = collection.scorer(engine)
    positions = np.array(data.draw(st.permutations(collection.live)), dtype=np.int64)
    scores = scorer.score(query, positions, weighting=weighting)
    expected = collection.expected(query, weighting)
    np.testing.assert_allclose(scores, [expected.get(p, 0.0) for p in positions.tolist()], rtol=1e-9)
    found, found_scores = scorer.search([query], depth=10**6, weighting=weighting)[0]
    by_position = dict(zip(positions.tolist(), scores.tolist(), strict=True))
    assert [by_position[p] for p in found.tolist()] == found_scores.tolist()


@settings(deadline=None, max_examples=30)
@given(collection=collections())
def test_a_merge_equals_a_fresh_build_of_what_is_kept(collection: Collection) -> None:
    parts = [Postings.build(stream_of(own)) for own in collection.segments]
    keep = [np.logical_not(gone) if any(gone) else None for gone in collection.dead]
    merged = Postings.merge(parts, keep).arrays()
    fresh = Postings.build(stream_of(collection.live_docs)).arrays()
    assert merged.keys() == fresh.keys()
    for name, array in fresh.items():
        assert merged[name].dtype == array.dtype, name
        assert merged[name].tobytes() == array.tobytes(), name


@settings(deadline=None, max_examples=25)
@given(docs=st.lists(documents, max_size=40))
def test_postings_hold_what_the_documents_hold(docs: list[list[str]]) -> None:
    postings = Postings.build(stream_of(docs))
    assert postings.lengths.tolist() == [len(d) for d in docs]
    assert postings.n_postings == sum(len(set(d)) for d in docs)
    assert postings.vocabulary.all_terms() == sorted({t for d in docs for t in d}, key=str.encode)
    assert [postings.term_counts(i) for i in range(len(docs))] == [dict(Counter(d)) for d in docs]
