"""The front door: make an index, open one, ask it a question.

Everything here is a few lines over the rooms behind it; it hands the index what it must not know by
itself: how an encoder is opened by name, and how a question is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleuth.context import Context
from sleuth.errors import FormatError, IndexCorrupt, IndexOutdated, UnknownName, UsageError
from sleuth.hits import Hits, above, best_of_each, diverse, text_vectors, without_near_duplicates
from sleuth.retrieve.checks import check_index, check_retriever, check_whole
from sleuth.types import Doc, Query, Ranking

if TYPE_CHECKING:
    from sleuth.data.corpus import Corpus
    from sleuth.data.lines import Problem
    from sleuth.index.handle import Index, IndexView
    from sleuth.index.report import IndexReport
    from sleuth.stages import Encoder, Retriever

__all__ = [
    "Indexed",
    "build_index",
    "download_model",
    "index_corpus",
    "locate_minilm",
    "make_retriever",
    "model_table",
    "open_index",
    "search",
]

METHODS = ["bm25", "dense", "hybrid"]
FUSIONS = ["smoothed", "rrf", "combsum", "combmnz", "weighted"]
MMR_POOL = 5
"""MMR chooses k hits out of this many times k (ours: deeper pools bring in documents that do not answer)."""


@dataclass(frozen=True)
class Indexed:
    """What `index_corpus` did.

    Attributes:
        report: Added, changed, removed documents and the index's state.
        problems: Files and lines that could not be read.
        ignored: Suffix -> files that no reader is for.
    """

    report: IndexReport
    problems: tuple[Problem, ...]
    ignored: Mapping[str, int]


# ── making and opening ────────────────────────────────────────────────────────────────────────────


def build_index(
    docs: Iterable[Doc],
    path: str | Path,
    *,
    dense: str | Encoder | None = None,
    analyzer: str | None = None,
    k1: float | None = None,
    b: float | None = None,
    keep_missing: bool = False,
    replace: bool = False,
    context: Context | None = None,
) -> Index:
    """Make an index of documents, or bring an existing one up to date (as `sleuth index` does).

    Args:
        docs: Documents, e.g. from `read_corpus`; read once, as a stream.
        path: The index folder.
        dense: An encoder, or the name or path of one ("minilm"); None makes no vectors, or keeps an
            existing index's.
        analyzer, k1, b: None takes the defaults ("auto", 1.2, 0.75), or an existing index's own.
        keep_missing: Keep documents that are not in `docs` any more.
        replace: Allow another corpus than the index was made from, or removing more than half of it.

    Raises:
        IndexMismatch: Settings or a corpus that are not the existing index's own.
        IndexLocked: Another process is writing to it.
    """
    _build(
        docs,
        path,
        dense=dense,
        analyzer=analyzer,
        k1=k1,
        b=b,
        keep_missing=keep_missing,
        replace=replace,
        context=context,
    )
    return open_index(path, encoder=dense if dense is not None and not isinstance(dense, str) else None)


def index_corpus(
    corpus: str,
    path: str | Path,
    *,
    dense: str | None = None,
    analyzer: str | None = None,
    k1: float | None = None,
    b: float | None = None,
    chunk_tokens: int | None = None,
    overlap: int | None = None,
    keep_missing: bool = False,
    replace: bool = False,
    skip_bad_lines: bool = False,
    context: Context | None = None,
) -> Indexed:
    """`sleuth index`: read a corpus, make or update its index, and say what was not read.

    Args:
        corpus: What `read_corpus` reads.
        chunk_tokens, overlap: How files are cut; None takes the reader's defaults, or an existing index's own.
        dense, analyzer, k1, b, keep_missing, replace: As `build_index`.
        skip_bad_lines: Leave lines out that can't be read, and report them.
    """
    from sleuth.data.readers import read_corpus
    from sleuth.index.build import stored_settings

    try:
        stored = stored_settings(path)
    except (IndexCorrupt, IndexOutdated):
        if not replace:
            raise
        stored = None
    if stored is not None and stored.chunking and chunk_tokens is None and overlap is None:
        chunk_tokens, overlap = stored.chunking["chunk_tokens"], stored.chunking["overlap"]
    docs = read_corpus(corpus, chunk_tokens=chunk_tokens, overlap=overlap, skip_bad_lines=skip_bad_lines)
    report = _build(
        docs,
        path,
        dense=dense,
        analyzer=analyzer,
        k1=k1,
        b=b,
        keep_missing=keep_missing,
        replace=replace,
        context=context,
    )
    return Indexed(report, tuple(docs.problems), dict(docs.ignored))


def _build(docs: Iterable[Doc], path: str | Path, *, dense: str | Encoder | None, **settings: Any) -> IndexReport:
    from sleuth.data.corpus import Corpus
    from sleuth.index.build import build_index as build

    encoder = _encoder(dense) if isinstance(dense, str) else dense
    if isinstance(docs, Corpus):
        corpus, docs = docs, _some(docs)
        cut = {"chunk_tokens": corpus.chunk_tokens, "overlap": corpus.overlap}
        settings |= {"corpus_identity": corpus.name, "chunking": cut, "failed_sources": corpus.failed}
    return build(docs, path, encoder=encoder, open_encoder=_encoder, **settings)


def _some(corpus: Corpus) -> Iterator[Doc]:
    """The corpus's documents; one without any is refused before anything is changed."""
    found = False
    for doc in corpus:
        found = True
        yield doc
    if not found:
        unread = f" Not read: {'; '.join(map(str, corpus.problems[:3]))}." if corpus.problems else ""
        raise FormatError(corpus.name, f"no documents in this corpus, so there is nothing to index.{unread}")


