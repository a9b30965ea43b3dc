"""A judge that knows the labels and errs like a real one: the core, without text and without I/O.

Asked about n documents of a query, it sees document d at position i (from 0) as

    u = 3·m·label + a·z(d) + σ·(√ρ·P + √(1-ρ)·F) - b·i/n

and orders by falling u. `m` says how well the judge understands this query, `z` is the prior score standardized over
the query's candidates (a judge is drawn to what the first stage liked), P is a misjudgement of (query, document) that
never averages out, F is fresh in every call and position. The settings below were fitted to published results of a
listwise reranker and to repeated grades of a real model. Figures made with this judge choose between strategies; they
are results of no model.

Every number is drawn from a hash of what it belongs to, so it depends neither on the order of calls nor on the process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UnknownName, UsageError
from sleuth.types import Qrels, Run

__all__ = ["PRESETS", "OracleModel", "OracleSettings"]

LABEL_EFFECT = 3.0
"""How far a relevant document stands above another one, in units of u, for a query of mean difficulty."""

GRADE_STEP = 0.734 / LABEL_EFFECT
"""Grades a unit of u is worth: a real judge's mean grades of relevant and other documents lie 0.734 apart."""

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class OracleSettings:
    """The letters of the formula above.

    Attributes:
        a: Pull of the prior score. Default: from repeated grades of a real model.
        b: Position bias, in units of u from the first to the last place, >= 0. Default: assumed, a third of the
            label effect.
        sigma: Noise, > 0. Default: fitted to one window over the top 20.
        rho: Part of the noise's variance that never averages out, in [0, 1]. Default: fitted to 20/10 windows.
        shape: m is drawn from Gamma(shape, mean 1); None: m = 1.
        length: sigma grows with (n / 20) ** length. Default: it does not.
    """

    a: float = 1.0
    b: float = 1.0
    sigma: float = 2.57
    rho: float = 0.69
    shape: float | None = 2.0
    length: float = 0.0

    def __post_init__(self) -> None:
        values = (self.a, self.b, self.sigma, self.rho, self.length, 0.0 if self.shape is None else self.shape)
        if not all(math.isfinite(value) for value in values):
            raise UsageError(f"an oracle's settings must be finite, got {self}")
        if self.sigma <= 0 or not 0 <= self.rho <= 1 or self.b < 0 or (self.shape is not None and self.shape <= 0):
            raise UsageError(f"an oracle needs sigma > 0, rho in [0, 1], b >= 0 and shape > 0, got {self}")


MID = OracleSettings()
PRESETS: Mapping[str, OracleSettings] = {
    "mid": MID,
    "low": OracleSettings(sigma=2.85, rho=0.34, shape=None),
    "high": OracleSettings(sigma=2.295, rho=0.83, shape=1.0),
    "a0": OracleSettings(a=0.0, sigma=1.904, rho=0.658),
    "bias0": OracleSettings(b=0.0, sigma=2.46, rho=0.74),
    "bias4": OracleSettings(b=4.0, sigma=2.813, rho=0.649),
    "32b": OracleSettings(sigma=2.257, rho=0.591),
    "half": replace(MID, sigma=1.285),
    "double": replace(MID, sigma=5.14),
    "fickle": replace(MID, rho=0.2),
    "stubborn": replace(MID, rho=0.95),
    "length": replace(MID, length=0.2),
}
"""`mid` and the seven after it are fitted (`half`, `double`, `fickle` and `stubborn` vary `mid` on purpose)."""


