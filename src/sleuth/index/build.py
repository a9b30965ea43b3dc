"""Make an index of a corpus, or bring an existing one up to date."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from sleuth.context import Context
from sleuth.errors import IndexCorrupt, IndexError_, IndexMismatch, IndexNotFound, IndexOutdated, UsageError
from sleuth.index.encoding import EncoderSource, OpenEncoder
from sleuth.index.lock import WriterLock
from sleuth.index.report import IndexReport
from sleuth.index.snapshot import Snapshot
from sleuth.index.store import (
    MANIFEST,
    Settings,
    begin,
    check_files,
    discard_beginning,
    is_ours,
    is_unfinished,
    read_manifest,
)
from sleuth.index.update import Update
from sleuth.stages import Encoder
from sleuth.types import Doc

__all__ = ["DEFAULT_B", "DEFAULT_K1", "IndexReport", "build_index", "stored_settings"]

DEFAULT_K1, DEFAULT_B = 1.2, 0.75
"""BM25's usual parameters (Robertson and Zaragoza 2009; Lucene's defaults), best on average over nine
collections with the default analyzer."""

FailedSources = Collection[str] | Callable[[str], bool]


def build_index(
    docs: Iterable[Doc],
    path: str | Path,
    *,
    analyzer: str | None = None,
    k1: float | None = None,
    b: float | None = None,
    encoder: Encoder | None = None,
    open_encoder: OpenEncoder | None = None,
    keep_missing: bool = False,
    replace: bool = False,
    corpus_identity: str | None = None,
    chunking: Mapping[str, Any] | None = None,
    failed_sources: FailedSources = (),
    cache: Any = None,
    context: Context | None = None,
    part_documents: int | None = None,
) -> IndexReport:
    """Index a corpus. On an existing index: bring it up to date, at the cost of what has changed.

    Documents whose text is unchanged keep postings and vectors, changed ones are replaced, vanished ones removed.
    A document that only moved (the same text under another id, place or title line) keeps its vector. Until the
    end the old state stays searchable; a killed run is carried on by the same call, which finds the parts it had
    finished.

    Args:
        docs: The whole corpus, streamed; ids must be distinct.
        path: The index folder.
        analyzer: Name of the analyzer. Left out: "auto", or the existing index's.
        k1, b: BM25's parameters. Left out: 1.2 and 0.75, or the existing index's.
        encoder: Makes vectors. Left out: none, or the existing index's, opened by `open_encoder`.
        open_encoder: Opens an encoder by its stored name, when a text must be encoded.
        keep_missing: Keep documents that are no longer in the corpus.
        replace: Allow another corpus, other settings, the removal of more than half, and an index that is
            damaged or of another format version.
        corpus_identity: What the corpus is (a path, say); another one than the index's is refused.
        chunking: How files were cut; JSON-like. Different settings are refused.
        failed_sources: Values of `metadata["source"]` that could not be read: their documents stay as they are. A
            collection, or a function that tells for one source. Asked after `docs` has ended, so the reader of
            `docs` may still fill it.
        cache: A vector cache, handed to the encoding job.
        part_documents: Documents of a part, the unit in which a killed build resumes. Default: up to 65,536.

    Returns:
        What was done. Open the index with `open_index`.

    Raises:
        IndexMismatch: Another corpus or other settings than the index's, or more than half would vanish.
        IndexLocked: Another process writes to the index.
        IndexCorrupt, IndexOutdated: What is there can't be brought up to date; without `replace`.
        UsageError: A repeated id, a document that can't be stored, parameters out of range.
    """
    path = Path(path)
    _check_parameters(k1, b, part_documents)
    _refuse_foreign(path)
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexError_(f"{path} can't be made ({error.strerror}); choose a place you can write to") from error
    try:
        with WriterLock(path):
            base = _usable_base(path, replace)
            wanted = {"analyzer": analyzer, "k1": k1, "b": b, "corpus": corpus_identity, "chunking": chunking}
            settings, rebuild = _resolve(path, base, wanted, encoder, replace)
            if is_unfinished(path):
                begin(path)
            source = EncoderSource(settings.encoder, encoder, open_encoder, str(path))
            update = Update(
                path,
                base,
                settings,
                analyzer=_analyzer(settings.analyzer),
                encoder=source,
                rebuild=rebuild,
                cache=cache,
                context=context,
                part_documents=part_documents,
            )
            try:
                update.put(docs)
                _settle_missing(update, keep_missing=keep_missing, failed=failed_sources, replace=replace)
                return IndexReport(path, update.commit(), update.counts)
            finally:
                discard_beginning(path)
    finally:
        if made and not any(path.iterdir()):
            path.rmdir()


def stored_settings(path: str | Path) -> Settings | None:
    """What the index at this path is made with, or None where there is none yet.

    For readers that must cut files as before: options left out are the index's own.

    Raises:
        IndexCorrupt, IndexOutdated: There is something, and it is no sound index.
    """
    path = Path(path)
    _refuse_foreign(path)
    try:
        return read_manifest(path).settings
    except IndexNotFound:
        return None
    except IndexCorrupt:
        if is_unfinished(path):
            return None
        raise


def _refuse_foreign(path: Path) -> None:
    """Never write into a folder of other things; a sound index may have a stranger's file beside its own."""
    if not path.exists() or is_ours(path):
        return
    try:
        read_manifest(path)
    except IndexOutdated:
        return
    except IndexError_ as error:
        what = "a folder with other files" if path.is_dir() else "a file"
        reason = f" ({error})" if (path / MANIFEST).is_file() else ""
        raise IndexCorrupt(
            f"{path} is {what}, not an index, and is left alone; name a new folder for the index{reason}"
        ) from error


