"""From a recipe's checked tables to backends, judges, strategies and retrievers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import CapabilityMissing, FormatError, ModelError, UsageError
from sleuth.front import make_retriever
from sleuth.fusion.smoothed import Smoothed
from sleuth.index.handle import IndexView
from sleuth.llm.cache import Cache
from sleuth.llm.chat import Capabilities, ChatBackend, Price
from sleuth.recipe.keys import BACKENDS, JUDGES, NOT_BUILT, STAGE, STRATEGIES
from sleuth.recipe.reading import Place
from sleuth.rerank.interpolate import Interpolate
from sleuth.retrieve.dense import Dense
from sleuth.retrieve.hybrid import Hybrid
from sleuth.retrieve.imported import Imported
from sleuth.retrieve.lexical import Lexical
from sleuth.retrieve.rm3 import RM3
from sleuth.stages import Reranker, Retriever

__all__ = ["CacheSetting", "located", "make_backend", "make_first_stage", "make_stage"]

CacheSetting = Cache | Literal["default"] | None


@contextmanager
def located(place: Place) -> Iterator[None]:
    """Errors of what is built here name the recipe and the table."""
    try:
        yield
    except CapabilityMissing as error:
        raise CapabilityMissing(f"{place}: {error}{_in_toml(str(error))}") from error
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error
    except FormatError as error:
        raise FormatError(str(place), str(error)) from error
    except UsageError as error:
        if str(error).startswith(str(place.path)):
            raise
        raise UsageError(f"{place}: {error}") from error


def _in_toml(message: str) -> str:
    """Capabilities that a message wants declared in Python, as a recipe declares them."""
    found = re.search(r"Capabilities\(([^)]*)\)", message)
    stated = re.findall(r"(\w+)=(\w+)", found[1]) if found else []
    toml = ", ".join(f"{name} = {value.lower()}" for name, value in stated)
    return f". In a recipe, in the table [llm.…]: capabilities = {{ {toml} }}" if toml else ""


def _class(home: str, place: Place) -> Any:
    module, _, name = home.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise place.fault(f"{name} is not built yet") from None


# ── backends ──────────────────────────────────────────────────────────────────────────────────────


def make_backend(table: Mapping[str, Any], place: Place, *, cache: CacheSetting) -> ChatBackend:
    """The backend of a `[llm.NAME]`.

    Args:
        table: Checked.
        cache: Given to backends that cost something; a replay or oracle has none of its own accord.
    """
    kind = table["kind"]
    settings = {key: value for key, value in table.items() if key != "kind"}
    with located(place):
        backend = _class(BACKENDS[kind].home, place)
        if "price" in settings:
            settings["price"] = Price(**settings["price"])
        if "capabilities" in settings:
            settings["capabilities"] = Capabilities(**settings["capabilities"])
        if kind == "openai":
            return _made(backend(**settings, cache=cache))
        if kind == "transformers":
            return _made(backend(settings.pop("model"), **settings, cache=cache))
        if kind == "replay":
            return _made(backend(settings.pop("cassette"), **settings))
        return _oracle(backend, settings)


def _oracle(backend: Callable[..., Any], settings: dict[str, Any]) -> ChatBackend:
    from sleuth.data.readers import read_qrels, read_run

    qrels = read_qrels(settings.pop("qrels"))
    if "run" in settings:
        settings["run"] = read_run(settings["run"])
    if "scale" in settings:
        settings["scale"] = _span(settings["scale"])
    return _made(backend(qrels, **settings))


def _span(value: Any) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int | float) for one in value):
        return float(value[0]), float(value[1])
    raise UsageError(f"scale must be [lowest, highest], got {value!r}")


def _made(backend: ChatBackend) -> ChatBackend:
    return backend


# ── reranking ─────────────────────────────────────────────────────────────────────────────────────


def make_stage(
    table: Mapping[str, Any],
    place: Place,
    *,
    backend_named: Callable[[str], ChatBackend],
    depth: int | None = None,
) -> Reranker:
    """The reranker of a `[[rerank]]`.

    Args:
        table: Checked.
        backend_named: Gives the backend of a name.
        depth: In place of the table's own.
    """
    if "step" in table:
        settings = {key: value for key, value in table.items() if key not in ("step", "with")}
        with located(place):
            return Interpolate(with_=table.get("with", "retrieve"), **settings)
    who = JUDGES[table["judge"]]
    how = STRATEGIES[table.get("strategy", who.strategy)]
    own = {key: table[key] for key in who.keys if key in table and key not in ("llm", "model")}
    given = {key: table[key] for key in how.keys if key in table}
    common = {key: table[key] for key in STAGE if key in table and key not in ("judge", "strategy")}
    if who.most == 2:
        given = {**how.pair_defaults, **given}
    if depth is not None:
        common["depth"] = depth
    with located(place):
        judge = _class(who.home, place)(backend_named(table["llm"]) if who.chat else table["model"], **own)
        strategy: Reranker = _class(how.home, place)(judge, **given, **common)
    return strategy


# ── retrieval ─────────────────────────────────────────────────────────────────────────────────────

READ = ("query_view", "combine", "separator", "text_repeat")
"""How a stage reads a query with rewrites: keys of [retrieve] that every member shares unless it has its own."""


def make_first_stage(
    table: Mapping[str, Any],
    place: Place,
    *,
    index: IndexView | None,
    pipeline_of: Callable[[Path], Retriever],
    method: str | None = None,
) -> Retriever:
    """The retriever of `[retrieve]`.

    Args:
        table: Checked; may be empty.
        index: Needed by all but run and pipelines.
        pipeline_of: Gives the pipeline of another recipe.
        method: In place of the table's own (a flag beats a recipe).
    """
    chosen = method or table.get("method")
    read = {key: table[key] for key in READ if key in table}
    with located(place):
        _needless(chosen, table, place)
        if chosen == "run":
            if "run" not in table:
                raise UsageError("method = 'run' needs run = PATH")
            return Imported(table["run"], name="run")
        if chosen == "pipelines":
            return _pipelines(table, pipeline_of)
        if index is None:
            raise UsageError(f"method {chosen or 'bm25 or hybrid'!r} searches an index; give index=…")
        if "members" in table or (chosen == "hybrid" and read.keys() & {"separator", "text_repeat"}):
            return _members(table, index, read)
        return _simple(index, chosen, table, read)


def _needless(method: str | None, table: Mapping[str, Any], place: Place) -> None:
    """Keys that only another method reads are a mistake."""
    readers = {
        "run": ("run",),
        "pipelines": ("pipelines",),
        "members": ("hybrid", None),
        "fusion": ("hybrid", "pipelines", None),
        "normalize": ("hybrid", "pipelines", None),
        "query_weighting": ("bm25", "hybrid", None),
        "feedback": ("bm25", "hybrid", None),
    }
    for key, methods in readers.items():
        if key in table and method not in methods:
            users = " and ".join(repr(one) for one in methods if one)
            raise place.fault(f"{key} does nothing with method {method!r}; it belongs to {users}")


def _simple(index: IndexView, method: str | None, table: Mapping[str, Any], read: dict[str, Any]) -> Retriever:
    if "normalize" in table:
        raise UsageError("normalize needs [[retrieve.members]] and a fusion other than 'smoothed'")
    options: dict[str, Any] = {key: table.get(key) for key in ("query_weighting", "feedback", "fusion")}
    if not read.keys() & {"separator", "text_repeat"}:
        return make_retriever(index, method, **options, **read)
    if method is None:
        method = "hybrid" if index.has_vectors else "bm25"
    member = {key: options[key] for key in ("query_weighting", "feedback") if options[key] is not None}
    return _member({"method": method, **member}, index, read)


def _members(table: Mapping[str, Any], index: IndexView, read: dict[str, Any]) -> Retriever:
    listed = table.get("members") or [{"method": "bm25"}, {"method": "dense"}]
    shared = {key: table[key] for key in ("query_weighting", "feedback") if key in table}
    members = [
        _member({**(shared if one["method"] == "bm25" else {}), **one}, index, read, name=_name(listed, at))
        for at, one in enumerate(listed)
    ]
    if len(members) == 1:
        return members[0]
    weights = [one.get("weight") for one in listed]
    fusion = table.get("fusion", "smoothed")
    if fusion == "smoothed":
        fused: dict[str, Any] = {"fusion": _smoothed(listed)}
    else:
        fused = {"fusion": fusion, "weights": _weights(weights)}
    if "normalize" in table:
        fused["normalize"] = table["normalize"]
    deep = [one["pool_depth"] for one in listed if "pool_depth" in one]
    return Hybrid(*members, **fused, pool_depth=max(deep) if deep else None)


def _name(listed: list[Mapping[str, Any]], at: int) -> str:
    """A member's method; numbered where several share it."""
    methods = [one["method"] for one in listed]
    method = methods[at]
    return str(method) if methods.count(method) == 1 else f"{method}-{methods[: at + 1].count(method)}"


