"""Documents in the order in which a generator should read them. A ranking stays a ranking: this gives a list of Docs.

Models use what stands at the beginning and the end of a long prompt better than what stands in its middle ("Lost in
the Middle", arXiv 2307.03172). Whoever measures or fuses wants the ranking; whoever writes a prompt wants this.
"""

from __future__ import annotations

from sleuth.errors import UnknownName, UsageError
from sleuth.prompts.place import both_ends
from sleuth.stages import DocStore
from sleuth.types import Doc, Ranking

__all__ = ["PLACES", "place_docs"]

PLACES = ("both-ends", "best-first", "best-last")


def place_docs(ranking: Ranking, docs: DocStore, *, k: int | None = None, place: str = "both-ends") -> list[Doc]:
    """The best `k` documents, placed for a prompt.

    Args:
        ranking: From best to worst.
        docs: Their texts.
        k: How many, >= 1; None takes all.
        place: "both-ends" (default: the best first, the second last, …, the worst in the middle), "best-first" (the
            ranking's order), "best-last" (the best next to the question, where that follows the documents).

    Raises:
        UsageError: k < 1, or a document that `docs` lacks.
        UnknownName: Another place.
    """
    if place not in PLACES:
        raise UnknownName("place", place, list(PLACES))
    if k is not None and k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    ids = ranking.doc_ids[:k]
    absent = [doc_id for doc_id in ids if doc_id not in docs]
    if absent:
        raise UsageError(f"{len(absent)} of {len(ids)} documents are not in docs, {absent[0]!r} first")
    found = [docs[doc_id] for doc_id in ids]
    if place == "both-ends":
        return list(both_ends(found))
    return found if place == "best-first" else found[::-1]
