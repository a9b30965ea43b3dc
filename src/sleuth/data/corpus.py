"""A corpus: documents that can be read again and again, and what of them could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from sleuth.data.lines import Problem, Report
from sleuth.text.chunk import cut
from sleuth.types import Doc

__all__ = ["Corpus", "Notes", "cut_docs"]


class Notes:
    """What a reader tells about the documents it is reading.

    Attributes:
        problems: Files and lines left out although they were meant to be read.
        ignored: Suffix (or kind of entry) -> how many of them a folder holds that no reader is for.
    """

    def __init__(self, report: Report | None = None) -> None:
        self.problems: list[Problem] = []
        self.ignored: Counter[str] = Counter()
        self._report = report

    def problem(self, problem: Problem) -> None:
        """Write a problem down and pass it on."""
        self.problems.append(problem)
        if self._report is not None:
            self._report(problem)


class Corpus(Iterable[Doc]):
    """Documents from one place, streamed anew by each iteration.

    Args:
        name: What it was made from; equal names mean the same corpus, so an index keeps it and
            refuses another one.
        read: Makes an iterator over the documents that writes what it leaves out into Notes.
        report: Called with each problem as it is met.
        chunk_tokens, overlap: How documents are cut; None where they are not.

    Attributes:
        problems: What could not be read; filled while iterating, emptied when an iteration starts.
        ignored: Suffix -> files of a folder that no reader is for; filled likewise.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[Notes], Iterable[Doc]],
        *,
        report: Report | None = None,
        chunk_tokens: int | None = None,
        overlap: int | None = None,
    ) -> None:
        self.name, self.chunk_tokens, self.overlap = name, chunk_tokens, overlap
        self._read = read
        self._report = report
        self._notes = Notes()

    @property
    def problems(self) -> list[Problem]:
        return self._notes.problems

    @property
    def ignored(self) -> Counter[str]:
        return self._notes.ignored

    def __iter__(self) -> Iterator[Doc]:
        self._notes = notes = Notes(self._report)
        yield from self._read(notes)

    def failed(self, source: str) -> bool:
        """Whether this file of a folder (a chunk's `source`) could not be read this time.

        An index keeps the old version of such a file instead of taking it for deleted. True also for
        every file below a folder that could not be listed.
        """
        return any(
            source == problem.path or (problem.path.endswith("/") and source.startswith(problem.path))
            for problem in self.problems
            if problem.line is None
        )

    def __repr__(self) -> str:
        return f"Corpus({self.name!r})"


def cut_docs(docs: Iterable[Doc], *, chunk_tokens: int, overlap: int) -> Iterator[Doc]:
    """Whole documents as chunks `<doc_id>#<n>`, with `source`, `start` and `end` in their metadata."""
    for doc in docs:
        for at, chunk in enumerate(cut(doc.text, max_tokens=chunk_tokens, overlap=overlap)):
            place = {"source": doc.doc_id, "start": chunk.start, "end": chunk.end}
            yield replace(doc, doc_id=f"{doc.doc_id}#{at}", text=chunk.text, metadata={**doc.metadata, **place})
