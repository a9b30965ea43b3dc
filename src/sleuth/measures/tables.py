"""Reports as Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleuth.measures.comparisons import Comparison, Settings
    from sleuth.measures.report import Report

__all__ = ["comparison_rows", "html_report", "html_table", "markdown_report", "markdown_table", "settings_note"]

Table = tuple[list[str], list[list[str]]]


def mean_rows(report: Report, digits: int) -> Table:
    """Header and rows of means, one run a row; the best of several runs is starred with **."""
    best = {name: max(means[name] for means in report.means.values()) for name in report.names}
    header = ["run", *report.names, "queries", "missing"]
    rows = []
    for run, means in report.means.items():
        cells = [f"{means[name]:.{digits}f}" for name in report.names]
        if len(report.runs) > 1:
            cells = [
                f"**{cell}**" if means[name] == best[name] else cell
                for cell, name in zip(cells, report.names, strict=True)
            ]
        counts = report.counts[run]
        rows.append([run, *cells, f"{counts.evaluated:,}", f"{counts.missing:,}"])
    return header, rows


def comparison_rows(comparisons: Iterable[Comparison], settings: Settings, digits: int) -> Table:
    """Header and rows of comparisons, one a row."""
    header = [
        "a",
        "b",
        "measure",
        "a − b",
        f"{100 * (1 - settings.alpha):g} % interval",
        "p",
        "p (Holm)",
        "wins : losses",
    ]
    rows = [
        [
            one.a,
            one.b,
            one.measure,
            f"**{one.difference:+.{digits}f}**" if one.significant else f"{one.difference:+.{digits}f}",
            f"[{one.interval[0]:+.{digits}f}, {one.interval[1]:+.{digits}f}]",
            f"{one.p:.4f}",
            f"{one.p_holm:.4f}",
            f"{one.wins:,} : {one.losses:,}",
        ]
        for one in comparisons
    ]
    return header, rows


def settings_note(settings: Settings) -> str:
    """One sentence: how intervals and p were made."""
    return (
        f"Interval: percentile bootstrap over queries; p: two-sided sign-flip randomization test; "
        f"{settings.resamples:,} resamples, seed {settings.seed}; Holm over the pairs of a measure; "
        f"bold: p (Holm) < {settings.alpha:g}."
    )


def basis_note(report: Report) -> str:
    """One sentence: what the means are means of."""
    labels = f", labels {report.qrels_name}" if report.qrels_name else ""
    counts = next(iter(report.counts.values()))
    rule = "count 0" if report.missing == "zero" else "are left out"
    parts = [f"{counts.queries:,} queries with labels{labels}; queries that a run lacks {rule}"]
    if counts.no_relevant:
        parts.append(f"{counts.no_relevant:,} without a relevant document score 0")
    parts += [
        f"{each.unjudged:,} queries of {run} have no labels and were left out"
        for run, each in report.counts.items()
        if each.unjudged
    ]
    return "; ".join(parts) + "."


def markdown_report(report: Report, digits: int) -> str:
    parts = [markdown_table(*mean_rows(report, digits)), basis_note(report)]
    if report.comparisons:
        parts += [
            markdown_table(*comparison_rows(report.comparisons, report.settings, digits)),
            settings_note(report.settings),
        ]
    return "\n\n".join(parts) + "\n"


def html_report(report: Report, digits: int) -> str:
    parts = [html_table(*mean_rows(report, digits)), f"<p>{escape(basis_note(report))}</p>"]
    if report.comparisons:
        parts.append(html_table(*comparison_rows(report.comparisons, report.settings, digits)))
        parts.append(f"<p>{escape(settings_note(report.settings))}</p>")
    return f'<div class="sleuth-report">{"".join(parts)}</div>'


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar or line break inside a cell can't break it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; `**…**` becomes bold, everything else is text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{_html_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _markdown_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _html_cell(text: str) -> str:
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        return f"<b>{escape(text[2:-2])}</b>"
    return escape(text)
