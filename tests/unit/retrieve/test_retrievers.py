"""Lexical, dense and hybrid retrieval over a small real index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sleuth.context import Context
from sleuth.errors import CannotScore, UnknownName, UsageError
from sleuth.front import build_index, make_retriever, open_index, search
from sleuth.fusion.smoothed import Smoothed
from sleuth.pipeline import Pipeline
from sleuth.retrieve.dense import Dense
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.imported import Imported
from sleuth.retrieve.lexical import Lexical
from sleuth.retrieve.rm3 import RM3
from sleuth.stages import Embeddings, Retriever
from sleuth.types import Doc, Query, Ranking, Run

WORDS = ["pipe", "child", "wait", "lock", "thread", "queue", "moth", "lamp", "star", "oven", "bread", "rain"]


class WordEncoder:
    """Unit vectors of word counts: small, exact, and it knows no paraphrase."""

    name, identity, dim, max_tokens = "words", "words/1", len(WORDS) + 1, 100

    def encode_docs(self, docs: Sequence[str], *, context: Context | None = None) -> Embeddings:
        vectors = np.full((len(docs), self.dim), 1e-3, dtype=np.float32)
        for row, text in enumerate(docs):
            for word, n in Counter(text.lower().split()).items():
                vectors[row, WORDS.index(word) if word in WORDS else -1] += n
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        n_tokens = np.array([len(text.split()) for text in docs], np.int32)
        return Embeddings(vectors, n_tokens, n_tokens > self.max_tokens)

    encode_queries = encode_docs


def corpus() -> list[Doc]:
    numbers = np.random.default_rng(3)
    docs = [Doc(f"d{at:02}", " ".join(numbers.choice(WORDS, 6)), metadata={"source": f"s{at % 4}"}) for at in range(40)]
    return [*docs, Doc("empty", ""), Doc("twin-a", "moth lamp"), Doc("twin-b", "moth lamp")]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_index(corpus(), tmp_path_factory.mktemp("i") / "x.index", dense=WordEncoder(), analyzer="word")


QUERIES = [Query("q1", "moth lamp"), Query("q2", "child wait pipe pipe"), Query("q3", "nothing known")]


def test_protocols(index: Any) -> None:
    lexical, dense = Lexical(index), Dense(index)
    for retriever in (lexical, dense, Hybrid(lexical, dense), Pipeline(retrieve=lexical)):
        assert isinstance(retriever, Retriever)


def test_lexical_lists_only_documents_that_share_a_term(index: Any) -> None:
    result = Lexical(index).retrieve(QUERIES, depth=100)
    texts = {doc.doc_id: doc.text for doc in corpus()}
    for query in QUERIES:
        shared = {doc_id for doc_id, text in texts.items() if set(text.split()) & set(query.text.split())}
        assert set(result.run[query.query_id].doc_ids) == shared
    assert list(result.run) == ["q1", "q2", "q3"]
    assert result.run["q1"].scale == "bm25"


def test_equal_scores_come_in_descending_id_order(index: Any) -> None:
    ids = Lexical(index).retrieve(QUERIES[:1], depth=100).run["q1"].doc_ids
    assert ids.index("twin-b") + 1 == ids.index("twin-a")
    ids = Dense(index).retrieve(QUERIES[:1], depth=100).run["q1"].doc_ids
    assert ids[:2] == ("twin-b", "twin-a")


@pytest.mark.parametrize("weighting", ["saturated", "tf", "binary", "bm25"])
def test_score_equals_retrieve(index: Any, weighting: Any) -> None:
    lexical = Lexical(index, query_weighting=weighting)
    run = lexical.retrieve(QUERIES, depth=100).run
    scored = lexical.score(QUERIES, run)
    for query_id, ranking in run.items():
        assert scored[query_id].doc_ids == ranking.doc_ids
        assert scored[query_id].scores == pytest.approx(ranking.scores)


def test_dense_score_equals_retrieve(index: Any) -> None:
    dense = Dense(index)
    run = dense.retrieve(QUERIES, depth=100).run
    scored = dense.score(QUERIES, run)
    assert scored["q2"].score_of() == pytest.approx(run["q2"].score_of())


def test_explain_adds_up(index: Any) -> None:
    lexical = Lexical(index)
    run = lexical.retrieve(QUERIES, depth=3).run
    explanation = lexical.explain(QUERIES[1], run["q2"].doc_ids[0])
    assert explanation["score"] == pytest.approx(run["q2"].scores[0])
    assert {term["term"] for term in explanation["terms"]} == {"child", "wait", "pipe"}


@pytest.mark.parametrize("method", ["bm25", "dense", "hybrid"])
def test_excluded_ids_go_before_the_cut(index: Any, method: str) -> None:
    retriever = make_retriever(index, method)
    before = retriever.retrieve([QUERIES[0]], depth=3).run["q1"].doc_ids
    asked = Query("q1", QUERIES[0].text, excluded_ids=frozenset(before[:2]))
    after = retriever.retrieve([asked], depth=3).run["q1"].doc_ids
    assert len(after) == 3
    assert set(after).isdisjoint(before[:2])


def test_rewrites_add_up_exactly(index: Any) -> None:
    query = Query("q", "why", rewrites=("moth lamp", "moth star star"))
    for weighting in ("saturated", "tf", "bm25"):
        both = Lexical(index, query_weighting=weighting).retrieve([query], depth=100).run["q"].score_of()
        single = [
            Lexical(index, query_weighting=weighting).retrieve([Query("q", text)], depth=100).run["q"].score_of()
            for text in query.rewrites
        ]
        for doc_id, score in both.items():
            assert score == pytest.approx(sum(one.get(doc_id, 0.0) for one in single)), weighting
    dense = Dense(index).retrieve([query], depth=5).run["q"]
    singles = [Dense(index).retrieve([Query("q", text)], depth=100).run["q"].score_of() for text in query.rewrites]
    for hit in dense:
        assert hit.score == pytest.approx(sum(one[hit.doc_id] for one in singles), abs=1e-6)
    assert Lexical(index, query_view="text").retrieve([query], depth=5).run["q"].doc_ids == ()
    assert len(Lexical(index, combine="rrf").retrieve([query], depth=5).run["q"]) == 5


def test_rm3_at_original_one_keeps_the_order(index: Any) -> None:
    plain = Lexical(index).retrieve(QUERIES, depth=20).run
    kept = Lexical(index, feedback=RM3(original=1.0)).retrieve(QUERIES, depth=20).run
    assert {q: r.doc_ids for q, r in kept.items()} == {q: r.doc_ids for q, r in plain.items()}
    with pytest.raises(UsageError, match="no definition"):
        Lexical(index, feedback=RM3(), query_weighting="bm25")


def test_rm3_never_learns_from_excluded_documents(index: Any) -> None:
    query = QUERIES[0]
    everything = Lexical(index).retrieve([query], depth=100).run["q1"].doc_ids
    lexical = Lexical(index, feedback=RM3(documents=2))
    only = Query("q1", query.text, excluded_ids=frozenset(everything[:-1]))
    found = lexical.retrieve([only], depth=100).run["q1"].doc_ids
    assert set(found).isdisjoint(everything[:-1])
    assert everything[-1] in found


def reference_smoothed(lexical: Lexical, dense: Dense, query: Query, depth: int) -> dict[str, float]:
    """The default recipe over an explicitly built pool."""
    ids = {*lexical.retrieve([query], depth=100).run[query.query_id].doc_ids}
    ids |= {*dense.retrieve([query], depth=100).run[query.query_id].doc_ids}
    order = sorted(ids, reverse=True)
    pool = Run({query.query_id: Ranking(order, np.zeros(len(order)))})
    bm25, cosine = (r.score([query], pool)[query.query_id].score_of() for r in (lexical, dense))
    vectors = lexical.index.vectors_of(order)
    fused = (
        Smoothed().pool(order, np.array([bm25[i] for i in order]), np.array([cosine[i] for i in order]), vectors).fused
    )
    best = sorted(zip(order, fused.tolist(), strict=True), key=lambda pair: -pair[1])[:depth]
    return dict(best)


def test_hybrid_is_the_recipe_over_the_union_with_exact_scores(index: Any) -> None:
    lexical, dense = Lexical(index), Dense(index)
    run = Hybrid(lexical, dense).retrieve(QUERIES, depth=10).run
    for query in QUERIES:
        assert run[query.query_id].score_of() == pytest.approx(reference_smoothed(lexical, dense, query, 10))
    assert run["q1"].scale == "fused"
    assert {"bm25", "dense"} <= set(run["q1"].parts)
    assert not np.isnan(run["q1"].parts["bm25"]).any()


def test_hybrid_explains(index: Any) -> None:
    hybrid = make_retriever(index)
    top = hybrid.retrieve(QUERIES[:1], depth=1).run["q1"]
    explanation = hybrid.explain(QUERIES[0], top.doc_ids[0])
    assert explanation["rank"] == 1
    assert explanation["score"] == pytest.approx(top.scores[0])
    assert [member["stage"] for member in explanation["members"]] == ["bm25", "dense"]


def test_weighted_fusion_uses_true_scores_of_missing_documents(index: Any) -> None:
    lexical, dense = Lexical(index), Dense(index)
    hybrid = Hybrid(lexical, dense, fusion="weighted", weights=(1.0, 0.0), normalize="none", pool_depth=5)
    run = hybrid.retrieve(QUERIES[:1], depth=5).run["q1"]
    assert run.scores == pytest.approx(lexical.retrieve(QUERIES[:1], depth=5).run["q1"].scores)


def test_pipelines_and_imported_runs_are_members(index: Any) -> None:
    lexical = Pipeline(retrieve=Lexical(index), name="words")
    foreign = Imported(Run({"q1": Ranking(["d00", "twin-a"], [2.0, 1.0])}), name="splade")
    run = Hybrid(lexical, foreign, fusion="rrf").retrieve(QUERIES[:1], depth=5).run["q1"]
    assert {"words", "splade"} <= set(run.parts)
    weighted = Hybrid(lexical, foreign, fusion="weighted", weights=(0.5, 0.5)).retrieve(QUERIES[:1], depth=5).run["q1"]
    assert len(weighted) == 5
    with pytest.raises(CannotScore):
        foreign.score(QUERIES[:1], Run({"q1": weighted}))


def test_hybrid_refuses_what_makes_no_sense(index: Any) -> None:
    lexical, dense = Lexical(index), Dense(index)
    with pytest.raises(UsageError, match="at least two"):
        Hybrid(lexical)
    with pytest.raises(UsageError, match="distinct names"):
        Hybrid(lexical, Lexical(index), fusion="rrf")
    with pytest.raises(UsageError, match="must be given"):
        Hybrid(lexical, Lexical(index, name="other"))
    with pytest.raises(UsageError, match="one Lexical and one Dense"):
        Hybrid(lexical, Lexical(index, name="other"), fusion=Smoothed())
    with pytest.raises(UsageError, match="its own weight"):
        Hybrid(lexical, dense, fusion=Smoothed(), weights=(1, 1))
    with pytest.raises(UnknownName, match="rm3"):
        make_retriever(index, "bm25", feedback="rm4")
    with pytest.raises(UsageError, match="query_weighting"):
        Lexical(index, query_weighting="bm11")  # type: ignore[arg-type]


def test_an_encoder_of_another_space_is_refused(index: Any) -> None:
    other = WordEncoder()
    other.identity = "words/2"  # type: ignore[misc]
    with pytest.raises(UsageError, match="words/2"):
        Dense(index, encoder=other)


def test_a_view_filters_before_the_cut_and_keeps_statistics(index: Any) -> None:
    view = index.where(source="s1")
    for method in ("bm25", "dense", "hybrid"):
        found = make_retriever(view, method).retrieve(QUERIES[:2], depth=4).run["q2"]
        assert len(found) == 4
        assert all(index.docs[doc_id].metadata["source"] == "s1" for doc_id in found.doc_ids)
    everything = Lexical(index).retrieve(QUERIES[:1], depth=100).run["q1"].score_of()
    for hit in Lexical(view).retrieve(QUERIES[:1], depth=100).run["q1"]:
        assert hit.score == pytest.approx(everything[hit.doc_id])


def test_a_field_may_have_any_name(index: Any) -> None:
    assert len(search(index, "moth", where={"self": "x"}, method="bm25")) == 0


@pytest.mark.slow
def test_torch_scans_a_batch_to_the_same_lists(index: Any) -> None:
    pytest.importorskip("torch")
    queries = [Query(f"q{at}", " ".join(WORDS[at % 12 : at % 12 + 3])) for at in range(40)]
    fresh = open_index(index.path, encoder=WordEncoder())
    run = Dense(fresh).retrieve(queries, depth=5).run
    assert True in fresh._reader._dense  # torch is loaded, so the batch went through its scan
    for query in queries:
        single = Dense(fresh).retrieve([query], depth=5).run[query.query_id]
        assert run[query.query_id].doc_ids == single.doc_ids
        assert run[query.query_id].scores == pytest.approx(single.scores, abs=1e-9)


def test_search_groups_deep_enough(index: Any) -> None:
    hits = search(index, "pipe wait moth", k=5, group_by="source", method="bm25")
    assert len({hit.doc.metadata.get("source") for hit in hits if "source" in hit.doc.metadata}) == 4
    twins = search(index, "moth lamp", k=40, distinct=True)
    assert not {"twin-a", "twin-b"} <= {hit.doc_id for hit in twins}
    assert len(search(index, "moth lamp", k=3, mmr=0.5)) == 3
    assert len(search(index, "moth", k=3, min_score=1e9)) == 0


def test_pipeline_result_explains_and_counts(index: Any) -> None:
    result = Pipeline(retrieve=Lexical(index)).run(QUERIES, depth=3)
    assert result.complete
    assert (
        result.manifest["counts"]["retrieve"] == {"queries_without_terms": 0}
        or not result.manifest["counts"]["retrieve"]
    )
    found = result.explain("q1", result.run["q1"].doc_ids[0])
    assert found["stages"][0]["rank"] == 1
    assert found["retrieval"]["terms"]
    assert "never retrieved" in result.explain("q1", "empty")["note"]
    with pytest.raises(UsageError, match="not part of this run"):
        result.explain("q9", "d00")


def test_empty_input_gives_empty_output(index: Any) -> None:
    for method in ("bm25", "dense", "hybrid"):
        assert len(make_retriever(index, method).retrieve([], depth=3).run) == 0
    result = Lexical(index).retrieve([Query("q", "")], depth=3)
    assert len(result.run["q"]) == 0
    assert result.counts == {"queries_without_terms": 1}


def test_score_leaves_out_what_the_index_lacks(index: Any) -> None:
    """One rule for every retriever; a query that the run lacks gets an empty list."""
    lexical, dense = Lexical(index), Dense(index)
    pool = Run({"q1": Ranking(["nobody", "d00", "twin-a"], [3.0, 2.0, 1.0])})
    for retriever in (
        lexical, Lexical(index, feedback=RM3()), dense, Hybrid(lexical, dense), Hybrid(lexical, dense, fusion="rrf"),
        Pipeline(retrieve=lexical),
    ):  # fmt: skip
        scored = retriever.score(QUERIES[:2], pool)
        assert set(scored["q1"].doc_ids) == {"d00", "twin-a"}, retriever
        assert len(scored["q2"]) == 0
        assert len(retriever.score(QUERIES[:1], Run({}))["q1"]) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: search("x.index", "moth"), "index is needed.*'x.index'"),
        (lambda index: search(index, 5), "question must be a text"),
        (lambda index: search(index, "moth", "3"), "k must be a whole number"),
        (lambda index: search(index, "moth", True), "k must be a whole number"),
        (lambda index: search(index, "moth", where="source=s1"), "where must be a mapping"),
        (lambda index: search(index, "moth", retriever="bm25"), "retriever is needed"),
        (lambda index: make_retriever("x.index"), "index is needed"),
        (lambda index: Lexical("x.index"), "index is needed"),
        (lambda index: Dense("x.index"), "index is needed"),
        (lambda index: Hybrid("bm25", "dense"), "retriever is needed.*'bm25'"),
        (lambda index: Hybrid(Lexical, Dense), "retriever is needed.*class Lexical"),
        (lambda index: Pipeline(retrieve="bm25"), "retriever is needed"),
        (lambda index: Lexical(index, feedback="rm3"), "feedback must be RM3"),
        (lambda index: Lexical(index, feedback=RM3), "feedback must be RM3"),
        (lambda index: Imported({"q1": {"a": 1.0}}), "Run or the path"),
        (lambda index: make_retriever(index, "bm25", fusion="rrf"), "fusion"),
        (lambda index: make_retriever(index, "dense", query_weighting="tf"), "query_weighting"),
    ],
)
def test_arguments_of_another_kind_are_refused(index: Any, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(index)


@pytest.mark.parametrize("queries", ["moth", ["moth"], QUERIES[0], [None], {"q1": "moth"}])
def test_queries_of_another_kind_are_refused(index: Any, queries: Any) -> None:
    lexical, dense = Lexical(index), Dense(index)
    for retriever in (lexical, dense, Hybrid(lexical, dense), Pipeline(retrieve=lexical), Imported(Run({}))):
        with pytest.raises(UsageError, match="Query"):
            retriever.retrieve(queries, depth=3)
        with pytest.raises(UsageError, match="depth must be a whole number"):
            retriever.retrieve(QUERIES, depth="3")  # type: ignore[arg-type]


def test_an_imported_run_is_read_from_its_path(tmp_path: Any, index: Any) -> None:
    path = tmp_path / "bm25.trec"
    path.write_text("q1 Q0 d00 1 2.5 x\n")
    assert Imported(str(path)).retrieve(QUERIES[:1], depth=5).run["q1"].doc_ids == ("d00",)
    with pytest.raises(UsageError, match="no file"):
        Imported(str(tmp_path / "absent.trec"))
