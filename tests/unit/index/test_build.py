"""Building, bringing up to date, refusing, resuming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sleuth.errors import IndexCorrupt, IndexMismatch, UnknownName, UsageError
from sleuth.index.build import build_index, stored_settings
from sleuth.index.handle import Index, open_index
from sleuth.types import Doc

Make = Callable[..., Index]


def counts(index: Index) -> dict[str, int]:
    assert index.report is not None
    done = index.report.to_json()
    names = ("added", "changed", "updated", "unchanged", "removed", "kept", "encoded", "reused", "resumed")
    return {name: done[name] for name in names if done[name]}


def test_a_new_index_holds_what_it_was_given(make: Make, docs: list[Doc], encoder: Any) -> None:
    index = make(docs, encoder=encoder)
    assert counts(index) == {"added": 40, "encoded": 40}
    assert list(index.docs.values()) == docs
    assert index.n_docs == len(index.docs) == 40
    assert np.array_equal(index.vectors_of([docs[7].doc_id])[0], encoder.vector(docs[7].full_text))
    assert (index.k1, index.b, index.analyzer.name) == (1.2, 0.75, "auto")
    assert index.check() == []


def test_parts_end_as_one_segment_equal_to_a_build_in_one_part(make: Make, docs: list[Doc], encoder: Any) -> None:
    parts = make(docs, encoder=encoder, part_documents=7, at="parts")
    whole = make(docs, encoder=encoder, at="whole")
    assert len(parts.manifest.segments) == 1
    assert [f.sha256 for _, f in parts.manifest.segments[0].every_file()] == [
        f.sha256 for _, f in whole.manifest.segments[0].every_file()
    ]


def test_the_same_corpus_again_changes_nothing(make: Make, docs: list[Doc], encoder: Any) -> None:
    before = make(docs, encoder=encoder)
    encoder.asked.clear()
    after = make(docs)
    assert counts(after) == {"unchanged": 40}
    assert after.manifest == before.manifest
    assert encoder.asked == []


def test_an_update_touches_only_what_changed(make: Make, docs: list[Doc], encoder: Any) -> None:
    make(docs, encoder=encoder)
    encoder.asked.clear()
    now = list(docs)
    now[3] = replace(docs[3], text="a wholly new text")
    now[4] = replace(docs[4], metadata={"source": "moved.md"})
    del now[5]
    now.append(Doc("new", "another one"))
    index = make(now, opener=lambda name: encoder)
    assert counts(index) == {
        "added": 1, "changed": 1, "updated": 1, "unchanged": 37, "removed": 1, "encoded": 2, "reused": 1,
    }  # fmt: skip
    assert sorted(encoder.asked) == ["Title a wholly new text", "another one"]
    assert dict(index.docs) == {doc.doc_id: doc for doc in now}
    assert np.array_equal(
        index.vectors_of([doc.doc_id for doc in now]), np.stack([encoder.vector(doc.full_text) for doc in now])
    )


def test_a_text_under_another_id_keeps_its_vector(make: Make, encoder: Any) -> None:
    chunks = [Doc(f"a.md#{n}", f"paragraph {n} of the file", "", {"start": 10 * n}) for n in range(6)]
    make(chunks, encoder=encoder)
    encoder.asked.clear()
    shifted = [Doc("a.md#0", "a new first paragraph", "", {"start": 0})]
    shifted += [Doc(f"a.md#{n + 1}", doc.text, "", {"start": 10 * n + 10}) for n, doc in enumerate(chunks)]
    index = make(shifted, opener=lambda name: encoder)
    assert encoder.asked == ["a new first paragraph"]
    assert dict(index.docs) == {doc.doc_id: doc for doc in shifted}
    assert np.array_equal(index.vectors_of(["a.md#3"])[0], encoder.vector("paragraph 2 of the file"))


def test_keep_missing(make: Make, docs: list[Doc]) -> None:
    make(docs)
    index = make(docs[:5], keep_missing=True)
    assert counts(index) == {"unchanged": 5, "kept": 35}
    assert len(index.docs) == 40


def test_more_than_half_is_not_removed_by_accident(make: Make, docs: list[Doc], tmp_path: Path) -> None:
    make(docs)
    with pytest.raises(IndexMismatch, match=r"21 of its 40 .*--replace"):
        make(docs[:19])
    assert len(open_index(tmp_path / "an index").docs) == 40
    assert len(make(docs[:20]).docs) == 20
    with pytest.raises(IndexMismatch, match="20 of its 20"):
        make([])
    assert counts(make([], replace=True)) == {"removed": 20}


def test_another_corpus_is_refused(make: Make, docs: list[Doc]) -> None:
    make(docs, corpus_identity="handbook")
    with pytest.raises(IndexMismatch, match="'handbook', got 'letters'"):
        make(docs, corpus_identity="letters")
    assert make(docs).manifest.settings.corpus == "handbook"
    assert make(docs, corpus_identity="letters", replace=True).manifest.settings.corpus == "letters"


@pytest.mark.parametrize("other", [{"analyzer": "word"}, {"k1": 0.9}, {"b": 0.4}, {"chunking": {"tokens": 9}}])
def test_other_settings_are_refused_unless_replaced(make: Make, docs: list[Doc], other: dict[str, Any]) -> None:
    first = {"analyzer": "code", "k1": 1.5, "b": 0.5, "chunking": {"tokens": 5}}
    make(docs, **first)
    with pytest.raises(IndexMismatch, match=f"{next(iter(other))} .*--replace"):
        make(docs, **other)
    assert make(docs).manifest.settings == make(docs, **first).manifest.settings
    changed = make(docs, replace=True, **other)
    now = {**first, **other}
    assert (changed.analyzer.name, changed.k1, changed.b) == (now["analyzer"], now["k1"], now["b"])
    assert stored_settings(changed.path) == changed.manifest.settings
    fresh = make(docs, at="fresh", **now)
    query = changed.analyzer.tokens("word3 number17")
    assert np.allclose(changed.bm25_search([query], depth=9)[0][1], fresh.bm25_search([query], depth=9)[0][1])


def test_another_encoder_is_refused_unless_replaced(make: Make, docs: list[Doc], encoder: Any) -> None:
    make(docs, encoder=encoder)
    other = type(encoder)(identity="hash/2", dim=6)
    with pytest.raises(IndexMismatch, match="hash/1, got hash/2"):
        make(docs, encoder=other)
    index = make(docs[1:], encoder=other, replace=True)
    assert len(other.asked) == 39
    assert index.vectors_of([docs[1].doc_id]).shape == (1, 6)
    make(docs, at="lexical")
    with pytest.raises(IndexMismatch, match="encoder none, got hash/2"):
        make(docs, encoder=other, at="lexical")
    assert make(docs, encoder=other, at="lexical", replace=True).has_vectors


def test_replacing_the_analyzer_keeps_vectors_and_missing_documents(make: Make, docs: list[Doc], encoder: Any) -> None:
    make(docs, encoder=encoder)
    encoder.asked.clear()
    index = make(docs[:10], analyzer="word", replace=True, keep_missing=True, opener=lambda name: encoder)
    assert encoder.asked == []
    assert dict(index.docs) == {doc.doc_id: doc for doc in docs}
    assert index.bm25_search([["number39"]], depth=5)[0][0] == [docs[39].doc_id]


def test_a_new_text_needs_the_encoder(make: Make, docs: list[Doc], encoder: Any) -> None:
    make(docs, encoder=encoder)
    with pytest.raises(UsageError, match="'hash' is not open"):
        make([*docs, Doc("new", "text")])
    with pytest.raises(IndexMismatch, match="hash/9"):
        make([*docs, Doc("new", "text")], opener=lambda name: type(encoder)(identity="hash/9"))


@pytest.mark.parametrize("as_function", [False, True])
def test_sources_that_could_not_be_read_stay(make: Make, docs: list[Doc], as_function: bool) -> None:
    make(docs)
    failed: set[str] = set()

    def stream() -> Any:
        yield from docs[20:]
        failed.add("0.md")

    index = make(stream(), failed_sources=failed.__contains__ if as_function else failed)
    assert counts(index) == {"unchanged": 20, "removed": 10, "kept": 10}
    assert set(index.docs) == {doc.doc_id for doc in docs if doc.metadata["source"] != "1.md"}


@pytest.mark.parametrize("distance", [1, 10, 39])
def test_repeated_ids_are_refused_and_nothing_changes(make: Make, docs: list[Doc], distance: int) -> None:
    twice = [*docs[: distance + 1], replace(docs[0], text="again"), *docs[distance + 1 :]]
    with pytest.raises(UsageError, match="'doc 0%' comes twice"):
        make(twice, part_documents=5)
    before = make(docs[:30]).manifest
    with pytest.raises(UsageError, match="'doc 0%' comes twice"):
        make(twice, part_documents=5)
    with pytest.raises(UsageError, match="'x' comes twice"):
        make([*docs, Doc("x", "1"), Doc("x", "2")], part_documents=1)
    assert make(docs[:30]).manifest == before


def test_an_empty_corpus_is_an_empty_index(make: Make, encoder: Any) -> None:
    index = make([], encoder=encoder)
    assert (len(index.docs), list(index.docs), index.info()["segments"]) == (0, [], [])
    assert index.bm25_search([["word"]], depth=5)[0][0] == []
    assert index.dense_search(np.ones((1, 4)), depth=5)[0][0] == []
    assert index.df("word") == 0
    assert np.isnan(index.bm25_score(["word"], ["x"])).all()
    assert len(index.where(source="a").docs) == 0
    assert len(make([Doc("a", "b")], encoder=encoder).docs) == 1


def test_documents_without_text(make: Make, encoder: Any) -> None:
    docs = [Doc("empty", ""), Doc("blank", " \n"), Doc("stop", "the of and"), Doc("one", "word")]
    index = make(docs, encoder=encoder, part_documents=1)
    assert index.bm25_search([["word"]], depth=5)[0][0] == ["one"]
    assert dict(index.docs) == {doc.doc_id: doc for doc in docs}


def test_odd_ids_never_become_paths(make: Make, tmp_path: Path) -> None:
    odd = ["../../escape", "/absolute", "a b", "100%", "문서#0", "..", ".", "nul\x00", "a\nb", "C:\\x", "segments"]
    before = sorted(tmp_path.rglob("*"))
    index = make([Doc(name, "word") for name in odd])
    assert sorted(index.docs) == sorted(odd)
    assert all(index.docs[name].doc_id == name for name in odd)
    assert index.bm25_search([["word"]], depth=99)[0][0] == sorted(odd, reverse=True)
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path not in before}
    assert made == {"an index"}
    assert index.delete(odd) == len(odd)


def test_a_reader_that_fails_leaves_the_old_index(make: Make, docs: list[Doc], tmp_path: Path) -> None:
    def failing() -> Any:
        yield from docs[:25]
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="fire"):
        make(failing())
    assert not (tmp_path / "an index").exists() or not (tmp_path / "an index" / "manifest.json").exists()
    before = make(docs).manifest
    with pytest.raises(OSError, match="fire"):
        make(failing(), part_documents=5)
    assert open_index(tmp_path / "an index").manifest == before


def test_what_was_finished_before_is_not_done_again(make: Make, docs: list[Doc], encoder: Any, tmp_path: Path) -> None:
    def failing() -> Any:
        yield from docs[:25]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(failing(), encoder=encoder, part_documents=10)
    with pytest.raises(IndexCorrupt, match="carries on"):
        open_index(tmp_path / "an index")
    assert stored_settings(tmp_path / "an index") is None
    encoder.asked.clear()
    index = make(docs, encoder=encoder, part_documents=10)
    assert len(encoder.asked) == 20
    assert counts(index)["resumed"] == 20
    whole = make(docs, encoder=encoder, part_documents=10, at="whole")
    assert index.manifest == whole.manifest
    assert len(list((tmp_path / "an index" / "segments").iterdir())) == 1


@pytest.mark.parametrize("options", [{"k1": -1}, {"k1": float("nan")}, {"b": 1.5}, {"part_documents": 0}])
def test_parameters_out_of_range(make: Make, docs: list[Doc], options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        make(docs, **options)
    assert not (tmp_path / "an index").exists()


def test_an_unknown_analyzer(make: Make, docs: list[Doc], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="wrod"):
        make(docs, analyzer="wrod")
    assert not (tmp_path / "an index").exists()


def test_a_foreign_folder_is_never_written_to(docs: list[Doc], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "precious.txt").write_text("keep me")
    for path in (tmp_path, tmp_path / "precious.txt"):
        with pytest.raises(IndexCorrupt, match="left alone"):
            build_index(docs, path, replace=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "precious.txt"]


def test_a_stray_file_beside_a_sound_index_does_no_harm(make: Make, docs: list[Doc]) -> None:
    index = make(docs)
    (index.path / ".DS_Store").write_text("stray")
    assert counts(make(docs[1:])) == {"unchanged": 39, "removed": 1}
    assert (index.path / ".DS_Store").read_text() == "stray"


def test_a_foreign_folder_is_answered_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(IndexCorrupt, match=r"name a new folder for the index$"):
        stored_settings(tmp_path)
    with pytest.raises(IndexCorrupt, match=r"-o NEW_FOLDER$"):
        open_index(tmp_path)


def test_settings_are_shown_in_words(make: Make, docs: list[Doc]) -> None:
    make(docs, chunking={"chunk_tokens": 180, "overlap": 0})
    with pytest.raises(IndexMismatch, match="chunk_tokens 180 and overlap 0, got chunk_tokens 50 and overlap none"):
        make(docs, chunking={"chunk_tokens": 50, "overlap": None})


def test_a_first_build_is_marked_until_it_is_done(make: Make, docs: list[Doc], tmp_path: Path) -> None:
    path = tmp_path / "an index"
    seen = []

    def watched(fail: bool) -> Any:
        seen.append(sorted(child.name for child in path.iterdir()))
        yield docs[0]
        if fail:
            raise OSError("reader failed")

    with pytest.raises(OSError, match="reader failed"):
        make(watched(fail=True))
    assert not path.exists()
    make(watched(fail=False))
    assert seen == [["lock", "unfinished"]] * 2
    assert sorted(child.name for child in path.iterdir()) == ["manifest.json", "segments"]
