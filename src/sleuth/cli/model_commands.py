"""`sleuth models` and `sleuth doctor`: what this installation has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sleuth.cli.console import FAILED, OK, say, show_json, show_table
from sleuth.cli.index_commands import Json
from sleuth.cli.unbuilt import refuse

__all__ = ["register"]

EXTRAS = {
    "fast": ("numba", "BM25 in batches and building from text"),
    "files": ("pypdf", "PDF and HTML"),
    "hub": ("huggingface_hub", "download models"),
    "ko": ("kiwipiepy", "Korean morphemes"),
    "llm": ("openai", "language models over HTTP"),
    "models": ("torch", "any bi-encoder"),
    "plot": ("matplotlib", "plots of wins and losses"),
}


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("models")(show_models)
    app.command("doctor")(check_installation)


def show_models(
    action: Annotated[str | None, typer.Argument(metavar="[get]", help="'get' downloads a model.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which one.")] = None,
    as_json: Json = False,
) -> None:
    """List the known models and where their files are, or get one.

    Examples:

      sleuth models

      sleuth models get minilm
    """
    from sleuth.errors import UsageError
    from sleuth.front import download_model, model_table

    if action == "get":
        if not name:
            raise UsageError("sleuth models get NAME; see the names with: sleuth models")
        path = download_model(name)
        say(f"{name}: {path}")
        return
    if action is not None:
        raise UsageError(f"sleuth models [get NAME], got {action!r}")
    rows = model_table()
    if as_json:
        show_json({"schema": "sleuth.models/1", "models": rows})
    else:
        show_table(
            ["name", "kind", "licence", "files"],
            [[r["name"], r["kind"], r["licence"], r["files"]] for r in rows],
            numbers_from=4,
        )


def check_installation(
    verify: Annotated[str | None, typer.Option(hidden=True)] = None,
    llm: Annotated[str | None, typer.Option(metavar="URL", help="Ask a model server what it can do.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Which of its models; with --llm.")] = None,
    server: Annotated[str | None, typer.Option(metavar="KIND", help="openai, vllm, …; by default it is asked.")] = None,
    as_json: Json = False,
) -> None:
    """Check what is installed and what works; says how to get what is missing.

    With --llm, ask a model server with about ten short calls what it can do. A key is read from OPENAI_API_KEY.

    Examples:

      sleuth doctor

      sleuth doctor --llm http://127.0.0.1:8000/v1 --model reasonrank-7B
    """
    from sleuth.errors import UsageError

    if verify is not None:
        refuse("doctor --verify")
    if llm is None and (model is not None or server is not None):
        raise UsageError("--model and --server say what to ask of a server: give its address with --llm URL")
    checks = _checks() if llm is None else _server_checks(llm, model, server)
    if as_json:
        show_json({"schema": "sleuth.doctor/1", "checks": checks})
    else:
        show_table(["check", "", "detail"], [[c["check"], c["state"], c["detail"]] for c in checks], numbers_from=3)
    raise typer.Exit(FAILED if any(check["state"] == "broken" for check in checks) else OK)


def _server_checks(url: str, model: str | None, server: str | None) -> list[dict[str, str]]:
    from sleuth.llm.probe import probe_server

    return list(probe_server(url, model=model, server=server).rows)


def _checks() -> list[dict[str, Any]]:
    import platform
    from importlib import metadata
    from importlib.util import find_spec

    from sleuth import __version__
    from sleuth.errors import SleuthError
    from sleuth.front import locate_minilm

    checks = [{"check": "sleuth", "state": "ok", "detail": f"{__version__}, Python {platform.python_version()}"}]
    for name in ("numpy", "scipy", "PyStemmer", "tokenizers"):
        checks.append({"check": name, "state": "ok", "detail": metadata.version(name)})
    for extra, (module, use) in EXTRAS.items():
        found = find_spec(module) is not None
        detail = f"{module} {metadata.version(module)}: {use}" if found else f"{use}: pip install 'sleuth[{extra}]'"
        checks.append({"check": f"extra {extra}", "state": "ok" if found else "absent", "detail": detail})
    try:
        checks.append({"check": "minilm", "state": "ok", "detail": str(locate_minilm())})
    except SleuthError as error:
        checks.append({"check": "minilm", "state": "absent", "detail": str(error)})
    return checks
