"""`sleuth cache`: what the cache of replies holds, making it smaller, and writing it out as a cassette."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sleuth.cli.console import check_output, say, show_json, show_table
from sleuth.cli.index_commands import Json

if TYPE_CHECKING:
    from sleuth.llm.cache import Cache

__all__ = ["register"]

SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[kmgt]?)b?", re.IGNORECASE)
DAY_S = 86_400.0


def register(app: typer.Typer) -> None:
    """Add `sleuth cache` to the application."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("stats")(show_stats)
    group.command("prune")(prune_replies)
    group.command("export")(export_cassette)
    app.add_typer(
        group,
        name="cache",
        help="""Look after the cache of language-model replies.

        It lies where SLEUTH_CACHE says, else in the user's cache folder; `sleuth cache stats` shows where.

        Examples:

          sleuth cache stats

          sleuth cache prune --max-bytes 2GB

          sleuth cache export -o replies.jsonl
        """,
    )


def show_stats(as_json: Json = False) -> None:
    """Show where the cache is, what it holds and for which backends.

    Example:

      sleuth cache stats
    """
    from dataclasses import asdict

    cache = _existing()
    if isinstance(cache, Path):
        if as_json:
            show_json({"schema": "sleuth.cache/1", "path": str(cache), "replies": 0, "bytes": 0, "identities": {}})
        else:
            say(f"there is no cache at {cache} yet; the first call to a model makes it")
        return
    stats = cache.stats()
    if as_json:
        show_json({"schema": "sleuth.cache/1", **asdict(stats)})
        return
    rows = [
        ["file", stats.path],
        ["replies", f"{stats.replies:,}"],
        ["requests and replies", f"{stats.bytes:,} bytes"],
        ["on disk", f"{stats.file_bytes:,} bytes"],
        ["first reply", _day(stats.oldest)],
        ["last reply", _day(stats.newest)],
        ["sent, reply never seen", f"{stats.unknown:,}"],
        *([f"of {identity}", f"{count:,}"] for identity, count in stats.identities.items()),
    ]
    show_table(["cache", ""], rows, numbers_from=2)


def prune_replies(
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="SIZE", help="Keep at most this much: 500MB, 2GB, …")
    ] = None,
    max_age: Annotated[
        float | None, typer.Option("--max-age", metavar="DAYS", help="Remove what was not used for so many days.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove everything, also a damaged file.")] = False,
    as_json: Json = False,
) -> None:
    """Remove replies from the cache, longest unused first. Without options: down to the limit of 10 GiB.

    Examples:

      sleuth cache prune --max-bytes 2GB

      sleuth cache prune --max-age 90

      sleuth cache prune --all
    """
    from sleuth.errors import UsageError
    from sleuth.llm.cache import LARGEST_BYTES, remove_cache

    if everything and (max_bytes is not None or max_age is not None):
        raise UsageError("--all removes everything; leave out --max-bytes and --max-age")
    if everything:
        removed = remove_cache(_path())
    else:
        largest = None if max_bytes is None else _bytes(max_bytes)
        if largest is None and max_age is None:
            largest = LARGEST_BYTES
        cache = _existing()
        age_s = None if max_age is None else max_age * DAY_S
        removed = 0 if isinstance(cache, Path) else cache.prune(max_bytes=largest, max_age_s=age_s)
    if as_json:
        show_json({"schema": "sleuth.cache/1", "removed": removed})
    else:
        say(f"removed {removed:,} replies" if removed is not None else f"removed the damaged cache {_path()}")


def export_cassette(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="CASSETTE.jsonl", help="The file to write.")],
    identity: Annotated[
        str | None, typer.Option(help="Only replies of this backend, as `sleuth cache stats` names it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the replies as a cassette, which the backend `replay` answers from without a model.

    Example:

      sleuth cache export -o replies.jsonl
    """
    from sleuth.errors import UsageError

    check_output(output)
    cache = _existing()
    if isinstance(cache, Path):
        raise UsageError(f"there is no cache at {cache} yet, so there is nothing to export")
    known = cache.stats().identities
    if identity is not None and identity not in known:
        raise UsageError(f"no reply is of {identity!r}; the cache has {', '.join(map(repr, known)) or 'none'}")
    written = cache.export(output, identity=identity)
    if as_json:
        show_json({"schema": "sleuth.cache/1", "rules": written, "path": str(output)})
    else:
        say(f"{output}: {written:,} rules")


def _path() -> Path:
    from sleuth.errors import UsageError
    from sleuth.llm.cache import cache_path

    path = cache_path()
    if path is None:
        raise UsageError("the cache is off (SLEUTH_CACHE=off); unset SLEUTH_CACHE or name a file with it")
    return path


def _existing() -> Cache | Path:
    """The cache, or where it would be."""
    from sleuth.llm.cache import open_cache

    path = _path()
    return (open_cache(path) or path) if path.exists() else path


def _bytes(text: str) -> int:
    from sleuth.errors import UsageError

    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--max-bytes is a size such as 500MB or 2GB, got {text!r}")
    return int(float(found["number"]) * SIZES[found["unit"].lower()])


def _day(moment: float | None) -> str:
    from datetime import datetime

    return "-" if moment is None else datetime.fromtimestamp(moment).isoformat(" ", "seconds")
