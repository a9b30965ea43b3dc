"""A recipe file, read and checked: every key known, every value of its kind, no secret in it.

What is wrong is a `UsageError` that names the file, the table and the key, and the nearest known one.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sleuth.errors import FormatError, UsageError, nearest
from sleuth.recipe.keys import (
    BACKENDS,
    INTERPOLATE,
    JUDGES,
    MEMBER,
    NOT_BUILT,
    RETRIEVE,
    REWRITE,
    RUN,
    STAGE,
    STRATEGIES,
    TABLES,
    Key,
    Keys,
    refused,
)

__all__ = ["SCHEMA", "Place", "read_document", "stage_places"]

SCHEMA = "sleuth.recipe/1"

SECRET = re.compile(r"(api[_-]?key|secret|passw|authorization|bearer|access[_-]?token|auth[_-]?token)", re.IGNORECASE)

KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "a text"),
    "whole": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "flag": ((bool,), "true or false"),
    "list": ((list, str), "a list"),
    "table": ((dict,), "a table"),
    "tables": ((list,), "a list of tables"),
    "path": ((str,), "a path"),
    "name": ((str,), "a name or a path"),
}


class Place:
    """Where in which recipe something stands, for errors.

    Args:
        path: The recipe.
        where: The table, as TOML spells it; "" is the top.
    """

    def __init__(self, path: Path, where: str = "") -> None:
        self.path, self.where = path, where

    def __str__(self) -> str:
        return f"{self.path}, {self.where}" if self.where else str(self.path)

    def fault(self, problem: str) -> UsageError:
        """The error that says so."""
        return UsageError(f"{self}: {problem}")

    def unknown(self, what: str, name: str, known: list[str], elsewhere: str = "") -> UsageError:
        """The error for a name that does not exist here; offers the nearest, or says where it does exist."""
        near = nearest(name, known)
        hint = f" {elsewhere}" if elsewhere else f" Did you mean {near!r}?" if near else ""
        return self.fault(f"unknown {what} {name!r}.{hint} Known: {', '.join(sorted(known))}.")

    def resolve(self, value: str) -> str:
        """A path relative to the recipe."""
        return str(self.path.parent / Path(value).expanduser())

    def resolve_name(self, value: str) -> str:
        """A path relative to the recipe if there is something, else the name as it is."""
        at = self.path.parent / Path(value).expanduser()
        return str(at) if at.exists() else value


def read_document(path: Path) -> dict[str, Any]:
    """The recipe's tables, checked; paths made relative to the recipe.

    Raises:
        UsageError: No such file, an unknown key, a value of another kind, a secret, a pair of judge and strategy that
            makes no sense, something that is not built yet.
        FormatError: It is no TOML.
    """
    found = _parse(path)
    top = Place(path)
    _refuse_secrets(found, top)
    if "schema" not in found:
        for name in found:
            if nearest(name, ["schema"]):
                raise top.unknown("key", name, list(TABLES))
    if found.get("schema") != SCHEMA:
        raise top.fault(f"a recipe begins with schema = {SCHEMA!r}, got {found.get('schema')!r}")
    document = _checked(found, TABLES, top)
    for name, table in document.get("llm", {}).items():
        document["llm"][name] = _backend(table, Place(path, f"[llm.{name}]"))
    for name, keys in (("rewrite", REWRITE), ("run", RUN)):
        if name in document:
            document[name] = _checked(document[name], keys, Place(path, f"[{name}]"))
    if "retrieve" in document:
        document["retrieve"] = _retrieve(document["retrieve"], path)
    stages = document.get("rerank", [])
    for at, place in enumerate(stage_places(document, path)):
        stages[at] = _stage(stages[at], place, list(document.get("llm", {})))
    return document


def stage_places(document: Mapping[str, Any], path: Path) -> list[Place]:
    """Where each `[[rerank]]` stands; counted from 1."""
    return [Place(path, f"[[rerank]] {at}") for at in range(1, len(document.get("rerank", [])) + 1)]


def _parse(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as handle:
            return tomllib.load(handle)
    except FileNotFoundError:
        raise UsageError(f"there is no recipe at {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name a recipe, a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        line = re.search(r"line (\d+)", str(error))
        raise FormatError(path, f"not TOML: {error}", line=int(line[1]) if line else None) from None


def _refuse_secrets(value: Any, place: Place) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if SECRET.search(key):
                raise place.fault(
                    f"the key {key!r} would put a secret into a recipe; set the environment variable OPENAI_API_KEY instead"
                )
            _refuse_secrets(item, place)
    elif isinstance(value, list):
        for item in value:
            _refuse_secrets(item, place)


# ── tables ────────────────────────────────────────────────────────────────────────────────────────


def _checked(values: Any, keys: Keys, place: Place) -> dict[str, Any]:
    """The table with paths resolved; refuses keys that are unknown, of another kind, or missing."""
    if not isinstance(values, dict):
        raise place.fault(f"expected a table, got {values!r}")
    for name in values:
        if name not in keys:
            raise place.unknown("key", name, list(keys), _owner(name))
    for name, key in keys.items():
        if key.required and name not in values:
            raise place.fault(f"the key {name!r} is missing")
    return {name: _value(name, value, keys[name], place) for name, value in values.items()}


def _owner(key: str) -> str:
    """Which strategies a key belongs to, for one that stands with another."""
    owners = [name for name, strategy in STRATEGIES.items() if key in strategy.keys]
    return f"It belongs to strategy = {' or '.join(map(repr, owners))}." if owners else ""


def _value(name: str, value: Any, key: Key, place: Place) -> Any:
    types, wanted = KINDS[key.kind]
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if not fits:
        raise place.fault(f"{name} must be {wanted}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise place.fault(f"{name} must be a finite number, got {value!r}")
    if key.kind == "path":
        return place.resolve(value)
    if key.kind == "name" or (name == "prompt" and value.endswith(".toml")):
        return place.resolve_name(value)
    return value


def _backend(table: Any, place: Place) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise place.fault("expected a table with the backend's kind")
    kind = table.get("kind")
    if kind is None:
        raise place.fault(f"the key 'kind' is missing; one of {', '.join(BACKENDS)}")
    if kind not in BACKENDS:
        raise place.unknown("kind", str(kind), list(BACKENDS))
    checked = _checked(table, {"kind": Key("text", required=True), **BACKENDS[kind].keys}, place)
    for name, keys in (("price", PRICE), ("capabilities", CAPABILITIES)):
        if name in checked:
            _checked(checked[name], keys, Place(place.path, f"{place.where} {name}"))
    return checked


PRICE = {name: Key("number") for name in ("input", "output", "cached")}
CAPABILITIES = {
    "label_logprobs": Key("whole"),
    **{name: Key("flag") for name in ("raw", "prefill", "choices", "seed")},
}


def _retrieve(table: Any, path: Path) -> dict[str, Any]:
    place = Place(path, "[retrieve]")
    checked = _checked(table, RETRIEVE, place)
    if "pipelines" in checked:
        listed = checked["pipelines"]
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise place.fault(f"pipelines must be a list of paths, got {listed!r}")
        checked["pipelines"] = [place.resolve(one) for one in listed]
    if "members" in checked:
        checked["members"] = [
            _checked(member, MEMBER, Place(path, f"[[retrieve.members]] {at}"))
            for at, member in enumerate(checked["members"], 1)
        ]
    return checked


def _stage(table: Any, place: Place, backends: list[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise place.fault(f"expected a table, got {table!r}")
    if "step" in table:
        if table["step"] != "interpolate":
            raise place.unknown("step", str(table["step"]), ["interpolate"])
        return _checked(table, INTERPOLATE, place)
    judge = table.get("judge")
    if judge is None:
        raise place.fault("expected either a judge or step = 'interpolate'")
    built = [name for name in JUDGES if f"judge:{name}" not in NOT_BUILT]
    if f"judge:{judge}" in NOT_BUILT:
        raise place.fault(f"{NOT_BUILT[f'judge:{judge}']} is not built yet; built are {', '.join(built)}")
    if judge not in JUDGES:
        raise place.unknown("judge", str(judge), built)
    strategy = table.get("strategy", JUDGES[judge].strategy)
    if strategy not in STRATEGIES:
        raise place.unknown("strategy", str(strategy), list(STRATEGIES))
    why = refused(judge, strategy)
    if why:
        fitting = [name for name in STRATEGIES if not refused(judge, name)]
        raise place.fault(f"{why}; with {judge} use {' or '.join(fitting)}")
    checked = _checked(table, {**STAGE, **JUDGES[judge].keys, **STRATEGIES[strategy].keys}, place)
    if JUDGES[judge].chat and checked["llm"] not in backends:
        raise (
            place.unknown("llm", checked["llm"], backends)
            if backends
            else place.fault(f"llm = {checked['llm']!r}, but the recipe has no table [llm.{checked['llm']}]")
        )
    return checked
