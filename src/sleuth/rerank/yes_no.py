"""Judge each document alone: does it help, yes or no, and how sure is the model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.prompts.template import Template
from sleuth.replies.outcome import Outcome
from sleuth.replies.score import YesNo, parse_score
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy
from sleuth.rerank.asking import Asking
from sleuth.rerank.label_scores import one_token_spellings, shares_of
from sleuth.rerank.parts import Again, Case, Verdict, VerdictKind
from sleuth.types import Scale

__all__ = ["YesNoJudge"]


class YesNoJudge:
    """A pointwise judge: score = P(yes) / (P(yes) + P(no)), in [0, 1].

    Both probabilities are those of the answer's first token, summed over each answer's spellings, in float64. So
    an unsure "no" and an unsure "yes" stand next to each other, where sign · P(written word) would jump from -.5
    to +.5. An answer that the server's list of likely tokens leaves out has less probability than any listed one: it
    counts as 0, and `label_missing` counts it; where both are left out there is no score, neither 0 nor .5.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template, with reply "yes-no". Default: "yes-no", for any
            instruct model. A checkpoint that was trained to answer so needs its own ("qwen3-reranker").
        by: "logprob" as above; needs the capability `label_logprobs`. "text" reads the written word: 1 or 0, so that
            most documents tie. Default: "logprob" where the backend and the template can, else "text".
        labels: {"yes": spellings, "no": spellings} instead of the template's: tokens whose probabilities are summed
            up, and words that a written answer may use.
        max_passage_tokens: Longest passage, in tokens of the backend's tokenizer; None cuts nothing.
        on_bad_reply: After an answer without a yes or no: "retry" (once, then there is no score), "prior" or "raise".
        on_too_long: A request longer than the model reads is an error ("raise"), or all passages of the comparison are
            cut to one length and it is asked again ("cut"; counted as `cut`).
        instruction: For the template's `{instruction}`; None: the query's, its task's, the template's.
        force: Use a template made for another family of models.

    Raises:
        UsageError, CapabilityMissing: As `sleuth.rerank.asking.Asking`; an unknown `by`; labels without yes and no.
    """

    kind: VerdictKind = "scores"
    scale: Scale = "probability"
    max_docs: int | None = 1
    min_docs: int = 1

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path | Template = "yes-no",
        by: Literal["logprob", "text"] | None = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        max_passage_tokens: int | None = None,
        on_bad_reply: BadReplyPolicy = "retry",
        on_too_long: TooLongPolicy = "raise",
        instruction: str | None = None,
        force: bool = False,
    ) -> None:
        self.asking = Asking(
            backend,
            prompt,
            judge="YesNoJudge",
            reply="yes-no",
            max_passage_tokens=max_passage_tokens,
            on_bad_reply=on_bad_reply,
            on_too_long=on_too_long,
            instruction=instruction,
            force=force,
        )
        if by not in (None, "logprob", "text"):
            raise UsageError(f"by must be 'logprob' or 'text', got {by!r}")
        template = self.asking.template
        own = None if labels is None else _checked_labels(labels)
        spellings = template.labels if own is None else own
        self.backend, self.on_too_long = backend, on_too_long
        self.name = f"yes-no/{Path(template.name).stem}"
        self.by = by or self._default_by(bool(spellings))
        self._answers: tuple[tuple[str, ...], ...] = ()
        if self.by == "logprob":
            self._check_labels(bool(spellings))
            in_order = {name: tuple(spellings[name]) for name in ("yes", "no")}
            self._answers = one_token_spellings(in_order, backend.tokenizer)
        self._labels = tuple(label for answer in self._answers for label in answer)
        self._words = _words(template, own) if self.by == "text" else YesNo()

    def _default_by(self, has_labels: bool) -> Literal["logprob", "text"]:
        asking = self.asking
        begins = not asking.template.label_prefill or asking.can("prefill")
        return "logprob" if has_labels and begins and asking.can("label_logprobs", at_least=2) else "text"

    def _check_labels(self, has_labels: bool) -> None:
        template = self.asking.template
        if not has_labels:
            raise UsageError(
                f"prompt {template.name!r} names no labels, so there is nothing to take log-probabilities of; pass "
                "labels={'yes': [...], 'no': [...]}, or by='text'"
            )
        self.asking.need("label_logprobs", "by='logprob' compares the probabilities of yes and no", at_least=2)
        if template.label_prefill:
            self.asking.need("prefill", f"by='logprob' begins the answer with {template.label_prefill!r}")

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """One request about the one document."""
        return (self.asking.request(case, labels=self._labels if self.by == "logprob" else ()),)

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """The document's probability; see `ChatJudge.read`."""
        reply = replies[0]
        note: dict[str, Any] = {}
        if self.by == "text":
            found = parse_score(self.asking.text_of(reply), self._words, finish_reason=reply.finish_reason)
            score, answer = found.value, Answer(found.outcome)
        else:
            shares = shares_of(reply, self._answers)
            answer = Answer(Outcome.OK if shares.known else Outcome.INVALID, label_missing=len(shares.missing))
            score = shares.values[0] if shares.known else None
            note = {"mass": round(shares.mass, 6)}
            if shares.missing:
                note |= {"label_missing": [("yes", "no")[at] for at in shares.missing], "label_at_most": shares.bound}
        return self.asking.one_score(case, requests, replies, answer, score=score, note=note)

    def settings(self) -> dict[str, Any]:
        """What a manifest records; JSON-like."""
        return {**self.asking.settings(), "by": self.by}

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answer takes: 1 for log-probabilities, else what the template says."""
        return self.asking.output_tokens(len(case.docs), labels=self.by == "logprob")


def _checked_labels(labels: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if set(labels) != {"yes", "no"}:
        raise UsageError(f"labels must have the keys 'yes' and 'no', got {sorted(labels)}")
    found = {}
    for name, spellings in labels.items():
        if isinstance(spellings, str) or not spellings or not all(isinstance(one, str) and one for one in spellings):
            raise UsageError(f"labels[{name!r}] must be a list of texts, such as ['Yes', 'yes'], got {spellings!r}")
        found[name] = tuple(spellings)
    both = set(found["yes"]) & set(found["no"])
    if both:
        raise UsageError(f"{sorted(both)[0]!r} can't be a label of both yes and no")
    return found


def _words(template: Template, labels: Mapping[str, Sequence[str]] | None) -> YesNo:
    """What a written answer may say: the caller's words alone, else the parser's own and the template's further ones."""
    if labels is not None:
        return YesNo(yes=labels["yes"], no=labels["no"])
    own = YesNo()
    return YesNo(yes=(*own.yes, *template.words.get("yes", ())), no=(*own.no, *template.words.get("no", ())))
