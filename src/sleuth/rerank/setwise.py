"""Judge a small set at once: which of its documents helps most?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.prompts.template import Template
from sleuth.replies.choice import parse_choice
from sleuth.replies.outcome import Outcome
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy
from sleuth.rerank.asking import Asking
from sleuth.rerank.label_scores import shares_of
from sleuth.rerank.parts import Again, Case, Verdict, VerdictKind
from sleuth.rerank.verdicts import choice_verdict, no_verdict
from sleuth.types import Scale

__all__ = ["Setwise"]


class Setwise:
    """A judge of choices (Setwise, arXiv 2310.09497): one call shows a set and reads which document is the best.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "choice". Default: "setwise".
        by: "text" reads the written letter or number. "logprob" takes the document whose letter is the likeliest
            first token (the paper's likelihood variant); needs a template that names passages by letters, and the
            capability `label_logprobs`.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an answer that chooses nothing: "retry" (once, then there is no choice), "prior" or
            "raise".
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`; an unknown `by`.
    """

    kind: VerdictKind = "choice"
    scale: Scale = "rank"

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "setwise",
        by: Literal["text", "logprob"] = "text",
        max_passage_tokens: int | None = None,
        on_bad_reply: BadReplyPolicy = "retry",
        on_too_long: TooLongPolicy = "raise",
        instruction: str | None = None,
        force: bool = False,
    ) -> None:
        self.asking = Asking(
            backend,
            prompt,
            judge="Setwise",
            reply="choice",
            max_passage_tokens=max_passage_tokens,
            on_bad_reply=on_bad_reply,
            on_too_long=on_too_long,
            instruction=instruction,
            force=force,
        )
        if by not in ("text", "logprob"):
            raise UsageError(f"by must be 'text' or 'logprob', got {by!r}")
        template = self.asking.template
        self.on_too_long = on_too_long
        self.backend, self.name, self.by = backend, self.asking.name, by
        self.min_docs, self.max_docs = max(2, template.min_passages), template.max_passages
        if by == "logprob":
            self.asking.need_letters("logprob")

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """One request that shows the whole set.

        Raises:
            UsageError: More or fewer documents than the template shows.
        """
        labels = self.asking.template.identifiers(len(case.docs)) if self.by == "logprob" else ()
        return (self.asking.request(case, labels=labels),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """The best document; see `ChatJudge.read`."""
        n, reply = len(case.docs), replies[0]
        note: dict[str, object] = {}
        best: tuple[int, ...]
        if self.by == "text":
            found = parse_choice(self.asking.text_of(reply), n, finish_reason=reply.finish_reason)
            best, answer = (() if found.position is None else (found.position,)), Answer(found.outcome)
        else:
            shares = shares_of(reply, [[name] for name in self.asking.template.identifiers(n)])
            top = max(shares.values) if shares.known else 2.0
            best = tuple(at for at, share in enumerate(shares.values) if share == top)
            answer = Answer(Outcome.OK if shares.known else Outcome.INVALID, label_missing=len(shares.missing))
            note = {"shares": [round(share, 6) for share in shares.values]} if shares.known else {}
        facts = self.asking.settle(case, requests, replies, [answer])
        if isinstance(facts, Again):
            return facts
        note = {**facts.note, **note}
        if not best or not self.asking.usable(answer):
            return no_verdict(n, counts=facts.counts, note=note)
        return choice_verdict(best, counts=facts.counts, note=note)

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return {**self.asking.settings(), "by": self.by}

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answer takes: 1 for log-probabilities, else what the template says."""
        return self.asking.output_tokens(len(case.docs), labels=self.by == "logprob")
