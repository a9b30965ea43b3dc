"""Judge a group at once: the model compares its documents and gives each a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sleuth.errors import UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.prompts.template import Template
from sleuth.replies.grades import parse_grades
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy
from sleuth.rerank.asking import Asking
from sleuth.rerank.parts import Again, Case, Verdict, VerdictKind
from sleuth.rerank.verdicts import no_verdict, score_verdict
from sleuth.types import Scale

__all__ = ["Group"]


class Group:
    """A groupwise judge (GroupRank, arXiv 2511.11653): one call shows a group, and each document gets a score.

    Scores of one call are comparable with each other; those of different groups only as far as the model keeps its
    scale. A document that the answer leaves out has no score (NaN), and a group whose answer can't be read has none
    at all: its documents keep their prior places, where a score of 0 would sink them.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "grades". Default: "group", 0 to 10 as
            GroupRank.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an answer that holds no scores or was cut: "retry" (once; then the scores it holds count),
            "prior" or "raise".
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Attributes:
        score_range: Lowest and highest score.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`.
    """

    kind: VerdictKind = "scores"
    scale: Scale = "grade"

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "group",
        max_passage_tokens: int | None = None,
        on_bad_reply: BadReplyPolicy = "retry",
        on_too_long: TooLongPolicy = "raise",
        instruction: str | None = None,
        force: bool = False,
    ) -> None:
        self.asking = Asking(
            backend,
            prompt,
            judge="Group",
            reply="grades",
            max_passage_tokens=max_passage_tokens,
            on_bad_reply=on_bad_reply,
            on_too_long=on_too_long,
            instruction=instruction,
            force=force,
        )
        template = self.asking.template
        if template.scale is None:
            raise UsageError(f"prompt {template.name!r} has no [scale]")
        self.on_too_long = on_too_long
        self.backend, self.name = backend, self.asking.name
        self.min_docs, self.max_docs = template.min_passages, template.max_passages
        self.score_range = (template.scale.min, template.scale.max)

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """One request that shows the whole group.

        Raises:
            UsageError: More or fewer documents than the template shows.
        """
        return (self.asking.request(case),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """A score for each document, NaN where there is none; see `ChatJudge.read`."""
        n, reply = len(case.docs), replies[0]
        low, high = self.score_range
        found = parse_grades(self.asking.text_of(reply), n, low=low, high=high, finish_reason=reply.finish_reason)
        answer = Answer(found.outcome, found.repairs)
        facts = self.asking.settle(case, requests, replies, [answer])
        if isinstance(facts, Again):
            return facts
        if not self.asking.usable(answer) or all(map(math.isnan, found.values)):
            return no_verdict(n, counts=facts.counts, note=facts.note, scored=True)
        return score_verdict(found.values, counts=facts.counts, note=facts.note)

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return self.asking.settings()

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answer takes, as the template says."""
        return self.asking.output_tokens(len(case.docs))
