"""What may stand in a recipe: every table, its keys, and which judge and strategy make sense together.

These tables are the one place where it is written; validation, construction and the page `docs/recipes.md` follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "BACKENDS",
    "INTERPOLATE",
    "JUDGES",
    "MEMBER",
    "NOT_BUILT",
    "RETRIEVE",
    "REWRITE",
    "RUN",
    "STAGE",
    "STRATEGIES",
    "TABLES",
    "Entry",
    "Judge",
    "Key",
    "Keys",
    "StrategyEntry",
    "refused",
]

Kind = Literal["text", "whole", "number", "flag", "list", "table", "tables", "path", "name"]
"""`path` is relative to the recipe; `name` is one too if it exists there, else a name that the model's library knows."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it holds, and whether it must be there."""

    kind: Kind
    required: bool = False


Keys = Mapping[str, Key]


def _keys(*, required: str = "", **kinds: str) -> dict[str, Key]:
    """`_keys(text="a b", whole="c")`: the keys a and b hold text, c a whole number."""
    needed = required.split()
    found: dict[str, Key] = {}
    for kind, names in kinds.items():
        for name in names.split():
            found[name] = Key(kind, name in needed)  # type: ignore[arg-type]
    return found


@dataclass(frozen=True, slots=True)
class Entry:
    """Something a recipe names: where its class is, and the keys that become its arguments."""

    home: str
    keys: Keys


# ── [llm.NAME] ────────────────────────────────────────────────────────────────────────────────────

BACKENDS: Mapping[str, Entry] = {
    "openai": Entry(
        "sleuth.llm.openai:OpenAI",
        _keys(
            required="model",
            text="base_url server model identity revision family",
            name="tokenizer",
            whole="concurrency",
            number="timeout_s",
            flag="stream",
            list="omit",
            table="price capabilities extra_body",
        ),
    ),
    "transformers": Entry(
        "sleuth.llm.transformers:Transformers",
        _keys(
            required="model",
            name="model",
            text="dtype device name revision family",
            whole="batch_size concurrency",
            flag="share",
            table="price chat_options",
        ),
    ),
    "replay": Entry(
        "sleuth.llm.replay:Replay",
        _keys(
            required="cassette",
            path="cassette",
            text="name family",
            name="tokenizer",
            whole="concurrency",
            table="price capabilities",
        ),
    ),
    "oracle": Entry(
        "sleuth.llm.oracle:Oracle",
        _keys(
            required="qrels",
            path="qrels run",
            text="preset reply name family",
            name="tokenizer",
            whole="seed concurrency",
            number="malformed truncated",
            list="scale",
            table="price",
        ),
    ),
}

# ── [[rerank]] ────────────────────────────────────────────────────────────────────────────────────

STAGE = _keys(text="judge strategy name query_view", whole="depth")
"""Keys of every judging stage; those of its judge and its strategy come on top."""

_CHAT = _keys(
    required="llm",
    text="llm prompt on_bad_reply on_too_long instruction",
    whole="max_passage_tokens",
    flag="force",
)
"""Keys of every judge that asks a chat backend."""

_BY = _keys(text="by")
"""How the answer is read: as text, or from probabilities."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge: what it knows after a comparison, of how many documents, and its usual strategy.

    Attributes:
        home: Where its class is.
        keys: Its own, beside `STAGE`.
        knows: "order", "scores" or "choice".
        most: Documents of one comparison at most by its nature: 1 pointwise, 2 pairwise, None several.
        strategy: What is used where the recipe names none.
        chat: Whether it asks a chat backend; else it is a network in this process.
    """

    home: str
    keys: Keys
    knows: Literal["order", "scores", "choice"]
    most: int | None
    strategy: str
    chat: bool = True


JUDGES: Mapping[str, Judge] = {
    "listwise": Judge("sleuth.rerank.listwise:Listwise", {**_CHAT, **_BY}, "order", None, "funnel"),
    "group": Judge("sleuth.rerank.group:Group", _CHAT, "scores", None, "funnel"),
    "yes-no": Judge(
        "sleuth.rerank.yes_no:YesNoJudge", {**_CHAT, **_BY, **_keys(table="labels")}, "scores", 1, "score-and-sort"
    ),
    "graded": Judge("sleuth.rerank.graded:Graded", {**_CHAT, **_BY}, "scores", 1, "score-and-sort"),
    "cross-encoder": Judge(
        "sleuth.rerank.cross_encoder:CrossEncoder",
        _keys(required="model", name="model", whole="pairs_at_once"),
        "scores",
        1,
        "score-and-sort",
        chat=False,
    ),
    "setwise": Judge("sleuth.rerank.setwise:Setwise", {**_CHAT, **_BY}, "choice", None, "heap"),
    "pairwise": Judge("sleuth.rerank.pairwise:Pairwise", {**_CHAT, **_BY}, "choice", 2, "heap"),
}


