"""`sleuth search` (one question, for a person) and `sleuth retrieve` (many, into a run file)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sleuth.cli.console import INCOMPLETE, check_output, new_context, say, show_indented, show_json
from sleuth.cli.index_commands import IndexPath, Json, SkipBadLines, parse_where
from sleuth.cli.judge_warnings import warn_of_judges

if TYPE_CHECKING:
    from sleuth.context import Context
    from sleuth.hits import Hits
    from sleuth.index.handle import IndexView
    from sleuth.recipe import Answering
    from sleuth.stages import Retriever
    from sleuth.types import Query, Run

__all__ = ["explained", "register"]

SHOWN_CHARACTERS = 320
"""How much of a passage the terminal shows (ours: three to four lines of 80)."""


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("search")(search_index)
    app.command("retrieve")(retrieve_run)


def search_index(
    index: IndexPath,
    question: Annotated[str | None, typer.Argument(help="The question; '-' reads it from standard input.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many passages to show.")] = 10,
    method: Annotated[
        str | None, typer.Option(help="bm25, dense or hybrid; by default hybrid if the index has vectors.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Only documents with this metadata.")
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Only passages with at least this score.")] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Leave out near-duplicates of better passages.")] = False,
    mmr: Annotated[
        float | None, typer.Option(metavar="LAMBDA", help="Diversity by MMR; 1 is none, 0.5 is usual.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The best passage of each, e.g. of each source.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="R.toml", help="Retrieve and rerank as this recipe says; --method beats it.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show terms and stages behind each score.")] = False,
    as_json: Json = False,
) -> None:
    """Show the passages that help answer a question.

    Examples:

      sleuth search handbook.index "why does my child process hang when I wait for it?"

      sleuth search handbook.index "how do I rotate keys" -k 3 --group-by source --explain

      echo "a long question" | sleuth search handbook.index - --json

      sleuth search handbook.index "how do I rotate keys" --recipe recipes/funnel.toml --explain
    """
    from sleuth.errors import UsageError
    from sleuth.front import open_index, search

    if question == "-" or (question is None and not sys.stdin.isatty()):
        question = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    if question is None or not question.strip():
        raise UsageError("the question is empty; give it as an argument, or '-' to read it from standard input")
    opened = open_index(index)
    filters = parse_where(where)
    view = opened.where(**filters) if filters else opened
    answering = _answering(recipe, view, method) if recipe is not None else None
    hits = search(
        view,
        question.strip(),
        k=k,
        method=method,
        min_score=min_score,
        distinct=distinct,
        mmr=mmr,
        group_by=group_by,
        explain=explain,
        retriever=answering,
    )
    if as_json:
        show_json(hits.to_json())
    else:
        _show_hits(hits)
    if answering is not None and answering.result is not None:
        warn_of_judges(answering.result.stages)
    if answering is not None and answering.result is not None and not answering.result.complete:
        reasons = [f"{name}: {stage.reason}" for name, stage in answering.result.stages.items() if stage.reason]
        say(f"incomplete: {'; '.join(reasons)}")
        raise typer.Exit(INCOMPLETE)


def _answering(recipe: Path, view: IndexView, method: str | None) -> Answering:
    """The recipe's pipeline over this index."""
    from sleuth.recipe import Answering, load_recipe

    loaded = load_recipe(recipe)
    return Answering(loaded.pipeline(index=view, method=method), depth=loaded.depth, context=new_context())


def _show_hits(hits: Hits) -> None:
    from rich.markup import escape

    if not len(hits):
        say("nothing found")
    for hit in hits:
        text = " ".join(hit.doc.text.split())
        if len(text) > SHOWN_CHARACTERS:
            text = text[:SHOWN_CHARACTERS].rsplit(" ", 1)[0] + " …"
        show_indented(
            f"[bold]{hit.rank:>2}. {escape(hit.doc.title or hit.doc_id)}[/bold]  [dim]{hits.scale} {hit.score:.4f}[/dim]",
            0,
        )
        show_indented(escape(text))
        name = f"[dim]{escape(hit.doc_id)}[/dim]  " if hit.doc.title else ""  # without a title it is the heading
        show_indented(f"{name}[cyan]{escape(str(hit.citation))}[/cyan]")
        for line in explained(hits.explanations[hit.doc_id]) if hit.doc_id in hits.explanations else ():
            inner = line.lstrip(" ")
            show_indented(f"[dim]{escape(inner)}[/dim]", 4 + len(line) - len(inner))
        show_indented("")


def explained(explanation: Any, indent: str = "") -> list[str]:
    """An explanation in lines: one for a stage, one for its terms, then its members."""
    score = explanation.get("score")
    shown = "no score" if score is None else f"{score:.4f}"
    extra = [
        f"{name} {value}"
        for name, value in explanation.items()
        if name in ("rank", "encoder", "fusion", "weight", "note")
    ]
    lines = [f"{indent}{explanation.get('stage', '?')}: {shown}" + (f" ({', '.join(extra)})" if extra else "")]
    terms = sorted(explanation.get("terms", ()), key=lambda term: -term["contribution"])
    if terms:
        parts = [
            f"{t['term']} {t['contribution']:.2f} (tf {t['tf']:g}, df {t['df']:,})"
            for t in terms[:8]
            if t["contribution"] > 0
        ]
        lines.append(f"{indent}  terms: {', '.join(parts) or 'none shared'}")
    for member in explanation.get("members", ()):
        lines += explained(member, indent + "  ")
    return lines


