"""Judge each document alone by a grade: 0 to 5, 0 to 100, whatever the template's scale is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.prompts.template import Template
from sleuth.replies.outcome import Outcome
from sleuth.replies.score import GradeScale, parse_score
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy
from sleuth.rerank.asking import Asking
from sleuth.rerank.label_scores import one_token_spellings, shares_of
from sleuth.rerank.parts import Again, Case, Verdict, VerdictKind
from sleuth.types import Scale

__all__ = ["Graded"]


class Graded:
    """A pointwise judge: the score is a grade on the template's scale, higher is better.

    Grades stay as the model gave them (`score_range` says between which); nothing is normalized over a result list,
    so a grade means the same in every list. Whole grades tie often: interpolation with the first stage, as
    ReasonIR-Rerank does, breaks the ties; so does `by="expected"`.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "grade". Default: "graded", 0 to 5 as
            ReasonIR-Rerank; "graded-100" asks for points out of 100.
        by: "text" reads the written grade. "expected" is the mean grade under the model's own doubt: the sum of
            grade times probability of its label as the answer's first token, normalized over the labels, in
            float64. It needs a template with labels (one token each, so not 0 to 100) and the capability
            `label_logprobs`, as many as there are grades.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an answer without a grade on the scale: "retry" (once, then there is no score),
            "prior" or "raise". A grade beyond the scale is none; it is never clamped.
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Attributes:
        score_range: Lowest and highest grade.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`; an unknown `by`; "expected" without labels.
    """

    kind: VerdictKind = "scores"
    scale: Scale = "grade"
    max_docs: int | None = 1
    min_docs: int = 1

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "graded",
        by: Literal["text", "expected"] = "text",
        max_passage_tokens: int | None = None,
        on_bad_reply: BadReplyPolicy = "retry",
        on_too_long: TooLongPolicy = "raise",
        instruction: str | None = None,
        force: bool = False,
    ) -> None:
        self.asking = Asking(
            backend,
            prompt,
            judge="Graded",
            reply="grade",
            max_passage_tokens=max_passage_tokens,
            on_bad_reply=on_bad_reply,
            on_too_long=on_too_long,
            instruction=instruction,
            force=force,
        )
        if by not in ("text", "expected"):
            raise UsageError(f"by must be 'text' or 'expected', got {by!r}")
        template = self.asking.template
        if template.scale is None:
            raise UsageError(f"prompt {template.name!r} has no [scale]")
        self.on_too_long = on_too_long
        self.backend, self.name, self.by = backend, self.asking.name, by
        self.score_range = (template.scale.min, template.scale.max)
        self._scale = GradeScale(template.scale.min, template.scale.max, template.scale.label)
        self._grades = tuple(float(name) for name in template.labels)
        self._answers = one_token_spellings(template.labels, backend.tokenizer) if by == "expected" else ()
        self._labels = tuple(label for answer in self._answers for label in answer)
        if by == "expected":
            self._check_labels()

    def _check_labels(self) -> None:
        template = self.asking.template
        if not self._labels:
            raise UsageError(
                f"by='expected' needs grades that are one token each; prompt {template.name!r} ({self.score_range[0]:g} "
                f"to {self.score_range[1]:g}) names none in [labels]. Take prompt='graded', or by='text'"
            )
        why = f"by='expected' weighs {len(self._grades)} grades by their probabilities"
        self.asking.need("label_logprobs", why, at_least=len(self._grades))
        if template.label_prefill:
            self.asking.need("prefill", f"by='expected' begins the answer with {template.label_prefill!r}")

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """One request about the one document."""
        return (self.asking.request(case, labels=self._labels if self.by == "expected" else ()),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """The document's grade; see `ChatJudge.read`."""
        reply = replies[0]
        note: dict[str, Any] = {}
        if self.by == "text":
            found = parse_score(self.asking.text_of(reply), self._scale, finish_reason=reply.finish_reason)
            score, answer = found.value, Answer(found.outcome)
        else:
            shares = shares_of(reply, self._answers)
            answer = Answer(Outcome.OK if shares.known else Outcome.INVALID, label_missing=len(shares.missing))
            score = None
            note = {"mass": round(shares.mass, 6)}
            if shares.known:
                score = sum(grade * share for grade, share in zip(self._grades, shares.values, strict=True))
                note["shares"] = [round(share, 6) for share in shares.values]
        return self.asking.one_score(case, requests, replies, answer, score=score, note=note)

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return {**self.asking.settings(), "by": self.by}

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answer takes: 1 for "expected", else what the template says."""
        return self.asking.output_tokens(len(case.docs), labels=self.by == "expected")