class OracleModel:
    """The simulated judge.

    Args:
        qrels: The labels; a document's label is its relevance over the largest one of all, 0 where unlabelled or
            negative. It answers questions about these queries only.
        run: The prior list, for z; a document that its list lacks has the list's lowest z. Without a run z is 0.
        preset: A name of `PRESETS`, or settings.
        seed: Draws m and P; with the question, F.

    Raises:
        UnknownName: No such preset.
    """

    def __init__(
        self, qrels: Qrels, run: Run | None = None, *, preset: str | OracleSettings = "mid", seed: int = 0
    ) -> None:
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise UnknownName("oracle preset", preset, list(PRESETS))
            self.preset, self.settings = preset, PRESETS[preset]
        else:
            self.preset, self.settings = "own", preset
        self.qrels, self.run, self.seed = qrels, run, seed
        self._key = str(seed).encode()
        self._best = max((grade for judged in qrels.values() for grade in judged.values()), default=1)
        self._lasting: dict[str, dict[str, float]] = {}

    def utilities(self, query_id: str, doc_ids: Sequence[str], *, sample: int | str = 0) -> Floats:
        """u of each document as shown, (n,); the same question has the same answer.

        Args:
            query_id: The query.
            doc_ids: Distinct, in the order shown.
            sample: Another sample is another draw of F.

        Raises:
            UsageError: The labels do not have this query.
        """
        n, own = len(doc_ids), self.settings
        known = self._of_query(query_id)
        try:
            lasting = np.array([known[doc_id] for doc_id in doc_ids])
        except KeyError:
            self._add(query_id, known, [doc_id for doc_id in doc_ids if doc_id not in known])
            lasting = np.array([known[doc_id] for doc_id in doc_ids])
        position = np.arange(n)
        fresh = _normals(_mixed(self._hash("F", str(sample), query_id, *doc_ids), position.astype(np.uint64)))
        noise = own.sigma * math.sqrt(1 - own.rho) * self._longer(n)
        if own.length:  # P is stored for windows of 20
            lasting = lasting + (self._longer(n) - 1) * self._misjudged(query_id, doc_ids)
        return lasting + noise * fresh - own.b * position / max(n, 1)

    def order(self, query_id: str, doc_ids: Sequence[str], *, sample: int | str = 0) -> tuple[int, ...]:
        """Positions, best first; equal u in the order shown."""
        return tuple(np.argsort(-self.utilities(query_id, doc_ids, sample=sample), kind="stable").tolist())

    def grades(
        self, query_id: str, doc_ids: Sequence[str], low: float, high: float, *, sample: int | str = 0
    ) -> Floats:
        """Whole grades in [low, high] of each document as shown, (n,)."""
        utilities = self.utilities(query_id, doc_ids, sample=sample).tolist()
        grades: Floats = np.clip(np.round([self.grade_of(u, low, high) for u in utilities]), low, high)
        return grades

    @staticmethod
    def grade_of(u: float, low: float, high: float) -> float:
        """u on a scale of grades, neither rounded nor clipped: labels lie apart as a real judge's grades on 0-5 do.

        u = 0 falls on a third of the range: most candidates get a low grade, few the lowest (ours).
        """
        return low + (high - low) / 3 + (high - low) / 5 * GRADE_STEP * u

    def fingerprint(self) -> str:
        """A hash of labels and prior list, in hex: the same judge in another process has the same."""
        whole = hashlib.sha256()
        for query_id in sorted(self.qrels):
            whole.update(repr((query_id, sorted(self.qrels[query_id].items()))).encode("utf-8", "surrogatepass"))
        for query_id, ranking in sorted((self.run or {}).items()):
            whole.update(repr((query_id, ranking.doc_ids)).encode("utf-8", "surrogatepass") + ranking.scores.tobytes())
        return whole.hexdigest()[:16]

    def draw(self, *names: str) -> Floats:
        """Four numbers in (0, 1) that belong to these names and the seed; what faults are drawn from."""
        return _uniform(_mixed(self._hash("U", *names), np.arange(4, dtype=np.uint64)))

    def _of_query(self, query_id: str) -> dict[str, float]:
        """doc_id -> the part of u that is the same in every call (for a window of 20)."""
        known = self._lasting.get(query_id)
        if known is None:
            if query_id not in self.qrels:
                raise UsageError(
                    f"the oracle has no labels of query {query_id!r}; requests must carry tags.query_id, and the "
                    "labels must have every query that is asked about"
                )
            known = {}
            listed = self.run[query_id].doc_ids if self.run is not None and query_id in self.run else ()
            self._add(query_id, known, list(listed))
            self._lasting[query_id] = known
        return known

    def _add(self, query_id: str, known: dict[str, float], doc_ids: list[str]) -> None:
        own, judged = self.settings, self.qrels[query_id]
        label = np.array([max(judged.get(doc_id, 0), 0) for doc_id in doc_ids]) / max(self._best, 1)
        z = self._standardized(query_id)
        lowest = min(z.values(), default=0.0)
        pull = np.array([z.get(doc_id, lowest) for doc_id in doc_ids])
        understood = self._understood(query_id)
        u = LABEL_EFFECT * understood * label + own.a * pull + self._misjudged(query_id, doc_ids)
        known.update(zip(doc_ids, u.tolist(), strict=True))

    def _standardized(self, query_id: str) -> dict[str, float]:
        if self.run is None or query_id not in self.run:
            return {}
        ranking = self.run[query_id]
        if not len(ranking):
            return {}
        spread = ranking.scores.std()
        z = (ranking.scores - ranking.scores.mean()) / spread if spread > 0 else np.zeros(len(ranking))
        return dict(zip(ranking.doc_ids, z.tolist(), strict=True))

    def _understood(self, query_id: str) -> float:
        """m of the query."""
        if self.settings.shape is None:
            return 1.0
        shape, key = self.settings.shape, self._hash("m", query_id)
        if shape.is_integer():  # a sum of exponentials; NumPy's own draws may change with its version
            return float(-np.log(_uniform(_mixed(key, np.arange(int(shape), dtype=np.uint64)))).sum() / shape)
        return float(np.random.default_rng(key).gamma(shape) / shape)

    def _misjudged(self, query_id: str, doc_ids: Sequence[str]) -> Floats:
        """σ·√ρ·P of each document."""
        keys = np.array([self._hash("P", query_id, doc_id) for doc_id in doc_ids], dtype=np.uint64)
        return self.settings.sigma * math.sqrt(self.settings.rho) * _normals(_stirred(keys))

    def _longer(self, n: int) -> float:
        return float((max(n, 1) / 20) ** self.settings.length) if self.settings.length else 1.0

    def _hash(self, *names: str) -> int:
        whole = "\x1f".join(names).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(whole, digest_size=8, key=self._key[:64]).digest(), "big")


# ── random numbers from hashes (splitmix64: Steele, Lea & Flood 2014) ──────────────────────────────


def _stirred(x: Words) -> Words:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mixed(key: int, counters: Words) -> Words:
    """One random word for each counter."""
    return _stirred(np.array([key], dtype=np.uint64) + (counters + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


def _uniform(words: Words) -> Floats:
    """In (0, 1), never 0 or 1."""
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _normals(words: Words) -> Floats:
    """Standard normal, one for each word (Box and Muller 1958)."""
    again = _stirred(words + np.uint64(0x9E3779B97F4A7C15))
    normals: Floats = np.sqrt(-2 * np.log(_uniform(words))) * np.cos(2 * np.pi * _uniform(again))
    return normals