def open_index(path: str | Path, *, encoder: Encoder | None = None) -> Index:
    """Open an index for searching; it keeps the state it was opened in whatever a writer does.

    Args:
        encoder: For an index whose vectors came from an encoder of your own; by default the one named in it.

    Raises:
        IndexNotFound, IndexCorrupt, IndexOutdated: Say what is wrong and which command helps.
    """
    from sleuth.index.handle import open_index as open_folder

    return open_folder(path, encoder=encoder, open_encoder=_encoder, searcher=search)


def _encoder(name: str) -> Encoder:
    from sleuth.models.encoder import open_encoder

    return open_encoder(name)


# ── asking ────────────────────────────────────────────────────────────────────────────────────────


def make_retriever(
    index: IndexView,
    method: str | None = None,
    *,
    query_weighting: str | None = None,
    feedback: str | None = None,
    fusion: str | None = None,
    query_view: str = "rewrite",
    combine: str = "sum",
) -> Retriever:
    """A retriever by the names that commands and recipes use.

    Args:
        method: "bm25", "dense" or "hybrid"; None is hybrid where the index has vectors, else bm25.
        query_weighting, feedback: BM25's, here and inside a hybrid; None is "saturated" and no feedback, which is
            else "rm3".
        fusion: The hybrid's: "smoothed" (the default, weight .3), "rrf", "combsum", "combmnz", or "weighted" (.25 BM25 and
            .75 vectors after min-max, BGE-Reasoner's).
        query_view, combine: How queries with rewrites are read.

    Raises:
        UnknownName: A name that does not exist.
        UsageError: Vectors asked for on an index without, or an option that the method does not have.
    """
    from sleuth.retrieve.dense import Dense
    from sleuth.retrieve.hybrid import Hybrid
    from sleuth.retrieve.lexical import Lexical
    from sleuth.retrieve.rm3 import RM3

    check_index(index)
    if method is None:
        method = "hybrid" if index.has_vectors else "bm25"
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    if feedback not in (None, "rm3"):
        raise UnknownName("feedback", str(feedback), ["rm3"])
    for option, value, users in (
        ("query_weighting", query_weighting, ("bm25", "hybrid")),
        ("feedback", feedback, ("bm25", "hybrid")),
        ("fusion", fusion, ("hybrid",)),
    ):
        if value is not None and method not in users:
            raise UsageError(
                f"{option} (--{option.replace('_', '-')}) does nothing with method {method!r}; it belongs to "
                f"{' and '.join(users)}"
            )
    read: dict[str, Any] = {"query_view": query_view, "combine": combine}
    if method == "dense":
        return Dense(index, **read)
    weighting: Any = query_weighting or "saturated"
    lexical = Lexical(index, query_weighting=weighting, feedback=RM3() if feedback else None, **read)
    if method == "bm25":
        return lexical
    return Hybrid(lexical, Dense(index, **read), **_fusion_settings(fusion or "smoothed"))


def _fusion_settings(fusion: str) -> dict[str, Any]:
    from sleuth.fusion.smoothed import Smoothed

    if fusion not in FUSIONS:
        raise UnknownName("fusion", fusion, FUSIONS)
    if fusion == "smoothed":
        return {"fusion": Smoothed()}
    if fusion == "weighted":
        return {"fusion": "weighted", "weights": (0.25, 0.75), "normalize": "minmax"}
    return {"fusion": fusion}


