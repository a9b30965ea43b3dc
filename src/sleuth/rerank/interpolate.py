"""Mix a judge's scores with those of an earlier stage: a step of its own, after the judge.

    final(d) = alpha · N(e(d)) + (1 - alpha) · N(c · j(d))

over the documents that the judge scored; e is the earlier stage's part, j the judge's, c `scale_judge` and N the
normalization. What the judge did not score follows in its old order. Equal mixtures keep the judge's order, so a tie
that the judge left is broken by the earlier stage wherever that one can tell the two apart.

| preset | final(d) | source |
|---|---|---|
| `reasonir` | 0.5 · e + 0.5 · X/5 for grades X in 0–5, no normalization | ReasonIR, `evaluation/bright/reranker.py` |
| `near-strict` | e + 100 · X/5: nearly the judge's order, ties by the earlier stage | the same file, its BM25 variant |
| `strict` | the judge's order, its ties by the earlier stage; scores are n - rank | the rule "sort by (grade, score)" |
| `blend` | 0.2 · z(e) + 0.8 · normal score of the judge's rank: for judges of orders | `docs/rerank.md` |

`reasonir` is no strict tie-break: a step of one grade is worth 0.1, about what cosines of one list differ by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.context import Context
from sleuth.errors import ShapeError, UnknownName, UsageError
from sleuth.fusion.normalize import NORMALIZERS
from sleuth.stages import DocStore, Plan, StageResult
from sleuth.types import Query, Ranking, Run, tie_order

__all__ = ["PRESETS", "Interpolate", "normal_scores", "tie_counts"]

Floats = NDArray[np.float64]

CUT = 10
"""The rank at which ties are counted: nDCG@10 is the field's measure."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name (module docstring); None is not for this preset to set."""

    alpha: float | None = 0.5
    normalize: str = "none"
    scale_judge: float = 1.0
    strict: bool = False
    unit: bool = False


PRESETS: Mapping[str, Preset] = {
    "reasonir": Preset(alpha=0.5, scale_judge=0.2, unit=True),
    "near-strict": Preset(alpha=None, scale_judge=0.2, unit=True),
    "strict": Preset(alpha=None, strict=True),
    "blend": Preset(alpha=0.2, normalize="normal"),
}
NEAR_STRICT_WEIGHT = 100.0
"""What a full grade is worth beside a BM25 score (ReasonIR): strict as long as scores differ by less than 20."""

NORMALIZATIONS = (*NORMALIZERS, "normal")