def _usable_base(path: Path, replace: bool) -> Snapshot | None:
    """The current state; None for a new index, an unfinished first build, or a damaged one that is replaced."""
    if is_unfinished(path):
        return None
    try:
        if replace and check_files(path):
            return None
        return Snapshot.open(path)
    except (IndexCorrupt, IndexOutdated):
        if not replace:
            raise
        return None


def _resolve(
    path: Path, base: Snapshot | None, wanted: Mapping[str, Any], encoder: Encoder | None, replace: bool
) -> tuple[Settings, bool]:
    """The settings from now on, and whether every document must be written anew."""
    given = {name: value for name, value in wanted.items() if value is not None}
    name = given.get("analyzer") or (base.manifest.settings.analyzer if base else "auto")
    version = str(_analyzer(name).version)
    stored = {"name": encoder.name, "identity": encoder.identity, "dim": int(encoder.dim)} if encoder else None
    if base is None:
        fresh = Settings(name, version, DEFAULT_K1, DEFAULT_B, stored)
        return changed(fresh, **given), False
    own = base.manifest.settings
    faults = [
        f"{option} {_plain(getattr(own, option))}, got {_plain(value)}"
        for option, value in given.items()
        if getattr(own, option) != value and not (option in ("corpus", "chunking") and getattr(own, option) is None)
    ]
    if name == own.analyzer and version != own.analyzer_version:
        faults.append(f"analyzer {name!r} version {own.analyzer_version}, this Sleuth has {version}")
    own_identity = own.encoder["identity"] if own.encoder else None
    if stored is not None and stored["identity"] != own_identity:
        faults.append(f"encoder {own_identity or 'none'}, got {stored['identity']}")
    if faults and not replace:
        keep = (
            "Name another index folder"
            if faults[0].startswith("corpus ")
            else "Leave the option out to keep the index's own"
        )
        raise IndexMismatch(
            f"{path} was made with {'; '.join(faults)}. {keep}, or pass --replace (replace=True) to make it anew."
        )
    after = changed(own, **{**given, "analyzer": name, "analyzer_version": version, "encoder": stored or own.encoder})
    rebuild = (after.analyzer, version, (after.encoder or {}).get("identity")) != (
        own.analyzer,
        own.analyzer_version,
        own_identity,
    )
    return after, rebuild


def _plain(value: Any) -> str:
    """A setting as a sentence shows it."""
    if isinstance(value, Mapping):
        return " and ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return "none" if value is None else repr(value)


def _settle_missing(update: Update, *, keep_missing: bool, failed: FailedSources, replace: bool) -> None:
    """Decide about documents that the corpus no longer has."""
    missing = update.unseen()
    base = update.base
    if base is None or not len(missing):
        return
    stays = np.full(len(missing), keep_missing)
    if failed and not keep_missing:
        has_failed = failed if callable(failed) else set(failed).__contains__
        for at, position in enumerate(missing.tolist()):
            segment, row = base.place(position)
            source = segment.records.metadata(row).get("source")
            stays[at] = isinstance(source, str) and has_failed(source)
    vanished, before = int((~stays).sum()), base.manifest.documents
    if 2 * vanished > before and not replace:
        raise IndexMismatch(
            f"{base.path}: {vanished:,} of its {before:,} documents are not in this corpus. Nothing was changed. Check that "
            "it is the right corpus; pass --replace (replace=True) to remove them, --keep-missing to keep them."
        )
    update.keep(missing[stays])
    update.drop(missing[~stays])


def _check_parameters(k1: float | None, b: float | None, part_documents: int | None) -> None:
    if k1 is not None and not (math.isfinite(k1) and k1 >= 0):
        raise UsageError(f"k1 must be a number from 0 on, got {k1}")
    if b is not None and not 0 <= b <= 1:
        raise UsageError(f"b must lie between 0 and 1, got {b}")
    if part_documents is not None and part_documents < 1:
        raise UsageError(f"part_documents must be at least 1, got {part_documents}")


def _analyzer(name: str) -> Any:
    from sleuth.text.analyzer import get_analyzer

    return get_analyzer(name)
