"""What a user sees of a ranking: cut-off, duplicates, diversity, grouping, citations.

Each function takes any stage's Ranking and gives one back, so they work after retrieval, fusion and
reranking alike. `Hits` joins a ranking with its documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError
from sleuth.index.records import checked_filters, matches
from sleuth.stages import DocStore
from sleuth.text.analyzer import get_analyzer
from sleuth.types import Doc, Ranking

__all__ = [
    "Citation",
    "Hit",
    "Hits",
    "above",
    "best_of_each",
    "diverse",
    "matching",
    "text_vectors",
    "without_near_duplicates",
]

SHINGLE_TOKENS = 3
NEAR_DUPLICATE = 0.8
"""Shared shingles of two texts from which they count as one. Ours: copies with a changed header or
date stay above it, different sections of one manual below."""


# ── documents of a ranking ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a passage stands, as far as the reader knew.

    Attributes:
        source: The file, relative to the folder that was read, or the document's id.
        heading: The headings above it, outermost first, joined by " > ".
        page: 1-based page of a PDF.
        start, end: Characters of the file's text, half-open.
    """

    source: str
    heading: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None

    @classmethod
    def of(cls, doc: Doc) -> Citation:
        """What the document's metadata says."""
        known = {
            name: doc.metadata[name]
            for name in ("heading", "page", "start", "end")
            if doc.metadata.get(name) is not None
        }
        return cls(str(doc.metadata.get("source", doc.doc_id)), **known)

    def __str__(self) -> str:
        place = [self.source]
        if self.page is not None:
            place.append(f"page {self.page}")
        if self.heading:
            place.append(self.heading)
        if self.start is not None and self.end is not None:
            place.append(f"characters {self.start}–{self.end}")
        return ", ".join(place)


@dataclass(frozen=True, slots=True)
class Hit:
    """One line of an answer. `rank` is 1-based; `parts` are the stages' own scores."""

    rank: int
    score: float
    doc: Doc
    parts: Mapping[str, float]

    @property
    def doc_id(self) -> str:
        return self.doc.doc_id

    @property
    def citation(self) -> Citation:
        return Citation.of(self.doc)


class Hits(Sequence[Hit]):
    """The answer to one question: hits from best to worst.

    Attributes:
        query: What was asked.
        scale: What the scores mean.
        explanations: doc_id -> explanation, where it was asked for.
    """

    def __init__(
        self,
        query: str,
        ranking: Ranking,
        docs: DocStore,
        *,
        explanations: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.query = query
        self.scale = ranking.scale
        self.explanations = dict(explanations or {})
        parts = {name: column.tolist() for name, column in ranking.parts.items()}
        self._hits = tuple(
            Hit(line.rank, line.score, docs[line.doc_id], {name: column[at] for name, column in parts.items()})
            for at, line in enumerate(ranking)
        )

    def __len__(self) -> int:
        return len(self._hits)

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        return self._hits[at]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __repr__(self) -> str:
        return f"Hits({self.query!r}, {[hit.doc_id for hit in self._hits[:3]]}{' …' if len(self) > 3 else ''})"

    def to_json(self) -> dict[str, Any]:
        """The form of `sleuth search --json`, schema sleuth.search/1."""
        hits = []
        for hit in self._hits:
            entry: dict[str, Any] = {
                "rank": hit.rank,
                "doc_id": hit.doc_id,
                "score": hit.score,
                "title": hit.doc.title,
                "text": hit.doc.text,
                "metadata": dict(hit.doc.metadata),
                "citation": str(hit.citation),
            }
            if hit.doc_id in self.explanations:
                entry["explanation"] = self.explanations[hit.doc_id]
            hits.append(entry)
        return {"schema": "sleuth.search/1", "query": self.query, "scale": self.scale, "hits": hits}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{hit.rank}</td><td>{hit.score:.4f}</td><td><b>{escape(hit.doc.title or hit.doc_id)}</b><br>"
            f"{escape(hit.doc.text[:300])}<br><small>{escape(str(hit.citation))}</small></td></tr>"
            for hit in self._hits
        )
        head = f"<tr><th>rank</th><th>score ({self.scale})</th><th>{escape(self.query)}</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


# ── filters ───────────────────────────────────────────────────────────────────────────────────────


def matching(ranking: Ranking, docs: DocStore, /, **fields: Any) -> Ranking:
    """Documents whose metadata has these values, by the rules of `index.where`; to filter before the cut, use that."""
    filters = checked_filters(fields)
    return ranking.take(at for at, doc_id in enumerate(ranking.doc_ids) if matches(docs[doc_id].metadata, filters))


