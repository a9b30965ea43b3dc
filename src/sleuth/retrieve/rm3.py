"""RM3: relevance feedback without a model.

The query is interpolated with a relevance model of the first search's best documents. Settings and
filters as in Anserini's Rm3Reranker (castorini/anserini@0885285): 10 documents, 10 terms, original
weight 0.5; terms of 2 to 20 letters or digits that occur in at most 10 % of the documents; each
document cut to its 10 most frequent kept terms before its length is taken; p(Q|d) is the first
search's score.

Two things are ours. Anserini keeps terms of `[a-z0-9]+` only, which would drop every Korean or Chinese
term: outside Latin text, letters or digits of any script count. And p(w|Q) is the term's query weight
over their sum, which is Anserini's count over length under `tf` weighting, so that `original=1` leaves
the first ranking as it is under every weighting.

It helps topical questions with many relevant documents and often hurts precise ones with one answer:
never a default, always beside plain BM25.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sleuth.errors import UsageError

__all__ = ["RM3"]

LATIN = re.compile(r"[a-z0-9]+")
SHORTEST, LONGEST = 2, 20
MOST_COMMON_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class RM3:
    """Settings of the feedback (source: module docstring).

    Attributes:
        documents: How many of the first search's documents count, >= 1.
        terms: How many feedback terms are kept, and how many of each document, >= 1.
        original: Weight of the query as asked, in [0, 1]; 1 changes nothing.
    """

    documents: int = 10
    terms: int = 10
    original: float = 0.5

    def __post_init__(self) -> None:
        if self.documents < 1 or self.terms < 1 or not 0 <= self.original <= 1:
            raise UsageError(
                "RM3 needs documents >= 1, terms >= 1 and original in [0, 1]; got "
                f"documents={self.documents}, terms={self.terms}, original={self.original}"
            )

    def expand(
        self,
        weights: Mapping[str, float],
        feedback: Sequence[tuple[Sequence[str], float]],
        *,
        df: Callable[[str], int],
        n_docs: int,
    ) -> dict[str, float]:
        """The expanded query: term -> weight, summing to 1.

        Args:
            weights: The analyzed query's terms and weights.
            feedback: (tokens, score) of the feedback documents, best first.
            df: In how many documents a term occurs.
            n_docs: How many documents there are.
        """
        relevance = self._relevance_model(feedback, df, n_docs)
        total = sum(weights.values())
        if not relevance or total <= 0:
            return dict(weights)
        mixed = {term: self.original * weight / total for term, weight in weights.items()}
        for term, share in relevance.items():
            mixed[term] = mixed.get(term, 0.0) + (1 - self.original) * share
        return {term: weight for term, weight in mixed.items() if weight > 0}

    def _relevance_model(
        self, feedback: Sequence[tuple[Sequence[str], float]], df: Callable[[str], int], n_docs: int
    ) -> dict[str, float]:
        model: dict[str, float] = {}
        usable: dict[str, bool] = {}
        for tokens, score in feedback[: self.documents]:
            counts = Counter(tokens)
            for term in counts:
                if term not in usable:
                    usable[term] = _is_word(term) and df(term) <= MOST_COMMON_SHARE * n_docs
            kept = _heaviest({term: float(n) for term, n in counts.items() if usable[term]}, self.terms)
            length = sum(kept.values())
            for term, count in kept.items():
                model[term] = model.get(term, 0.0) + count / length * score
        kept = _heaviest(model, self.terms)
        total = sum(kept.values())
        return {term: weight / total for term, weight in kept.items()} if total > 0 else {}


def _is_word(term: str) -> bool:
    if not SHORTEST <= len(term) <= LONGEST:
        return False
    return LATIN.fullmatch(term) is not None or (not term.isascii() and term.isalnum())


def _heaviest(weights: dict[str, float], n: int) -> dict[str, float]:
    """The n heaviest terms; equal weights by term, so that the cut is deterministic."""
    return dict(sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:n])
