"""`sleuth fuse` and `sleuth evaluate`: they work on run files alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from sleuth.cli.console import check_output, out_console, say, show_indented, show_json, show_table
from sleuth.cli.index_commands import Json, SkipBadLines

if TYPE_CHECKING:
    from sleuth.measures.comparisons import Comparison
    from sleuth.measures.report import Report

__all__ = ["register", "show_comparisons"]

ENOUGH_COLUMNS = 100
"""The comparisons' table needs about this much with paths as names; below, two lines each (ours)."""

COMPARED = ["a", "b", "measure", "difference", "low", "high", "p", "p_holm", "significant"]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("fuse")(fuse_runs)
    app.command("evaluate")(evaluate_runs)


def fuse_runs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="Two or more run files.")],
    method: Annotated[str, typer.Option(help="rrf, combsum, combmnz or weighted.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.trec", help="The run to write.")],
    weights: Annotated[
        str | None, typer.Option(metavar="A,B…", help="One weight a run, for 'weighted' and 'rrf'.")
    ] = None,
    normalize: Annotated[str | None, typer.Option(help="none, minmax, zscore or rank.")] = None,
    depth: Annotated[int | None, typer.Option(help="Keep this many documents a query.")] = None,
    tag: Annotated[str | None, typer.Option(help="Last column of the run; by default the method.")] = None,
    skip_bad_lines: SkipBadLines = False,
    as_json: Json = False,
) -> None:
    """Fuse run files into one.

    A document that a list does not have gets that list's lowest normalized score (min-max 0, z the
    minimum); with rrf it gets 0.

    Examples:

      sleuth fuse bm25.trec dense.trec --method rrf -o rrf.trec

      sleuth fuse bm25.trec dense.trec --method weighted --weights 0.25,0.75 --normalize minmax -o mixed.trec
    """
    from sleuth.data.readers import read_run
    from sleuth.data.writers import write_run
    from sleuth.errors import UsageError
    from sleuth.fusion.combine import fuse
    from sleuth.manifest import Manifest

    if len(runs) < 2:
        raise UsageError(f"fusing needs at least two runs, got {len(runs)}")
    if depth is not None and depth < 1:
        raise UsageError(f"--depth must be at least 1, got {depth}")
    check_output(output, inputs=runs)
    numbers = None
    if weights is not None:
        try:
            numbers = [float(weight) for weight in weights.split(",")]
        except ValueError:
            raise UsageError(f"--weights needs numbers joined by commas, got {weights!r}") from None
    settings = {"method": method, "weights": numbers, "normalize": normalize, "depth": depth}
    manifest = Manifest.begin("fuse", settings=settings)
    for at, path in enumerate(runs):
        manifest.add_input(f"run-{at + 1}", path)
    lists = [read_run(path, skip_bad_lines=skip_bad_lines) for path in runs]
    fused = fuse(lists, method=method, weights=numbers, normalize=normalize, depth=depth)
    write_run(fused, output, tag=tag or method)
    manifest.write(output)
    lines = sum(map(len, fused.values()))
    if as_json:
        show_json({"schema": "sleuth.fuse/1", "output": str(output), "queries": len(fused), "lines": lines})
    else:
        say(f"{output}: {lines:,} lines for {len(fused):,} queries")


def evaluate_runs(
    qrels: Annotated[Path, typer.Argument(metavar="QRELS", help="Labels: TREC or BEIR.")],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN…]", help="Run files.")],
    measures: Annotated[
        str, typer.Option(help="Names joined by commas, e.g. nDCG@10,R@100,AP,P(rel=2)@5.")
    ] = "nDCG@10,R@100",
    missing: Annotated[
        str, typer.Option(help="Queries a run lacks: zero counts them 0, skip leaves them out.")
    ] = "zero",
    ties: Annotated[str, typer.Option(help="score sorts as trec_eval does; file keeps the file's order.")] = "score",
    baseline: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Compare every run with this one; by default all pairs.")
    ] = None,
    per_query: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write every query's values.")] = None,
    skip_bad_lines: SkipBadLines = False,
    seed: Annotated[int, typer.Option(help="Seed of intervals and randomization tests.")] = 0,
    as_json: Json = False,
) -> None:
    """Evaluate runs against labels as trec_eval does; two or more are compared with significance tests.

    Examples:

      sleuth evaluate qrels.tsv bm25.trec

      sleuth evaluate qrels.tsv bm25.trec hybrid.trec --measures nDCG@10,R@100,AP --per-query values.csv

      sleuth evaluate qrels.tsv a.trec b.trec c.trec --baseline bm25.trec
    """
    from sleuth.data.readers import read_qrels, read_run
    from sleuth.errors import UsageError
    from sleuth.measures.evaluation import evaluate
    from sleuth.measures.spelling import parse_measures

    if baseline is not None and str(baseline) not in map(str, runs):
        runs = [baseline, *runs]
    names = [str(path) for path in runs]
    if len(set(names)) != len(names):
        raise UsageError("a run is named twice")
    if per_query is not None:
        check_output(per_query, inputs=[qrels, *runs])
    labels = read_qrels(qrels, skip_bad_lines=skip_bad_lines)
    loaded = {
        name: read_run(path, ties=cast(Any, ties), skip_bad_lines=skip_bad_lines)
        for name, path in zip(names, runs, strict=True)
    }
    against = None if baseline is None else str(baseline)
    report = evaluate(labels, loaded, parse_measures(measures), missing=missing, baseline=against, seed=seed)
    if per_query is not None:
        report.to_csv(per_query)
    if as_json:
        show_json(report.to_dict())
        return
    rows = [[run, *(f"{means[name]:.4f}" for name in report.names)] for run, means in report.means.items()]
    show_table(["run", *report.names], rows)
    if len(runs) > 1:
        show_comparisons(report)
    for run, counts in report.counts.items():
        if counts.missing:
            say(f"{run}: {counts.missing:,} labelled queries have no documents in it ({missing})")


def show_comparisons(report: Report) -> None:
    """Every pair of runs: difference, interval, p by the randomization test, raw and after Holm."""
    from rich.markup import escape

    if not sys.stdout.isatty():
        show_table(COMPARED, [_numbers(one) for one in report.comparisons])
        return
    title = "Differences (* = significant at .05 after Holm)"
    rows = []
    for one in report.comparisons:
        low, high = one.interval
        difference = f"{one.difference:+.4f}{'*' if one.significant else ''}"
        rows.append([difference, f"{low:+.4f} … {high:+.4f}", f"{one.p:.4f}", f"{one.p_holm:.4f}"])
    if out_console().width < ENOUGH_COLUMNS:
        show_indented(title, 0)
        for one, (difference, interval, p, p_holm) in zip(report.comparisons, rows, strict=True):
            show_indented(escape(f"{one.a} − {one.b}: {one.measure}"), 0)
            show_indented(escape(f"{difference} [{interval}] p {p}, Holm {p_holm}"), 2)
        return
    columns = ["a", "b", "measure", "a − b", "95 % interval", "p", "p (Holm)"]
    named = [[one.a, one.b, one.measure, *row] for one, row in zip(report.comparisons, rows, strict=True)]
    show_table(columns, named, title=title, numbers_from=3)


def _numbers(one: Comparison) -> list[str]:
    """A comparison in plain columns, for a pipe."""
    low, high = one.interval
    values = [f"{value:.4f}" for value in (one.difference, low, high, one.p, one.p_holm)]
    return [one.a, one.b, one.measure, *values, "yes" if one.significant else "no"]