@dataclass(frozen=True, slots=True)
class StrategyEntry:
    """A strategy: its class, its keys, and what it needs of a judge.

    Attributes:
        home, keys: As of Entry.
        accepts: Kinds of verdict that it can use.
        pointwise: Whether it can work with judges of one document.
        pairwise: Whether it can work with judges of two.
        pair_defaults: Arguments that a judge of two needs where the recipe gives none.
    """

    home: str
    keys: Keys
    accepts: frozenset[str] = frozenset({"order", "scores"})
    pointwise: bool = False
    pairwise: bool = False
    pair_defaults: Mapping[str, int] = field(default_factory=dict)


_ANY = frozenset({"order", "scores", "choice"})
_SCORES = frozenset({"scores"})

STRATEGIES: Mapping[str, StrategyEntry] = {
    "funnel": StrategyEntry(
        "sleuth.rerank.funnel:Funnel", _keys(list="rounds", whole="window", number="prior_weight scale", text="prior")
    ),
    "score-and-sort": StrategyEntry(
        "sleuth.rerank.score_sort:ScoreAndSort", _keys(whole="size"), accepts=_SCORES, pointwise=True
    ),
    "sliding-window": StrategyEntry(
        "sleuth.rerank.window:SlidingWindow",
        _keys(whole="window stride passes"),
        accepts=_ANY,
        pairwise=True,
        pair_defaults={"window": 2, "stride": 1},
    ),
    "partition": StrategyEntry("sleuth.rerank.partition:Partition", _keys(whole="window pivot")),
    "tournament": StrategyEntry("sleuth.rerank.tournament:Tournament", _keys(whole="window rounds")),
    "heap": StrategyEntry("sleuth.rerank.heap:Heap", _keys(whole="k size"), accepts=_ANY, pairwise=True),
    "self-consistency": StrategyEntry(
        "sleuth.rerank.consistency:SelfConsistency", _keys(whole="samples window", text="aggregate")
    ),
    "groups": StrategyEntry("sleuth.rerank.groups:Groups", _keys(whole="epochs size"), accepts=_SCORES),
    "uncertainty": StrategyEntry(
        "sleuth.rerank.uncertainty:Uncertainty",
        _keys(whole="calls window k", number="doubt prior_weight scale", text="prior"),
    ),
}


def refused(judge: str, strategy: str) -> str:
    """Why a judge and a strategy make no sense together; "" where they do."""
    who, how = JUDGES[judge], STRATEGIES[strategy]
    if who.knows not in how.accepts:
        knows = {"order": "an order", "scores": "scores", "choice": "only the best document"}[who.knows]
        return f"{strategy} needs {' or '.join(sorted(how.accepts))}, {judge} gives {knows}"
    if who.most == 1 and not how.pointwise:
        return f"{strategy} compares several documents, {judge} judges one at a time"
    if who.most == 2 and not how.pairwise:
        return f"{strategy} compares more than two documents, {judge} only two"
    return ""


INTERPOLATE = _keys(required="step", text="step with judge normalize preset name", number="alpha scale_judge")

# ── the other tables ──────────────────────────────────────────────────────────────────────────────

RETRIEVE = _keys(
    text="method query_view combine fusion separator normalize query_weighting feedback",
    whole="depth text_repeat",
    tables="members",
    path="run",
    list="pipelines",
)
MEMBER = _keys(
    required="method",
    text="method query_weighting query_view feedback",
    name="encoder",
    number="weight",
    whole="pool_depth",
)
REWRITE = _keys(text="method llm prompt", whole="samples", path="path")
RUN = _keys(path="index queries output")
TABLES = {
    "schema": Key("text", required=True),
    "llm": Key("table"),
    "rewrite": Key("table"),
    "retrieve": Key("table"),
    "rerank": Key("tables"),
    "run": Key("table"),
}

NOT_BUILT: Mapping[str, str] = {
    "rewrite": "[rewrite]",
    "judge:last-but-not-late": 'judge = "last-but-not-late"',
    "judge:cross-encoder": 'judge = "cross-encoder" (a network by name)',
}
"""What recipes may already name and what is refused by name until it is built."""
