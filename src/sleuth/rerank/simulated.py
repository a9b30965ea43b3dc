"""A simulated judge in this process: strategies are measured and tested with it, without text or network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sleuth.errors import UsageError
from sleuth.llm.oracle_model import OracleModel
from sleuth.rerank.parts import Case, Verdict, VerdictKind
from sleuth.types import Scale

__all__ = ["SimulatedJudge"]


class SimulatedJudge:
    """A LocalJudge that answers from labels with a real judge's errors (`sleuth.llm.oracle_model`).

    Args:
        model: The simulated judge itself.
        kind: What it knows after a comparison: "order", "scores" (u of each document) or "choice" (the best one).
        grades: With kind "scores": whole grades 0 … `grades` in place of u, so that there are ties.
        max_docs: Documents of one comparison at most; None without limit.
        malformed: Share of comparisons without a usable answer, in [0, 1].
        truncated: Share of orders that break off at a random place, in [0, 1].

    Raises:
        UsageError: A share outside [0, 1], an unknown kind, or grades of a judge that gives none.
    """

    def __init__(
        self,
        model: OracleModel,
        *,
        kind: VerdictKind = "order",
        grades: int | None = None,
        max_docs: int | None = None,
        malformed: float = 0.0,
        truncated: float = 0.0,
    ) -> None:
        if kind not in ("order", "scores", "choice"):
            raise UsageError(f"kind must be 'order', 'scores' or 'choice', got {kind!r}")
        if not (0 <= malformed <= 1 and 0 <= truncated <= 1):
            raise UsageError(f"malformed and truncated are shares in [0, 1], got {malformed} and {truncated}")
        if grades is not None and (kind != "scores" or grades < 1):
            raise UsageError(f"grades (1 or more) belong to kind='scores', got {grades} with kind={kind!r}")
        self.model, self.kind, self.grades, self.max_docs = model, kind, grades, max_docs
        self.malformed, self.truncated = malformed, truncated
        self.name = f"simulated/{model.preset}"
        self.scale: Scale = "rank" if kind != "scores" else "logit" if grades is None else "grade"
        self.min_docs = 1 if kind == "scores" else 2

    def verdicts(self, cases: Sequence[Case]) -> Iterator[tuple[int, Verdict]]:
        """One verdict for each case, in their order; the texts are not read."""
        for at, case in enumerate(cases):
            yield at, self._verdict(case)

    def _verdict(self, case: Case) -> Verdict:
        shown, sample, query_id = case.comparison.doc_ids, case.comparison.sample, case.query.query_id
        if self.malformed or self.truncated:
            bad, cut, place, _ = self.model.draw("fault", query_id, str(sample), *shown)
            if bad < self.malformed:
                return Verdict(tuple(range(len(shown))), usable=False, counts={"invalid": 1})
        if self.kind == "scores":
            return self._scores(query_id, shown, sample)
        order = self.model.order(query_id, shown, sample=sample)
        if self.kind == "choice":
            return Verdict(order[:1], counts={"ok": 1})
        if self.truncated and cut < self.truncated:
            named = 1 + int(place * (len(shown) - 1))
            rest = sorted(order[named:])
            return Verdict((*order[:named], *rest), named=named, counts={"unfinished": 1})
        return Verdict(order, counts={"ok": 1})

    def _scores(self, query_id: str, shown: tuple[str, ...], sample: int) -> Verdict:
        if self.grades is None:
            scores = self.model.utilities(query_id, shown, sample=sample)
        else:
            scores = self.model.grades(query_id, shown, 0, self.grades, sample=sample)
        order = tuple(np.argsort(-scores, kind="stable").tolist())
        return Verdict(order, ties=_ties(scores.tolist()), scores=tuple(scores.tolist()), counts={"ok": 1})


def _ties(scores: list[float]) -> tuple[tuple[int, ...], ...]:
    groups: dict[float, list[int]] = {}
    for at, score in enumerate(scores):
        groups.setdefault(score, []).append(at)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
