"""Two runs side by side: what moved, what that did to the measure, and what the trace says about it.

Runs A and B hold the same questions. For every query: the documents that came into the first `cut` ranks, those that
fell out of them, those that moved inside, and, with labels, the measure of both. Where B's trace is at hand, every
document that moved names the comparisons that it was seen in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sleuth.bench.sidecars import Changed, Window
from sleuth.errors import UsageError
from sleuth.measures.evaluation import evaluate
from sleuth.measures.overlap import rbo
from sleuth.stages import DocStore
from sleuth.types import Doc, Qrels, Query, Ranking, Run

__all__ = ["Move", "QueryDiff", "RunDiff", "compare_runs"]

PERSISTENCE = 0.9
"""Of the overlap: the first ten ranks carry most of the weight (Webber et al. 2010)."""


@dataclass(frozen=True, slots=True)
class Move:
    """A document on its way from A to B.

    Attributes:
        doc_id: Which.
        rank_a, rank_b: 1-based; None where the run does not list it.
        grade: Its label; None where it has none.
        windows: Where B's judge saw it.
        doc: Its text, where a corpus was given.
    """

    doc_id: str
    rank_a: int | None
    rank_b: int | None
    grade: int | None = None
    windows: tuple[Window, ...] = ()
    doc: Doc | None = None

    @property
    def climbed(self) -> int | None:
        """Ranks gained; None where one of the runs does not list it."""
        return None if self.rank_a is None or self.rank_b is None else self.rank_a - self.rank_b


@dataclass(frozen=True, slots=True)
class QueryDiff:
    """One query in both runs.

    Attributes:
        query_id, text: The query; "" where no queries were given.
        top_a, top_b: The first `cut` of each run.
        entered, left: Came into, or fell out of the first `cut`; by their rank in B, or A.
        moved: In the first `cut` of both at different ranks.
        overlap: Rank-biased overlap of the whole lists, 1 for equal ones.
        value_a, value_b: The measure; None without labels for this query.
    """

    query_id: str
    text: str
    top_a: tuple[Move, ...]
    top_b: tuple[Move, ...]
    entered: tuple[Move, ...]
    left: tuple[Move, ...]
    moved: tuple[Move, ...]
    overlap: float
    value_a: float | None = None
    value_b: float | None = None

    @property
    def change(self) -> float | None:
        """B's value less A's."""
        return None if self.value_a is None or self.value_b is None else self.value_b - self.value_a

    @property
    def same(self) -> bool:
        """Whether the first `cut` are the same in the same order."""
        return not (self.entered or self.left or self.moved)

    def to_json(self) -> dict[str, Any]:
        """JSON-like; documents by id."""
        return {
            "query_id": self.query_id,
            "query": self.text,
            "value_a": self.value_a,
            "value_b": self.value_b,
            "change": self.change,
            "overlap": self.overlap,
            **{name: [_move(one) for one in getattr(self, name)] for name in ("entered", "left", "moved")},
        }


def _move(move: Move) -> dict[str, Any]:
    return {"doc_id": move.doc_id, "rank_a": move.rank_a, "rank_b": move.rank_b, "grade": move.grade}


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two runs, query by query; those that changed most come first.

    Attributes:
        name_a, name_b: As given.
        cut: How many ranks were compared.
        measure: What the values are; "" without labels.
        mean_a, mean_b: Of the labelled queries; None without labels.
        queries: The queries that both runs have.
        only_a, only_b: Queries that the other run lacks.
        settings: What the manifests say differently.
    """

    name_a: str
    name_b: str
    cut: int
    measure: str
    queries: tuple[QueryDiff, ...]
    mean_a: float | None = None
    mean_b: float | None = None
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    settings: tuple[Changed, ...] = ()

    def settings_of_both(self) -> tuple[Changed, ...]:
        """The settings that both manifests have, differently."""
        return tuple(one for one in self.settings if not one.only)

    def settings_of_one(self) -> dict[str, tuple[str, ...]]:
        """ "A" and "B", where one has settings that the other lacks: their last names, each once."""
        found = {}
        for holder in ("a", "b"):
            names = (one.setting.rpartition(".")[2] for one in self.settings if one.only == holder)
            if listed := tuple(dict.fromkeys(names)):
                found[holder.upper()] = listed
        return found

    def counts(self) -> dict[str, int]:
        """Queries compared, those with another head, those that got better and worse; documents in and out."""
        changes = [query.change for query in self.queries if query.change is not None]
        return {
            "queries": len(self.queries),
            "changed": sum(not query.same for query in self.queries),
            "better": sum(change > 0 for change in changes),
            "worse": sum(change < 0 for change in changes),
            "entered": sum(len(query.entered) for query in self.queries),
            "left": sum(len(query.left) for query in self.queries),
        }

    def to_json(self) -> dict[str, Any]:
        """The form of `sleuth diff --json`, schema sleuth.diff/1."""
        return {
            "schema": "sleuth.diff/1",
            "a": self.name_a,
            "b": self.name_b,
            "cut": self.cut,
            "measure": self.measure or None,
            "mean_a": self.mean_a,
            "mean_b": self.mean_b,
            "counts": self.counts(),
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "settings": [{"setting": one.setting, "a": one.a, "b": one.b} for one in self.settings],
            "queries": [query.to_json() for query in self.queries],
        }