class Interpolate:
    """The step (module docstring). A Reranker that calls nobody and reads no document.

    Args:
        with_: The earlier stage's part, `retrieve` or `rerank-1`, say; members of a hybrid are parts too.
        judge: The judge's part; by default the latest stage's.
        alpha: The earlier stage's weight, in [0, 1]. Default: .5, ReasonIR's.
        normalize: "none", "minmax", "zscore", "rank" (`fusion.normalize`, over the judged documents, both columns), or
            "normal": z-scores of the earlier stage, normal scores of the judge's ranks. Default: "none", ReasonIR's.
        scale_judge: c, > 0: brings the judge's scores onto the scale of the others, 1/5 for grades up to 5. Only
            without normalization, which would undo it. Default: 1.
        preset: Settings by name; what is given besides wins.
        name: The stage's name; by default the pipeline's.

    Raises:
        UnknownName: Another preset or normalization.
        UsageError: A setting that is out of range, or that the preset has no use for.
    """

    def __init__(
        self,
        *,
        with_: str = "retrieve",
        judge: str | None = None,
        alpha: float | None = None,
        normalize: str | None = None,
        scale_judge: float | None = None,
        preset: str | None = None,
        name: str | None = None,
    ) -> None:
        chosen = _preset(preset)
        if chosen.alpha is None and alpha is not None:
            raise UsageError(f"the preset {preset!r} has no alpha; leave one of the two out")
        if preset in ("near-strict", "strict") and normalize not in (None, "none"):
            raise UsageError(f"the preset {preset!r} takes scores as they are; leave normalize={normalize!r} out")
        self.with_, self.judge, self.preset, self.name = with_, judge, preset, name
        self.alpha = chosen.alpha if alpha is None else alpha
        self.normalize = chosen.normalize if normalize is None else normalize
        self.scale_judge = chosen.scale_judge if scale_judge is None else scale_judge
        self._strict, self._unit = chosen.strict, chosen.unit
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha must lie in [0, 1], got {self.alpha}")
        if self.normalize not in NORMALIZATIONS:
            raise UnknownName("normalization", self.normalize, list(NORMALIZATIONS))
        if not (np.isfinite(self.scale_judge) and self.scale_judge > 0):
            raise UsageError(f"scale_judge must be above 0, got {self.scale_judge}")
        if self.normalize != "none" and scale_judge is not None:
            raise UsageError(f"scale_judge does nothing with normalize={self.normalize!r}; leave one of the two out")

    def settings(self) -> dict[str, Any]:
        """What a manifest records."""
        names = ("with_", "judge", "alpha", "normalize", "scale_judge", "preset", "name")
        return {"step": "interpolate", **{name.rstrip("_"): getattr(self, name) for name in names}}

    def rerank(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore | None = None,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> StageResult:
        """Every query's judged documents by the mixture, the others behind them in their old order.

        Args:
            queries: Which; excluded ids are dropped, a query that the run lacks gets an empty list.
            run: Lists whose parts hold the judge's and the earlier stage's scores.
            docs, depth: Not used: what was judged is mixed, all of it.

        Returns:
            `counts`: `judged` documents and those of them without an earlier score (`without_earlier_score`: they get
            the list's lowest); how many share the judge's score with another (`judge_tied`), queries where the
            judge's tie reaches across rank 10 (`judge_ties_at_10`), and the same after mixing (`tied`, `ties_at_10`).

        Raises:
            UnknownName: No such part; names the nearest.
            UsageError: No judge has scored these lists, or grades that the preset's scale does not fit.
        """
        context = Context.of(context)
        stage = self.name or context.stage or "interpolate"
        counts: Counter[str] = Counter()
        mixed = {query.query_id: self._mixed(query, run, stage, counts) for query in queries}
        counts["queries"] = sum(len(ranking) > 0 for ranking in mixed.values())
        return StageResult(Run(mixed, name=run.name), counts=dict(counts))

    def plan(
        self,
        queries: Sequence[Query],
        run: Run,
        docs: DocStore | None = None,
        *,
        depth: int | None = None,
        context: Context | None = None,
    ) -> Plan:
        """No calls."""
        stage = self.name or Context.of(context).stage or "interpolate"
        return Plan(stage, queries=sum(bool(run.get(query.query_id)) for query in queries), estimated=False)

    # ── one query ─────────────────────────────────────────────────────────────────────────────────

    def _mixed(self, query: Query, run: Run, stage: str, counts: Counter[str]) -> Ranking:
        ranking = run.get(query.query_id)
        if ranking is None or not len(ranking):
            return Ranking((), ())
        ranking = ranking.without(query.excluded_ids)
        earlier, judged = self._columns(ranking, query.query_id)
        head, tail = np.flatnonzero(~np.isnan(judged)), np.flatnonzero(np.isnan(judged))
        scores = self._scores(earlier[head], judged[head], query.query_id)
        order = head[tie_order([ranking.doc_ids[at] for at in head], scores, ranking.doc_ids)]
        values = np.sort(scores)[::-1]
        counts["judged"] += len(head)
        counts["without_earlier_score"] += int(np.isnan(earlier[head]).sum())
        counts.update({f"judge_{name}": n for name, n in tie_counts(judged[head]).items()})
        counts.update(tie_counts(values))
        floor = values[-1] if len(values) else float(len(tail)) + 1.0
        places = np.concatenate([order, tail])
        parts = {name: column[places] for name, column in ranking.parts.items()}
        parts[stage] = np.concatenate([values, np.full(len(tail), np.nan)])
        return Ranking(
            [ranking.doc_ids[at] for at in places],
            np.concatenate([values, floor - 1.0 - np.arange(len(tail))]),
            parts=parts,
            scale="mixed" if len(tail) else "rank" if self._strict else "fused",
        )

    def _columns(self, ranking: Ranking, query_id: str) -> tuple[Floats, Floats]:
        names = list(ranking.parts)
        if not names:
            raise UsageError(
                f"query {query_id!r}: its list has no parts, so there is nothing to interpolate; run the step after a judge "
                "in a pipeline, or join two runs' scores with Ranking.with_part"
            )
        if self.with_ not in names:
            raise UnknownName("part to interpolate with", self.with_, names)
        judge = self.judge if self.judge is not None else names[-1]
        if judge not in names:
            raise UnknownName("judge's part", judge, names)
        if judge == self.with_:
            raise UsageError(
                f"query {query_id!r}: no stage has judged after {self.with_!r}, so there is nothing to interpolate; "
                "put the step behind a judge"
            )
        return ranking.parts[self.with_], ranking.parts[judge]

    def _scores(self, earlier: Floats, judged: Floats, query_id: str) -> Floats:
        scaled = judged * self.scale_judge
        if self._unit and len(scaled) and not (scaled.min() >= 0 and scaled.max() <= 1):
            raise UsageError(
                f"query {query_id!r}: the preset {self.preset!r} with scale_judge={self.scale_judge:g} is for scores in "
                f"[0, {1 / self.scale_judge:g}], the judge gave {judged.min():g} to {judged.max():g}; set scale_judge to "
                "1 / the highest grade"
            )
        if self._strict:
            return _lexicographic(judged, earlier)
        if self.alpha is None:
            return NORMALIZERS["none"](earlier, _ranks(earlier)) + NEAR_STRICT_WEIGHT * scaled
        if self.normalize == "normal":
            return self.alpha * NORMALIZERS["zscore"](earlier, _ranks(earlier)) + (1 - self.alpha) * normal_scores(
                judged
            )
        bring = NORMALIZERS[self.normalize]
        return self.alpha * bring(earlier, _ranks(earlier)) + (1 - self.alpha) * bring(scaled, _ranks(scaled))


def _preset(name: str | None) -> Preset:
    if name is None:
        return Preset()
    if name not in PRESETS:
        raise UnknownName("preset of interpolation", name, list(PRESETS))
    return PRESETS[name]


def tie_counts(scores: Floats, *, cut: int = CUT) -> dict[str, int]:
    """How many scores are shared, and whether a tie reaches across a rank.

    Args:
        scores: (n,) without NaN, in any order.
        cut: The rank.

    Returns:
        `tied`: scores that another one equals; `ties_at_10` (for the default cut): 1 if the values at ranks `cut` and
        `cut + 1` are equal, so that chance or a rule decides who is in.
    """
    values, sizes = np.unique(scores, return_counts=True)
    fallen = np.sort(scores)[::-1]
    across = len(fallen) > cut and bool(fallen[cut - 1] == fallen[cut])
    return {"tied": int(sizes[sizes > 1].sum()) if len(values) else 0, f"ties_at_{cut}": int(across)}


def normal_scores(scores: Floats) -> Floats:
    """What a standard normal sample of this size would have at each one's rank; equal scores share their mean.

    ln(p / (1 - p)) / 1.702 with p = (n - r - .375) / (n + .25), r from 0: the logistic approximation of Blom's scores.

    Args:
        scores: (n,) without NaN.

    Raises:
        ShapeError: Not one column.
    """
    if scores.ndim != 1:
        raise ShapeError(f"scores must have shape (n,), got {scores.shape}")
    n = len(scores)
    p = (n - np.arange(n) - 0.375) / (n + 0.25)
    ideal = np.log(p / (1 - p)) / 1.702
    order = np.argsort(-scores, kind="stable")
    _, group, sizes = np.unique(-scores[order], return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=ideal, minlength=len(sizes)) / np.maximum(sizes, 1)
    found = np.empty(n)
    found[order] = means[group]
    return found


def _ranks(scores: Floats) -> NDArray[np.int64]:
    """0-based ranks, equal scores the best of theirs, -1 where there is no score."""
    known = np.sort(-scores[~np.isnan(scores)])
    ranks = np.searchsorted(known, -scores, side="left").astype(np.int64)
    ranks[np.isnan(scores)] = -1
    return ranks


def _lexicographic(first: Floats, second: Floats) -> Floats:
    """n - rank by (first, second) descending; equal in both is a tie, and missing seconds are the lowest."""
    filled = np.where(np.isnan(second), -np.inf, second)
    order = np.lexsort((-filled, -first))
    scores = np.empty(len(first))
    held = 0.0
    for rank, at in enumerate(order):
        same = rank and first[at] == first[order[rank - 1]] and filled[at] == filled[order[rank - 1]]
        held = held if same else float(len(first) - rank)
        scores[at] = held
    return scores
