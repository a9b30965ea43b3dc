"""Combine several runs into one: reciprocal ranks, CombSUM, CombMNZ, weights.

The result depends on nothing but ranks and scores: not on the order in which documents or queries come,
and, without weights, not on the order of the runs. Ties are broken by doc_id descending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ShapeError, UnknownName, UsageError
from sleuth.fusion.normalize import NORMALIZERS
from sleuth.types import Ranking, Run

__all__ = ["PRESETS", "Combination", "fuse"]

Weights = Sequence[float] | Mapping[str, float]
Floats = NDArray[np.float64]

METHODS = ("rrf", "combsum", "combmnz", "weighted")


@dataclass(frozen=True)
class Combination:
    """How lists become one; call `.runs(...)` with the runs, or use `fuse`.

    Attributes:
        method: "rrf": sum of w / (k + rank), ranks from 1, a missing document adds 0 (Cormack, Clarke &
            Büttcher 2009). "combsum": sum of normalized scores. "combmnz": the same times the number of
            lists that have the document (Fox & Shaw 1994). "weighted": sum of weight x normalized score.
        weights: One a run, in their order, or run name -> weight; each finite and >= 0, not all 0.
            Needed by "weighted", allowed with "rrf".
        normalize: "none", "minmax", "zscore" or "rank" (see `sleuth.fusion.normalize`). None, the default,
            is "minmax", BGE-Reasoner's choice; "rrf" reads ranks only and takes none.
        k: RRF's constant, > 0. Default: 60, from the paper.

    Raises:
        UnknownName: No such method or normalization.
        UsageError: Settings that do not go together.
    """

    method: str = "rrf"
    weights: Weights | None = field(default=None, hash=False)
    normalize: str | None = None
    k: float = 60

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("fusion method", self.method, list(METHODS))
        if self.normalize is not None and self.normalize not in NORMALIZERS:
            raise UnknownName("normalization", self.normalize, list(NORMALIZERS))
        if self.method == "rrf" and self.normalize not in (None, "none"):
            raise UsageError(f"rrf reads ranks, so normalize={self.normalize!r} would do nothing; leave it out")
        if self.method == "combmnz" and self.normalize == "zscore":
            raise UsageError("combmnz multiplies scores, so they must be 0 or more: use normalize='minmax' or 'rank'")
        if not (np.isfinite(self.k) and self.k > 0):
            raise UsageError(f"k must be a number above 0, got {self.k}")
        if self.method == "weighted" and self.weights is None:
            raise UsageError("method='weighted' needs weights, one a run")
        if self.method.startswith("comb") and self.weights is not None:
            raise UsageError(f"{self.method} takes no weights; use method='weighted'")
        for weight in self.weights.values() if isinstance(self.weights, Mapping) else self.weights or ():
            if not (np.isfinite(weight) and weight >= 0):
                raise UsageError(f"a weight must be finite and 0 or more, got {weight}")

    def runs(self, runs: Sequence[Run] | Mapping[str, Run], *, depth: int | None = None, name: str = "fused") -> Run:
        """Fuse all queries of all runs; arguments, result and errors as `fuse`."""
        named = _named(runs)
        weights = self._weights_of(list(named))
        if depth is not None and depth < 0:
            raise UsageError(f"depth must be 0 or more, got {depth}")
        query_ids = dict.fromkeys(query_id for run in named.values() for query_id in run)
        empty = Ranking((), ())
        return Run(
            {
                query_id: self.rankings({tag: run.get(query_id, empty) for tag, run in named.items()}, weights, depth)
                for query_id in query_ids
            },
            name=name,
        )

    def rankings(self, lists: Mapping[str, Ranking], weights: Floats, depth: int | None = None) -> Ranking:
        """Fuse the lists of one query; `weights` is (number of lists,)."""
        # Ids descending, so that a stable sort by score leaves ties as they should be.
        union = sorted(set().union(*(ranking.doc_ids for ranking in lists.values())), reverse=True)
        row = {doc_id: at for at, doc_id in enumerate(union)}
        scores = np.full((len(lists), len(union)), np.nan)
        ranks = np.full((len(lists), len(union)), -1, dtype=np.int64)
        parts: dict[str, Floats] = {}
        for at, (tag, ranking) in enumerate(lists.items()):
            rows = np.fromiter(map(row.__getitem__, ranking.doc_ids), dtype=np.int64, count=len(ranking))
            scores[at, rows] = ranking.scores
            ranks[at, rows] = np.arange(len(ranking))
            parts[tag] = scores[at]
            for part, column in ranking.parts.items():
                parts[f"{tag}/{part}"] = np.full(len(union), np.nan)
                parts[f"{tag}/{part}"][rows] = column
        fused = self._fused(scores, ranks, weights)
        order = np.argsort(-fused, kind="stable")[:depth]
        return Ranking(
            [union[at] for at in order.tolist()],
            fused[order],
            parts={part: column[order] for part, column in parts.items()},
            scale="fused",
        )

    def _fused(self, scores: Floats, ranks: NDArray[np.int64], weights: Floats) -> Floats:
        """(lists, n) scores and ranks -> (n,) fused scores."""
        if self.method == "rrf":
            shares = np.where(ranks < 0, 0.0, weights[:, None] / (self.k + ranks + 1))
        else:
            normalizer = NORMALIZERS[self.normalize or "minmax"]
            shares = np.stack([normalizer(*columns) for columns in zip(scores, ranks, strict=True)]) * weights[:, None]
        # Sorted before adding: a sum of floats depends on the order, the fused score must not.
        fused: Floats = np.sort(shares, axis=0).sum(axis=0)
        if self.method == "combmnz":
            if (shares < 0).any():
                raise UsageError("combmnz needs scores of 0 or more: use normalize='minmax' or 'rank'")
            fused = fused * (ranks >= 0).sum(axis=0)
        return fused

    def _weights_of(self, names: list[str]) -> Floats:
        """One weight a run, in their order."""
        if self.weights is None:
            return np.ones(len(names))
        if isinstance(self.weights, Mapping):
            for name in self.weights:
                if name not in names:
                    raise UnknownName("run (weights)", name, names)
            missing = [name for name in names if name not in self.weights]
            if missing:
                raise UsageError(f"no weight was given for {', '.join(map(repr, missing))}")
            weights = np.asarray([self.weights[name] for name in names], dtype=np.float64)
        else:
            weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(names),):
            raise ShapeError(f"weights must have shape ({len(names)},), one a run, got {weights.shape}")
        if not weights.any():
            raise UsageError("all weights are 0")
        return weights


def fuse(
    runs: Sequence[Run] | Mapping[str, Run],
    *,
    method: str = "rrf",
    weights: Weights | None = None,
    normalize: str | None = None,
    k: float = 60,
    depth: int | None = None,
    name: str = "fused",
) -> Run:
    """Fuse several runs into one.

    Args:
        runs: Runs, or name -> Run. Names of a plain sequence are the runs' own; a repeated one gets "-2", "-3", …
        method, weights, normalize, k: See `Combination`.
        depth: Keep this many documents a query; None, the default, keeps all.
        name: The new run's tag.

    Returns:
        All queries of all runs, in the order they first come. Scores are float64 of scale "fused"; `parts`
        holds each list's own scores under its name (NaN where it lacks the document) and each list's own
        parts under "name/part". A query that a run lacks is fused from the others.

    Raises:
        UnknownName: No such method, normalization, or run in `weights`.
        UsageError, ShapeError: No runs, or settings that do not fit.
    """
    return Combination(method, weights, normalize, k).runs(runs, depth=depth, name=name)


def _named(runs: Sequence[Run] | Mapping[str, Run]) -> dict[str, Run]:
    given: object = runs
    if isinstance(given, Run):
        raise UsageError("fuse needs several runs: pass a list or a mapping of names to Runs")
    named: dict[str, Run] = {}
    pairs = runs.items() if isinstance(runs, Mapping) else ((getattr(run, "name", ""), run) for run in runs)
    for tag, run in pairs:
        if not isinstance(run, Run):
            raise UsageError(f"runs must be Runs, got {type(run).__name__}")
        unique, nth = tag, 2
        while unique in named:
            unique, nth = f"{tag}-{nth}", nth + 1
        named[unique] = run
    if not named:
        raise UsageError("no run was given")
    return named


PRESETS: dict[str, Combination] = {
    "rrf": Combination("rrf"),
    "bge-reasoner": Combination("weighted", weights={"dense": 0.75, "bm25": 0.25}, normalize="minmax"),
}
"""Published combinations by name. "bge-reasoner": the first stage of BGE-Reasoner on BRIGHT, per its README."""
