"""The words that strategies, judges and the driver speak with each other.

A *strategy* decides what to compare next; a *judge* compares; the *driver* runs the strategies of all queries
at once and carries comparisons to the judge. A strategy is a generator without I/O, clock or hidden
randomness: it yields `Ask`, receives one `Verdict` for each comparison, and returns an `Order`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from sleuth.llm.chat import ChatBackend, ChatRequest, Reply
from sleuth.stages import Plan
from sleuth.types import Doc, Query, Scale

__all__ = [
    "Again",
    "Ask",
    "Case",
    "ChatJudge",
    "Comparison",
    "LocalJudge",
    "Order",
    "Plan",
    "Steps",
    "Task",
    "Verdict",
    "VerdictKind",
]

VerdictKind = Literal["order", "scores", "choice"]
"""What a judge knows after a comparison: an order of all, a score for each, or only the best one."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a strategy is given: the candidates of one query.

    Attributes:
        query_id: The query.
        doc_ids: Distinct candidates in their prior order, best first.
        scores: Their prior scores, not increasing; None where the prior list has only an order.
        seed: The source of all of a strategy's randomness.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    scores: tuple[float, ...] | None
    seed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Documents that are compared in one go, in the order they are shown.

    Attributes:
        doc_ids: Distinct; a pointwise judge takes one.
        sample: Tells comparisons of the same list apart: each is a question of its own.
    """

    doc_ids: tuple[str, ...]
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A strategy's step: comparisons that may run side by side, and the best order of all candidates so far."""

    comparisons: tuple[Comparison, ...]
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge found. Positions are 0-based places in the comparison as shown.

    Attributes:
        order: Positions, best first. All of them from a judge of orders or scores; one (the best) from a judge of
            choices, none where two documents were found equal.
        ties: Groups of positions that the judge holds equal, each of 2 or more, ascending.
        scores: A score for each position as shown, higher is better, where the judge gives scores; NaN where it
            gave none for this one (and then the position stands behind the scored ones in `order`).
        named: How many leading places of `order` the judge itself gave; the rest was appended in shown order, and
            a strategy puts it into its own current order instead (`Verdict.settled`).
        usable: False where no answer could be read: `order` is the order as shown and means nothing; a strategy
            keeps its current order.
        counts: Countable facts (parse outcomes, repairs, retries, truncations …), summed up by the driver.
        note: For the trace: outcome, excerpt of the reasoning, probabilities, cache keys. JSON-like, short.
    """

    order: tuple[int, ...]
    ties: tuple[tuple[int, ...], ...] = ()
    scores: tuple[float, ...] | None = None
    named: int | None = None
    usable: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)

    def settled(self, comparison: Comparison, current: Sequence[str]) -> tuple[str, ...]:
        """The compared documents, best first, where the judge said nothing in the strategy's current order.

        Args:
            comparison: What was compared.
            current: The strategy's order of all candidates, best first; it places documents that the judge did
                not name, and all of them where the verdict is not usable.
        """
        given = () if not self.usable else self.order if self.named is None else self.order[: self.named]
        named = [comparison.doc_ids[at] for at in given]
        rest = set(comparison.doc_ids) - set(named)
        return (*named, *(doc_id for doc_id in current if doc_id in rest))


@dataclass(frozen=True, slots=True)
class Order:
    """A strategy's end: all candidates, best first.

    Attributes:
        doc_ids: Every candidate once.
        scores: Not increasing, equal where a tie is left; None where there is only an order (scores are then
            n - rank).
        scale: What the scores mean; "rank" without scores.
    """

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...] | None = None
    scale: Scale = "rank"


Steps = Generator[Ask, tuple[Verdict, ...], Order]
"""A running strategy: receives the verdicts of an Ask in the order of its comparisons."""


@dataclass(frozen=True, slots=True)
class Again:
    """A judge's wish to ask again after a bad reply.

    Attributes:
        requests: What to send now, in place of the requests before.
        counts: As in Verdict.
    """

    requests: tuple[ChatRequest, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A comparison with its texts: what a judge is given.

    Attributes:
        query: The query; `query_text` is what the judge reads of it.
        query_text: The view of the query that the stage reads.
        docs: The documents in the order of `comparison.doc_ids`.
        comparison: What is compared.
        stage: The stage's name, for tags.
        longest: Characters of a passage at most, after the request was too long for the model; None cuts nothing.
    """

    query: Query
    query_text: str
    docs: tuple[Doc, ...]
    comparison: Comparison
    stage: str = ""
    longest: int | None = None


@runtime_checkable
class ChatJudge(Protocol):
    """A judge that asks a chat backend. It does no I/O itself.

    Attributes:
        name: As shown, `listwise/reasonrank`, say.
        kind: What it knows after a comparison.
        scale: What its scores mean; "rank" for orders and choices.
        max_docs: Documents of one comparison at most; 1 for a pointwise judge, None without limit.
        min_docs: Fewest documents of one comparison: 1, or 2 for judges that only compare.
        backend: Who answers.

    A judge with an attribute `on_too_long = "cut"` shows passages of at most `Case.longest` characters; the driver sets
    that, equally for all passages of a comparison, where a request was longer than the model reads.
    """

    name: str
    kind: VerdictKind
    scale: Scale
    max_docs: int | None
    min_docs: int
    backend: ChatBackend

    def requests(self, case: Case) -> tuple[ChatRequest, ...]:
        """What to ask; tags filled in."""
        ...

    def read(self, case: Case, requests: tuple[ChatRequest, ...], replies: Sequence[Reply]) -> Verdict | Again:
        """What the replies mean.

        Args:
            case: The case.
            requests: What was asked, as `requests` or the last `Again` gave it (their `ask` tells which).
            replies: Their replies, in the same order.

        Raises:
            BadReply: A reply is bad and the judge was told to raise.
        """
        ...

    def output_tokens(self, case: Case) -> int:
        """About how many tokens the answers to one case take, for plans."""
        ...


@runtime_checkable
class LocalJudge(Protocol):
    """A judge in this process (a cross-encoder, a simulated judge): takes many cases at a time.

    Attributes: as of ChatJudge, without a backend.
    """

    name: str
    kind: VerdictKind
    scale: Scale
    max_docs: int | None
    min_docs: int

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]] | Iterable[tuple[int, Verdict]]:
        """(index of the case, its verdict), each once, as they come."""
        ...