def search(
    index: IndexView,
    question: str,
    k: int = 10,
    *,
    method: str | None = None,
    where: Mapping[str, Any] | None = None,
    min_score: float | None = None,
    distinct: bool = False,
    mmr: float | None = None,
    group_by: str | None = None,
    explain: bool = False,
    retriever: Retriever | None = None,
) -> Hits:
    """The passages that help answer a question, with their citations.

    Args:
        index: From `open_index` or `build_index`, or a view of it.
        question: Not empty.
        k: How many passages, >= 1.
        method: "bm25", "dense" or "hybrid"; by default hybrid (smoothed) where the index has vectors, else BM25.
        where: Metadata that a document must have; filters before the cut.
        min_score: On the result's own scale.
        distinct: Leave out near-duplicates of better passages.
        mmr: Trade-off of maximal marginal relevance, in [0, 1].
        group_by: The best passage of each value of this field; searches as deep as that takes.
        explain: Fill `Hits.explanations`.
        retriever: Search with this one instead of `method`.

    Raises:
        UsageError: An argument of another kind, an empty question, or k < 1.
    """
    check_index(index)
    if not isinstance(question, str):
        raise UsageError(f"the question must be a text, got a {type(question).__name__}")
    check_whole(k, "k")
    if where is not None and not isinstance(where, Mapping):
        raise UsageError(f"where must be a mapping such as {{'source': 'a.md'}}, got {where!r}")
    if retriever is not None:
        check_retriever(retriever)
    if not question.strip():
        raise UsageError("the question is empty")
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    view = index.where(**where) if where else index
    chosen = retriever or make_retriever(view, method)
    query = Query("question", question)
    ranking = _chosen(chosen, query, view, k=k, min_score=min_score, distinct=distinct, mmr=mmr, group_by=group_by)
    explanations = {doc_id: chosen.explain(query, doc_id) for doc_id in ranking.doc_ids} if explain else None
    return Hits(question, ranking, view.docs, explanations=explanations)


def _chosen(
    retriever: Retriever,
    query: Query,
    index: IndexView,
    *,
    k: int,
    min_score: float | None,
    distinct: bool,
    mmr: float | None,
    group_by: str | None,
) -> Ranking:
    """Search deeper until k passages are left after the filters, or the index has no more."""
    wanted = k * MMR_POOL if mmr is not None else k
    depth = wanted if group_by is None and not distinct else 4 * wanted
    while True:
        found = retriever.retrieve([query], depth=depth).run[query.query_id]
        ranking = found if min_score is None else above(found, min_score)
        cut_by_score = len(ranking) < len(found)
        if group_by is not None:
            ranking = best_of_each(ranking, index.docs, group_by)
        if distinct:
            ranking = without_near_duplicates(ranking, index.docs)
        if len(ranking) >= wanted or len(found) < depth or cut_by_score:
            break
        depth *= 4
    if mmr is None:
        return ranking.head(k)
    ranking = ranking.head(wanted)
    vectors = (
        index.vectors_of(ranking.doc_ids)
        if index.has_vectors
        else text_vectors([index.docs[i].full_text for i in ranking.doc_ids])
    )
    return diverse(ranking, vectors, trade_off=mmr, k=k)


# ── models ────────────────────────────────────────────────────────────────────────────────────────


def locate_minilm() -> Path:
    """Where the offline encoder's files are.

    Raises:
        ModelError: They are not there, or not the expected bytes; says how to get them.
    """
    from sleuth.models.minilm_files import find_minilm

    return find_minilm()


def download_model(name: str) -> Path:
    """Get a known model's files from the hub (extra `hub`)."""
    from sleuth.models.cards import get_card
    from sleuth.models.download import fetch

    return fetch(get_card(name))


def model_table() -> list[dict[str, str]]:
    """Known models: name, kind, licence, and where the files are."""
    from sleuth.errors import ModelError
    from sleuth.models.cards import list_models

    rows = []
    for card in list_models():
        files = "–"
        if card.name == "minilm":
            try:
                files = str(locate_minilm())
            except ModelError:
                files = "absent: sleuth models get minilm"
        rows.append({"name": card.name, "kind": card.kind, "licence": card.licence, "files": files})
    return rows
