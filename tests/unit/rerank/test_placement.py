"""Documents for a prompt: placed, cut, and never a ranking."""

from __future__ import annotations

import pytest

from sleuth.errors import UnknownName, UsageError
from sleuth.rerank.placement import place_docs
from sleuth.types import Doc, Ranking

DOCS = {name: Doc(name, f"본문 {name}") for name in "abcdef"}
RANKING = Ranking(list("abcdef"), range(6, 0, -1))


def ids(**options: object) -> str:
    return "".join(doc.doc_id for doc in place_docs(RANKING, DOCS, **options))  # type: ignore[arg-type]


def test_the_best_stand_at_both_ends() -> None:
    assert ids() == "acefdb"
    assert ids(k=5) == "acedb"
    assert ids(k=1) == "a"


def test_other_places() -> None:
    assert ids(place="best-first", k=3) == "abc"
    assert ids(place="best-last", k=3) == "cba"


def test_it_gives_documents() -> None:
    assert place_docs(RANKING, DOCS, k=2) == [DOCS["a"], DOCS["b"]]
    assert place_docs(Ranking((), ()), {}) == []


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'both-ends'"):
        ids(place="both-end")
    with pytest.raises(UsageError, match="at least 1"):
        ids(k=0)
    with pytest.raises(UsageError, match="'a' first"):
        place_docs(RANKING, {}, k=2)
