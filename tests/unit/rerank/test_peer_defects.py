"""Defects measured in reranking toolkits, each a test of ours under its name. All parts are real but the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

import sleuth
from sleuth.context import Context
from sleuth.errors import AuthenticationFailed, TransportError
from sleuth.llm.calls import Retries
from sleuth.llm.chat import ChatRequest, Reply
from sleuth.types import Doc, Query, Ranking, Run

QUERY = Query("q", "which one?")
NO_WAIT = Retries(most=5, base_s=0.0)


def world(n: int) -> tuple[list[Query], Run, dict[str, Doc]]:
    docs = {f"d{at}": Doc(f"d{at}", f"passage {at}") for at in range(n)}
    return [QUERY], Run({"q": Ranking(list(docs), [float(n - at) for at in range(n)], scale="bm25")}), docs


def backwards(request: ChatRequest) -> str:
    return " > ".join(f"[{at}]" for at in range(len(request.tags.doc_ids), 0, -1))


def order(stage: sleuth.SlidingWindow, n: int) -> tuple[str, ...]:
    return stage.rerank(*world(n)).run["q"].doc_ids


def test_reranking_by_default_is_no_no_op() -> None:
    asked: list[int] = []

    def answer(request: ChatRequest) -> str:
        asked.append(len(request.tags.doc_ids))
        return backwards(request)

    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(answer)))
    assert order(stage, 7) == tuple(f"d{at}" for at in reversed(range(7)))
    assert asked == [7]


def test_an_empty_list_is_an_empty_answer() -> None:
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(backwards)))
    assert order(stage, 0) == ()


def test_two_documents_of_one_text_are_both_there_once() -> None:
    docs = {"a": Doc("a", "same words"), "b": Doc("b", "same words")}
    run = Run({"q": Ranking(["a", "b"], [2.0, 1.0])})
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(backwards)))
    assert stage.rerank([QUERY], run, docs).run["q"].doc_ids == ("b", "a")


def test_asking_for_logits_asks_for_logits() -> None:
    seen: list[ChatRequest] = []

    def answer(request: ChatRequest) -> Reply:
        seen.append(request)
        return Reply("C", finish_reason="length", labels={"A": -3.0, "B": -2.0, "C": -0.1})

    judge = sleuth.Listwise(sleuth.Scripted(answer), prompt="letters", by="first-token")
    assert order(sleuth.SlidingWindow(judge), 3) == ("d2", "d1", "d0")
    assert seen[0].labels == ("A", "B", "C") and seen[0].decoding.max_tokens == 1


@pytest.mark.parametrize(
    "text", ["Error code: 429 - rate limit 3 per 1 min", "Traceback (most recent call last): [2] > [1]"]
)
def test_an_error_message_as_answer_changes_no_order(text: str) -> None:
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(lambda _: text)))
    result = stage.rerank(*world(5))
    assert result.run["q"].doc_ids == ("d0", "d1", "d2", "d3", "d4")
    assert result.counts["invalid"] == 2 and result.counts["fallback"] == 1


def test_a_failed_call_is_an_error_and_no_score_of_minus_one() -> None:
    def fail(request: ChatRequest) -> str:
        raise TransportError("the server is gone", status=502)

    judge = sleuth.YesNoJudge(sleuth.Scripted(fail, retries=NO_WAIT))
    with pytest.raises(TransportError, match="after 6 attempts"):
        sleuth.ScoreAndSort(judge).rerank(*world(3))


def test_a_bad_key_is_not_tried_forever() -> None:
    tries = 0

    def refuse(request: ChatRequest) -> str:
        nonlocal tries
        tries += 1
        raise AuthenticationFailed("401")

    with pytest.raises(AuthenticationFailed):
        order(sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(refuse, retries=NO_WAIT))), 3)
    assert tries == 1


def test_every_attempt_is_counted() -> None:
    failures = iter([True, True, False])

    def sometimes(request: ChatRequest) -> str:
        if next(failures):
            raise TransportError("busy", status=429)
        return backwards(request)

    context = Context()
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(sometimes, retries=NO_WAIT)))
    stage.rerank(*world(3), context=context)
    row = context.ledger.table()["rerank-1"]
    assert (row["calls"], row["attempts"]) == (1, 3)


def test_first_stage_ties_do_not_survive_a_judges_order() -> None:
    docs = {name: Doc(name, name) for name in "abcd"}
    run = Run({"q": Ranking(list("abcd"), [9.0, 9.0, 8.0, 1.0])})
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(backwards)))
    ranking = stage.rerank([QUERY], run, docs).run["q"]
    assert ranking.doc_ids == tuple("dcba") and ranking.scores.tolist() == [4, 3, 2, 1]


def test_a_backend_serves_one_event_loop_after_another() -> None:
    stage = sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(backwards)))
    queries, run, docs = world(3)
    pipeline = sleuth.Pipeline(retrieve=sleuth.Imported(run), rerank=[stage], docs=docs)
    for _ in range(3):
        result = asyncio.run(pipeline.arun(queries))
        assert result.run["q"].doc_ids == ("d2", "d1", "d0")


@pytest.mark.parametrize("n", [1, 15, 25, 34, 101])
def test_no_document_is_left_out_of_all_windows(n: int) -> None:
    seen: set[str] = set()

    def answer(request: ChatRequest) -> str:
        seen.update(request.tags.doc_ids)
        return backwards(request)

    order(sleuth.SlidingWindow(sleuth.Listwise(sleuth.Scripted(answer))), n)
    assert len(seen) == (n if n > 1 else 0)


def test_a_groups_failure_does_not_sink_its_documents() -> None:
    def answer(request: ChatRequest) -> str:
        if "d0" in request.tags.doc_ids:
            return "I can't."
        return str(dict.fromkeys(map(str, range(1, 1 + len(request.tags.doc_ids))), 5)).replace("'", '"')

    stage = sleuth.Groups(sleuth.Group(sleuth.Scripted(answer)), epochs=1, size=5)
    assert stage.rerank(*world(10)).run["q"].doc_ids[0] == "d0"


def test_a_cut_passage_is_counted(tmp_path: object) -> None:
    from pathlib import Path

    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = Path(str(tmp_path)) / "tokenizer.json"
    words.save(str(path))
    backend = sleuth.Scripted(backwards, tokenizer=str(path))
    queries, run, docs = world(3)
    docs["d1"] = replace(docs["d1"], text="a passage of many more words than four")
    stage = sleuth.SlidingWindow(sleuth.Listwise(backend, max_passage_tokens=4))
    result = stage.rerank(queries, run, docs)
    assert result.truncations == {"truncated": 1}


@pytest.mark.parametrize("strategy", [sleuth.SlidingWindow, sleuth.Funnel, sleuth.Partition, sleuth.Tournament])
def test_the_prior_list_is_not_changed(strategy: Callable[..., sleuth.SlidingWindow]) -> None:
    queries, run, docs = world(25)
    before = (run["q"].doc_ids, run["q"].scores.tolist(), dict(docs))
    strategy(sleuth.Listwise(sleuth.Scripted(backwards))).rerank(queries, run, docs)
    assert (run["q"].doc_ids, run["q"].scores.tolist(), dict(docs)) == before