def retrieve_run(
    index: IndexPath,
    queries: Annotated[Path, typer.Option(help="JSONL, TSV or TREC topics.")],
    depth: Annotated[int, typer.Option(help="How many documents a query.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN.trec", help="The run to write.")],
    method: Annotated[str, typer.Option(help="bm25, dense or hybrid.")],
    query_weighting: Annotated[
        str | None, typer.Option(help="BM25: saturated (default), tf, binary or bm25 (BRIGHT's).")
    ] = None,
    feedback: Annotated[str | None, typer.Option(help="BM25: rm3.")] = None,
    fusion: Annotated[
        str | None, typer.Option(help="Hybrid: smoothed (default), rrf, combsum, combmnz or weighted.")
    ] = None,
    query_view: Annotated[str, typer.Option(help="text, rewrite or text+rewrite.")] = "rewrite",
    combine: Annotated[str, typer.Option(help="Several rewrites: sum, rrf or concat.")] = "sum",
    candidates: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Score and order only the documents of this run.")
    ] = None,
    skip_bad_lines: SkipBadLines = False,
    tag: Annotated[str | None, typer.Option(help="Last column of the run; by default the method.")] = None,
    escape_ids: Annotated[bool, typer.Option("--escape-ids", help="Percent-encode ids with white space.")] = False,
    as_json: Json = False,
) -> None:
    """Retrieve for many queries and write a TREC run with its manifest.

    Only documents that share a term with the query are listed by bm25; a query without terms has no lines.

    Examples:

      sleuth retrieve scifact.index --queries scifact/queries.jsonl --method bm25 --depth 1000 -o bm25.trec

      sleuth retrieve scifact.index --queries q.jsonl --method hybrid --fusion rrf --depth 100 -o rrf.trec

      sleuth retrieve scifact.index --queries q.jsonl --method bm25 --candidates pool.trec --depth 20 -o pool-bm25.trec
    """
    from sleuth.data.readers import read_queries, read_run
    from sleuth.data.writers import write_run
    from sleuth.errors import UsageError
    from sleuth.front import make_retriever, open_index
    from sleuth.manifest import Manifest
    from sleuth.retrieve.views import check_depth

    check_depth(depth)
    check_output(output, inputs=[queries, candidates])
    settings = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in locals().items()
        if key != "as_json" and _is_setting(value)
    }
    settings["query_weighting"] = query_weighting or ("saturated" if method != "dense" else None)
    settings["fusion"] = fusion or ("smoothed" if method == "hybrid" else None)
    manifest = Manifest.begin("retrieve", settings=settings)
    manifest.add_input("queries", queries)
    opened = open_index(index)
    manifest["index"] = opened.info()
    asked = list(read_queries(queries, skip_bad_lines=skip_bad_lines))
    if not asked:
        raise UsageError(f"{queries} has no queries")
    retriever = make_retriever(
        opened,
        method,
        query_weighting=query_weighting,
        feedback=feedback,
        fusion=fusion,
        query_view=query_view,
        combine=combine,
    )
    context = new_context()
    if candidates is None:
        result = retriever.retrieve(asked, depth=depth, context=context)
        run, complete, reason = result.run, result.complete, result.reason
        manifest["counts"], manifest["truncations"] = dict(result.counts), dict(result.truncations)
    else:
        manifest.add_input("candidates", candidates)
        pool = read_run(candidates, skip_bad_lines=skip_bad_lines)
        run, manifest["counts"], missing = _score_candidates(retriever, asked, pool, context)
        for what in missing:
            say(f"{candidates}: {what}")
        run, complete, reason = run.head(depth), True, ""
    write_run(run, output, tag=tag or method, escape_ids=escape_ids)
    manifest["cost"], manifest["complete"] = context.ledger.table(), complete
    manifest.write(output)
    summary = {"queries": len(asked), "lines": sum(map(len, run.values())), "counts": dict(manifest["counts"])}
    if as_json:
        show_json({"schema": "sleuth.retrieve/1", "output": str(output), "complete": complete, **summary})
    else:
        say(f"{output}: {summary['lines']:,} lines for {len(asked):,} queries")
    if not complete:
        say(f"incomplete: {reason}")
        raise typer.Exit(INCOMPLETE)


def _score_candidates(
    retriever: Retriever, asked: list[Query], pool: Run, context: Context
) -> tuple[Run, dict[str, int], list[str]]:
    """Scores of a run's documents; how many queries and documents were not found, as counts and in words."""
    from sleuth.types import Run

    within = [query for query in asked if query.query_id in pool]
    allowed = {query.query_id: pool[query.query_id].without(query.excluded_ids) for query in within}
    scored = retriever.score(within, Run(allowed), context=context)
    unknown = sum(map(len, allowed.values())) - sum(map(len, scored.values()))
    absent = len(asked) - len(within)
    missing = []
    if unknown:
        missing.append(f"{unknown:,} documents of it are not in the index and were left out")
    if absent:
        missing.append(f"{absent:,} of {len(asked):,} queries have no candidates")
    return scored, {"queries_not_in_candidates": absent, "candidates_not_in_index": unknown}, missing


def _is_setting(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | Path)
