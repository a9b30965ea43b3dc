"""`sleuth index`, `inspect`, `delete`, `compact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sleuth.cli.console import FAILED, new_context, say, show_json, show_table

__all__ = ["parse_where", "register"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SkipBadLines = Annotated[
    bool, typer.Option("--skip-bad-lines", help="Leave lines that can't be read out and count them.")
]
IndexPath = Annotated[Path, typer.Argument(metavar="INDEX", help="An index folder.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("index")(make_index)
    app.command("inspect")(inspect_index)
    app.command("delete")(delete_docs)
    app.command("compact")(compact_index)


def make_index(
    corpus: Annotated[str, typer.Argument(help="A folder, BEIR or BRIGHT directory, JSONL, TSV, or 'pydocs'.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="INDEX", help="The index folder to make or update.")
    ],
    dense: Annotated[
        str | None, typer.Option(metavar="minilm|NAME|PATH", help="Encode documents with this model too.")
    ] = None,
    analyzer: Annotated[str | None, typer.Option(help="auto (default), code, en, word, cjk or ko.")] = None,
    k1: Annotated[float | None, typer.Option(help="BM25's k1; 1.2 by default.")] = None,
    b: Annotated[float | None, typer.Option(help="BM25's b; 0.75 by default.")] = None,
    chunk_tokens: Annotated[int | None, typer.Option(help="Longest chunk of a file, in tokens.")] = None,
    overlap: Annotated[int | None, typer.Option(help="Tokens that neighbouring chunks share.")] = None,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep documents that are no longer in the corpus.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Allow another corpus, or the removal of more than half.")
    ] = False,
    skip_bad_lines: SkipBadLines = False,
    as_json: Json = False,
) -> None:
    """Make an index, or bring an existing one up to date.

    Documents whose text is unchanged keep their vectors, changed ones are replaced, vanished ones
    removed. A killed run leaves the old index searchable; run the command again to carry on.

    Examples:

      sleuth index handbook/ -o handbook.index

      sleuth index pydocs -o pydocs.index --dense minilm

      sleuth index scifact/ -o scifact.index --analyzer word --k1 0.9 --b 0.4
    """
    from sleuth.front import index_corpus

    made = index_corpus(
        corpus,
        output,
        dense=dense,
        analyzer=analyzer,
        k1=k1,
        b=b,
        chunk_tokens=chunk_tokens,
        overlap=overlap,
        keep_missing=keep_missing,
        replace=replace,
        skip_bad_lines=skip_bad_lines,
        context=new_context(),
    )
    described = made.report.to_json()
    if as_json:
        show_json({**described, "problems": [str(problem) for problem in made.problems], "ignored": made.ignored})
    else:
        rows = [
            [name, _plain(value)] for name, value in described.items() if name != "schema" and value not in (0, None)
        ]
        show_table(["index", str(output)], rows, numbers_from=2)
    if made.ignored:
        kinds = ", ".join(f"{n:,} {suffix or '(no suffix)'}" for suffix, n in sorted(made.ignored.items()))
        say(f"ignored, no reader for them: {kinds}")
    for problem in made.problems:
        say(f"not read: {problem}")
    if any(problem.line is None for problem in made.problems):
        raise typer.Exit(FAILED)


def inspect_index(
    index: IndexPath,
    doc_id: Annotated[str | None, typer.Argument(help="Show this document.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every file with its checksum; exit 1 on a difference.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Counts, analyzer, encoder and segments of an index; one document; checksums.

    Examples:

      sleuth inspect handbook.index

      sleuth inspect handbook.index "guide/install.md#2"

      sleuth inspect handbook.index --check
    """
    from sleuth.errors import UsageError
    from sleuth.front import open_index

    opened = open_index(index)
    if doc_id is not None:
        if doc_id not in opened.docs:
            raise UsageError(f"{index} has no document {doc_id!r}")
        doc = opened.docs[doc_id]
        record = {"doc_id": doc.doc_id, "title": doc.title, "text": doc.text, "metadata": dict(doc.metadata)}
        if as_json:
            show_json({"schema": "sleuth.inspect/1", "document": record})
        else:
            show_table(["field", "value"], [[name, _plain(value)] for name, value in record.items()], numbers_from=2)
        return
    info = opened.info()
    damaged = opened.check() if check else []
    if as_json:
        show_json({"schema": "sleuth.inspect/1", **info, **({"damaged": damaged} if check else {})})
    else:
        show_table(["index", str(index)], [[name, _plain(value)] for name, value in info.items()], numbers_from=2)
        if check:
            say(f"{len(damaged)} damaged files: {', '.join(damaged)}" if damaged else "all checksums match")
    if damaged:
        raise typer.Exit(FAILED)


def delete_docs(
    index: IndexPath,
    doc_ids: Annotated[list[str] | None, typer.Argument(metavar="DOC_ID…", help="Documents to delete.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Delete every document with this metadata.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Delete documents by id or by metadata.

    Examples:

      sleuth delete handbook.index "guide/old.md#0" "guide/old.md#1"

      sleuth delete handbook.index --where source=guide/old.md
    """
    from sleuth.errors import UsageError
    from sleuth.front import open_index
    from sleuth.index.report import Counts, IndexReport

    fields = parse_where(where)
    if bool(doc_ids) == bool(fields):
        raise UsageError("name the documents to delete, or give --where FIELD=VALUE, one of the two")
    opened = open_index(index)
    removed = opened.delete(doc_ids, where=fields or None)
    if as_json:
        show_json(IndexReport(opened.path, opened.manifest, Counts(removed=removed)).to_json())
    else:
        result = {"removed": removed, "documents": opened.n_docs}
        show_table(["index", str(index)], [[name, str(n)] for name, n in result.items()])


def compact_index(index: IndexPath, as_json: Json = False) -> None:
    """Merge an index's segments and drop what was deleted.

    Example:

      sleuth compact handbook.index
    """
    from sleuth.front import open_index

    opened = open_index(index)
    before = opened.info()["bytes"]
    info = opened.compact().to_json()
    if as_json:
        show_json({**info, "bytes_before": before})
    else:
        rows = [
            ["documents", _plain(info["documents"])],
            ["bytes before", f"{before:,}"],
            ["bytes now", f"{info['bytes']:,}"],
        ]
        show_table(["index", str(index)], rows)


def parse_where(where: list[str] | None) -> dict[str, list[str]]:
    """`FIELD=VALUE` options as a filter; one field named twice accepts either value."""
    from sleuth.errors import UsageError

    fields: dict[str, list[str]] = {}
    for condition in where or ():
        name, equals, value = condition.partition("=")
        if not name or not equals:
            raise UsageError(f"--where needs FIELD=VALUE, got {condition!r}")
        fields.setdefault(name, []).append(value)
    return fields


def _plain(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "–"
    return "–" if value is None else str(value)
