"""What follows from an answer: ask again, keep the prior order or raise; what is counted, what a trace says.

The names that judges count, over all calls of a stage:

| name | what it counts |
|---|---|
| `ok`, `repaired`, `unfinished`, `invalid` | replies, by how well they could be read |
| `repair/NAME` | replies with this repair (`repair/missing_ids`, …; `sleuth.replies.permutation`) |
| `asked_again` | bad replies that were answered by asking again |
| `forced` | those of them that were cut in their thought, and whose thought was closed for the model |
| `retried` | verdicts that took more than one ask |
| `fallback` | verdicts that say nothing: the prior order is kept |
| `identity`, `near_identity` | orders that return the list as given; all but one document of it |
| `label_missing` | answers (yes, no, a grade, a passage) of whose labels no log-probability came back |
| `unknown_task` | verdicts whose query names a task that has no instruction: the template's own was shown |
| `truncated`, `neutralized` | passages that were cut to the token cap; that spelled control tokens; once a comparison |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sleuth.context import THOUGHT_CHARACTERS
from sleuth.errors import BadReply
from sleuth.llm.chat import ChatRequest, Reply
from sleuth.replies.outcome import Outcome
from sleuth.replies.thoughts import split_thoughts
from sleuth.rerank.parts import Case

__all__ = ["Answer", "BadReplyPolicy", "TooLongPolicy", "bad_reply", "counts_of", "note_of", "thought_of"]

BadReplyPolicy = Literal["retry", "prior", "raise"]
TooLongPolicy = Literal["raise", "cut"]

MISLEADING = "order_of_mention"
"""The repair that makes an answer bad: its ids stand in prose, where their order may mean nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How well one reply could be read.

    Attributes:
        outcome, repairs: As the parser found them.
        label_missing: Answers of whose labels no log-probability came back.
    """

    outcome: Outcome
    repairs: tuple[str, ...] = ()
    label_missing: int = 0

    @property
    def bad(self) -> bool:
        """Whether `on_bad_reply` decides what follows."""
        return self.outcome in (Outcome.INVALID, Outcome.UNFINISHED) or MISLEADING in self.repairs

    @property
    def misleading(self) -> bool:
        """Whether it holds ids whose order may mean nothing; such an answer is never used."""
        return MISLEADING in self.repairs


def counts_of(answers: Sequence[Answer]) -> Counter[str]:
    """Outcomes, repairs and missing labels of these replies."""
    counts: Counter[str] = Counter()
    for answer in answers:
        counts[answer.outcome.value] += 1
        counts.update(f"repair/{name}" for name in answer.repairs)
        if answer.label_missing:
            counts["label_missing"] += answer.label_missing
    return counts


def bad_reply(judge: str, case: Case, request: ChatRequest, reply: Reply, answer: Answer) -> BadReply:
    """The error for a reply that could not be read."""
    repairs = f" ({', '.join(answer.repairs)})" if answer.repairs else ""
    cut = f", finish reason {reply.finish_reason!r}" if reply.finish_reason else ""
    return BadReply(
        f"{judge}, query {case.query.query_id!r}: the reply is {answer.outcome.value}{repairs}{cut}; "
        f"it says {reply.text[:200]!r} about {len(request.tags.doc_ids)} documents "
        f"{list(request.tags.doc_ids[:5])}. on_bad_reply='retry' asks once more, 'prior' keeps the given order"
    )


def thought_of(replies: Sequence[Reply]) -> str:
    """The beginning of the thoughts of these replies, for a trace."""
    found = ((reply.reasoning or split_thoughts(reply.text).thought).strip() for reply in replies)
    return "\n".join(thought for thought in found if thought)[:THOUGHT_CHARACTERS]


def note_of(answers: Sequence[Answer], replies: Sequence[Reply], keys: Sequence[str]) -> dict[str, Any]:
    """What a trace says of replies: outcome (several joined by a comma), repairs, thought, keys of the cache."""
    note: dict[str, Any] = {"outcome": ", ".join(answer.outcome.value for answer in answers)}
    if repairs := sorted({name for answer in answers for name in answer.repairs}):
        note["repairs"] = repairs
    if thought := thought_of(replies):
        note["reasoning"] = thought
    note["keys"] = list(keys)
    return note
