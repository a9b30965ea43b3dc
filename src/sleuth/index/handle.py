"""`Index`: an index folder in your hands; and `IndexView`, the part of it that a filter lets through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.index.encoding import EncoderSource, OpenEncoder
from sleuth.index.lock import WriterLock
from sleuth.index.reader import Found, Reader, StoredDocs, analyzer_of
from sleuth.index.records import checked_filters
from sleuth.index.report import IndexReport, described
from sleuth.index.snapshot import Snapshot
from sleuth.index.store import IndexManifest, check_files
from sleuth.index.update import Update
from sleuth.stages import Encoder
from sleuth.types import Doc

if TYPE_CHECKING:
    from sleuth.text.analyzer import Analyzer

__all__ = ["Index", "IndexView", "open_index"]

Terms = Sequence[str] | Mapping[str, float]
Searcher = Callable[..., Any]


def open_index(
    path: str | Path,
    *,
    encoder: Encoder | None = None,
    open_encoder: OpenEncoder | None = None,
    searcher: Searcher | None = None,
) -> Index:
    """Open an index for searching and changing. Reads the manifest and maps the files; no document is read.

    Args:
        path: The index folder.
        encoder: The encoder of its vectors, if you have it open.
        open_encoder: Opens one by its stored name, when it is first needed.
        searcher: What `Index.search` calls, with the index or view first.

    Raises:
        IndexNotFound, IndexCorrupt, IndexOutdated: What is wrong, and the command that helps.
        IndexMismatch: `encoder` is not the one that made the vectors.
    """
    return Index(Path(path), encoder=encoder, open_encoder=open_encoder, searcher=searcher)


class IndexView:
    """Some documents of an index: a filter acts before the cut, statistics stay those of the whole index.

    Made by `Index.where`. An `Index` is the view of everything.
    """

    def __init__(
        self, reader: Reader, within: NDArray[np.bool_] | None, encoder: EncoderSource, searcher: Searcher | None
    ) -> None:
        self._reader, self._within, self._source, self._searcher = reader, within, encoder, searcher

    # ── what it is ────────────────────────────────────────────────────────────────────────────────

    @property
    def path(self) -> Path:
        """The index folder."""
        return self._reader.snapshot.path

    @property
    def manifest(self) -> IndexManifest:
        """The state that is searched."""
        return self._reader.snapshot.manifest

    @property
    def docs(self) -> StoredDocs:
        """The documents, read from disk one at a time; a view's are those that pass its filter."""
        return StoredDocs(self._reader.snapshot, self._within)

    @property
    def n_docs(self) -> int:
        """Documents of the whole index: a statistic, the same for every view. `len(docs)` counts a view's."""
        return self.manifest.documents

    @property
    def k1(self) -> float:
        """BM25's k1."""
        return self.manifest.settings.k1

    @property
    def b(self) -> float:
        """BM25's b."""
        return self.manifest.settings.b

    @cached_property
    def analyzer(self) -> Analyzer:
        """The analyzer of documents and queries.

        Raises:
            IndexOutdated: This Sleuth's analyzer of that name gives other terms than the index holds.
        """
        return analyzer_of(self.path, self.manifest.settings)

    @property
    def has_vectors(self) -> bool:
        """Whether documents were encoded."""
        return self.manifest.settings.encoder is not None

    @property
    def encoder_identity(self) -> str | None:
        """The identity of the encoder that made the vectors, or None."""
        stored = self.manifest.settings.encoder
        return str(stored["identity"]) if stored else None

    @property
    def encoder(self) -> Encoder:
        """The encoder of the vectors, opened on first use.

        Raises:
            UsageError: There are no vectors, or nothing was given that opens the encoder.
            IndexMismatch: What was opened is not what made the vectors.
        """
        return self._source.get()

    def __repr__(self) -> str:
        shown = f"{len(self.docs):,} of " if self._within is not None else ""
        return f"{type(self).__name__}({str(self.path)!r}, {shown}{self.n_docs:,} documents)"

    # ── searching ─────────────────────────────────────────────────────────────────────────────────

    def where(self, /, **fields: Any) -> IndexView:
        """The documents whose metadata equal these values; a list of values accepts any of them.

        Text also stands for the number or truth value that is written so ("3" for 3).
        """
        mask = self._reader.where(checked_filters(fields))
        return IndexView(
            self._reader, mask if self._within is None else mask & self._within, self._source, self._searcher
        )

    def search(self, *args: Any, **options: Any) -> Any:
        """Ask a question; what it takes and gives is the searcher's (`sleuth.search`).

        Raises:
            UsageError: The index was opened without a searcher.
        """
        if self._searcher is None:
            raise UsageError("this index was opened without a searcher; use sleuth.search(index, question)")
        return self._searcher(self, *args, **options)

    def bm25_search(
        self,
        queries: Sequence[Terms],
        *,
        depth: int,
        weighting: str = "saturated",
        excluded: Sequence[Collection[str]] | None = None,
    ) -> Found:
        """The best `depth` documents of each query that share a term with it.

        Args:
            queries: Terms as the analyzer gives them, or term -> weight.
            depth: >= 0.
            weighting: What a repeated term counts: "saturated", "tf", "binary" or "bm25".
            excluded: Per query, ids never to return; dropped before the cut.

        Returns:
            Per query (ids, float64 scores), best first.
        """
        _check_depth(depth)
        if not self.manifest.segments or depth == 0:
            return [([], np.zeros(0)) for _ in queries]
        outside = self._reader.positions_of_each(excluded, len(queries))
        found = self._reader.bm25.search(
            queries, depth=depth, weighting=weighting, excluded=outside, within=self._within
        )
        return self._reader.ordered(found, depth)

    def bm25_score(self, query: Terms, doc_ids: Sequence[str], weighting: str = "saturated") -> NDArray[np.float64]:
        """(n,) exact BM25 of given documents; 0 where no term is shared, NaN for ids that are not here."""
        scores = np.full(len(doc_ids), np.nan)
        positions = self._positions(doc_ids)
        here = positions >= 0
        if here.any():
            scores[here] = self._reader.bm25.score(query, positions[here], weighting=weighting)
        return scores

    def bm25_explain(self, query: Terms, doc_id: str, weighting: str = "saturated") -> Any:
        """Why a document scores what it scores, term by term.

        Raises:
            UsageError: The document is not here.
        """
        position = int(self._positions([doc_id])[0])
        if position < 0:
            raise UsageError(
                f"{self.path} has no document {doc_id!r}{' in this view' if self._within is not None else ''}"
            )
        return self._reader.bm25.explain(query, position, weighting=weighting)

    def df(self, term: str) -> int:
        """In how many documents of the whole index a term occurs."""
        return int(self._reader.bm25.df(term)) if self.manifest.segments else 0

    def dense_search(
        self, vectors: NDArray[Any], *, depth: int, excluded: Sequence[Collection[str]] | None = None
    ) -> Found:
        """The best `depth` documents by inner product with each vector.

        Args:
            vectors: (B, dim).
            depth: >= 0.
            excluded: Per query, ids never to return; dropped before the cut.
        """
        _check_depth(depth)
        dim = self._dim()
        queries = np.asarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise UsageError(f"query vectors must have shape (B, {dim}), got {queries.shape}")
        if not self.manifest.segments or depth == 0:
            return [([], np.zeros(0)) for _ in queries]
        outside = self._reader.positions_of_each(excluded, len(queries))
        found = self._reader.dense(len(queries)).search(queries, depth=depth, excluded=outside, within=self._within)
        return self._reader.ordered(found, depth)

    def dense_score(self, vector: NDArray[Any], doc_ids: Sequence[str]) -> NDArray[np.float64]:
        """(n,) inner products of a (dim,) vector with given documents; NaN for ids that are not here."""
        self._dim()
        scores = np.full(len(doc_ids), np.nan)
        positions = self._positions(doc_ids)
        here = positions >= 0
        if here.any():
            scores[here] = self._reader.dense().score(np.asarray(vector, dtype=np.float32), positions[here])
        return scores

    def vectors_of(self, doc_ids: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) vectors of given documents; a row of NaN for an id that is not here."""
        return self._reader.snapshot.vectors(self._positions(doc_ids), self._dim())

    def _positions(self, doc_ids: Sequence[str]) -> NDArray[np.int64]:
        if isinstance(doc_ids, str):
            raise UsageError(f"doc_ids must be a sequence of ids, got the string {doc_ids!r}")
        positions = self._reader.snapshot.positions(doc_ids)
        if self._within is not None and len(positions):
            positions[(positions >= 0) & ~self._within[positions]] = -1
        return positions

    def _dim(self) -> int:
        stored = self.manifest.settings.encoder
        if stored is None:
            raise UsageError(f"{self.path} has no vectors; index with an encoder first (--dense minilm)")
        return int(stored["dim"])


class Index(IndexView):
    """An index folder, open for searching and changing.

    It shows the state it was opened with, and after a change of its own the state it made; `refresh` takes
    up what other processes did. Searching is safe from many threads.

    Args:
        path, encoder, open_encoder, searcher: As `open_index`.
    """

    def __init__(
        self,
        path: Path,
        *,
        encoder: Encoder | None = None,
        open_encoder: OpenEncoder | None = None,
        searcher: Searcher | None = None,
    ) -> None:
        snapshot = Snapshot.open(path)
        source = EncoderSource(snapshot.manifest.settings.encoder, encoder, open_encoder, str(path))
        super().__init__(Reader(snapshot), None, source, searcher)
        self.report: IndexReport | None = None
        """What the last build or addition through this object did."""

    def refresh(self) -> bool:
        """Take up the current state of the folder; True if it had changed."""
        before = self.manifest
        snapshot = Snapshot.open(self.path)
        if snapshot.manifest == before:
            return False
        if snapshot.manifest.settings != before.settings:
            self.__dict__.pop("analyzer", None)
            stored = snapshot.manifest.settings.encoder
            self._source = EncoderSource(stored, None, self._source.opener, str(self.path))
        self._reader = Reader(snapshot)
        return True

    def info(self) -> dict[str, Any]:
        """What `sleuth inspect` shows: documents, segments, analyzer, encoder, BM25's parameters, bytes, ..."""
        return described(self.manifest)

    def check(self) -> list[str]:
        """Files whose size or SHA-256 is not the manifest's, with what is wrong; empty when all is sound."""
        return check_files(self.path)

    def add(self, docs: Iterable[Doc], *, context: Context | None = None) -> IndexReport:
        """Add documents; one whose id is there already takes its place.

        Raises:
            UsageError: An id comes twice in `docs`, or one can't be stored; nothing is changed then.
            IndexLocked: Another process writes to the index.
        """
        if isinstance(docs, Doc):
            docs = [docs]
        with WriterLock(self.path):
            update = self._update(context)
            update.put(docs)
            self.report = self._commit(update)
        return self.report

    def delete(
        self,
        doc_ids: Iterable[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> int:
        """Delete documents by id, or all whose metadata pass a filter.

        Args:
            doc_ids: Ids (or a single one); each must be there.
            where: As the fields of `where`.

        Returns:
            How many were deleted.

        Raises:
            UsageError: Both or neither given, or an id that is not in the index; nothing is deleted then.
            IndexLocked: Another process writes to the index.
        """
        if (doc_ids is None) == (where is None):
            raise UsageError("name the documents to delete by id or by where=, one of the two")
        with WriterLock(self.path):
            update = self._update(context)
            assert update.base is not None
            if where is not None:
                update.drop(np.flatnonzero(Reader(update.base).where(checked_filters(where))))
            else:
                names = list(dict.fromkeys([doc_ids] if isinstance(doc_ids, str) else doc_ids or ()))
                positions = update.base.positions(names)
                if (positions < 0).any():
                    missing = names[int(np.argmin(positions))]
                    raise UsageError(f"{self.path} has no document {missing!r}; nothing was deleted")
                update.drop(positions)
            self._commit(update)
        return update.counts.removed

    def compact(self, *, context: Context | None = None) -> IndexReport:
        """Merge all segments into one and drop what was deleted from disk."""
        with WriterLock(self.path):
            return self._commit(self._update(context), compact=True)

    def _update(self, context: Context | None) -> Update:
        base = Snapshot.open(self.path)
        settings = base.manifest.settings
        source = self._source
        if source.stored != settings.encoder:  # another process made the index anew meanwhile
            source = EncoderSource(settings.encoder, None, source.opener, str(self.path))
        analyzer = analyzer_of(self.path, settings)
        return Update(self.path, base, settings, analyzer=analyzer, encoder=source, context=context)

    def _commit(self, update: Update, *, compact: bool = False) -> IndexReport:
        manifest = update.commit(compact=compact)
        self.refresh()
        return IndexReport(self.path, manifest, update.counts)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopened, (str(self.path), self._source.opener, self._searcher))


def _reopened(path: str, opener: OpenEncoder | None, searcher: Searcher | None) -> Index:
    """An index in another process: the current state of the same folder."""
    return open_index(path, open_encoder=opener, searcher=searcher)


def _check_depth(depth: int) -> None:
    if depth < 0:
        raise UsageError(f"depth must be 0 or more, got {depth}")
