"""Measures of a ranked list as values: `nDCG@10`, `AP`, `P(rel=2)@5`.

A Measure says what is measured and computes it for all queries at once from two flat tables
(`sleuth.measures.positions`): where the judged documents stand, and which labels there are. Names and
parameters are those of ir_measures; values are those of trec_eval 9:

- gain is the grade, negative grades count 0, the discount is 1 / log2(rank + 1), and the ideal list of
  nDCG uses all labels of the query;
- the other measures are binary: relevant means grade >= `rel` (1 unless said otherwise);
- P divides by the cut-off even where the list is shorter, R and AP by all relevant documents;
- a query without relevant documents scores 0 and counts.

Unjudged documents are not relevant. Every value lies in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UnknownName, UsageError
from sleuth.measures.positions import Hits, Labels

__all__ = ["AP", "RR", "Judged", "Measure", "P", "R", "Rprec", "Success", "nDCG"]

Discounting = Literal["log2", "exp-log2"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """A measure that can be compared, hashed, printed and parsed.

    `nDCG @ 10` sets the cut-off, `P(rel=2)` the lowest grade that counts as relevant; `str(measure)` is
    the canonical name and `parse_measure` reads it back.

    Attributes:
        name: One of nDCG, AP, RR, P, R, Success, Judged, Rprec.
        cutoff: How many documents of the list count, >= 1; None for all. P, R, Success and Judged
            need one before they can be computed; Rprec takes none.
        rel: Lowest grade that counts as relevant, >= 1. Default: 1, trec_eval's.
        dcg: nDCG's gain. "log2" is the grade (trec_eval's, the default), "exp-log2" is
            2^grade - 1 (Burges et al. 2005).

    Raises:
        UnknownName: No measure, or no gain, of this name.
        UsageError: A cut-off or parameter that this measure doesn't take.
    """

    name: str
    cutoff: int | None = None
    rel: int = 1
    dcg: Discounting = "log2"

    def __post_init__(self) -> None:
        if self.name not in FORMULAS:
            raise UnknownName("measure", self.name, list(FORMULAS))
        if self.cutoff is not None:
            if self.name == "Rprec":
                raise UsageError("Rprec takes no cut-off: it stops at the number of relevant documents")
            _whole("a cut-off", self.cutoff)
        _whole("rel", self.rel)
        if self.rel != 1 and self.name in ("nDCG", "Judged"):
            raise UsageError(f"{self.name} takes no rel: it reads every grade")
        if self.dcg not in ("log2", "exp-log2"):
            raise UnknownName("gain of nDCG (dcg)", str(self.dcg), ["log2", "exp-log2"])
        if self.dcg != "log2" and self.name != "nDCG":
            raise UsageError(f"{self.name} takes no dcg; only nDCG does")

    def __matmul__(self, cutoff: int) -> Measure:
        """The same measure on the best `cutoff` documents: `nDCG @ 10`."""
        return replace(self, cutoff=cutoff)

    def __call__(self, *, rel: int | None = None, dcg: Discounting | None = None) -> Measure:
        """The same measure with other parameters: `P(rel=2)`."""
        return replace(self, rel=self.rel if rel is None else rel, dcg=self.dcg if dcg is None else dcg)

    def __str__(self) -> str:
        parameters = [f"dcg='{self.dcg}'"] if self.dcg != "log2" else []
        parameters += [f"rel={self.rel}"] if self.rel != 1 else []
        inner = f"({','.join(parameters)})" if parameters else ""
        return f"{self.name}{inner}" + (f"@{self.cutoff}" if self.cutoff is not None else "")

    __repr__ = __str__

    def checked(self) -> Measure:
        """This measure, if it is complete enough to be computed.

        Raises:
            UsageError: It needs a cut-off and has none.
        """
        if self.name in NEED_CUTOFF:
            _cutoff(self)
        return self

    def compute(self, hits: Hits, labels: Labels) -> Values:
        """The value of every query of the labels, (Q,), in [0, 1]; 0 for a query that the run lacks.

        Raises:
            UsageError: This measure needs a cut-off and has none.
        """
        return FORMULAS[self.name](self, hits, labels)


def _whole(what: str, value: object) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{what} must be a whole number of 1 or more, got {value!r}")


def _cutoff(measure: Measure) -> int:
    if measure.cutoff is None:
        raise UsageError(f"{measure} needs a cut-off, for example {measure @ 10}")
    return measure.cutoff


def _share(part: Values, whole: NDArray[np.int64] | Values) -> Values:
    """part / whole, and 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _relevant(measure: Measure, hits: Hits) -> Hits:
    """The hits within the cut-off that count as relevant."""
    counts = hits.grade >= measure.rel
    if measure.cutoff is not None:
        counts &= hits.rank < measure.cutoff
    return hits.where(counts)


def _ndcg(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """sum_i gain_i / log2(i + 1) over ranks i <= k, over the same of the ideal list (Järvelin & Kekäläinen 2002)."""
    return _share(_dcg(measure, hits), _dcg(measure, labels.ideal))


def _dcg(measure: Measure, hits: Hits) -> Values:
    found = _relevant(measure, hits)
    grade = found.grade.astype(np.float64)
    gain = np.exp2(grade) - 1.0 if measure.dcg == "exp-log2" else grade
    return found.per_query(gain / np.log2(found.rank + 2.0))


def _ap(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """Mean over all relevant documents of the precision at their rank; 0 for those not found within k."""
    found = _relevant(measure, hits)
    return _share(found.per_query((found.place() + 1.0) / (found.rank + 1.0)), labels.relevant(measure.rel))


def _rr(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """1 / rank of the first relevant document within k; 0 without one."""
    found = _relevant(measure, hits)
    first = found.where(found.place() == 0)
    return first.per_query(1.0 / (first.rank + 1.0))


def _precision(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """Relevant documents among the first k, over k (also where the list is shorter)."""
    return _relevant(measure, hits).per_query() / _cutoff(measure)


def _recall(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """Relevant documents among the first k, over all relevant ones."""
    return _share(_relevant(measure, hits).per_query(), labels.relevant(measure.rel))


def _success(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """1 where a relevant document is among the first k."""
    return (_relevant(measure, hits).per_query() > 0).astype(np.float64)


def _judged(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """Documents with a label among the first k, over k or the length of a shorter list (as ir_measures does)."""
    k = _cutoff(measure)
    return _share(hits.where(hits.rank < k).per_query(), np.minimum(hits.retrieved, k))


def _rprec(measure: Measure, hits: Hits, labels: Labels) -> Values:
    """Precision at the number of relevant documents."""
    total = labels.relevant(measure.rel)
    return _share(hits.where((hits.grade >= measure.rel) & (hits.rank < total[hits.query])).per_query(), total)


FORMULAS: dict[str, Callable[[Measure, Hits, Labels], Values]] = {
    "nDCG": _ndcg,
    "AP": _ap,
    "RR": _rr,
    "P": _precision,
    "R": _recall,
    "Success": _success,
    "Judged": _judged,
    "Rprec": _rprec,
}
NEED_CUTOFF = ("P", "R", "Success", "Judged")

nDCG = Measure("nDCG")
AP = Measure("AP")
RR = Measure("RR")
P = Measure("P")
R = Measure("R")
Success = Measure("Success")
Judged = Measure("Judged")
Rprec = Measure("Rprec")
