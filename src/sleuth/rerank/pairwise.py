"""Judge two documents: which helps more? Asked in both orders, so that the place of a document decides nothing."""

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

__all__ = ["Pairwise"]

ORDERS = ((0, 1), (1, 0))
"""How the two documents are shown: as given, and the other way round."""

EVEN = 1e-9
"""How near to 1/2 the mean probability is a tie: rounding of float32 log-probabilities averaged over both orders, not a
judgement (ours)."""


class Pairwise:
    """A judge of pairs (PRP, arXiv 2306.17563): two calls a comparison, one in each order.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "choice". Default: "pairwise".
        by: "text" reads the written choice: the document that wins in both orders wins; where the orders disagree,
            the two are tied. "logprob" averages the probability of winning over both orders; needs a template that
            names passages by letters, and the capability `label_logprobs`.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an answer that chooses nothing: "retry" (once), "prior" or "raise". A comparison needs
            both answers: one order alone would be the judgement of a place as much as of a document.
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`; an unknown `by`; a template that can't show
            two passages.
    """

    kind: VerdictKind = "choice"
    scale: Scale = "rank"
    max_docs: int | None = 2
    min_docs: int = 2

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "pairwise",
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
            judge="Pairwise",
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
        if template.min_passages > 2 or (template.max_passages or 2) < 2:
            raise UsageError(f"Pairwise shows two passages, prompt {template.name!r} can't")
        self.on_too_long = on_too_long
        self.backend, self.name, self.by = backend, self.asking.name, by
        if by == "logprob":
            self.asking.need_letters("logprob")

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """Two requests: the pair as given, and turned round.

        Raises:
            UsageError: Not two documents.
        """
        if len(case.docs) != 2:
            raise UsageError(f"{self.name} compares two documents, got {len(case.docs)}")
        labels = self.asking.template.identifiers(2) if self.by == "logprob" else ()
        return tuple(self.asking.request(case, positions=order, labels=labels) for order in ORDERS)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """The winner, or a tie; see `ChatJudge.read`."""
        wins, answers = zip(
            *(self._win(reply, order) for reply, order in zip(replies, ORDERS, strict=True)), strict=True
        )
        facts = self.asking.settle(case, requests, replies, answers)
        if isinstance(facts, Again):
            return facts
        if any(win is None for win in wins) or not all(self.asking.usable(answer) for answer in answers):
            return no_verdict(2, counts=facts.counts, note=facts.note)
        first = sum(wins) / 2
        note = {**facts.note, "first_wins": round(first, 6)}
        if abs(first - 0.5) <= EVEN:
            return choice_verdict((0, 1), counts=facts.counts, note=note)
        return choice_verdict((0,) if first > 0.5 else (1,), counts=facts.counts, note=note)

    def _win(self, reply: Reply, order: tuple[int, int]) -> tuple[float | None, Answer]:
        """How likely this reply says that document 0 wins, None where it says nothing; and how well it could be read."""
        if self.by == "text":
            found = parse_choice(self.asking.text_of(reply), 2, finish_reason=reply.finish_reason)
            win = None if found.position is None else float(order[found.position] == 0)
            return win, Answer(found.outcome)
        shares = shares_of(reply, [[name] for name in self.asking.template.identifiers(2)])
        answer = Answer(Outcome.OK if shares.known else Outcome.INVALID, label_missing=len(shares.missing))
        return (shares.values[order.index(0)] if shares.known else None), answer

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return {**self.asking.settings(), "by": self.by}

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the two answers take."""
        return 2 * self.asking.output_tokens(2, labels=self.by == "logprob")
