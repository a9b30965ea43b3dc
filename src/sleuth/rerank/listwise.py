"""Judge a list at once: the model puts all its documents in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.prompts.template import Template
from sleuth.replies.outcome import Outcome
from sleuth.replies.permutation import parse_permutation
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy
from sleuth.rerank.asking import Asking
from sleuth.rerank.parts import Again, Case, Verdict, VerdictKind
from sleuth.rerank.verdicts import no_verdict, order_verdict
from sleuth.types import Scale

__all__ = ["Listwise"]


class Listwise:
    """A judge of orders: one call shows all documents of a comparison and reads a permutation.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "permutation". Default: "rankgpt", which
            any instruct model follows.
        by: "text" reads the order that the model writes. "first-token" asks for one token and orders the documents
            by the probability of their letters (FIRST, arXiv 2406.15657): far fewer tokens, but a checkpoint that
            was not trained so knows its first place only. Needs a template that names passages by letters
            ("letters") and the capability `label_logprobs`, as many as there are documents.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an invalid or unfinished answer, or one that names documents in prose: "retry" (once;
            then an unfinished answer counts as far as it goes, others not at all), "prior" or "raise".
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`; an unknown `by`.
    """

    kind: VerdictKind = "order"
    scale: Scale = "rank"

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "rankgpt",
        by: Literal["text", "first-token"] = "text",
        max_passage_tokens: int | None = None,
        on_bad_reply: BadReplyPolicy = "retry",
        on_too_long: TooLongPolicy = "raise",
        instruction: str | None = None,
        force: bool = False,
    ) -> None:
        self.asking = Asking(
            backend,
            prompt,
            judge="Listwise",
            reply="permutation",
            max_passage_tokens=max_passage_tokens,
            on_bad_reply=on_bad_reply,
            on_too_long=on_too_long,
            instruction=instruction,
            force=force,
        )
        if by not in ("text", "first-token"):
            raise UsageError(f"by must be 'text' or 'first-token', got {by!r}")
        self.on_too_long = on_too_long
        self.backend, self.name, self.by = backend, self.asking.name, by
        template = self.asking.template
        self.min_docs, self.max_docs = template.min_passages, template.max_passages
        if by == "first-token":
            self.max_docs = self._most_letters()

    def _most_letters(self) -> int:
        """How many documents the first token can order.

        Raises:
            UsageError: The template counts passages by numbers, whose names may take several tokens.
            CapabilityMissing: No log-probabilities of labels, or the answer can't be begun.
        """
        self.asking.need_letters("first-token")
        return min(self.asking.template.max_passages or 26, self.backend.capabilities.label_logprobs)

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """One request that shows all documents.

        Raises:
            UsageError: More or fewer documents than the template shows.
        """
        n = len(case.docs)
        if self.max_docs is not None and n > self.max_docs:
            raise UsageError(
                f"{self.name} orders at most {self.max_docs} documents at a time, got {n}; make windows smaller"
            )
        labels = self.asking.template.identifiers(n) if self.by == "first-token" else ()
        return (self.asking.request(case, labels=labels),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """The order that the model gave; see `ChatJudge.read`."""
        if self.by == "first-token":
            return self._read_letters(case, requests, replies)
        n, reply = len(case.docs), replies[0]
        found = parse_permutation(self.asking.text_of(reply), n, finish_reason=reply.finish_reason)
        answer = Answer(found.outcome, found.repairs)
        facts = self.asking.settle(case, requests, replies, [answer])
        if isinstance(facts, Again):
            return facts
        if found.named == 0 or not self.asking.usable(answer):
            return no_verdict(n, counts=facts.counts, note=facts.note)
        return order_verdict(found.order, ties=found.ties, named=found.named, counts=facts.counts, note=facts.note)

    def _read_letters(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        n = len(case.docs)
        names = self.asking.template.identifiers(n)
        values = [replies[0].labels.get(name, math.nan) for name in names]
        known = sorted((at for at in range(n) if not math.isnan(values[at])), key=lambda at: -values[at])
        answer = Answer(Outcome.OK if known else Outcome.INVALID, label_missing=n - len(known))
        facts = self.asking.settle(case, requests, replies, [answer])
        if isinstance(facts, Again):
            return facts
        if not known:
            return no_verdict(n, counts=facts.counts, note=facts.note)
        groups = (tuple(group) for _, group in groupby(known, key=lambda at: values[at]))
        rest = [at for at in range(n) if math.isnan(values[at])]
        return order_verdict(
            (*known, *rest),
            ties=[group for group in groups if len(group) > 1],
            named=len(known),
            counts=facts.counts,
            note={**facts.note, "logprobs": [None if math.isnan(value) else round(value, 6) for value in values]},
        )

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return {**self.asking.settings(), "by": self.by}

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answer takes: what the template says, 1 for a first token."""
        return self.asking.output_tokens(len(case.docs), labels=self.by == "first-token")
