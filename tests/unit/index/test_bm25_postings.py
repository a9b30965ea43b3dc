"""Postings: what is built is what is read, from memory or from mapped files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.index.bm25 import Postings
from sleuth.text.stream import stream_of


def blocks(n: int = 70_000, words: int = 500, seed: int = 0) -> SimpleNamespace:
    """Documents of 0 to 6 words, more than two blocks of them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 7, size=n)
    ids = (rng.random(int(lengths.sum())) ** 3 * words).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return SimpleNamespace(ids=ids, offsets=offsets, terms=[f"w{i}" for i in rng.permutation(words)])


def test_counts_over_several_blocks() -> None:
    stream = blocks()
    postings = Postings.build(stream)
    owner = np.repeat(np.arange(70_000), np.diff(stream.offsets))
    pairs = np.unique(np.stack([stream.ids, owner]), axis=1, return_counts=True)
    assert postings.n_blocks == 3
    assert (postings.n_docs, postings.n_postings) == (70_000, pairs[0].shape[1])
    assert postings.n_tokens == len(stream.ids)
    assert postings.n_not_empty == int((np.diff(stream.offsets) > 0).sum())
    df = np.bincount(pairs[0][0], minlength=500)
    numbers = postings.vocabulary.find(stream.terms)
    assert postings.df(numbers).tolist() == df.tolist()
    for word in (0, 7, 250, 499):
        run = postings.run(int(numbers[word]))
        mine = pairs[0][0] == word
        docs, tf = pairs[0][1][mine], pairs[1][mine]
        assert run.ones.tolist() == docs[tf == 1].tolist()
        assert run.more.tolist() == docs[tf > 1].tolist()
        assert run.more_tf.tolist() == tf[tf > 1].tolist()


def test_a_merge_over_blocks_equals_a_fresh_build() -> None:
    rng = np.random.default_rng(5)
    first, second = blocks(40_000, seed=1), blocks(33_000, words=700, seed=2)
    keep = [rng.random(40_000) < 0.7, None]
    merged = Postings.merge([Postings.build(first), Postings.build(second)], keep).arrays()
    docs = [
        [stream.terms[i] for i in stream.ids[a:b].tolist()]
        for stream, kept in ((first, keep[0]), (second, np.ones(33_000, bool)))
        for a, b in zip(stream.offsets[:-1][kept], stream.offsets[1:][kept], strict=True)
    ]
    fresh = Postings.build(stream_of(docs)).arrays()
    assert {n: (a.dtype, a.tobytes()) for n, a in merged.items()} == {
        n: (a.dtype, a.tobytes()) for n, a in fresh.items()
    }


def test_high_frequencies_are_kept_exactly() -> None:
    docs = [["a"] * n for n in (1, 254, 255, 256, 1000)] + [["b", "a"]] * 20 + [["rare"] * 300]
    postings = Postings.build(stream_of(docs))
    for position, doc in enumerate(docs):
        assert postings.term_counts(position) == dict(Counter(doc))
    run = postings.run(int(postings.vocabulary.find(["a"])[0]))
    assert run.more_tf.tolist() == [254, 255, 256, 1000]
    merged = Postings.merge([postings], [np.array([False] * 3 + [True] * 23)])
    assert merged.term_counts(0) == {"a": 256}
    assert merged.term_counts(len(docs) - 4) == {"rare": 300}


def test_arrays_may_be_read_only_maps(tmp_path: Path) -> None:
    made = Postings.build(stream_of([["a", "b"], [], ["b", "b", "한글"]] * 10))
    mapped = {}
    for name, array in made.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r") if array.size else array
    opened = Postings.from_arrays(mapped)
    assert (opened.n_docs, opened.n_terms, opened.n_postings) == (30, 3, 40)
    assert opened.term_counts(2) == {"b": 2, "한글": 1}
    assert np.shares_memory(opened.lengths, mapped["lengths"])


@pytest.mark.parametrize("docs", [[], [[]], [[], []]])
def test_nothing_to_index(docs: list[list[str]]) -> None:
    postings = Postings.build(stream_of(docs))
    assert (postings.n_docs, postings.n_terms, postings.n_postings) == (len(docs), 0, 0)
    again = Postings.merge([postings, postings], [None, None])
    assert again.n_docs == 2 * len(docs)
    assert Postings.from_arrays(postings.arrays()).lengths.tolist() == [0] * len(docs)


def test_terms_that_nobody_uses_are_left_out() -> None:
    stream = SimpleNamespace(ids=np.array([2], np.int32), offsets=np.array([0, 1]), terms=["x", "y", "z"])
    assert Postings.build(stream).vocabulary.all_terms() == ["z"]


def test_terms_are_found_by_their_bytes() -> None:
    terms = [
        "",
        "a",
        "a\0",
        "a\0\0",
        "abcdefgh",
        "abcdefghi",
        "abcdefgh\0",
        "é",
        "한글",
        "\U0001f600",
        "\ud800",
        "z" * 40,
    ]
    vocabulary = Postings.build(stream_of([terms])).vocabulary
    assert vocabulary.all_terms() == sorted(terms, key=lambda t: t.encode("utf-8", "surrogatepass"))
    absent = ["b", "abcdefg", "abcdefghj", "\udfff", "z" * 39, "\0"]
    for asked in (0, 5_000):  # bisection at first, prefixes later
        fresh = type(vocabulary)(vocabulary.text, vocabulary.offsets)
        fresh._asked = asked
        assert [fresh.term(i) for i in fresh.find(terms).tolist()] == terms
        assert fresh.find(absent).tolist() == [-1] * len(absent)


@pytest.mark.parametrize(
    ("ids", "offsets", "message"),
    [
        ([0, 1], [0, 1], "from 0 to the number"),
        ([0, 1], [1, 2], "from 0 to the number"),
        ([0, 1], [0, 2, 1, 2], "descend"),
        ([0, 3], [0, 2], r"\[0, 3\)"),
        ([0, -1], [0, 2], r"\[0, 3\)"),
        ([], [], "from 0 to the number"),
    ],
)
def test_streams_that_do_not_fit_are_refused(ids: list[int], offsets: list[int], message: str) -> None:
    stream = SimpleNamespace(ids=np.array(ids, np.int32), offsets=np.array(offsets, np.int64), terms=["a", "b", "c"])
    with pytest.raises(ShapeError, match=message):
        Postings.build(stream)


def test_foreign_arrays_are_refused() -> None:
    arrays = Postings.build(stream_of([["a", "b"], ["a"]])).arrays()
    with pytest.raises(KeyError):
        Postings.from_arrays({n: a for n, a in arrays.items() if n != "rare"})
    with pytest.raises(ValueError, match="do not fit together"):
        Postings.from_arrays({**arrays, "lengths": arrays["lengths"][:1]})
    with pytest.raises(ValueError, match="format 9"):
        Postings.from_arrays({**arrays, "meta": np.concatenate([[9], arrays["meta"][1:]])})


def test_masks_that_do_not_fit_are_refused() -> None:
    part = Postings.build(stream_of([["a"], ["b"]]))
    with pytest.raises(ShapeError, match="2 masks for 1"):
        Postings.merge([part], [None, None])
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        Postings.merge([part], [np.ones(3, bool)])
    with pytest.raises(UsageError, match="document 2 is not in"):
        part.term_counts(2)
