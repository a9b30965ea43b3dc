"""Cassettes: which rule answers, what a rule may say, and that nothing else answers."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sleuth.context import Budget, Context
from sleuth.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    ContextTooLong,
    FormatError,
    LLMError,
    NoRule,
    RequestRefused,
    TransportError,
    UsageError,
)
from sleuth.llm.cache import Cache
from sleuth.llm.calls import Retries
from sleuth.llm.chat import ChatBackend, ChatRequest, Message, Reply, Tags, Usage
from sleuth.llm.replay import Replay, Scripted

AT_ONCE = Retries(base_s=0.0, longest_asked_s=0.0)


def ask(text: str = "a", *, stage: str = "rerank-1", query_id: str = "q1", **fields: object) -> ChatRequest:
    return ChatRequest((Message("user", text),), tags=Tags(stage, query_id, ("d1", "d2")), **fields)  # type: ignore[arg-type]


def told(backend: ChatBackend, *requests: ChatRequest) -> list[str]:
    return [backend.submit(request).result(10).text for request in requests]


def test_the_first_rule_that_matches_answers() -> None:
    replay = Replay(
        [
            {"when": {"stage": "rerank-2"}, "reply": "by stage"},
            {"when": {"query_id": "q2"}, "reply": "by query"},
            {"when": {"contains": "문서"}, "reply": "by text"},
            {"when": {"request": ask("exact").digest().upper()}, "reply": "by request"},
            {"when": {"stage": "rerank-1", "contains": "exact"}, "reply": "never"},
            {"reply": "else"},
        ]
    )
    requests = [ask(stage="rerank-2"), ask(query_id="q2"), ask("두 문서"), ask("exact"), ask()]
    assert told(replay, *requests) == ["by stage", "by query", "by text", "by request", "else"]


def test_all_conditions_must_hold() -> None:
    replay = Replay([{"when": {"stage": "rerank-1", "query_id": "q2"}, "reply": "both"}, {"reply": "else"}])
    assert told(replay, ask(query_id="q2"), ask(), ask(stage="x", query_id="q2")) == ["both", "else", "else"]


def test_text_is_looked_for_in_messages_prompts_and_prefills() -> None:
    replay = Replay([{"when": {"contains": "needle"}, "reply": "found"}, {"reply": "else"}])
    two = ChatRequest((Message("system", "a needle"), Message("user", "hay")))
    assert told(replay, two, ChatRequest(prompt="needles"), ask(prefill="needle"), ask("need")) == ["found"] * 3 + [
        "else"
    ]


def test_a_request_before_a_rule_for_all_and_after_it() -> None:
    exact = {"when": {"request": ask("x").digest()}, "reply": "exact"}
    assert told(Replay([exact, {"reply": "all"}]), ask("x"), ask("y")) == ["exact", "all"]
    assert told(Replay([{"reply": "all"}, exact]), ask("x"), ask("y")) == ["all", "all"]


def test_uses_are_counted() -> None:
    replay = Replay([{"reply": "once", "times": 1}, {"reply": "twice", "times": 2}, {"reply": "always"}])
    assert told(replay, *[ask(str(at)) for at in range(5)]) == ["once", "twice", "twice", "always", "always"]


def test_no_rule_is_an_error_that_says_what_was_asked() -> None:
    replay = Replay([{"when": {"query_id": "q1"}, "reply": "x", "times": 1}])
    assert told(replay, ask()) == ["x"]
    with pytest.raises(NoRule) as caught:
        replay.submit(ask("b")).result(10)
    message = str(caught.value)
    for part in ("'rerank-1'", "'q1'", "['d1', 'd2']", ask("b").digest(), "1 that match are used up"):
        assert part in message
    with pytest.raises(NoRule):
        Replay([]).submit(ask()).result(10)


def test_a_reply_has_what_the_rule_says() -> None:
    reply = {
        "text": "[2] > [1]",
        "reasoning": "…",
        "finish_reason": "length",
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "reasoning_tokens": 3},
        "labels": {"yes": -0.1, "no": None},
        "label_floor": -4,
    }
    found = Replay([{"reply": reply}]).submit(ask()).result(10)
    assert (found.text, found.reasoning, found.finish_reason) == ("[2] > [1]", "…", "length")
    assert found.usage == Usage(10, 5, 3)
    assert found.labels == {"yes": -0.1, "no": float("-inf")}
    assert found.label_floor == -4.0


def test_what_the_rule_leaves_out() -> None:
    found = Replay([{"reply": {"text": "x" * 36}}]).submit(ask("a" * 36)).result(10)
    assert (found.finish_reason, found.reasoning, found.labels) == ("stop", "", {})
    assert found.usage == Usage(18, 10, estimated=True)  # so that budgets count


def test_a_reply_may_be_a_reply() -> None:
    given = Reply("x", finish_reason=None, usage=Usage(1, 2), labels={"a": -1.0})
    found = Replay([{"reply": given}]).submit(ask()).result(10)
    assert (found.text, found.finish_reason, found.usage, found.labels) == ("x", None, Usage(1, 2), {"a": -1.0})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"status": 401}, AuthenticationFailed),
        ({"status": 403}, AuthenticationFailed),
        ({"status": 400, "message": "bad request"}, RequestRefused),
        ({"status": 404}, RequestRefused),
        ({"status": 400, "code": "context_length_exceeded"}, ContextTooLong),
        ({"status": 429, "retry_after_s": 1}, TransportError),
        ({"status": 503}, TransportError),
        ({"status": 200, "message": "HTML"}, TransportError),
        ({}, TransportError),
    ],
)
def test_errors_are_what_they_are_over_http(error: dict[str, object], kind: type[LLMError]) -> None:
    replay = Replay([{"error": error}], retries=Retries(most=0))
    with pytest.raises(kind) as caught:
        replay.submit(ask()).result(10)
    assert type(caught.value) is kind


def test_errors_are_retried_as_over_http() -> None:
    replay = Replay([{"error": {"status": 429, "retry_after_s": 1}, "times": 2}, {"reply": "x"}], retries=AT_ONCE)
    context = Context()
    assert replay.submit(ask(), context=context).result(10).attempts == 3
    assert context.ledger.table()["rerank-1"]["attempts"] == 3


def test_budgets_hold_for_it() -> None:
    with pytest.raises(BudgetExceeded):
        Replay([{"reply": "x"}]).submit(ask(), context=Context(budget=Budget(calls=0))).result(10)


def test_it_is_cached_only_where_it_is_told_to(tmp_path: Path) -> None:
    rules = [{"reply": "1", "times": 1}, {"reply": "2"}]
    assert told(Replay(rules), ask(), ask()) == ["1", "2"]
    cache = Cache(tmp_path / "llm.sqlite")
    assert told(Replay(rules, cache=cache), ask(), ask()) == ["1", "1"]
    assert told(Replay(rules, cache=cache), ask()) == ["1"]
    assert told(Replay([{"reply": "3"}], cache=cache), ask()) == ["3"]  # other rules are another backend
    cache.close()


def test_it_is_a_backend_that_can_do_everything() -> None:
    for backend in (Replay([]), Scripted(lambda _: "x")):
        assert isinstance(backend, ChatBackend)
        can = backend.capabilities
        assert can.raw
        assert can.prefill
        assert can.choices
        assert can.seed
        assert can.label_logprobs > 1000


class TestFiles:
    def write(self, tmp_path: Path, *lines: object) -> Path:
        path = tmp_path / "cassette.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines))
        return path

    def test_rules_lie_one_a_line(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path, {"when": {"query_id": "q1"}, "reply": {"text": "답"}}, b"", {"reply": {"text": "else"}}
        )
        assert told(Replay(path), ask(), ask(query_id="q2")) == ["답", "else"]
        assert told(Replay(str(path)), ask()) == ["답"]

    def test_the_documented_examples(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path,
            b'{"when": {"stage": "rerank-1", "query_id": "q1", "contains": "a"}, "reply": {"text": "[2] > [1]", '
            b'"reasoning": "...", "finish_reason": "stop", "usage": {"prompt_tokens": 10, "completion_tokens": 5}, '
            b'"labels": {"yes": -0.1}}, "times": 1}',
            b'{"when": {"stage": "rerank-1"}, "error": {"status": 429, "retry_after_s": 0}, "times": 2}',
            b'{"reply": {"text": "then"}}',
        )
        replay = Replay(path, retries=AT_ONCE)
        assert told(replay, ask(), ask("ab")) == ["[2] > [1]", "then"]

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (b"{", "not JSON"),
            (b"[]", "expected an object"),
            ({"reply": {"text": "x"}, "error": {}}, "either 'reply' or 'error'"),
            ({"when": {}}, "either 'reply' or 'error'"),
            ({"when": {"querry_id": "q"}, "reply": {"text": "x"}}, "Did you mean 'query_id'"),
            ({"when": {"stage": 1}, "reply": {"text": "x"}}, "when.stage must be text"),
            ({"when": "q1", "reply": {"text": "x"}}, "when must be an object"),
            ({"reply": {}}, "reply.text must be text, got nothing"),
            ({"reply": {"text": None}}, "reply.text must be text"),
            ({"reply": {"text": "x", "usage": {"prompt_tokens": -1}}}, "reply.usage.prompt_tokens"),
            ({"reply": {"text": "x", "labels": {"yes": "high"}}}, "reply.labels.yes"),
            ({"reply": {"text": "x"}, "times": 0}, "times must be at least 1"),
            ({"reply": {"text": "x"}, "times": True}, "times must be a whole number"),
            ({"error": {"status": "429"}}, "error.status"),
            ({"error": {"retry_after": 1}}, "Did you mean 'retry_after_s'"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, line: object, says: str) -> None:
        path = self.write(tmp_path, {"reply": {"text": "x"}}, line)
        with pytest.raises(FormatError) as caught:
            Replay(path)
        assert "cassette.jsonl, line 2" in str(caught.value)
        assert says in str(caught.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no file"):
            Replay(tmp_path / "nothing.jsonl")

    def test_a_bad_rule_in_python_is_named(self) -> None:
        with pytest.raises(UsageError, match="rule 2: rule has no field 'replay'"):
            Replay([{"reply": "x"}, {"replay": "x"}])
        with pytest.raises(UsageError, match="rule 1: a rule must be an object, got str"):
            Replay(["x"])  # type: ignore[list-item]
