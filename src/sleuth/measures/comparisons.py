"""Pairs of systems, compared measure by measure on the queries that both were measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UnknownName, UsageError
from sleuth.measures.significance import RESAMPLES, bootstrap_interval, holm, paired_t_p, randomization_p

__all__ = ["Comparison", "Settings", "compared", "pairs_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How systems are compared.

    Attributes:
        baseline: The run that every other is compared with; None compares all pairs.
        alpha: Level of significance and 1 - coverage of the intervals. Default .05, the field's custom.
        resamples: Of bootstrap and randomization test. Default: `significance.RESAMPLES`.
        seed: The same seed gives the same figures.
    """

    baseline: str | None = None
    alpha: float = 0.05
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha must lie between 0 and 1, got {self.alpha}")
        if self.resamples < 1:
            raise UsageError(f"resamples must be 1 or more, got {self.resamples}")


@dataclass(frozen=True)
class Comparison:
    """Two systems on one measure.

    Attributes:
        a, b: Names of the runs.
        measure: Canonical name.
        difference: mean(a) - mean(b) over the queries that both were measured on.
        interval: Percentile bootstrap interval of the difference.
        p: Two-sided sign-flip randomization test.
        p_holm: The same, adjusted for all pairs compared on this measure (Holm 1979).
        p_t: Paired t test, for comparison with papers; not adjusted.
        queries: How many queries both were measured on.
        wins, losses: Queries where a is above, below b; the rest are equal.
        significant: p_holm < alpha.
    """

    a: str
    b: str
    measure: str
    difference: float
    interval: tuple[float, float]
    p: float
    p_holm: float
    p_t: float
    queries: int
    wins: int
    losses: int
    significant: bool


def pairs_of(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """(a, b) in the order of the runs; with a baseline, every other run against it.

    Raises:
        UnknownName: No run has the baseline's name.
    """
    if baseline is None:
        return list(combinations(names, 2))
    if baseline not in names:
        raise UnknownName("run (baseline)", baseline, list(names))
    return [(name, baseline) for name in names if name != baseline]


def compared(
    values: Mapping[str, Floats], measures: Sequence[str], settings: Settings, groups: NDArray[np.int64] | None = None
) -> tuple[Comparison, ...]:
    """Compare all pairs, sorted by measure, then pair.

    Args:
        values: Run -> (Q, M) values, NaN for queries that the run was not measured on.
        measures: M canonical names.
        settings: Pairs, level, resamples, seed.
        groups: (Q,) task of each query, where means are macro means over tasks.
    """
    pairs = pairs_of(list(values), settings.baseline)
    found: dict[tuple[str, str], list[Comparison]] = {}
    for shared, members in _by_shared_queries(values, pairs):
        differences = np.hstack([(values[a] - values[b])[shared] for a, b in members])
        columns = _columns(differences, settings, None if groups is None else groups[shared])
        for at, (a, b) in enumerate(members):
            found[a, b] = [_single(a, b, name, columns, at * len(measures) + m) for m, name in enumerate(measures)]
    families = [[found[pair][m] for pair in pairs] for m in range(len(measures))]
    return tuple(one for family in families for one in _adjusted(family, settings.alpha))


def _by_shared_queries(
    values: Mapping[str, Floats], pairs: list[tuple[str, str]]
) -> list[tuple[NDArray[np.bool_], list[tuple[str, str]]]]:
    """Pairs that share the same queries are tested together: one set of resamples serves them all."""
    sets: dict[bytes, tuple[NDArray[np.bool_], list[tuple[str, str]]]] = {}
    for a, b in pairs:
        shared = ~np.isnan(values[a][:, 0]) & ~np.isnan(values[b][:, 0])
        if not shared.any():
            raise UsageError(f"runs {a!r} and {b!r} share no query, so they can't be compared; use missing='zero'")
        sets.setdefault(shared.tobytes(), (shared, []))[1].append((a, b))
    return list(sets.values())


@dataclass(frozen=True)
class _Columns:
    """Figures of all (pair, measure) columns of one set of queries, each (c,)."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats
    p_t: Floats
    wins: NDArray[np.int64]
    losses: NDArray[np.int64]
    queries: int


def _columns(differences: Floats, settings: Settings, groups: NDArray[np.int64] | None) -> _Columns:
    resampling = {"resamples": settings.resamples, "seed": settings.seed}
    low, high = bootstrap_interval(differences, alpha=settings.alpha, groups=groups, **resampling)
    if groups is None:
        mean = differences.mean(axis=0)
    else:
        mean = np.mean([differences[groups == group].mean(axis=0) for group in np.unique(groups)], axis=0)
    return _Columns(
        mean,
        low,
        high,
        randomization_p(differences, groups=groups, **resampling),
        paired_t_p(differences),
        (differences > 0).sum(axis=0),
        (differences < 0).sum(axis=0),
        len(differences),
    )


def _single(a: str, b: str, measure: str, of: _Columns, at: int) -> Comparison:
    """One column, not adjusted yet."""
    return Comparison(
        a=a,
        b=b,
        measure=measure,
        difference=float(of.difference[at]),
        interval=(float(of.low[at]), float(of.high[at])),
        p=float(of.p[at]),
        p_holm=float(of.p[at]),
        p_t=float(of.p_t[at]),
        queries=of.queries,
        wins=int(of.wins[at]),
        losses=int(of.losses[at]),
        significant=False,
    )


def _adjusted(family: list[Comparison], alpha: float) -> list[Comparison]:
    p_holm = holm(np.asarray([one.p for one in family])).tolist()
    return [replace(one, p_holm=p, significant=p < alpha) for one, p in zip(family, p_holm, strict=True)]
