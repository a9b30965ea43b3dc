"""How a chat judge asks: its template, passages, instruction, what the backend must be able to do, and asking again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sleuth.errors import CapabilityMissing, UsageError
from sleuth.llm.chat import ChatBackend, ChatRequest, Decoding, Message, Reply, Tags
from sleuth.prompts.instructions import instruction_for, instruction_tasks
from sleuth.prompts.passages import Passage, PassageMaker
from sleuth.prompts.render import render_prompt
from sleuth.prompts.template import ReplyKind, Template, list_templates, load_template
from sleuth.rerank.answers import Answer, BadReplyPolicy, TooLongPolicy, bad_reply, counts_of, note_of
from sleuth.rerank.forcing import closed_thought, opened_thought
from sleuth.rerank.parts import Again, Case, Verdict
from sleuth.rerank.verdicts import no_verdict, score_verdict

__all__ = ["Asking", "Facts"]

ASKS = 2
"""How often a question is asked at most: once, and once more after a bad reply (`on_bad_reply="retry"`)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts and a trace's note on the replies of one comparison, for its verdict."""

    counts: Mapping[str, int]
    note: Mapping[str, Any]


class Asking:
    """One judge's way to ask one backend. Holds no state but the passages made so far.

    Args:
        backend: Who answers.
        prompt: A preset's name, a template's path, or a Template.
        judge: The judge's name in messages ("Listwise").
        reply: The kind of reply that the judge reads; another template is refused.
        max_passage_tokens: Longest passage in tokens of the backend's tokenizer; None cuts nothing.
        on_too_long: What follows a request that is longer than the model reads: raise ContextTooLong, or cut all
            passages of the comparison to one length and ask again.
        on_bad_reply: What follows an answer that is invalid, unfinished, or names its ids in prose: ask once more,
            keep the prior order, or raise.
        instruction: Goes into the template's `{instruction}` instead of the query's own; None: the query's, else
            that of its task, else the template's default.
        force: Allow a template that was made for another family of models.

    Attributes:
        template: As loaded.
        name: The judge as shown: `listwise/rankgpt`, say.

    Raises:
        UsageError: No backend; a template for other replies or another family; a cap without a tokenizer; an
            instruction that the template has no place for; an unknown policy.
        CapabilityMissing: The template is a raw prompt, or begins the answer, and the backend can't.
    """

    def __init__(
        self,
        backend: ChatBackend,
        prompt: str | Path | Template,
        *,
        judge: str,
        reply: ReplyKind,
        max_passage_tokens: int | None,
        on_bad_reply: BadReplyPolicy,
        on_too_long: TooLongPolicy,
        instruction: str | None,
        force: bool,
    ) -> None:
        if not isinstance(backend, ChatBackend):
            raise UsageError(
                f"{judge} needs a chat backend (sleuth.OpenAI, Transformers, Replay, Oracle), got {type(backend).__name__}"
            )
        if on_bad_reply not in ("retry", "prior", "raise"):
            raise UsageError(f"on_bad_reply must be 'retry', 'prior' or 'raise', got {on_bad_reply!r}")
        if on_too_long not in ("raise", "cut"):
            raise UsageError(f"on_too_long must be 'raise' or 'cut', got {on_too_long!r}")
        self.on_too_long = on_too_long
        self.backend, self.judge, self.on_bad_reply, self.instruction = backend, judge, on_bad_reply, instruction
        self.template = load_template(prompt)
        self._check_template(reply, force)
        if max_passage_tokens is not None and backend.tokenizer is None:
            raise UsageError(
                f"max_passage_tokens={max_passage_tokens} needs the tokenizer of {backend.name}: pass tokenizer=PATH "
                "or a name to the backend, or leave the cap out"
            )
        self.maker = PassageMaker(self.template, max_passage_tokens=max_passage_tokens, tokenizer=backend.tokenizer)
        self.max_passage_tokens = max_passage_tokens
        self.decoding = Decoding(**self.template.decoding)
        self.name = f"{judge.lower()}/{Path(self.template.name).stem}"
        if self.template.prompt is not None:
            self.need("raw", f"prompt {self.template.name!r} is a raw prompt")
        elif self.template.prefill:
            self.need("prefill", f"prompt {self.template.name!r} begins the answer with {self.template.prefill!r}")

    def settings(self) -> dict[str, Any]:
        """What a manifest records: prompt and its hash, decoding, options, who answers; JSON-like."""
        return {
            "judge": self.name,
            "prompt": self.template.name,
            "prompt_digest": self.template.digest,
            "decoding": {key: value for key, value in asdict(self.decoding).items() if value not in (None, ())},
            "max_passage_tokens": self.max_passage_tokens,
            "on_bad_reply": self.on_bad_reply,
            "on_too_long": self.on_too_long,
            "instruction": self.instruction,
            "backend": self.backend.identity,
        }

    # ── what is refused at construction ───────────────────────────────────────────────────────────

    def _check_template(self, reply: ReplyKind, force: bool) -> None:
        template, family = self.template, self.backend.family
        if template.reply != reply:
            fitting = [name for name in list_templates() if load_template(name).reply == reply]
            raise UsageError(
                f"{self.judge} reads replies of kind {reply!r}, prompt {template.name!r} asks for {template.reply!r}. "
                f"Presets that fit: {', '.join(fitting) or 'none'}"
            )
        if not template.fits(family) and not force:
            raise UsageError(
                f"prompt {template.name!r} was made for {template.family} models, {self.backend.name} is a {family} "
                "model; a checkpoint asked with another's prompt ranks near randomly. Take its own preset, or force=True"
            )
        if self.instruction is not None and not template.takes_instruction:
            raise UsageError(
                f"prompt {template.name!r} has no place for an instruction; leave instruction= out, or put "
                "{instruction} into a template of your own"
            )

    def can(self, capability: str, *, at_least: int = 1) -> bool:
        """Whether the backend has a capability; begun raw prompts need none."""
        if capability == "prefill" and self.template.prompt is not None:
            return self.backend.capabilities.raw
        return int(getattr(self.backend.capabilities, capability)) >= at_least

    def need(self, capability: str, why: str, *, at_least: int = 1) -> None:
        """Refuse a backend without a capability.

        Raises:
            CapabilityMissing: Names it and how to declare it.
        """
        if self.can(capability, at_least=at_least):
            return
        have = getattr(self.backend.capabilities, capability)
        value = at_least if capability == "label_logprobs" else True
        count = f" of at least {at_least} (it has {have})" if capability == "label_logprobs" else ""
        raise CapabilityMissing(
            f"{self.judge}: {why}, which needs the capability {capability!r}{count}, and {self.backend.name} lacks it. "
            f"If the server has it, declare it: capabilities=Capabilities({capability}={value}); "
            "`sleuth doctor --llm URL` finds out"
        )

    def need_letters(self, by: str) -> None:
        """Refuse what can't tell passages apart by one token each.

        Raises:
            UsageError: The template names passages by numbers, which may take several tokens.
            CapabilityMissing: No log-probabilities of labels, or the answer can't be begun.
        """
        template = self.template
        if template.numbering != "letters":
            raise UsageError(
                f"by={by!r} reads letters, prompt {template.name!r} names passages by numbers, which may take several "
                'tokens; take a preset with letters, or set numbering = "letters" in a template of your own'
            )
        self.need("label_logprobs", f"by={by!r} compares the letters' log-probabilities", at_least=2)
        if template.label_prefill:
            self.need("prefill", f"by={by!r} begins the answer with {template.label_prefill!r}")

    # ── asking ────────────────────────────────────────────────────────────────────────────────────

    def request(
        self, case: Case, *, positions: Sequence[int] | None = None, labels: tuple[str, ...] = ()
    ) -> ChatRequest:
        """The first ask about a case.

        Args:
            case: The case.
            positions: In which order its documents are shown; None: as they are.
            labels: Ask for these first tokens' log-probabilities, and for one token only.
        """
        docs = case.docs if positions is None else tuple(case.docs[at] for at in positions)
        template = self.template
        rendered = render_prompt(
            template,
            query=case.query_text,
            passages=[_cut(self.maker.of(doc), case.longest) for doc in docs],
            instruction=self._instruction_of(case),
            control_tokens=self.maker.control_tokens,
        )
        return ChatRequest(
            messages=tuple(Message(role, content) for role, content in rendered.messages),
            prompt=rendered.prompt,
            prefill=template.prefill + (template.label_prefill if labels else ""),
            decoding=replace(self.decoding, max_tokens=1, stop=()) if labels else self.decoding,
            labels=labels,
            sample=case.comparison.sample,
            tags=Tags(case.stage, case.query.query_id, tuple(doc.doc_id for doc in docs), template.reply),
        )

    def _instruction_of(self, case: Case) -> str | None:
        if not self.template.takes_instruction:
            return None
        if self.instruction is not None:
            return self.instruction
        if case.query.instruction is not None:
            return case.query.instruction
        task = case.query.task
        return instruction_for(task, self.template.family) if task in instruction_tasks() else None

    def _task_unknown(self, case: Case) -> bool:
        """Whether the query's task would have decided the instruction and has none."""
        query = case.query
        asked = self.template.takes_instruction and self.instruction is None and query.instruction is None
        return asked and query.task is not None and query.task not in instruction_tasks()

    def text_of(self, reply: Reply) -> str:
        """What to parse of a reply: its text, with the opening tag of a thought where the prompt swallowed it."""
        return opened_thought(reply.text, self.template, finish_reason=reply.finish_reason)

    # ── what follows ──────────────────────────────────────────────────────────────────────────────

    def settle(
        self, case: Case, requests: Sequence[ChatRequest], replies: Sequence[Reply], answers: Sequence[Answer]
    ) -> Again | Facts:
        """What follows from these replies: the next ask, or what the verdict counts and notes.

        Args:
            case, requests, replies: As given to `ChatJudge.read`.
            answers: How well each reply could be read.

        Raises:
            BadReply: A reply is bad and `on_bad_reply` is "raise".
        """
        again = self._again(case, requests, replies, answers)
        return self._facts(case, requests, replies, answers) if again is None else again

    def _again(
        self, case: Case, requests: Sequence[ChatRequest], replies: Sequence[Reply], answers: Sequence[Answer]
    ) -> Again | None:
        """The next ask where a reply is bad and the judge may ask again; else None.

        Requests whose replies were good go along unchanged (their replies come from the cache).
        """
        bad = [at for at, answer in enumerate(answers) if answer.bad]
        if bad and self.on_bad_reply == "raise":
            at = bad[0]
            raise bad_reply(self.name, case, requests[at], replies[at], answers[at])
        last = max((request.ask for request in requests), default=0) >= ASKS - 1
        if not bad or self.on_bad_reply == "prior" or last:
            return None
        following = list(requests)
        counts = counts_of([answers[at] for at in bad])
        counts["asked_again"] = len(bad)
        for at in bad:
            following[at], forced = self._retry(requests[at], replies[at])
            counts["forced"] += forced
        return Again(tuple(following), +counts)

    def _retry(self, request: ChatRequest, reply: Reply) -> tuple[ChatRequest, bool]:
        """The same question once more, and whether its answer was forced."""
        request = replace(request, ask=request.ask + 1)
        if request.labels or not self.can("prefill"):
            return request, False
        prefill = closed_thought(self.text_of(reply), reply.reasoning, self.template)
        return (request, False) if prefill is None else (replace(request, prefill=prefill), True)

    def _facts(
        self, case: Case, requests: Sequence[ChatRequest], replies: Sequence[Reply], answers: Sequence[Answer]
    ) -> Facts:
        """What a verdict counts and notes."""
        counts = counts_of(answers)
        if any(request.ask for request in requests):
            counts["retried"] = 1
        if self._task_unknown(case):
            counts["unknown_task"] = 1
        keys = [request.digest(self.backend.identity) for request in requests]
        note = note_of(answers, replies, keys)
        passages: list[tuple[str, Passage]] = [
            (doc.doc_id, _cut(self.maker.of(doc), case.longest)) for doc in case.docs
        ]
        for name, ids in (
            ("truncated", [doc_id for doc_id, passage in passages if passage.truncated]),
            ("neutralized", [doc_id for doc_id, passage in passages if passage.neutralized]),
        ):
            if ids:
                counts[name], note[name] = len(ids), ids
        return Facts(counts, note)

    def one_score(
        self,
        case: Case,
        requests: Sequence[ChatRequest],
        replies: Sequence[Reply],
        answer: Answer,
        *,
        score: float | None,
        note: Mapping[str, Any],
    ) -> Verdict | Again:
        """What follows for a pointwise judge that asks once about one document.

        Args:
            case, requests, replies: As given to `ChatJudge.read`.
            answer: How well the reply could be read.
            score: What it says; None where it says nothing.
            note: What the judge adds to the trace.
        """
        facts = self.settle(case, requests, replies, [answer])
        if isinstance(facts, Again):
            return facts
        whole = {**facts.note, **note}
        if score is None or not self.usable(answer):
            return no_verdict(1, counts=facts.counts, note=whole, scored=True)
        return score_verdict([score], counts=facts.counts, note=whole)

    def usable(self, answer: Answer) -> bool:
        """Whether an answer that is not asked again about may be used: a bad one only after a retry, and never one
        whose ids stand in prose."""
        if not answer.bad:
            return True
        return self.on_bad_reply == "retry" and not answer.misleading

    def output_tokens(self, n: int, *, labels: bool = False) -> int:
        """About how many tokens one answer about n documents takes."""
        return 1 if labels else self.template.output_tokens.of(n)


def _cut(passage: Passage, longest: int | None) -> Passage:
    """The passage's first `longest` characters."""
    if longest is None or len(passage.text) <= longest:
        return passage
    return replace(passage, text=passage.text[:longest], truncated=True)
