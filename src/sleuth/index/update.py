"""One change to an index: documents in, a new manifest out.

Documents stream through `Update.put`, which tells new, changed and unchanged ones apart by their hashes,
and gathers what must be written into parts. A part becomes a segment as soon as it is full, so memory
stays flat. Nothing counts before `commit`; a process killed earlier leaves the index as it was, and whoever
runs the same update again finds the finished parts by their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context, Task
from sleuth.errors import UsageError
from sleuth.index.encoding import EncoderSource, KnownVectors, encode_texts
from sleuth.index.ids import id_bytes, id_keys
from sleuth.index.parts import PART_CHARACTERS, PART_DOCUMENTS, PART_VECTOR_BYTES, Part, merge_plan
from sleuth.index.records import HASH_BYTES, digest, record_line
from sleuth.index.report import Counts
from sleuth.index.segments import Segment, SegmentEntry, SegmentWriter, finished, make_durable, merge_segments
from sleuth.index.snapshot import Snapshot
from sleuth.index.store import IndexManifest, Settings, commit, is_unfinished, segments_folder, sweep
from sleuth.types import Doc

__all__ = ["Update"]

BATCH = 1024
"""Documents classified at a time: enough for look-ups to work on arrays, few enough to forget (ours)."""

JOURNAL = "encode.journal"


class Update:
    """A writer's change in progress; the caller holds the writer's lock.

    Args:
        path: The index folder.
        base: The current state; None for a new index.
        settings: What the index is made with from now on.
        analyzer: The analyzer that `settings` names.
        encoder: Where the encoder comes from; its `stored` is `settings.encoder`.
        rebuild: Write every document anew (another analyzer or encoder).
        cache: A vector cache for `encode_corpus`, or None.
        part_documents: Documents of a part.
    """

    def __init__(
        self,
        path: Path,
        base: Snapshot | None,
        settings: Settings,
        *,
        analyzer: Any,
        encoder: EncoderSource,
        rebuild: bool = False,
        cache: Any = None,
        context: Context | None = None,
        part_documents: int | None = None,
    ) -> None:
        self.path, self.base, self.settings, self.counts = path, base, settings, Counts()
        self._analyzer, self._encoder, self._rebuild, self._cache = analyzer, encoder, rebuild, cache
        self._context = Context.of(context)
        size = base.size if base else 0
        self._live = base.live() if base else np.zeros(0, dtype=np.bool_)
        self._seen = np.zeros(size, dtype=np.bool_)
        self._gone = np.zeros(size, dtype=np.bool_)
        dim = int(settings.encoder["dim"]) if settings.encoder else 1
        fits = max(BATCH, PART_VECTOR_BYTES // (4 * dim))
        self._part_documents = part_documents or min(PART_DOCUMENTS, fits)
        self._parts: list[Segment] = []
        self._part = self._new_part()
        self._folder = segments_folder(path)
        self._leftovers = self._find_leftovers()
        self._next = base.manifest.next_segment if base else 1 + self._highest_number()
        self._known: KnownVectors | None = None

    # ── documents in ──────────────────────────────────────────────────────────────────────────────

    def put(self, docs: Iterable[Doc]) -> None:
        """Add documents, or bring those with the same id up to date.

        Raises:
            UsageError: An id that came before in this update, or a document that can't be stored.
        """
        with self._context.progress.task("index") as task:
            stream = iter(docs)
            while batch := list(islice(stream, min(BATCH, self._part_documents))):
                self._put_batch(batch, task)

    def drop(self, positions: NDArray[np.int64]) -> None:
        """Remove documents of the base."""
        self._gone[positions] = True
        self._seen[positions] = True
        self.counts.removed += len(positions)

    def keep(self, positions: NDArray[np.int64]) -> None:
        """Keep documents of the base as they are."""
        self.counts.kept += len(positions)
        if self._rebuild and self.base is not None:
            base, unchanged = self.base, self.counts.unchanged
            self.put(base.doc(position) for position in positions.tolist())
            self.counts.unchanged = unchanged
        self._seen[positions] = True

    def unseen(self) -> NDArray[np.int64]:
        """Positions of live documents of the base that were not named in this update."""
        return np.flatnonzero(self._live & ~self._seen)

    def _put_batch(self, batch: Sequence[Doc], task: Task) -> None:
        lines = [record_line(doc) for doc in batch]
        names = [id_bytes(doc.doc_id) for doc in batch]
        texts = [doc.full_text for doc in batch]
        hashes = [digest(text.encode()) + digest(line) for text, line in zip(texts, lines, strict=True)]
        positions = np.full(len(batch), -1, dtype=np.int64)
        before = [b""] * len(batch)
        if self.base is not None:
            positions = self.base.positions_of_bytes(names)
            here = np.flatnonzero(positions >= 0)
            for at, row in zip(here.tolist(), self.base.hashes(positions[here]), strict=True):
                before[at] = row.tobytes()
        for at, position in enumerate(positions.tolist()):
            if names[at] in self._part.taken or (position >= 0 and self._seen[position]):
                raise _repeated(names[at])
            if position < 0:
                self.counts.added += 1
            else:
                self._seen[position] = True
                if self._is_unchanged(before[at], hashes[at]) and not self._rebuild:
                    continue
                self._gone[position] = True
            self._part.append(names[at], lines[at], texts[at], hashes[at])
            if len(self._part.names) >= self._part_documents or self._part.characters >= PART_CHARACTERS:
                self._flush()
        task.advance(len(batch))

    def _is_unchanged(self, before: bytes, now: bytes) -> bool:
        """Count what happened to a document of the base; True where nothing did."""
        if before == now:
            self.counts.unchanged += 1
        elif before[:HASH_BYTES] == now[:HASH_BYTES]:
            self.counts.updated += 1
        else:
            self.counts.changed += 1
        return before == now

    # ── parts ─────────────────────────────────────────────────────────────────────────────────────

    def _new_part(self) -> Part:
        identity = self.settings.encoder["identity"] if self.settings.encoder else ""
        seed = (self.settings.analyzer, self.settings.analyzer_version, identity)
        return Part(repr(seed).encode())

    def _flush(self) -> None:
        part, self._part = self._part, self._new_part()
        if not part.names:
            return
        self._context.deadline.check()
        keys = id_keys(part.names)
        for earlier in self._parts:
            rows = earlier.ids.find(part.names, keys)
            if (rows >= 0).any():
                raise _repeated(part.names[int(np.argmax(rows >= 0))])
        folder, entry = self._place(part.content)
        if entry is None:
            entry = self._write(part, folder)
        else:
            self.counts.resumed += entry.documents
        self._parts.append(Segment(folder, entry))

    def _write(self, part: Part, folder: Path) -> SegmentEntry:
        from sleuth.index.bm25.postings import Postings

        writer = SegmentWriter(folder)
        hashes = np.frombuffer(b"".join(part.hashes), dtype=np.uint8).reshape(-1, 2 * HASH_BYTES)
        writer.documents(part.lines)
        writer.rows(part.names, map(len, part.lines), hashes)
        writer.postings(Postings.build(self._analyzer.encode(part.texts)))
        if self.settings.encoder is not None:
            vectors = self._vectors(part.texts, hashes[:, :HASH_BYTES], folder / JOURNAL)
            writer.vectors([vectors], *vectors.shape)
        entry = writer.finish(len(part.names))
        (folder / JOURNAL).unlink(missing_ok=True)
        return entry

    def _vectors(self, texts: Sequence[str], hashes: NDArray[np.uint8], journal: Path) -> NDArray[np.float32]:
        """(n, dim) vectors: those the base has for the same text, the rest from the encoder."""
        assert self.settings.encoder is not None
        vectors = np.empty((len(texts), int(self.settings.encoder["dim"])), dtype=np.float32)
        positions = self._known_vectors(hashes)
        reused, wanted = np.flatnonzero(positions >= 0), np.flatnonzero(positions < 0)
        if len(reused) and self.base is not None:
            vectors[reused] = self.base.vectors(positions[reused], vectors.shape[1])
            self.counts.reused += len(reused)
        if len(wanted):
            made = encode_texts(
                self._encoder.get(),
                [texts[at] for at in wanted.tolist()],
                journal_path=journal,
                cache=self._cache,
                context=self._context,
            )
            vectors[wanted] = made.vectors
            self.counts.encoded += len(wanted)
            self.counts.truncated += int(made.truncated.sum())
        return vectors

    def _known_vectors(self, hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
        own, base = self.settings.encoder, self.base
        if base is None or own is None or not base.manifest.settings.encoder:
            return np.full(len(hashes), -1, dtype=np.int64)
        if base.manifest.settings.encoder["identity"] != own["identity"]:
            return np.full(len(hashes), -1, dtype=np.int64)
        if self._known is None:
            self._known = KnownVectors(base)
        return self._known.positions(hashes)

    # ── folders ───────────────────────────────────────────────────────────────────────────────────

    def _folders(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from self._folder.iterdir()

    def _find_leftovers(self) -> dict[str, Path]:
        """Content -> folder of what a killed run left behind, finished or not.

        Nothing of an index that could not be opened is used again.
        """
        if self.base is None and not is_unfinished(self.path):
            return {}
        named = {segment.name for segment in self.base.manifest.segments} if self.base else set()
        return {f.name.partition("-")[2]: f for f in sorted(self._folders()) if f.name not in named}

    def _highest_number(self) -> int:
        """The largest number of any folder; 0 in a new index, whose parts then have the same names every time."""
        if is_unfinished(self.path) or not self._folder.is_dir():
            return 0
        return max((int(f.name[:6]) for f in self._folders() if f.name[:6].isdigit()), default=0)

    def _place(self, content: str) -> tuple[Path, SegmentEntry | None]:
        """The folder for a segment, and its entry if it is there already."""
        number, self._next = self._next, self._next + 1
        left = self._leftovers.pop(content, None)
        if left is None:
            return self._folder / f"{number:06d}-{content}", None
        return left, finished(left)

    # ── a new manifest out ────────────────────────────────────────────────────────────────────────

    def commit(self, *, compact: bool = False) -> IndexManifest:
        """Make the change count.

        Args:
            compact: Merge everything into one segment without deleted documents.

        Returns:
            The manifest that is now current; the base's where nothing changed.
        """
        self._flush()
        before = self.base.manifest if self.base else None
        groups = [[segment] for segment in self._survivors()]
        if self._parts:
            groups.append(self._parts)
        rewritten = _everything(groups) if compact else merge_plan([_size(group) for group in groups])
        for start, end in reversed(rewritten):
            groups[start:end] = [[self._merge([segment for group in groups[start:end] for segment in group])]]
        segments = [group[0] if len(group) == 1 else self._merge(group) for group in groups]
        same = before and [s.entry.name for s in segments] == [s.name for s in before.segments]
        if before and same and not self._gone.any() and before.settings == self.settings:
            sweep(self.path, before)
            return before
        generation = before.generation + 1 if before else 1
        entries = tuple(self._entry(segment, generation) for segment in segments)
        self._folder.mkdir(exist_ok=True)
        manifest = IndexManifest(generation, self._next, self.settings, entries)
        commit(self.path, manifest)
        return manifest

    def _survivors(self) -> list[Segment]:
        """Segments of the base that still have a live document."""
        if self.base is None or self._rebuild:
            return []
        left = []
        for base, segment in zip(self.base.bases.tolist(), self.base.segments, strict=False):
            gone = self._gone[base : base + len(segment.ids)]
            after = segment.without(gone) if gone.any() else segment
            if len(after.live_rows):
                left.append(after)
        return left

    def _merge(self, segments: Sequence[Segment]) -> Segment:
        content = sha256(b"merged")
        for segment in segments:
            content.update(segment.entry.name.partition("-")[2].encode())
            content.update(b"" if segment.live is None else np.packbits(segment.live).tobytes())
        folder, entry = self._place(content.hexdigest()[:16])
        if entry is None:
            entry = merge_segments(folder, segments)
        return Segment(folder, entry)

    def _entry(self, segment: Segment, generation: int) -> SegmentEntry:
        """The segment's entry, on disk for good, with a new bitmap if more of it is deleted than the entry says."""
        if self.base is None or all(segment.entry.name != own.name for own in self.base.manifest.segments):
            make_durable(segment.folder, segment.entry)
        live = len(segment.live_rows)
        return segment.entry if live == segment.entry.live else segment.write_deletions(generation)


def _size(group: Sequence[Segment]) -> tuple[int, int]:
    return sum(len(segment.live_rows) for segment in group), sum(segment.entry.documents for segment in group)


def _everything(groups: Sequence[Sequence[Segment]]) -> list[tuple[int, int]]:
    live, total = _size([segment for group in groups for segment in group])
    clean = len(groups) == 1 and len(groups[0]) == 1 and live == total
    return [] if clean or not groups else [(0, len(groups))]


def _repeated(name: bytes) -> UsageError:
    return UsageError(f"document id {name.decode()!r} comes twice; ids must be distinct. Nothing was changed.")
