"""`sleuth rerank`: a run file's candidates in the order that a recipe's judges find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sleuth.cli.console import INCOMPLETE, check_output, new_context, say, show_json, show_table
from sleuth.cli.corpus import docs_named, heads_of
from sleuth.cli.index_commands import Json, SkipBadLines
from sleuth.cli.judge_warnings import warn_of_judges

if TYPE_CHECKING:
    from sleuth.context import Budget, Context
    from sleuth.pipeline import Pipeline, Result
    from sleuth.recipe import Recipe
    from sleuth.stages import Plan, StageResult
    from sleuth.types import Query, Run

__all__ = ["parse_budget", "register"]

COLUMNS = ["stage", "queries", "calls", "serial", "passages", "tokens in", "tokens out", "money"]
"""Of the plan and of the bill alike."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command("rerank")(rerank_candidates)


def rerank_candidates(
    run: Annotated[Path, typer.Option(metavar="RUN.trec", help="The candidates.")],
    queries: Annotated[Path, typer.Option(help="JSONL, TSV or TREC topics.")],
    corpus: Annotated[
        str, typer.Option(help="The documents: a folder, BEIR or BRIGHT directory, JSONL, TSV or 'pydocs'.")
    ],
    recipe: Annotated[Path, typer.Option(metavar="R.toml", help="Backends and stages; see docs/recipes.md.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT.trec", help="The run to write.")] = None,
    depth: Annotated[
        int | None, typer.Option(help="Candidates that the first stage reranks; beats the recipe.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked, and ask nothing.")] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="calls=N,tokens=N,seconds=N,money=X", help="Upper limits; any of them.")
    ] = None,
    deadline: Annotated[float | None, typer.Option(metavar="S", help="Stop asking after this many seconds.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep answers.")] = False,
    tag: Annotated[str | None, typer.Option(help="Last column of the run; by default the recipe's name.")] = None,
    escape_ids: Annotated[bool, typer.Option("--escape-ids", help="Percent-encode ids with white space.")] = False,
    seed: Annotated[int, typer.Option(help="Of how windows are dealt.")] = 0,
    skip_bad_lines: SkipBadLines = False,
    as_json: Json = False,
) -> None:
    """Rerank a run's candidates and write a TREC run with its manifest and trace.

    Reads the recipe's [llm.*] and [[rerank]]. Documents that no stage looks at keep their order behind the others. Answers are
    kept in the cache: after Ctrl-C, a limit or an error the same command asks only for what is missing.

    Examples:

      sleuth rerank --run bm25.trec --queries q.jsonl --corpus corpus.jsonl --recipe funnel.toml --dry-run

      sleuth rerank --run bm25.trec --queries q.jsonl --corpus corpus.jsonl --recipe funnel.toml --budget calls=500 -o out.trec
    """
    from sleuth.context import Deadline
    from sleuth.data.readers import read_queries, read_run
    from sleuth.errors import UsageError
    from sleuth.manifest import Manifest
    from sleuth.recipe import load_recipe

    if output is None and not dry_run:
        raise UsageError("name the run to write with -o OUT.trec, or see what would be asked with --dry-run")
    if output is not None:
        check_output(output, inputs=[run, queries, corpus, recipe])
    limits = parse_budget(budget)
    settings = {"depth": depth, "budget": budget, "deadline": deadline, "no_cache": no_cache, "tag": tag}
    manifest = Manifest.begin("rerank", seed=seed, settings=settings)
    loaded = load_recipe(recipe, cache=None if no_cache else "default")
    if output is not None:
        check_output(output, inputs=list(loaded.files().values()))
    for name, path in (("run", run), ("queries", queries), ("corpus", corpus), ("recipe", recipe)):
        manifest.add_input(name, path)
    for name, read in loaded.files().items():
        manifest.add_input(name, read)
    manifest["settings"]["recipe"] = _told(loaded)
    context = replace(new_context(seed=seed), budget=limits, deadline=Deadline(deadline))
    asked, candidates = _joined(
        read_queries(queries, skip_bad_lines=skip_bad_lines), read_run(run, skip_bad_lines=skip_bad_lines), queries, run
    )
    pipeline = _pipeline(loaded, candidates, depth, corpus, context)
    longest = max(map(len, candidates.values()))
    if dry_run:
        _show_plan(pipeline.plan(asked, depth=longest, context=context), as_json)
        return
    if output is None:
        return
    result = _traced(pipeline, asked, longest, output, context)
    _write(result, manifest, output, tag=tag or loaded.path.stem, escape_ids=escape_ids)
    _report(result, output, as_json)
    if not result.complete:
        raise typer.Exit(INCOMPLETE)


