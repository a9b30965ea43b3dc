"""Searching, filtering, adding, deleting, compacting through `Index`."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.errors import IndexMismatch, UsageError
from sleuth.index.handle import Index, IndexView, open_index
from sleuth.types import Doc

Make = Callable[..., Index]


def found(index: IndexView, terms: Any, **options: Any) -> list[str]:
    return index.bm25_search([terms], **{"depth": 100, **options})[0][0]


@pytest.fixture
def index(make: Make, docs: list[Doc], encoder: Any) -> Index:
    return make(docs, encoder=encoder)


def test_documents_are_a_mapping(index: Index, docs: list[Doc]) -> None:
    assert index.docs["doc 3%"] == docs[3]
    assert "doc 3%" in index.docs
    assert "doc 3" not in index.docs
    assert 3 not in index.docs
    assert index.docs.get("\ud800") is None
    with pytest.raises(KeyError, match="nowhere"):
        index.docs["nowhere"]
    assert list(index.docs) == [doc.doc_id for doc in docs]


def test_bm25_orders_ties_by_id_and_cuts(index: Index, docs: list[Doc]) -> None:
    tied = [doc.doc_id for doc in docs if "word3" in doc.text]
    assert found(index, ["word3"]) == sorted(tied, reverse=True)
    assert found(index, ["word3"], depth=2) == sorted(tied, reverse=True)[:2]
    assert found(index, ["word3"], depth=0) == []
    assert found(index, ["absent"]) == []
    assert index.df("word3") == len(tied)


def test_weighted_terms(index: Index) -> None:
    by_weight = index.bm25_search([{"word3": 2.0, "number10": 0.5}], depth=3, weighting="tf")[0]
    by_count = index.bm25_search([["word3", "word3"]], depth=3, weighting="tf")[0]
    assert np.allclose(by_weight[1][1:], by_count[1][1:])


def test_excluded_documents_make_room(index: Index) -> None:
    first = found(index, ["word3"])
    queries = [["word3"], ["word3"]]
    results = index.bm25_search(queries, depth=2, excluded=[[first[0], "nowhere"], set()])
    assert [ids for ids, _ in results] == [first[1:3], first[:2]]
    with pytest.raises(UsageError, match="one collection"):
        index.bm25_search(queries, depth=2, excluded=[[]])
    with pytest.raises(UsageError, match="plain string"):
        index.bm25_search(queries, depth=2, excluded=[first[0], first[1]])


def test_scores_of_given_documents(index: Index) -> None:
    ids, scores = index.bm25_search([["word3", "number10"]], depth=100)[0]
    given = [*reversed(ids), "nowhere", "doc 1%"]
    exact = index.bm25_score(["word3", "number10"], given)
    assert np.allclose(exact[: len(ids)], scores[::-1])
    assert np.isnan(exact[-2])
    assert exact[-1] == 0
    assert index.bm25_explain(["word3"], ids[0])
    with pytest.raises(UsageError, match="no document 'nowhere'"):
        index.bm25_explain(["word3"], "nowhere")
    with pytest.raises(UsageError, match="sequence of ids"):
        index.bm25_score(["word3"], "doc 1%")


def test_dense_search(index: Index, docs: list[Doc], encoder: Any) -> None:
    query = encoder.encode_queries(["where is it"]).vectors
    exact = np.stack([encoder.vector(doc.full_text) for doc in docs]) @ query[0]
    best = [docs[at].doc_id for at in np.argsort(-exact)]
    ids, scores = index.dense_search(query, depth=5)[0]
    assert ids == best[:5]
    assert np.allclose(scores, np.sort(exact)[::-1][:5], atol=1e-6)
    assert index.dense_search(query, depth=2, excluded=[best[:1]])[0][0] == best[1:3]
    assert np.allclose(index.dense_score(query[0], best[:3]), scores[:3], atol=1e-6)
    assert np.isnan(index.dense_score(query[0], ["nowhere"])).all()
    assert np.isnan(index.vectors_of(["nowhere", best[0]])).tolist() == [[True] * 4, [False] * 4]
    with pytest.raises(UsageError, match=r"\(B, 4\)"):
        index.dense_search(query[0], depth=5)


def test_an_index_without_vectors_says_so(make: Make, docs: list[Doc]) -> None:
    index = make(docs)
    assert (index.has_vectors, index.encoder_identity) == (False, None)
    for ask in (
        lambda: index.encoder,
        lambda: index.dense_search(np.ones((1, 4)), depth=1),
        lambda: index.vectors_of([]),
    ):
        with pytest.raises(UsageError, match="no vectors"):
            ask()


def test_the_encoder_is_opened_once_and_checked(index: Index, encoder: Any) -> None:
    opened: list[str] = []
    again = open_index(index.path, open_encoder=lambda name: opened.append(name) or encoder)
    assert opened == []
    assert again.encoder is again.encoder is encoder
    assert opened == ["hash"]
    with pytest.raises(IndexMismatch, match="hash/7"):
        open_index(index.path, encoder=type(encoder)(identity="hash/7"))


def test_a_view_filters_before_the_cut_and_keeps_statistics(index: Index, docs: list[Doc], encoder: Any) -> None:
    view = index.where(source=["0.md", "1.md"], page=[3, 10, 17, 24])
    inside = {"doc 3%", "doc 10%", "doc 17%"}
    assert set(view.docs) == inside
    assert len(view.docs) == 3
    assert "doc 24%" not in view.docs
    ids, scores = view.bm25_search([["word3"]], depth=2)[0]
    assert ids == ["doc 3%", "doc 17%"]
    assert np.allclose(scores, index.bm25_score(["word3"], ids))
    assert (view.n_docs, view.df("word3")) == (index.n_docs, index.df("word3"))
    query = encoder.encode_queries(["x"]).vectors
    assert set(view.dense_search(query, depth=9)[0][0]) == inside
    assert np.isnan(view.bm25_score(["word3"], ["doc 24%"])).all()
    assert np.isnan(view.vectors_of(["doc 24%"])).all()
    assert set(view.where(page=10).docs) == {"doc 10%"}
    with pytest.raises(UsageError, match="in this view"):
        view.bm25_explain(["word3"], "doc 24%")


def test_adding_replaces_by_id(index: Index, docs: list[Doc], encoder: Any) -> None:
    report = index.add([Doc("doc 3%", "quite different"), Doc("new", "word3")])
    assert (report.counts.added, report.counts.changed) == (1, 1)
    assert len(index.docs) == 41
    assert "doc 3%" not in found(index, ["word3"])
    assert found(index, ["differ"]) == ["doc 3%"]
    assert np.array_equal(index.vectors_of(["doc 3%"])[0], encoder.vector("quite different"))
    assert index.add(replace(docs[0], text="single")).counts.changed == 1
    with pytest.raises(UsageError, match="twice"):
        index.add([Doc("z", "1"), Doc("z", "2")])
    with pytest.raises(UsageError, match=r"sleuth\.Doc"):
        index.add(["text"])
    assert "z" not in open_index(index.path).docs


def test_deleting(index: Index, docs: list[Doc]) -> None:
    assert index.delete(["doc 0%", "doc 0%", "doc 3%"]) == 2
    assert index.delete("doc 1%") == 1
    assert index.delete(where={"source": "3.md"}) == 10
    left = {doc.doc_id for doc in docs[:30]} - {"doc 0%", "doc 1%", "doc 3%"}
    assert set(index.docs) == left
    assert set(found(index, ["common"])) == left
    assert index.n_docs == index.df("common") == 27
    assert len(index.where(source="3.md").docs) == 0
    assert index.delete(where={"source": "3.md"}) == 0
    for wrong in ({}, {"doc_ids": ["a"], "where": {"source": "0.md"}}):
        with pytest.raises(UsageError, match="one of the two"):
            index.delete(**wrong)
    with pytest.raises(UsageError, match=r"'doc 3%'; nothing was deleted"):
        index.delete(["doc 2%", "doc 3%"])
    assert set(index.docs) == left


def test_deleting_everything_and_starting_again(index: Index, docs: list[Doc]) -> None:
    assert index.delete(list(index.docs)) == 40
    assert index.info()["segments"] == []
    assert found(index, ["common"]) == []
    index.add(docs[:3])
    assert len(found(index, ["common"])) == 3
    assert index.check() == []


def test_compacting(index: Index, docs: list[Doc]) -> None:
    index.add([Doc("new", "word3")])
    index.delete(where={"source": "0.md"})
    before = dict(index.docs), index.bm25_search([["word3"]], depth=99)[0], index.vectors_of(["new", "doc 11%"])
    assert len(index.info()["segments"]) == 2
    index.compact()
    info = index.info()
    assert [(s["documents"], s["deleted"]) for s in info["segments"]] == [(31, 0)]
    assert dict(index.docs) == before[0]
    assert found(index, ["word3"]) == before[1][0]
    assert np.allclose(index.bm25_search([["word3"]], depth=99)[0][1], before[1][1])
    assert np.array_equal(index.vectors_of(["new", "doc 11%"]), before[2])
    assert index.check() == []
    generation = index.manifest.generation
    index.compact()
    assert index.manifest.generation == generation
    assert len(list((index.path / "segments").iterdir())) == 1


def test_a_reader_keeps_its_state_until_it_refreshes(index: Index, docs: list[Doc]) -> None:
    reader = open_index(index.path)
    view = reader.where(source="0.md")
    index.delete(where={"source": "0.md"})
    index.compact()
    assert dict(reader.docs) == {doc.doc_id: doc for doc in docs}
    assert len(found(reader, ["common"])) == 40
    assert len(found(view, ["common"])) == 10
    assert reader.refresh()
    assert len(found(reader, ["common"])) == 30
    assert not reader.refresh()


def test_two_handles_write_in_turn(index: Index) -> None:
    other = open_index(index.path, open_encoder=lambda name: index.encoder)
    index.add([Doc("from one", "word3")])
    other.add([Doc("from two", "word3")])
    index.refresh()
    assert {"from one", "from two"} <= set(found(index, ["word3"])) == set(found(other, ["word3"]))


def test_search_is_the_searcher_that_was_handed_in(index: Index) -> None:
    with pytest.raises(UsageError, match="without a searcher"):
        index.search("question")
    asked = open_index(index.path, searcher=lambda view, question, k=10: (view, question, k))
    assert asked.search("why", k=3) == (asked, "why", 3)
    view = asked.where(source="0.md")
    assert view.search("why") == (view, "why", 10)


def test_info(index: Index) -> None:
    info = index.info()
    assert info["documents"] == 40
    assert info["analyzer"] == {"name": "auto", "version": str(index.analyzer.version)}
    assert info["encoder"] == {"name": "hash", "identity": "hash/1", "dim": 4}
    on_disk = sum(path.stat().st_size for path in (index.path / "segments").glob("*/*") if path.name != "segment.json")
    assert info["bytes"] == on_disk


def test_an_index_travels_to_another_process(index: Index) -> None:
    plain = pickle.loads(pickle.dumps(open_index(index.path)))
    assert found(plain, ["word3"]) == found(index, ["word3"])


def test_a_search_in_a_new_process_is_light(index: Index) -> None:
    code = """
import sys
from sleuth.index.handle import open_index
index = open_index(sys.argv[1])
ids = index.bm25_search([index.analyzer.tokens("word3")], depth=3)[0][0]
index.docs[ids[0]]
heavy = {"scipy", "numba", "torch", "pydantic", "hypothesis"} & {name.split(".")[0] for name in sys.modules}
sys.stdout.write(" ".join(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code, str(index.path)], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_reading_writes_nothing(index: Index, encoder: Any) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in index.path.rglob("*")}

    before = state()
    reader = open_index(index.path, encoder=encoder)
    found(reader, ["word3"])
    reader.dense_search(encoder.encode_queries(["x"]).vectors, depth=3)
    reader.where(source="0.md").docs["doc 3%"]
    reader.check()
    reader.refresh()
    assert state() == before


def test_paths_with_spaces_and_signs(make: Make, docs: list[Doc]) -> None:
    index = make(docs, at="지식 100% #1")
    index.add([Doc("x", "word3")])
    assert len(open_index(str(index.path)).docs) == 41
    assert isinstance(index.path, Path)
