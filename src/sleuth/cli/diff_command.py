"""`sleuth diff`: what moved between two runs, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sleuth.cli.console import check_output, out_console, say, show_json, show_table, visible
from sleuth.cli.corpus import docs_named, heads_of
from sleuth.cli.index_commands import Json, SkipBadLines

if TYPE_CHECKING:
    from sleuth.bench.diff import RunDiff

__all__ = ["register"]

SHOWN_NAMES = 20
"""Names of settings that only one run has, on its one line (ours); --json and the page have all."""

SHOWN_QUERIES = 20
"""Rows of the table on a terminal (ours: one screen); the page and --json have all."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command("diff")(diff_runs)


def diff_runs(
    run_a: Annotated[Path, typer.Argument(metavar="A.trec", help="The run before.")],
    run_b: Annotated[Path, typer.Argument(metavar="B.trec", help="The run after.")],
    queries: Annotated[Path | None, typer.Option(help="For the questions' texts.")] = None,
    corpus: Annotated[str | None, typer.Option(help="For the documents' texts.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="For labels and the change of nDCG.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="diff.html", help="Write one HTML page too.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Ranks that are compared.")] = 10,
    skip_bad_lines: SkipBadLines = False,
    as_json: Json = False,
) -> None:
    """Show what moved between two runs of the same questions.

    Reads the manifests and the trace beside the runs where they are: which settings differ, and in which
    comparisons a document was seen.

    Examples:

      sleuth diff bm25.trec reranked.trec --qrels qrels.tsv

      sleuth diff bm25.trec reranked.trec --queries q.jsonl --corpus corpus.jsonl --qrels qrels.tsv -o diff.html
    """
    from sleuth.bench.diff import compare_runs
    from sleuth.bench.sidecars import changed_settings, read_manifest, read_windows
    from sleuth.data.readers import read_qrels, read_queries, read_run
    from sleuth.errors import UsageError

    if output is not None:
        check_output(output, inputs=[run_a, run_b, queries, corpus, qrels])
    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}")
    a, b = (read_run(path, skip_bad_lines=skip_bad_lines) for path in (run_a, run_b))
    heads = heads_of((a, b), k)
    diff = compare_runs(
        a,
        b,
        names=(str(run_a), str(run_b)),
        cut=k,
        queries=read_queries(queries, skip_bad_lines=skip_bad_lines) if queries is not None else (),
        docs=docs_named(corpus, {doc_id for ids in heads.values() for doc_id in ids}) if corpus is not None else None,
        qrels=read_qrels(qrels, skip_bad_lines=skip_bad_lines) if qrels is not None else None,
        windows=read_windows(run_b, heads),
        settings=changed_settings(read_manifest(run_a), read_manifest(run_b)),
    )
    if output is not None:
        _write_page(diff, output)
    if as_json:
        show_json(diff.to_json())
        return
    _show(diff)
    for names, other in ((diff.only_a, run_b), (diff.only_b, run_a)):
        if names:
            say(f"{len(names):,} queries are not in {other}, {names[0]!r} first")


def _write_page(diff: RunDiff, output: Path) -> None:
    from sleuth.bench.diff_page import render_page
    from sleuth.manifest import write_atomic

    write_atomic(output, render_page(diff).encode("utf-8", errors="backslashreplace"))
    say(f"{output}: {len(diff.queries):,} queries")


def _show(diff: RunDiff) -> None:
    """The queries that changed most, then the sums."""
    changed = [query for query in diff.queries if not query.same]
    measured = bool(diff.measure)
    columns = ["query", "in", "out", "moved", "overlap", *([diff.measure, "change"] if measured else [])]
    rows = []
    for query in changed if not out_console().is_terminal else changed[:SHOWN_QUERIES]:
        row = [query.query_id, *(str(len(part)) for part in (query.entered, query.left, query.moved))]
        row.append(f"{query.overlap:.3f}")
        if measured:
            row += ["–", "–"] if query.change is None else [f"{query.value_b:.4f}", f"{query.change:+.4f}"]
        rows.append(row)
    show_table(columns, rows)
    counts = diff.counts()
    say(
        f"{counts['changed']:,} of {counts['queries']:,} queries have another first {diff.cut}; "
        f"{counts['entered']:,} documents came in, {counts['left']:,} fell out"
    )
    if measured and diff.mean_a is not None and diff.mean_b is not None:
        say(
            f"{diff.measure}: {diff.mean_a:.4f} → {diff.mean_b:.4f} ({diff.mean_b - diff.mean_a:+.4f}); "
            f"{counts['better']:,} queries better, {counts['worse']:,} worse"
        )
    for one in diff.settings_of_both():
        say(visible(f"differs: {one.setting}: {one.a} → {one.b}"))
    for side, names in diff.settings_of_one().items():
        more = f", and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        say(visible(f"only in {side}: {', '.join(names[:SHOWN_NAMES])}{more}"))