def parse_budget(text: str | None) -> Budget:
    """`calls=100,money=2.5` as a Budget.

    Raises:
        UsageError: Another kind, no number, or a kind twice.
    """
    from sleuth.context import Budget
    from sleuth.errors import UnknownName, UsageError

    limits: dict[str, Any] = {}
    for part in (text or "").split(",") if text else ():
        kind, equals, value = part.strip().partition("=")
        if kind not in Budget.KINDS:
            raise UnknownName("kind of budget", kind, list(Budget.KINDS))
        if kind in limits:
            raise UsageError(f"--budget names {kind} twice")
        try:
            limits[kind] = int(value) if kind in ("calls", "tokens") else float(value)
        except ValueError:
            raise UsageError(f"--budget {kind}{equals}{value}: {value!r} is no number of {kind}") from None
    return Budget(**limits)


def _joined(asked: Sequence[Query], run: Run, queries_path: Path, run_path: Path) -> tuple[list[Query], Run]:
    """The queries that have candidates, and those candidates without excluded documents."""
    from sleuth.errors import UsageError
    from sleuth.types import Run as Lists

    within = [query for query in asked if query.query_id in run]
    if not within:
        first = f"; the run's first query is {next(iter(run))!r}" if run else "; the run is empty"
        raise UsageError(f"no query of {queries_path} has candidates in {run_path}{first}")
    empty = next((query.query_id for query in within if not query.text.strip()), None)
    if empty is not None:
        raise UsageError(f"{queries_path}: the question of query {empty!r} is empty, so no judge can be asked about it")
    if len(within) < len(asked):
        say(f"{len(asked) - len(within):,} of {len(asked):,} queries have no candidates in {run_path}")
    known = {query.query_id for query in asked}
    absent = [query_id for query_id in run if query_id not in known]
    if absent:
        say(f"{len(absent):,} queries of {run_path} are not in {queries_path} ({absent[0]!r} first) and are left out")
    lists = {query.query_id: run[query.query_id].without(query.excluded_ids) for query in within}
    return within, Lists(lists, name=run.name)


def _pipeline(loaded: Recipe, candidates: Run, depth: int | None, corpus: str, context: Context) -> Pipeline:
    """The recipe's stages over these candidates, with the documents that they will look at."""
    from sleuth.errors import UsageError
    from sleuth.pipeline import Pipeline
    from sleuth.retrieve.imported import Imported

    first = Imported(candidates, name="retrieve")
    stages = loaded.rerankers(depth=depth, after=first)
    if not stages:
        raise UsageError(f"{loaded.path} has no [[rerank]], so there is nothing to do")
    depths = [getattr(stage, "depth", 0) for stage in stages]
    deepest = None if None in depths else max(depths)
    wanted = {doc_id for ids in heads_of((candidates,), deepest).values() for doc_id in ids}
    docs = docs_named(corpus, wanted, whole=True, context=context)
    return Pipeline(retrieve=first, rerank=stages, docs=docs, name=loaded.path.stem)


def _told(loaded: Recipe) -> dict[str, Any]:
    """The recipe as a manifest keeps it."""
    return {key: value for key, value in loaded.document.items() if key in ("llm", "rerank")}


