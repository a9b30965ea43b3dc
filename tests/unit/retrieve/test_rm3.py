"""Relevance feedback against the definition worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleuth.errors import UsageError
from sleuth.retrieve.rm3 import RM3

RARE = {"w": 1}


def expand(rm3: RM3, weights: dict[str, float], feedback: list[tuple[list[str], float]], **df: int) -> dict[str, float]:
    return rm3.expand(weights, feedback, df=lambda term: df.get(term, 1), n_docs=100)


def test_worked_example() -> None:
    # Two documents: "moth moth lamp" scored 3, "lamp star" scored 1.
    # p(w|R) ~ moth 2/3·3 = 2, lamp 1/3·3 + 1/2·1 = 1.5, star 1/2·1 = .5; sum 4.
    found = expand(RM3(), {"moth": 1.0, "light": 1.0}, [(["moth", "moth", "lamp"], 3.0), (["lamp", "star"], 1.0)])
    assert found == pytest.approx({"moth": 0.25 + 0.25, "light": 0.25, "lamp": 0.5 * 1.5 / 4, "star": 0.5 * 0.5 / 4})
    assert sum(found.values()) == pytest.approx(1.0)


def test_filters() -> None:
    tokens = ["ok", "x", "a" * 21, "common", "it's", "밥상", "..."]
    found = expand(RM3(), {"q": 1.0}, [(tokens, 1.0)], common=11)
    assert set(found) == {"q", "ok", "밥상"}


def test_documents_are_cut_before_their_length_is_taken() -> None:
    found = expand(RM3(terms=1, original=0.0), {"q": 1.0}, [(["aa", "aa", "bb"], 1.0)])
    assert found == {"aa": 1.0}
    with_ties = expand(RM3(terms=1, original=0.0), {"q": 1.0}, [(["bb", "aa"], 1.0)])
    assert with_ties == {"aa": 1.0}  # equal weights at the cut: by term


def test_original_one_leaves_the_query() -> None:
    found = expand(RM3(original=1.0), {"a": 3.0, "b": 1.0}, [(["cc", "dd"], 2.0)])
    assert found == pytest.approx({"a": 0.75, "b": 0.25})


def test_nothing_to_learn_from_leaves_the_query() -> None:
    assert expand(RM3(), {"a": 2.0}, []) == {"a": 2.0}
    assert expand(RM3(), {"a": 2.0}, [(["x"], 1.0)]) == {"a": 2.0}
    assert expand(RM3(), {}, [(["xx"], 1.0)]) == {}


@given(st.floats(0.1, 1000))
def test_scale_of_scores_changes_nothing(factor: float) -> None:
    feedback = [(["moth", "lamp"], 3.0), (["lamp", "star"], 1.0)]
    scaled = [(tokens, score * factor) for tokens, score in feedback]
    assert expand(RM3(), {"q": 1.0}, feedback) == pytest.approx(expand(RM3(), {"q": 5.0}, scaled))


def test_only_the_first_documents_count() -> None:
    found = expand(RM3(documents=1), {"q": 1.0}, [(["first"], 1.0), (["second"], 1.0)])
    assert "second" not in found


@pytest.mark.parametrize("settings", [{"documents": 0}, {"terms": 0}, {"original": 1.1}, {"original": -0.1}])
def test_bad_settings(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="RM3 needs"):
        RM3(**settings)  # type: ignore[arg-type]
