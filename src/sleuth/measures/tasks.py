"""Several tasks as one benchmark: the macro mean counts every task the same, as BRIGHT and BEIR do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sleuth.errors import UsageError
from sleuth.measures.comparisons import Comparison, compared
from sleuth.measures.report import Report
from sleuth.measures.tables import comparison_rows, html_table, markdown_table, settings_note

__all__ = ["MacroReport", "macro"]


@dataclass(frozen=True, eq=False, repr=False)
class MacroReport:
    """Reports of several tasks, of the same runs and measures.

    Attributes:
        tasks: Task -> Report.
    """

    tasks: Mapping[str, Report]

    def __repr__(self) -> str:
        return f"MacroReport({len(self.tasks)} tasks; {', '.join(self.runs)}; {', '.join(self.names)})"

    def __str__(self) -> str:
        return self.to_markdown()

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs' names."""
        return self._first.runs

    @property
    def names(self) -> tuple[str, ...]:
        """The measures' canonical names."""
        return self._first.names

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Run -> measure -> unweighted mean of the tasks' means."""
        return {
            run: {
                name: float(np.mean([report.means[run][name] for report in self.tasks.values()])) for name in self.names
            }
            for run in self.runs
        }

    @cached_property
    def micro(self) -> dict[str, dict[str, float]]:
        """Run -> measure -> mean over the evaluated queries of all tasks."""
        stacked = {run: np.concatenate([report.values[run] for report in self.tasks.values()]) for run in self.runs}
        return {
            run: dict(zip(self.names, values[~np.isnan(values[:, 0])].mean(axis=0).tolist(), strict=True))
            for run, values in stacked.items()
        }

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Differences of the macro means; queries are resampled within their task, tasks stay as they are."""
        sizes = [len(report.query_ids) for report in self.tasks.values()]
        stacked = {run: np.concatenate([report.values[run] for report in self.tasks.values()]) for run in self.runs}
        return compared(stacked, self.names, self._first.settings, np.repeat(np.arange(len(sizes)), sizes))

    def to_markdown(self, *, digits: int = 4) -> str:
        """One table a measure (a run a row, a task a column, the macro mean last), then the comparisons."""
        parts = [f"**{name}**\n\n{markdown_table(*self._rows(name, digits))}" for name in self.names]
        if self.comparisons:
            settings = self._first.settings
            parts += [markdown_table(*comparison_rows(self.comparisons, settings, digits)), settings_note(settings)]
        return "\n\n".join(parts) + "\n"

    def to_html(self, *, digits: int = 4) -> str:
        """The same tables as an HTML fragment."""
        tables = "".join(f"<h4>{name}</h4>{html_table(*self._rows(name, digits))}" for name in self.names)
        if self.comparisons:
            tables += html_table(*comparison_rows(self.comparisons, self._first.settings, digits))
        return f'<div class="sleuth-report">{tables}</div>'

    _repr_html_ = to_html

    @property
    def _first(self) -> Report:
        return next(iter(self.tasks.values()))

    def _rows(self, name: str, digits: int) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                run,
                *(f"{report.means[run][name]:.{digits}f}" for report in self.tasks.values()),
                f"{self.means[run][name]:.{digits}f}",
            ]
            for run in self.runs
        ]
        return ["run", *self.tasks, "macro"], rows


def macro(reports: Mapping[str, Report]) -> MacroReport:
    """Put the reports of several tasks side by side.

    Raises:
        UsageError: No task, or tasks that differ in runs, measures or the rule for missing queries.
    """
    if not reports:
        raise UsageError("no task was given")
    (first_task, first), *others = reports.items()
    for task, report in others:
        for what in ("runs", "names", "missing"):
            if getattr(report, what) != getattr(first, what):
                raise UsageError(
                    f"tasks {first_task!r} and {task!r} differ in {'measures' if what == 'names' else what}: "
                    f"{getattr(first, what)} and {getattr(report, what)}. Evaluate all tasks alike."
                )
    return MacroReport(dict(reports))