def _traced(pipeline: Pipeline, asked: list[Query], depth: int, output: Path, context: Context) -> Result:
    """Run it with its trace beside the output; a trace without events is not kept."""
    from sleuth.context import Trace

    target = Path(f"{output}.trace.jsonl.gz")
    unfinished = Path(f"{target}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with Trace(unfinished) as trace:
            result = pipeline.run(asked, depth=depth, context=replace(context, trace=trace))
        target.unlink(missing_ok=True)
        if any(stage.trace for stage in result.stages.values()):
            unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return result


def _write(result: Result, manifest: dict[str, Any], output: Path, *, tag: str, escape_ids: bool) -> None:
    from sleuth.data.writers import write_run
    from sleuth.manifest import Manifest

    write_run(result.run, output, tag=tag, escape_ids=escape_ids)
    manifest["settings"]["stages"] = result.manifest["settings"].get("stages", {})
    manifest["counts"] = {name: dict(stage.counts) for name, stage in result.stages.items()}
    manifest["truncations"] = {name: dict(stage.truncations) for name, stage in result.stages.items()}
    manifest["cost"], manifest["complete"], manifest["reason"] = result.cost, result.complete, _reason(result)
    Manifest(manifest).write(output)


def _reason(result: Result) -> str:
    return "; ".join(f"{name}: {stage.reason}" for name, stage in result.stages.items() if stage.reason)


# ── plan and bill ─────────────────────────────────────────────────────────────────────────────────


def _show_plan(plans: Sequence[Plan], as_json: bool) -> None:
    if as_json:
        show_json({"schema": "sleuth.plan/1", "stages": [asdict(plan) for plan in plans]})
        return
    rows = []
    for plan in plans:
        calls = f"{plan.calls_expected:,}"
        if not plan.exact:
            calls += f" ({plan.calls_min:,}–{plan.calls_max:,})"
        about = "~" if plan.estimated and plan.tokens_in else ""
        tokens = [f"{about}{plan.tokens_in:,}", f"{'~' if plan.tokens_out else ''}{plan.tokens_out:,}"]
        rows.append(
            [
                plan.stage,
                f"{plan.queries:,}",
                calls,
                f"{plan.serial_depth:,}",
                f"{plan.passages:,}",
                *tokens,
                _money_span(plan),
            ]
        )
    show_table(COLUMNS, rows)
    if any(not plan.exact for plan in plans):
        say("calls: expected, if the judge confirms the order it is given (fewest–most whatever it answers)")
    if any(not plan.exact and plan.money is not None for plan in plans):
        say("money: for the expected calls (up to: for the most, at the same price a call)")
    if len([plan for plan in plans if plan.calls_expected]) > 1:
        say("later stages are planned on the first stage's order")


def bill_of(name: str, stage: StageResult, cost: Mapping[str, float]) -> dict[str, Any]:
    """What a stage took, under the names that a plan uses."""
    passages = sum(len(event["shown"]) for events in stage.trace.values() for event in events)
    return {
        "stage": name,
        "queries": sum(len(ranking) > 0 for ranking in stage.run.values()),
        "calls": int(cost.get("calls", 0)),
        "serial_depth": stage.counts.get("serial_depth", 0),
        "passages": passages,
        "tokens_in": int(cost.get("tokens_in", 0)),
        "tokens_out": int(cost.get("tokens_out", 0)),
        "money": cost.get("money"),
        "cache_hits": int(cost.get("cache_hits", 0)),
    }


def _report(result: Result, output: Path, as_json: bool) -> None:
    """The bill and what became of the answers."""
    stages = {name: stage for name, stage in result.stages.items() if name != "retrieve"}
    bills = [bill_of(name, stage, result.cost.get(name, {})) for name, stage in stages.items()]
    lines = sum(map(len, result.run.values()))
    if as_json:
        show_json(
            {
                "schema": "sleuth.rerank/1",
                "output": str(output),
                "queries": len(result.run),
                "lines": lines,
                "counts": {name: dict(stage.counts) for name, stage in stages.items()},
                "truncations": {name: dict(stage.truncations) for name, stage in stages.items()},
                "cost": {name: dict(amounts) for name, amounts in result.cost.items()},
                "stages": bills,
                "complete": result.complete,
                "reason": _reason(result),
            }
        )
    else:
        numbers = ("queries", "calls", "serial_depth", "passages", "tokens_in", "tokens_out")
        rows = [[bill["stage"], *(f"{bill[key]:,}" for key in numbers), _money(bill["money"])] for bill in bills]
        show_table(COLUMNS, rows)
        say(f"{output}: {lines:,} lines for {len(result.run):,} queries")
        _say_counts(stages, bills)
    warn_of_judges(stages)
    if not result.complete:
        say(f"incomplete: {_reason(result)}")


def _say_counts(stages: Mapping[str, StageResult], bills: Sequence[Mapping[str, Any]]) -> None:
    for (name, stage), bill in zip(stages.items(), bills, strict=True):
        told = {
            key: n for key, n in {**stage.counts, **stage.truncations}.items() if n and key not in ("serial_depth",)
        }
        if bill["cache_hits"]:
            told["from the cache"] = bill["cache_hits"]
        if told:
            say(f"{name}: " + ", ".join(f"{key} {n:,}" for key, n in told.items()))


def _money_span(plan: Plan) -> str:
    """What the expected calls cost; where there may be more of them, what the most would at the same price a call."""
    if plan.money is None or plan.exact or not 0 < plan.calls_expected < plan.calls_max:
        return _money(plan.money)
    return f"{_money(plan.money)} (up to {_money(plan.money * plan.calls_max / plan.calls_expected)})"


def _money(amount: float | None) -> str:
    return "–" if amount is None else f"{amount:,.4f}"
