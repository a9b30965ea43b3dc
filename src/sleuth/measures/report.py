"""What an evaluation found: values per query, means, comparisons, and the ways to show them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UnknownName, UsageError
from sleuth.measures.comparisons import Comparison, Settings, compared
from sleuth.measures.ranked import Measure
from sleuth.measures.spelling import parse_measure
from sleuth.measures.tables import html_report, markdown_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Counts", "Report"]


@dataclass(frozen=True)
class Counts:
    """What was and wasn't measured of one run.

    Attributes:
        queries: Queries in the qrels.
        evaluated: Queries in the mean.
        missing: Queries of the qrels that the run lacks or has no documents for.
        unjudged: Queries of the run that the qrels lack; left out.
        no_relevant: Queries of the qrels without a document of grade >= 1; they score 0 and count.
    """

    queries: int
    evaluated: int
    missing: int
    unjudged: int
    no_relevant: int


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Measures of one or several runs.

    Attributes:
        measures: M measures, in the order asked for.
        query_ids: Q queries, in the order of the qrels.
        values: Run -> (Q, M) float64; a row of NaN where a query was skipped.
        counts: Run -> Counts.
        missing: "zero" or "skip": what became of queries that a run lacks.
        settings: How `comparisons` are made.
        qrels_name: Which labels, "" if they carry no name.
    """

    measures: tuple[Measure, ...]
    query_ids: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    counts: Mapping[str, Counts]
    missing: str = "zero"
    settings: Settings = field(default_factory=Settings)
    qrels_name: str = ""

    def __repr__(self) -> str:
        runs = ", ".join(map(repr, self.runs))
        return f"Report({runs}; {', '.join(self.names)}; {len(self.query_ids)} queries)"

    def __str__(self) -> str:
        return self.to_markdown()

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs' names, in the order given."""
        return tuple(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """The measures' canonical names."""
        return tuple(map(str, self.measures))

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Run -> measure -> mean over the evaluated queries."""
        return {
            run: dict(zip(self.names, values[~np.isnan(values[:, 0])].mean(axis=0).tolist(), strict=True))
            for run, values in self.values.items()
        }

    @cached_property
    def per_query(self) -> dict[str, dict[str, dict[str, float]]]:
        """Run -> query_id -> measure -> value, for the evaluated queries."""
        return {
            run: {
                query_id: dict(zip(self.names, row, strict=True))
                for query_id, row in zip(self.query_ids, values.tolist(), strict=True)
                if row[0] == row[0]  # NaN: skipped
            }
            for run, values in self.values.items()
        }

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All pairs of runs (or each against the baseline), by measure. Computed when first asked for.

        Raises:
            UsageError: Two runs share no evaluated query.
        """
        return compared(self.values, self.names, self.settings)

    def mean(self, measure: str | Measure, run: str | None = None) -> float:
        """One mean; the run's name may be left out where there is one run only.

        Raises:
            UnknownName: No such run or measure in this report.
        """
        return self.means[self._run(run)][self._measure(measure)]

    def difference(self, a: str, b: str, measure: str | Measure) -> dict[str, float]:
        """query_id -> a - b, on the queries that both were measured on, largest gain of a first."""
        column = self.names.index(self._measure(measure))
        delta = self.values[self._run(a)][:, column] - self.values[self._run(b)][:, column]
        order = np.argsort(-delta, kind="stable")
        return {self.query_ids[at]: float(delta[at]) for at in order.tolist() if not np.isnan(delta[at])}

    def plot(self, a: str, b: str, measure: str | Measure, path: str | Path | None = None) -> Figure:
        """Wins and losses of a against b, one bar a query; written to `path` if given (extra `plot`).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from sleuth.measures.plots import wins_and_losses

        name = self._measure(measure)
        return wins_and_losses(self.difference(a, b, name), a=a, b=b, measure=name, path=path)

    def to_dict(self) -> dict[str, Any]:
        """The form of schema `sleuth.evaluate/1`: runs with their means, and the comparisons."""
        return {
            "schema": "sleuth.evaluate/1",
            "runs": self.means,
            "comparisons": [
                {
                    "a": one.a,
                    "b": one.b,
                    "measure": one.measure,
                    "difference": one.difference,
                    "interval": list(one.interval),
                    "p": one.p,
                    "p_holm": one.p_holm,
                }
                for one in self.comparisons
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)

    def to_markdown(self, *, digits: int = 4) -> str:
        """Tables of means and comparisons, with a line that says how they were made."""
        return markdown_report(self, digits)

    def to_html(self, *, digits: int = 4) -> str:
        """The same as an HTML fragment."""
        return html_report(self, digits)

    _repr_html_ = to_html

    def to_csv(self, path: str | Path) -> None:
        """Write one line a run and query: `run,query_id,<measures>`, UTF-8; skipped queries have no line."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["run", "query_id", *self.names])
            for run, queries in self.per_query.items():
                writer.writerows([run, query_id, *values.values()] for query_id, values in queries.items())

    def _run(self, name: str | None) -> str:
        if name is None:
            if len(self.runs) != 1:
                raise UsageError(f"this report holds several runs; say which: {', '.join(self.runs)}")
            return self.runs[0]
        if name not in self.values:
            raise UnknownName("run", name, list(self.runs))
        return name

    def _measure(self, measure: str | Measure) -> str:
        name = str(parse_measure(measure))
        if name not in self.names:
            raise UnknownName("measure of this report", name, list(self.names))
        return name
