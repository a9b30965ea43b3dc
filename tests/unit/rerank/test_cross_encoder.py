"""The judge over a scorer of pairs: scores as they are, one for each document, in the order asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sleuth.errors import ShapeError, UsageError
from sleuth.rerank.cross_encoder import CrossEncoder
from sleuth.rerank.parts import Case, Comparison, LocalJudge
from sleuth.types import Doc, Query


class Lengths:
    """A document's score is its number of characters; remembers what it was asked."""

    name, scale = "lengths", "logit"

    def __init__(self, dtype: Any = np.float32) -> None:
        self.dtype = dtype
        self.asked: list[list[tuple[str, str]]] = []

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        self.asked.append(list(pairs))
        return np.array([len(text) for _, text in pairs], dtype=self.dtype)


class Fixed:
    name, scale = "fixed", "logit"

    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return np.asarray(self.scores)


def case_of(*texts: str, query: str = "왜?", title: str = "") -> Case:
    docs = tuple(Doc(f"d{at}", text, title) for at, text in enumerate(texts))
    return Case(Query("q", query), query, docs, Comparison(tuple(doc.doc_id for doc in docs)))


def test_it_is_a_local_judge_of_single_documents() -> None:
    judge = CrossEncoder(Lengths())
    assert isinstance(judge, LocalJudge)
    assert (judge.name, judge.kind, judge.scale, judge.max_docs) == ("cross-encoder/lengths", "scores", "logit", 1)


def test_every_case_gets_its_own_score_in_order_and_in_portions() -> None:
    scorer = Lengths()
    cases = [case_of("x" * size) for size in (3, 1, 2, 5, 4)]
    found = list(CrossEncoder(scorer, pairs_at_once=2).verdicts(cases))
    assert [at for at, _ in found] == [0, 1, 2, 3, 4]
    assert [verdict.scores for _, verdict in found] == [(3.0,), (1.0,), (2.0,), (5.0,), (4.0,)]
    assert [len(asked) for asked in scorer.asked] == [2, 2, 1]


def test_portions_are_made_lazily_so_that_a_limit_can_end_between_them() -> None:
    scorer = Lengths()
    found = CrossEncoder(scorer, pairs_at_once=1).verdicts([case_of("a"), case_of("b")])
    next(iter(found))
    assert len(scorer.asked) == 1


def test_a_scorer_reads_title_and_text_and_the_view_of_the_query() -> None:
    scorer = Lengths()
    list(CrossEncoder(scorer).verdicts([case_of("본문", query="질문", title="제목")]))
    assert scorer.asked == [[("질문", "제목 본문")]]


def test_raw_logits_stay_raw_and_keep_their_last_digits() -> None:
    high = [9.25, 9.250000000000002]
    (verdict,) = [v for _, v in CrossEncoder(Fixed(high)).verdicts([case_of("a", "b")])]
    assert verdict.scores == tuple(high)
    assert verdict.order == (1, 0) and verdict.ties == ()


def test_identical_texts_stay_two_documents() -> None:
    (verdict,) = [v for _, v in CrossEncoder(Lengths()).verdicts([case_of("same", "same", "longer text")])]
    assert verdict.order == (2, 0, 1)
    assert verdict.ties == ((0, 1),)


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_not_a_low_score(lost: float) -> None:
    (verdict,) = [v for _, v in CrossEncoder(Fixed([lost])).verdicts([case_of("a")])]
    assert not verdict.usable
    assert verdict.scores is not None and math.isnan(verdict.scores[0])
    assert verdict.counts == {"invalid": 1, "fallback": 1}


@pytest.mark.parametrize("scores", [[1.0], [[1.0, 2.0]], 3.0])
def test_another_number_of_scores_than_pairs_is_refused(scores: Any) -> None:
    with pytest.raises(ShapeError, match=r"fixed must give 2 scores"):
        list(CrossEncoder(Fixed(scores)).verdicts([case_of("a"), case_of("b")]))


def test_no_cases_ask_nothing() -> None:
    scorer = Lengths()
    assert list(CrossEncoder(scorer).verdicts([])) == []
    assert scorer.asked == []


def test_what_cannot_score_is_refused() -> None:
    with pytest.raises(UsageError, match="got str"):
        CrossEncoder("some/model")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pairs_at_once"):
        CrossEncoder(Lengths(), pairs_at_once=0)
    odd = Lengths()
    odd.scale = "percent"
    with pytest.raises(UsageError, match="percent"):
        CrossEncoder(odd)
