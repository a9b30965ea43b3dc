"""A chat backend that answers from labels with a real judge's errors: whole pipelines without a model.

It reads a request's tags (which query, which documents, in which order), never its text, and answers as
`sleuth.llm.oracle_model` says, with unreadable and broken-off answers at a set rate. It goes through the same calls as
every backend, so cache, budgets, retries of bad answers and the ledger can be tried and measured.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import numpy as np
import orjson

from sleuth.context import Context
from sleuth.errors import UsageError
from sleuth.llm.cache import Cache
from sleuth.llm.calls import Calls
from sleuth.llm.chat import Capabilities, ChatRequest, Price, Reply, Usage
from sleuth.llm.estimate import estimate_tokens, request_tokens
from sleuth.llm.oracle_faults import LOST, faulty_text, permutation_text
from sleuth.llm.oracle_model import LABEL_EFFECT, OracleModel, OracleSettings
from sleuth.types import Qrels, Run

__all__ = ["Oracle", "OracleReply"]

OracleReply = Literal["permutation", "grade", "grades", "yes-no", "choice"]
"""What answers look like: the `reply` of a prompt template."""

REPLIES: tuple[OracleReply, ...] = ("permutation", "grade", "grades", "yes-no", "choice")
YES = frozenset({"yes", "true", "1", "예", "네"})
SCALE = (0.0, 5.0)
SCALES: Mapping[str, tuple[float, float]] = {"grades": (0.0, 10.0)}
"""Kind of reply -> lowest and highest grade; `SCALE` for the others. As the built-in presets."""

SPREAD = 0.5
"""Standard deviation, in grades, of the probabilities over grade labels (ours)."""


class Oracle:
    """The simulated judge behind the interface of a language model.

    Equal requests have equal answers, whatever was asked before; the answer to a question asked again after a bad one, or
    to another sample, is drawn anew.

    Args:
        qrels: The labels; it answers only about their queries.
        run: The prior list, to which a judge's errors lean; without one they do not.
        preset: How good the judge is: a name of `sleuth.llm.oracle_model.PRESETS`, or settings.
        seed: Source of all randomness.
        malformed: Share of answers that are damaged in one of the ways of `sleuth.llm.oracle_faults`, in [0, 1].
        truncated: Share of answers that break off at a random place as at a token limit, in [0, 1].
        reply: What answers look like. Default: None, what the judge's prompt asks for (`Tags.reply`), a "permutation" where
            a request doesn't say. "grade" is a pointwise grade on `scale`, "grades" one for each document as JSON, "yes-no"
            for one document; "choice" the number of the best one. Labels that a request asks for get log-probabilities
            that fit.
        scale: Lowest and highest grade. Default: 0 to 5, or 0 to 10 for "grades", as the built-in presets.
        concurrency: Calls in flight at most. Default: 16, as of the HTTP backend.
        cache: Where replies are kept; by default they are not.
        name, price, tokenizer, family: As of `ChatBackend`.

    Raises:
        UnknownName: No such preset.
        UsageError: Shares outside [0, 1], an unknown reply, a scale that does not rise.
    """

    def __init__(
        self,
        qrels: Qrels,
        *,
        run: Run | None = None,
        preset: str | OracleSettings = "mid",
        seed: int = 0,
        malformed: float = 0.0,
        truncated: float = 0.0,
        reply: OracleReply | None = None,
        scale: tuple[float, float] | None = None,
        concurrency: int = 16,
        cache: Cache | None = None,
        name: str | None = None,
        price: Price | None = None,
        tokenizer: str | None = None,
        family: str | None = None,
    ) -> None:
        if not (0 <= malformed <= 1 and 0 <= truncated <= 1):
            raise UsageError(f"malformed and truncated are shares in [0, 1], got {malformed} and {truncated}")
        if reply is not None and reply not in REPLIES:
            raise UsageError(f"reply must be one of {', '.join(REPLIES)}, got {reply!r}")
        if scale is not None and not scale[0] < scale[1]:
            raise UsageError(f"a scale must rise, got {scale}")
        self.model = OracleModel(qrels, run, preset=preset, seed=seed)
        self.malformed, self.truncated, self.reply, self.scale = malformed, truncated, reply, scale
        self.name = name or f"oracle/{self.model.preset}"
        told = [self.model.settings, seed, malformed, truncated, reply, scale]
        self.identity = f"oracle/{self.model.fingerprint()}/{orjson.dumps(told).decode()}"
        self.capabilities = Capabilities(raw=True, prefill=True, label_logprobs=sys.maxsize, choices=True, seed=True)
        self.concurrency, self.price, self.tokenizer, self.family = concurrency, price, tokenizer, family
        self._calls = Calls(concurrency=concurrency, cache=cache)

    def submit(self, request: ChatRequest, *, context: Context | None = None) -> Future[Reply]:
        """Ask (`ChatBackend.submit`); the future raises UsageError for a query without labels or a request without tags."""
        return self._calls.submit(self, self._send, request, context)

    async def _send(self, request: ChatRequest) -> Reply:
        """One attempt."""
        question = _Question.of(request, self.reply)
        if question.reply in ("grade", "yes-no") and len(question.doc_ids) != 1:
            raise UsageError(
                f"an oracle with reply={question.reply!r} judges one document at a time, got {len(question.doc_ids)}; "
                "leave reply= out, or set it to what the judge's prompt asks for"
            )
        utilities = self.model.utilities(question.query_id, question.doc_ids, sample=question.sample)
        order = np.argsort(-utilities, kind="stable").tolist()
        text, labels = self._text(question, utilities, order), self._labels(question, request.labels, utilities)
        if labels and question.reply != "permutation":
            text = max(labels, key=lambda label: labels[label])
        text, finish = self._damaged(text, question, order)
        text = request.prefill + text
        read, written = request_tokens(request, self.tokenizer), estimate_tokens(text, self.tokenizer)
        usage = Usage(read, written, estimated=True)
        return Reply(text, finish_reason=finish, usage=usage, labels=labels, model=self.name)

    def _text(self, question: _Question, utilities: np.ndarray, order: list[int]) -> str:
        if question.reply == "permutation":
            return permutation_text(order)
        if question.reply == "choice":
            return question.choices[order[0]] if len(question.choices) == len(order) else f"[{order[0] + 1}]"
        if question.reply == "yes-no":
            return "yes" if utilities[0] > LABEL_EFFECT / 2 else "no"
        scale = self._scale(question)
        grades = self.model.grades(question.query_id, question.doc_ids, *scale, sample=question.sample)
        if question.reply == "grade":
            return f"Relevance score: {grades[0]:g}"
        return orjson.dumps({str(at + 1): grade for at, grade in enumerate(grades.tolist())}).decode()

    def _scale(self, question: _Question) -> tuple[float, float]:
        return self.scale or SCALES.get(question.reply, SCALE)

    def _labels(self, question: _Question, asked: Sequence[str], utilities: np.ndarray) -> Mapping[str, float]:
        """Log-probabilities of the labels asked for; several spellings of one answer share its probability."""
        if not asked:
            return {}
        values = [self._fitness(label.strip().casefold(), question, utilities) for label in asked]
        top = max(values)
        if top == -math.inf:
            raise UsageError(f"the oracle can't read the labels {list(asked)} as answers of reply={question.reply!r}")
        whole = top + math.log(sum(math.exp(value - top) for value in values))
        return {label: value - whole for label, value in zip(asked, values, strict=True) if value > -math.inf}

    def _fitness(self, label: str, question: _Question, utilities: np.ndarray) -> float:
        """Unnormalized log-probability of a label."""
        if question.reply == "yes-no":
            distance = float(utilities[0]) - LABEL_EFFECT / 2
            return distance if label in YES else 0.0
        if question.reply == "grade":
            low, high = self._scale(question)
            try:
                grade = float(label)
            except ValueError:
                return -math.inf
            return -(((grade - self.model.grade_of(float(utilities[0]), low, high)) / SPREAD) ** 2) / 2
        at = int(label) - 1 if label.isdecimal() else ord(label) - ord("a") if len(label) == 1 else -1
        return float(utilities[at]) if 0 <= at < len(utilities) else -math.inf

    def _damaged(self, text: str, question: _Question, order: list[int]) -> tuple[str, str]:
        """(the answer, its finish reason), damaged where the draw says so."""
        if not (self.malformed or self.truncated):
            return text, "stop"
        bad, cut, place, family = self.model.draw("answer", question.query_id, question.sample, *question.doc_ids)
        if bad < self.malformed:
            if question.reply == "permutation":
                return faulty_text(family, order), "stop"
            return faulty_text(family, order, families=LOST), "stop"
        if cut < self.truncated:
            return text[: int(place * len(text))], "length"
        return text, "stop"


@dataclass(frozen=True, slots=True)
class _Question:
    """What the oracle reads of a request."""

    query_id: str
    doc_ids: Sequence[str]
    sample: str
    choices: tuple[str, ...]
    reply: str

    @classmethod
    def of(cls, request: ChatRequest, reply: str | None) -> _Question:
        """What a request asks; `reply` beats what its tags say."""
        tags = request.tags
        reply = reply or tags.reply or "permutation"
        if reply not in REPLIES:
            raise UsageError(f"the oracle knows no answers of kind {reply!r}, only {', '.join(REPLIES)}")
        if not tags.query_id or not tags.doc_ids:
            raise UsageError(
                "the oracle answers by a request's tags, and this one lacks the query's id or the documents' ids; "
                "judges fill them in, other stages can't use this backend"
            )
        return cls(tags.query_id, tags.doc_ids, f"{request.sample}/{request.ask}", request.choices, reply)
