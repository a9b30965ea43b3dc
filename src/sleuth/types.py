"""What flows through the house: Doc, Query, Ranking, Run, Qrels.

All are frozen: nothing mutates its input. Ids and text are `str`. The one rule about order: a
`Ranking` has a single total order, every measure reads that order, and scores never contradict it.
Whoever makes a Ranking from scores breaks ties by the prior rank if there was a prior list, else by
`doc_id` in descending byte order (trec_eval's rule).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UsageError

__all__ = [
    "Doc",
    "Qrels",
    "Query",
    "QueryView",
    "Ranking",
    "Run",
    "Scale",
    "ScoredDoc",
    "tie_order",
]

Scale = Literal["bm25", "cosine", "logit", "probability", "grade", "rank", "fused", "mixed"]
QueryView = Literal["text", "rewrite", "text+rewrite"]
SCALES: tuple[str, ...] = ("bm25", "cosine", "logit", "probability", "grade", "rank", "fused", "mixed")


@dataclass(frozen=True, slots=True)
class Doc:
    """A document: what is indexed, shown and cited.

    Attributes:
        doc_id: Opaque; may hold spaces and percent signs and is never decoded.
        text: The body; may be empty.
        title: Shown and indexed before the text; may be empty.
        metadata: JSON-like values, for filters, grouping and citations.

    Raises:
        UsageError: An id, text or title that is not a str.
    """

    doc_id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.doc_id, str) and isinstance(self.text, str) and isinstance(self.title, str)):
            raise _not_text("Doc", doc_id=self.doc_id, text=self.text, title=self.title)

    @property
    def full_text(self) -> str:
        """`title + " " + text`, stripped: what is indexed and encoded."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the user asked it, and what rewriters added.

    Attributes:
        query_id: Opaque.
        text: The user's own words; never overwritten.
        rewrites: Filled by rewriters, best first.
        task: Selects each stage's own instruction.
        instruction: The user's; beats `task` wherever a stage takes one.
        excluded_ids: Documents never to be returned for this query.
        metadata: JSON-like values.

    Raises:
        UsageError: An id or text that is not a str; rewrites or excluded ids that are one str instead of several.
    """

    query_id: str
    text: str
    rewrites: tuple[str, ...] = ()
    task: str | None = None
    instruction: str | None = None
    excluded_ids: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.query_id, str) and isinstance(self.text, str)):
            raise _not_text("Query", query_id=self.query_id, text=self.text)
        _refuse_one_str("a Query's rewrites", self.rewrites)
        _refuse_one_str("a Query's excluded_ids", self.excluded_ids)

    def views(self, view: QueryView = "text", *, separator: str = "\n", text_repeat: int = 1) -> tuple[str, ...]:
        """The texts a stage searches with; several only where there are several rewrites.

        Args:
            view: "text" is the question; "rewrite" its rewrites, or the question where there is
                none; "text+rewrite" the question `text_repeat` times, joined with each rewrite.
            separator: Stands between the joined parts. Default: a line break, ours.
            text_repeat: How often the question is repeated before a rewrite, >= 1.

        Raises:
            UsageError: Unknown view, or text_repeat < 1.
        """
        if view not in ("text", "rewrite", "text+rewrite"):
            raise UsageError(f"query_view must be 'text', 'rewrite' or 'text+rewrite', got {view!r}")
        if text_repeat < 1:
            raise UsageError(f"text_repeat must be at least 1, got {text_repeat}")
        if view == "text" or not self.rewrites:
            return (self.text,)
        if view == "rewrite":
            return self.rewrites
        return tuple(separator.join([self.text] * text_repeat + [rewrite]) for rewrite in self.rewrites)


def _not_text(kind: str, **fields: object) -> UsageError:
    """The error that names the first field that is not a str."""
    name, value = next((name, value) for name, value in fields.items() if not isinstance(value, str))
    return UsageError(f"a {kind}'s {name} must be a str, got {type(value).__name__} {str(value)[:80]}")


def _refuse_one_str(what: str, values: object) -> None:
    """A str is an iterable of its letters, which nobody means."""
    if isinstance(values, str):
        raise UsageError(f"{what} must be several str, got one; write [{values[:80]!r}]")


class ScoredDoc(NamedTuple):
    """One line of a ranking; `rank` is 1-based."""

    doc_id: str
    score: float
    rank: int


def tie_order(doc_ids: Sequence[str], scores: NDArray[Any], prior: Sequence[str] | None = None) -> NDArray[np.int64]:
    """Positions from best to worst: score descending, ties by prior rank, else doc_id descending.

    Byte order of UTF-8 is code-point order, which is how Python compares `str`, so no encoding is needed.

    Args:
        doc_ids: n ids.
        scores: n finite scores; compared as given (float32 or float64).
        prior: The earlier order; ids that are not in it come after those that are.

    Raises:
        ShapeError: Lengths differ.
        UsageError: A score is NaN.
    """
    values = np.asarray(scores)
    if values.shape != (len(doc_ids),):
        raise ShapeError(f"scores must have shape ({len(doc_ids)},), got {values.shape}")
    if np.isnan(values).any():
        raise UsageError("a score is NaN, so there is no order; mend or drop it before ranking")
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    tied = np.flatnonzero(ranked[1:] == ranked[:-1])
    if len(tied) == 0:
        return order
    place = None if prior is None else {doc_id: at for at, doc_id in enumerate(prior)}
    breaks = np.flatnonzero(np.diff(tied) > 1) + 1
    for group in np.split(tied, breaks):
        start, end = int(group[0]), int(group[-1]) + 2
        positions = sorted(order[start:end].tolist(), key=doc_ids.__getitem__, reverse=True)
        if place is not None:
            positions.sort(key=lambda at: place.get(doc_ids[at], len(place)))
        order[start:end] = positions
    return order


class Ranking:
    """Documents from best to worst, as columns.

    Attributes:
        doc_ids: n distinct ids, best first.
        scores: n float64 values, not increasing; equal neighbours are a tie that the last judge left.
        parts: Stage name -> n float64 values, NaN where that stage did not score the document.
        scale: What the scores mean; "mixed" when judged and unjudged documents share the list.

    Iterating gives `ScoredDoc(doc_id, score, rank)`. Build one from unordered scores with
    `Ranking.from_scores`; the constructor takes an order that is already total.

    Raises:
        ShapeError: Columns of different lengths.
        UsageError: Scores that rise or are NaN, a repeated id, one str in place of ids, an unknown scale.
    """

    __slots__ = ("doc_ids", "parts", "scale", "scores")

    doc_ids: tuple[str, ...]
    scores: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]
    scale: Scale

    def __init__(
        self,
        doc_ids: Iterable[str],
        scores: NDArray[Any] | Sequence[float],
        *,
        parts: Mapping[str, NDArray[Any] | Sequence[float]] | None = None,
        scale: Scale = "mixed",
    ) -> None:
        _refuse_one_str("a Ranking's doc_ids", doc_ids)
        ids = tuple(doc_ids)
        values = np.array(scores, dtype=np.float64)
        if values.shape != (len(ids),):
            raise ShapeError(f"scores must have shape ({len(ids)},), got {values.shape}")
        if np.isnan(values).any():
            raise UsageError("a Ranking's scores must not be NaN")
        if len(ids) > 1 and not bool(np.all(values[1:] <= values[:-1])):
            at = int(np.argmax(values[1:] > values[:-1]))
            raise UsageError(
                f"scores must not rise along the ranking: {values[at]} at rank {at + 1}, "
                f"{values[at + 1]} at rank {at + 2}. Use Ranking.from_scores to sort them."
            )
        if len(set(ids)) != len(ids):
            seen: set[str] = set()
            twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise UsageError(f"document {twice!r} is listed twice")
        if scale not in SCALES:
            raise UsageError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
        columns: dict[str, NDArray[np.float64]] = {}
        for name, column in (parts or {}).items():
            array = np.array(column, dtype=np.float64)
            if array.shape != values.shape:
                raise ShapeError(f"part {name!r} must have shape {values.shape}, got {array.shape}")
            array.flags.writeable = False
            columns[name] = array
        values.flags.writeable = False
        object.__setattr__(self, "doc_ids", ids)
        object.__setattr__(self, "scores", values)
        object.__setattr__(self, "parts", columns)
        object.__setattr__(self, "scale", scale)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Ranking is frozen; make a new one instead of setting {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unpickle_ranking, (self.doc_ids, self.scores, dict(self.parts), self.scale))

    @classmethod
    def from_scores(
        cls,
        scores: Mapping[str, float] | tuple[Sequence[str], NDArray[Any]],
        *,
        prior: Sequence[str] | None = None,
        parts: Mapping[str, NDArray[Any]] | None = None,
        scale: Scale = "mixed",
        depth: int | None = None,
    ) -> Ranking:
        """Sort scored documents by the rule of order (module docstring).

        Args:
            scores: doc_id -> score, or (ids, scores) in any order.
            prior: The earlier list's ids; breaks ties if given.
            parts: Columns in the order of the ids as given.
            scale: What the scores mean.
            depth: Keep this many.
        """
        if isinstance(scores, Mapping):
            ids: Sequence[str] = list(scores)
            values = np.fromiter(scores.values(), dtype=np.float64, count=len(scores))
        else:
            ids, values = scores[0], np.asarray(scores[1])
            _refuse_one_str("a Ranking's doc_ids", ids)
        order = tie_order(ids, values, prior)[:depth]
        columns = {name: np.asarray(column, dtype=np.float64)[order] for name, column in (parts or {}).items()}
        return cls([ids[i] for i in order], values[order], parts=columns, scale=scale)

    def __len__(self) -> int:
        return len(self.doc_ids)

    def __iter__(self) -> Iterator[ScoredDoc]:
        for at, (doc_id, score) in enumerate(zip(self.doc_ids, self.scores.tolist(), strict=True)):
            yield ScoredDoc(doc_id, score, at + 1)

    def __getitem__(self, at: int) -> ScoredDoc:
        index = range(len(self))[at]
        return ScoredDoc(self.doc_ids[index], float(self.scores[index]), index + 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranking):
            return NotImplemented
        return (
            self.doc_ids == other.doc_ids
            and self.scale == other.scale
            and np.array_equal(self.scores, other.scores)
            and self.parts.keys() == other.parts.keys()
            and all(np.array_equal(column, other.parts[name], equal_nan=True) for name, column in self.parts.items())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        head = ", ".join(f"{doc.doc_id!r} {doc.score:.4g}" for doc in self.take(range(min(3, len(self)))))
        more = ", …" if len(self) > 3 else ""
        return f"Ranking({len(self)} docs, {self.scale}: {head}{more})"

    def take(self, positions: Iterable[int]) -> Ranking:
        """The documents at these 0-based positions, which must rise."""
        at = np.fromiter(positions, dtype=np.int64)
        return Ranking(
            [self.doc_ids[i] for i in at.tolist()],
            self.scores[at],
            parts={name: column[at] for name, column in self.parts.items()},
            scale=self.scale,
        )

    def head(self, depth: int) -> Ranking:
        """The best `depth` documents."""
        if depth < 0:
            raise UsageError(f"depth must be 0 or more, got {depth}")
        return self if depth >= len(self) else self.take(range(depth))

    def without(self, doc_ids: Iterable[str]) -> Ranking:
        """The same list with some documents dropped."""
        drop = frozenset(doc_ids)
        if not drop or drop.isdisjoint(self.doc_ids):
            return self
        return self.take(i for i, doc_id in enumerate(self.doc_ids) if doc_id not in drop)

    def with_part(self, name: str, values: NDArray[Any] | None = None) -> Ranking:
        """The same list with one more column; by default the scores themselves."""
        column = self.scores if values is None else values
        return Ranking(self.doc_ids, self.scores, parts={**self.parts, name: column}, scale=self.scale)

    def score_of(self) -> dict[str, float]:
        """doc_id -> score, in rank order."""
        return dict(zip(self.doc_ids, self.scores.tolist(), strict=True))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{doc.rank}</td><td>{escape(doc.doc_id)}</td><td>{doc.score:.4f}</td></tr>"
            for doc in self.head(20)
        )
        return f"<table><thead><tr><th>rank</th><th>doc_id</th><th>score ({self.scale})</th></tr></thead><tbody>{rows}</tbody></table>"


def _unpickle_ranking(ids: tuple[str, ...], scores: Any, parts: Any, scale: Scale) -> Ranking:
    """Rebuild a Ranking in a worker process (the scores are read-only arrays)."""
    return Ranking(ids, scores, parts=parts, scale=scale)


class Run(Mapping[str, Ranking]):
    """query_id -> Ranking, in the order the queries came.

    Args:
        rankings: The lists.
        name: The run's tag, written as the last column of a TREC file.
    """

    __slots__ = ("_rankings", "name")

    def __init__(
        self, rankings: Mapping[str, Ranking] | Iterable[tuple[str, Ranking]] = (), *, name: str = "sleuth"
    ) -> None:
        self._rankings: dict[str, Ranking] = dict(rankings)
        self.name = name

    def __getitem__(self, query_id: str) -> Ranking:
        return self._rankings[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {len(self)} queries, {sum(map(len, self._rankings.values()))} lines)"

    def head(self, depth: int) -> Run:
        """Every list cut to its best `depth` documents."""
        return Run({query_id: ranking.head(depth) for query_id, ranking in self.items()}, name=self.name)


class Qrels(Mapping[str, Mapping[str, int]]):
    """query_id -> {doc_id: relevance}: the labels.

    Relevance is an integer; 0 and less is judged and not relevant.

    Args:
        labels: The labels.
        name: Which label set this is (BRIGHT has three); printed with every score.

    Raises:
        UsageError: Labels that are not mappings, or a relevance that is not a whole number.
    """

    __slots__ = ("_labels", "name")

    def __init__(self, labels: Mapping[str, Mapping[str, int]] | None = None, *, name: str = "") -> None:
        labels = {} if labels is None else labels
        if not isinstance(labels, Mapping):
            raise UsageError(f"Qrels need a mapping query_id -> {{doc_id: relevance}}, got {type(labels).__name__}")
        self._labels: dict[str, dict[str, int]] = {q: _grades(q, judged) for q, judged in labels.items()}
        self.name = name

    def __getitem__(self, query_id: str) -> Mapping[str, int]:
        return self._labels[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        judged = sum(map(len, self._labels.values()))
        return f"Qrels({self.name + ', ' if self.name else ''}{len(self)} queries, {judged} labels)"


def _grades(query_id: str, judged: Mapping[str, int]) -> dict[str, int]:
    """A query's labels, checked; whole numbers of other types (NumPy's, 2.0) become int."""
    if not isinstance(judged, Mapping):
        raise UsageError(
            f"the labels of query {query_id!r} must be a mapping doc_id -> relevance, got {type(judged).__name__}"
        )
    grades = dict(judged)
    for doc_id, grade in grades.items():
        if type(grade) is not int:
            grades[doc_id] = _whole(query_id, doc_id, grade)
    return grades


def _whole(query_id: str, doc_id: str, grade: object) -> int:
    if isinstance(grade, (int, np.integer)) or (isinstance(grade, (float, np.floating)) and float(grade).is_integer()):
        return int(grade)
    raise UsageError(f"query {query_id!r}, document {doc_id!r}: relevance must be a whole number, got {grade!r}")