def above(ranking: Ranking, min_score: float) -> Ranking:
    """Documents with at least this score, on the ranking's own scale."""
    if np.isnan(min_score):
        raise UsageError("min_score must be a number, got NaN")
    return ranking.head(int((ranking.scores >= min_score).sum()))


def without_near_duplicates(ranking: Ranking, docs: DocStore, *, threshold: float = NEAR_DUPLICATE) -> Ranking:
    """The list without documents that repeat a better one.

    Two texts are near-duplicates when the Jaccard similarity of their runs of three tokens (words; bigrams
    of Han, Kana and Hangul) reaches the threshold. Texts of fewer tokens must be equal.

    Args:
        threshold: In (0, 1]; default ours, see NEAR_DUPLICATE.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold must be in (0, 1], got {threshold}")
    kept: list[int] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    for at, doc_id in enumerate(ranking.doc_ids):
        shingles = _shingles(docs[doc_id].full_text)
        if any(_as_alike(shingles, other, threshold) for other in seen):
            continue
        kept.append(at)
        seen.append(shingles)
    return ranking.take(kept)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    tokens = get_analyzer("cjk").tokens(text)
    if len(tokens) < SHINGLE_TOKENS:
        return frozenset([tuple(tokens)])
    return frozenset(zip(*(tokens[shift:] for shift in range(SHINGLE_TOKENS)), strict=False))


def _as_alike(one: frozenset[Any], other: frozenset[Any], threshold: float) -> bool:
    small, large = sorted((len(one), len(other)))
    if small < threshold * large:  # the similarity is at most small / large
        return False
    both = len(one & other)
    return both >= threshold * (small + large - both)


def best_of_each(ranking: Ranking, docs: DocStore, field: str = "source") -> Ranking:
    """The best document of each group; a document without the field is a group of its own."""
    seen: set[str] = set()
    kept = []
    for at, doc_id in enumerate(ranking.doc_ids):
        value = docs[doc_id].metadata.get(field)
        group = f"\x00{doc_id}" if value is None else str(value)
        if group not in seen:
            seen.add(group)
            kept.append(at)
    return ranking.take(kept)


# ── diversity ─────────────────────────────────────────────────────────────────────────────────────


def diverse(ranking: Ranking, vectors: NDArray[np.float32], *, trade_off: float, k: int) -> Ranking:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998).

    Picks, one by one, the document with the highest
    `trade_off · relevance − (1 − trade_off) · max cosine to those picked`. Relevance is the score,
    min-max scaled over the list.

    Args:
        vectors: (n, dim) of the ranking's documents in its order; rows of NaN count as unlike all others.
        trade_off: In [0, 1]; 1 keeps the order as it is.
        k: How many to pick.

    Returns:
        k documents; scores are k − rank on the scale "rank", the old ones stay in the part "before-mmr".
    """
    if not 0 <= trade_off <= 1:
        raise UsageError(f"the MMR trade-off must be in [0, 1], got {trade_off}")
    n = len(ranking)
    if n == 0:
        return ranking
    unit = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    spread = float(ranking.scores[0] - ranking.scores[-1])
    relevance = (ranking.scores - ranking.scores[-1]) / spread if spread > 0 else np.ones(n)
    nearest, free = np.zeros(n), np.ones(n, dtype=bool)
    picked: list[int] = []
    for _ in range(min(k, n)):
        gain = np.where(free, trade_off * relevance - (1 - trade_off) * nearest, -np.inf)
        best = int(np.argmax(gain))  # the first of equals, which is the better ranked
        picked.append(best)
        free[best] = False
        likeness = unit @ unit[best]
        nearest = likeness if len(picked) == 1 else np.maximum(nearest, likeness)
    parts = {name: column[picked] for name, column in ranking.parts.items()}
    parts["before-mmr"] = ranking.scores[picked]
    ids = [ranking.doc_ids[at] for at in picked]
    return Ranking(ids, np.arange(len(ids), 0, -1, dtype=np.float64) - 1, parts=parts, scale="rank")


def text_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of token counts, (n, distinct tokens), for MMR over an index without vectors."""
    counts = [Counter(get_analyzer("cjk").tokens(text)) for text in texts]
    column = {token: at for at, token in enumerate(sorted(set().union(*counts)))} if counts else {}
    vectors = np.zeros((len(texts), max(1, len(column))), dtype=np.float32)
    for row, count in enumerate(counts):
        for token, n in count.items():
            vectors[row, column[token]] = n
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
