"""`sleuth prompt`: the prompts there are, and what a model would be shown, byte for byte."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sleuth.cli.console import say, show_json, show_table, visible
from sleuth.cli.index_commands import Json

if TYPE_CHECKING:
    from sleuth.prompts.render import Rendered
    from sleuth.prompts.template import Template
    from sleuth.types import Doc

__all__ = ["register"]

Preset = Annotated[str, typer.Argument(metavar="PRESET", help="A preset's name, or the path of your own template.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="List prompts, show one, or render one with a query and documents.\n\n"
        "Examples:\n\n  sleuth prompt list\n\n  sleuth prompt show rankgpt > mine.toml\n\n"
        '  sleuth prompt render mine.toml --query "why do moths circle lamps" --docs docs.jsonl',
    )
    group.command("list")(list_prompts)
    group.command("show")(show_prompt)
    group.command("render")(render)
    app.add_typer(group, name="prompt")


def list_prompts(as_json: Json = False) -> None:
    """List the built-in prompts.

    Example:

      sleuth prompt list
    """
    from sleuth.prompts.template import list_templates, load_template

    rows = [_summary(load_template(name)) for name in list_templates()]
    if as_json:
        show_json({"schema": "sleuth.prompts/1", "prompts": rows})
    else:
        columns = ["name", "reply", "form", "made for", "description"]
        keys = ["name", "reply", "form", "family", "description"]
        show_table(columns, [[row[key] or "any model" for key in keys] for row in rows], numbers_from=5)


def show_prompt(preset: Preset, as_json: Json = False) -> None:
    """Print a template's file: what it says and how it prepares texts; a start for one of your own.

    Examples:

      sleuth prompt show reasonrank

      sleuth prompt show rankgpt > mine.toml
    """
    from sleuth.prompts.template import load_template, template_source

    template = load_template(preset)
    if as_json:
        shown = {key: str(getattr(template, key)) for key in ("system", "user", "passage")}
        if template.prompt is not None:
            shown = {"prompt": str(template.prompt), "passage": shown["passage"]}
        show_json({"schema": "sleuth.template/1", **_summary(template), **shown, **_details(template)})
    else:
        sys.stdout.write(visible(template_source(preset), lines=True))


def render(
    preset: Preset,
    query: Annotated[str, typer.Option(metavar="TEXT", help="The query.")],
    docs: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="Documents: 'text', maybe 'title'.")] = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What counts as relevant, where the prompt has a place for it.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="A:B", help="Only these documents: from A (0 is the first) to before B.")
    ] = None,
    max_passage_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Cut passages to N tokens; needs --tokenizer.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="PATH", help="The model's tokenizer.json, its folder, or its name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print exactly what a model would be shown.

    Passages are numbered from 1 inside the window. How many were cut, and how many control tokens of the
    tokenizer they spelled, is said on standard error.

    Examples:

      sleuth prompt render rankgpt --query "why do moths circle lamps" --docs docs.jsonl --window 0:20

      sleuth prompt render reasonrank --query "..." --docs docs.jsonl --max-passage-tokens 512 --tokenizer model/
    """
    from sleuth.errors import UsageError
    from sleuth.prompts.passages import PassageMaker
    from sleuth.prompts.render import render_prompt
    from sleuth.prompts.template import load_template

    template = load_template(preset)
    maker = PassageMaker(template, max_passage_tokens=max_passage_tokens, tokenizer=tokenizer)
    if not query.strip():
        raise UsageError("the query is empty")
    if instruction is not None and not template.takes_instruction:
        raise UsageError(f"prompt {template.name!r} has no place for an instruction; leave --instruction out")
    if docs is None and template.shows_passages:
        raise UsageError(f"prompt {template.name!r} shows passages; give them with --docs FILE.jsonl")
    passages = [maker.of(doc) for doc in _windowed(_read_docs(docs), window)]
    try:
        rendered = render_prompt(
            template, query=query, passages=passages, instruction=instruction, control_tokens=maker.control_tokens
        )
    except UsageError as error:
        raise UsageError(f"{error}; choose documents with --window A:B") from None
    _show(template, rendered, as_json=as_json)
    cut = sum(passage.truncated for passage in passages)
    if cut or rendered.neutralized:
        say(f"{cut} passages cut, {rendered.neutralized} control tokens neutralized")


def _summary(template: Template) -> dict[str, Any]:
    return {
        "name": template.name,
        "reply": template.reply,
        "form": "chat" if template.prompt is None else "raw",
        "family": template.family,
        "description": template.description,
    }


def _details(template: Template) -> dict[str, Any]:
    return {
        "numbering": template.numbering,
        "takes_instruction": template.takes_instruction,
        "instruction": template.instruction,
        "prefill": template.prefill,
        "labels": template.labels,
        "scale": None if template.scale is None else template.scale._asdict(),
        "decoding": template.decoding,
        "source": template.source,
        "licence": template.licence,
        "digest": template.digest,
    }


def _show(template: Template, rendered: Rendered, *, as_json: bool) -> None:
    begun = {"prefill": template.prefill} if template.prefill else {}
    if as_json:
        asked: dict[str, Any] = {"messages": [{"role": role, "content": text} for role, text in rendered.messages]}
        if rendered.prompt is not None:
            asked = {"prompt": rendered.prompt}
        show_json({"schema": "sleuth.prompt/1", **asked, **begun})
        return
    if rendered.prompt is not None:
        sys.stdout.write(visible(rendered.prompt + template.prefill, lines=True) + "\n")
        return
    for role, text in (*rendered.messages, *([("assistant", template.prefill)] if begun else [])):
        sys.stdout.write(f"[{role}]\n{visible(text, lines=True)}\n\n")


def _read_docs(path: Path | None) -> list[Doc]:
    """The documents of a JSONL file; an id is not needed here, since no prompt shows one.

    Raises:
        FormatError: A line that is no JSON object or has no text.
    """
    from sleuth.data.lines import BadRecord, Lines, json_object
    from sleuth.errors import FormatError, UsageError
    from sleuth.prompts.passages import doc_from_fields

    found = []
    for number, line in Lines(path) if path is not None else ():
        try:
            found.append(doc_from_fields(json_object(line), f"line {number}"))
        except (BadRecord, UsageError) as error:
            raise FormatError(str(path), str(error), line=number) from None
    return found


def _windowed(docs: list[Doc], window: str | None) -> list[Doc]:
    """`docs[A:B]` for the window "A:B"; either end may be left out.

    Raises:
        UsageError: No window, or one that does not lie within the documents.
    """
    from sleuth.errors import UsageError

    if window is None:
        return docs
    first, colon, last = window.partition(":")
    if not colon or not all(end == "" or (end.isascii() and end.isdigit()) for end in (first, last)):
        raise UsageError(f"--window is A:B with whole numbers, such as 0:20, got {window!r}")
    start, end = int(first or 0), int(last or len(docs))
    if not start < end <= len(docs):
        raise UsageError(f"--window {window} must lie within the {len(docs)} documents: 0 <= A < B <= {len(docs)}")
    return docs[start:end]
