"""Whatever models reply, judges never raise (unless told to), and their verdicts are whole."""

from __future__ import annotations

import math
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleuth.context import Context
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply
from sleuth.rerank.graded import Graded
from sleuth.rerank.group import Group
from sleuth.rerank.listwise import Listwise
from sleuth.rerank.pairwise import Pairwise
from sleuth.rerank.parts import Again, Case, Comparison, Verdict
from sleuth.rerank.setwise import Setwise
from sleuth.rerank.yes_no import YesNoJudge
from sleuth.types import Doc, Query


class Silent:
    """A backend that can do everything and is never asked."""

    name = identity = "silent"
    capabilities = Capabilities(raw=True, prefill=True, label_logprobs=20, choices=True, seed=True)
    concurrency = 1
    price: Price | None = None
    tokenizer: str | None = None
    family: str | None = None

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        raise AssertionError("a judge does no I/O")


JUDGES: dict[str, tuple[Any, dict[str, Any], int | None]] = {
    "list": (Listwise, {}, None),
    "list with reasons": (Listwise, {"prompt": "reasonrank"}, None),
    "first token": (Listwise, {"prompt": "letters", "by": "first-token"}, None),
    "yes-no": (YesNoJudge, {}, 1),
    "written yes-no": (YesNoJudge, {"by": "text"}, 1),
    "grade": (Graded, {}, 1),
    "expected grade": (Graded, {"by": "expected"}, 1),
    "group": (Group, {}, None),
    "set": (Setwise, {}, None),
    "likeliest of a set": (Setwise, {"by": "logprob"}, None),
    "pair": (Pairwise, {}, 2),
    "likeliest of a pair": (Pairwise, {"by": "logprob"}, 2),
}

WORDS = """[1] [2] [3] [12] [0] A B C > = , : { } " <think> </think> <answer> </answer> yes No Relevance score 4 0.5
5/5 Error: 429 ⑩ ［３］ 문서 예 아니요 passage is nan -1 1e9"""
PIECES = st.sampled_from([*WORDS.split(), "\n"])
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map(" ".join))
NUMBERS = st.one_of(
    st.floats(min_value=-60, max_value=0),
    st.just(math.nan),
    st.just(-math.inf),
    st.floats(min_value=-1e308, max_value=0),
)
LABELS = st.dictionaries(
    st.sampled_from(["Yes", "No", "yes", " no", "0", "3", " 5", "A", "B", "C", "Z", ""]), NUMBERS, max_size=8
)
REPLIES = st.builds(
    Reply,
    text=TEXTS,
    reasoning=st.one_of(st.just(""), TEXTS),
    finish_reason=st.sampled_from(["stop", "length", None, "content_filter"]),
    labels=LABELS,
    label_floor=st.one_of(st.none(), st.floats(min_value=-60, max_value=0)),
)


def case_of(n: int) -> Case:
    docs = tuple(Doc(f"d{at}", "the same text") for at in range(n))
    return Case(Query("q", "why?"), "why?", docs, Comparison(tuple(doc.doc_id for doc in docs)), "rerank")


def check(judge: Any, verdict: Verdict, n: int) -> None:
    """Everything that a strategy relies on."""
    assert len(set(verdict.order)) == len(verdict.order)
    assert set(verdict.order) <= set(range(n))
    if not verdict.usable:
        assert verdict.order == tuple(range(n))
        assert verdict.counts["fallback"] == 1
    elif judge.kind == "choice":
        assert len(verdict.order) == (0 if verdict.ties else 1)
    else:
        assert len(verdict.order) == n
        assert verdict.named is not None and 1 <= verdict.named <= n
    for tie in verdict.ties:
        assert len(tie) >= 2 and list(tie) == sorted(set(tie))
    assert (verdict.scores is not None) == (judge.kind == "scores")
    if verdict.scores is not None:
        check_scores(judge, verdict, n)
    current = tuple(f"d{at}" for at in reversed(range(n)))
    assert sorted(verdict.settled(case_of(n).comparison, current)) == sorted(current)


def check_scores(judge: Any, verdict: Verdict, n: int) -> None:
    assert verdict.scores is not None and len(verdict.scores) == n
    low, high = getattr(judge, "score_range", (0.0, 1.0))
    known = [score for score in verdict.scores if not math.isnan(score)]
    assert all(low - 1e-9 <= score <= high + 1e-9 for score in known)
    in_order = [verdict.scores[at] for at in verdict.order]
    assert in_order[: len(known)] == sorted(known, reverse=True)
    assert verdict.usable == bool(known)


@pytest.mark.parametrize("name", JUDGES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_no_reply_breaks_a_judge(name: str, data: st.DataObject) -> None:
    ask_and_read(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGES)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_reply_of_many_breaks_a_judge(name: str, data: st.DataObject) -> None:
    ask_and_read(name, data)


def ask_and_read(name: str, data: st.DataObject) -> None:
    """One comparison from its first request to its verdict, with drawn replies."""
    kind, options, size = JUDGES[name]
    policy = data.draw(st.sampled_from(["retry", "prior"]), label="policy")
    judge = kind(Silent(), on_bad_reply=policy, **options)
    n = size or data.draw(st.integers(min_value=2, max_value=12), label="n")
    case = case_of(n)
    requests, asked = judge.requests(case), 0
    while True:
        replies = [data.draw(REPLIES) for _ in requests]
        found = judge.read(case, requests, replies)
        if not isinstance(found, Again):
            break
        asked += 1
        assert policy == "retry" and asked == 1
        assert len(found.requests) == len(requests)
        assert [new.messages for new in found.requests] == [old.messages for old in requests]
        assert {new.digest() for new in found.requests} != {old.digest() for old in requests}
        requests = found.requests
    check(judge, found, n)
    assert ("retried" in found.counts) == (asked == 1)
    assert sum(found.counts.get(word, 0) for word in ("ok", "repaired", "unfinished", "invalid")) == len(requests)