def _smoothed(listed: list[Mapping[str, Any]]) -> Smoothed:
    weights = {one["method"]: one["weight"] for one in listed if "weight" in one}
    if "dense" in weights:
        raise UsageError("fusion 'smoothed' has one weight, BM25's; the vectors' is 1 less that")
    return Smoothed(weight=weights["bm25"]) if "bm25" in weights else Smoothed()


def _weights(weights: list[float | None]) -> list[float] | None:
    given = [weight for weight in weights if weight is not None]
    if given and len(given) != len(weights):
        raise UsageError(f"either all {len(weights)} members have a weight or none")
    return given or None


def _member(one: Mapping[str, Any], index: IndexView, read: dict[str, Any], *, name: str | None = None) -> Retriever:
    reads = {**read, **({"query_view": one["query_view"]} if "query_view" in one else {})}
    method = one["method"]
    if method == "bm25":
        if one.get("feedback") not in (None, "rm3"):
            raise UsageError(f"feedback must be 'rm3', got {one['feedback']!r}")
        feedback = RM3() if one.get("feedback") else None
        weighting: Any = one.get("query_weighting", "saturated")
        if "encoder" in one:
            raise UsageError("encoder belongs to a member with method 'dense'")
        return Lexical(index, query_weighting=weighting, feedback=feedback, name=name or "bm25", **reads)
    if method != "dense":
        raise UsageError(f"a member's method is 'bm25' or 'dense', got {method!r}")
    if one.keys() & {"query_weighting", "feedback"}:
        raise UsageError("query_weighting and feedback belong to a member with method 'bm25'")
    encoder = None
    if "encoder" in one:
        from sleuth.models.encoder import open_encoder

        encoder = open_encoder(one["encoder"])
    return Dense(index, encoder=encoder, name=name or "dense", **reads)


def _pipelines(table: Mapping[str, Any], pipeline_of: Callable[[Path], Retriever]) -> Retriever:
    paths = [Path(one) for one in table.get("pipelines", ())]
    if len(paths) < 2:
        raise UsageError("method = 'pipelines' needs pipelines = [two or more recipes]")
    fusion = table.get("fusion", "rrf")
    return Hybrid(*map(pipeline_of, paths), fusion=fusion, normalize=table.get("normalize"))


def refuse_unbuilt(name: str, place: Place) -> None:
    """Raises UsageError where a table names what is not built yet."""
    if name in NOT_BUILT:
        raise place.fault(f"{NOT_BUILT[name]} is not built yet")
