"""The documents that a run names, out of a corpus of any size: one pass over it keeps only those."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleuth.context import Context
    from sleuth.types import Doc, Run

__all__ = ["docs_named", "heads_of"]


def docs_named(
    corpus: str | Path, wanted: Collection[str], *, whole: bool = False, context: Context | None = None
) -> dict[str, Doc]:
    """doc_id -> document, of those that are wanted. Reads no further than the last of them.

    Args:
        corpus: As `read_corpus`.
        wanted: The ids.
        whole: Refuse a corpus that lacks one.
        context: For the progress bar.

    Raises:
        FormatError: With `whole`: the corpus lacks some; names them.
    """
    from sleuth.context import Context
    from sleuth.data.readers import read_corpus
    from sleuth.errors import FormatError

    left, found = set(wanted), {}
    with Context.of(context).progress.task("documents", len(left)) as bar:
        for doc in read_corpus(corpus) if left else ():
            if doc.doc_id in left:
                left.remove(doc.doc_id)
                found[doc.doc_id] = doc
                bar.advance()
                if not left:
                    break
    if left and whole:
        first = ", ".join(map(repr, sorted(left)[:5]))
        more = f" and {len(left) - 5:,} more" if len(left) > 5 else ""
        raise FormatError(
            corpus,
            f"{len(left):,} of the {len(wanted):,} documents that the run names are not in this corpus: {first}{more}. "
            "Is it the corpus that the run was made from, read in the same chunks?",
        )
    return found


def heads_of(runs: Iterable[Run], depth: int | None) -> dict[str, set[str]]:
    """query_id -> the documents in the first `depth` of any run; all of them without a depth."""
    heads: dict[str, set[str]] = {}
    for run in runs:
        for query_id, ranking in run.items():
            heads.setdefault(query_id, set()).update(ranking.doc_ids[:depth])
    return heads