def compare_runs(
    a: Run,
    b: Run,
    *,
    names: tuple[str, str] = ("A", "B"),
    cut: int = 10,
    queries: Sequence[Query] = (),
    docs: DocStore | None = None,
    qrels: Qrels | None = None,
    windows: Mapping[tuple[str, str], Sequence[Window]] | None = None,
    settings: Sequence[Changed] = (),
) -> RunDiff:
    """What changed from A to B.

    Args:
        a, b: The runs.
        names: How they are called.
        cut: Ranks that count as the head, >= 1. Default: 10, as in nDCG@10.
        queries: For the texts.
        docs: For titles and texts of what is shown; may lack some.
        qrels: For grades and nDCG at the cut.
        windows: (query_id, doc_id) -> where B's judge saw it (`sidecars.read_windows`).
        settings: What the manifests say differently (`sidecars.changed_settings`).

    Raises:
        UsageError: cut < 1, or runs without a common query.
    """
    if cut < 1:
        raise UsageError(f"the cut must be at least 1, got {cut}")
    shared = [query_id for query_id in a if query_id in b]
    if not shared:
        raise UsageError(f"{names[0]} and {names[1]} have no query in common: are they runs of the same questions?")
    values, measure = _values(a, b, qrels, shared, cut)
    texts = {query.query_id: query.text for query in queries}
    seen = windows or {}
    compared = []
    for query_id in shared:
        grades: Mapping[str, int] = {} if qrels is None else qrels.get(query_id, {})
        known = {
            doc_id: _known(doc_id, query_id, grades, seen, docs)
            for ranking in (a[query_id], b[query_id])
            for doc_id in ranking.doc_ids[:cut]
        }
        value_a, value_b = values.get(query_id, (None, None))
        one = _moves(query_id, a[query_id], b[query_id], cut=cut, known=known)
        compared.append(replace(one, text=texts.get(query_id, ""), value_a=value_a, value_b=value_b))
    compared.sort(key=lambda one: (-abs(one.change or 0.0), one.overlap))
    means = list(values.values())
    return RunDiff(
        *names,
        cut,
        measure,
        tuple(compared),
        mean_a=sum(one for one, _ in means) / len(means) if means else None,
        mean_b=sum(one for _, one in means) / len(means) if means else None,
        only_a=tuple(query_id for query_id in a if query_id not in b),
        only_b=tuple(query_id for query_id in b if query_id not in a),
        settings=tuple(settings),
    )


def _values(
    a: Run, b: Run, qrels: Qrels | None, shared: Sequence[str], cut: int
) -> tuple[dict[str, tuple[float, float]], str]:
    """query_id -> nDCG of both, for the labelled queries that both runs have."""
    labelled = Qrels({q: qrels[q] for q in shared if q in qrels}, name=qrels.name) if qrels is not None else Qrels()
    if not labelled:
        if qrels is not None:
            raise UsageError("the labels hold none of the runs' queries: do they belong together?")
        return {}, ""
    report = evaluate(labelled, {"a": a, "b": b}, [f"nDCG@{cut}"])
    name = report.names[0]
    of_a, of_b = report.per_query["a"], report.per_query["b"]
    return {query_id: (of_a[query_id][name], of_b[query_id][name]) for query_id in labelled}, name


def _known(
    doc_id: str,
    query_id: str,
    grades: Mapping[str, int],
    windows: Mapping[tuple[str, str], Sequence[Window]],
    docs: DocStore | None,
) -> dict[str, Any]:
    return {
        "grade": grades.get(doc_id),
        "windows": tuple(windows.get((query_id, doc_id), ())),
        "doc": docs[doc_id] if docs is not None and doc_id in docs else None,
    }


def _moves(query_id: str, a: Ranking, b: Ranking, *, cut: int, known: Mapping[str, dict[str, Any]]) -> QueryDiff:
    """One query's moves, without its text and values."""
    rank_a = {doc_id: at for at, doc_id in enumerate(a.doc_ids, 1)}
    rank_b = {doc_id: at for at, doc_id in enumerate(b.doc_ids, 1)}

    def head(ranking: Ranking) -> tuple[Move, ...]:
        return tuple(Move(i, rank_a.get(i), rank_b.get(i), **known[i]) for i in ranking.doc_ids[:cut])

    top_a, top_b = head(a), head(b)
    in_a, in_b = {move.doc_id for move in top_a}, {move.doc_id for move in top_b}
    return QueryDiff(
        query_id,
        "",
        top_a,
        top_b,
        entered=tuple(move for move in top_b if move.doc_id not in in_a),
        left=tuple(move for move in top_a if move.doc_id not in in_b),
        moved=tuple(move for move in top_b if move.doc_id in in_a and move.climbed),
        overlap=rbo(a, b, PERSISTENCE),
    )
