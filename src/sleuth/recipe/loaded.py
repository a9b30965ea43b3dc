"""A recipe: a pipeline as a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sleuth.errors import UsageError
from sleuth.index.handle import IndexView
from sleuth.llm.chat import ChatBackend
from sleuth.pipeline import Pipeline
from sleuth.recipe.building import (
    CacheSetting,
    located,
    make_backend,
    make_first_stage,
    make_stage,
    refuse_unbuilt,
)
from sleuth.recipe.keys import BACKENDS
from sleuth.recipe.reading import Place, read_document, stage_places
from sleuth.rerank.mixable import check_mixes
from sleuth.stages import DocStore, Reranker, Retriever

__all__ = ["Recipe", "load_recipe"]

DEPTH = 100
"""Candidates where [retrieve] names no depth: as the papers rerank."""


class Recipe:
    """A loaded recipe; open one with `load_recipe`.

    Attributes:
        path: The file.
        document: Its checked tables, paths resolved; for manifests.
    """

    def __init__(self, path: Path, document: Mapping[str, Any], *, cache: CacheSetting = "default") -> None:
        self.path, self.document = path, document
        self._cache = cache
        self._backends: dict[str, ChatBackend] = {}

    def __repr__(self) -> str:
        stages = [str(table.get("judge", table.get("step"))) for table in self.document.get("rerank", ())]
        return f"Recipe({str(self.path)!r}, rerank: {', '.join(stages) or 'nothing'})"

    @property
    def depth(self) -> int:
        """Candidates that retrieval hands on: `[retrieve] depth`, else 100."""
        return int(self.document.get("retrieve", {}).get("depth", DEPTH))

    @property
    def reads(self) -> int | None:
        """The most candidates of a query that any judge looks at; None where one looks at all, 0 without judges."""
        depths = [table.get("depth") for table in self.document.get("rerank", ()) if "step" not in table]
        return None if None in depths else max(depths, default=0)

    def files(self) -> dict[str, Path]:
        """What else is read, by table and key: cassettes, labels and runs of backends, prompts of your own."""
        found: dict[str, Path] = {}
        for name, table in self.document.get("llm", {}).items():
            keys = BACKENDS[table["kind"]].keys
            found |= {
                f"llm.{name}.{key}": Path(table[key]) for key in table if key in keys and keys[key].kind == "path"
            }
        for at, table in enumerate(self.document.get("rerank", ()), 1):
            if str(table.get("prompt", "")).endswith(".toml"):
                found[f"rerank.{at}.prompt"] = Path(table["prompt"])
        return found

    def backends(self) -> dict[str, ChatBackend]:
        """All `[llm.NAME]` by name. Each is made once, so everything that uses it shares its concurrency."""
        return {name: self._backend(name) for name in self.document.get("llm", {})}

    def rerankers(self, *, depth: int | None = None, after: Retriever | None = None) -> list[Reranker]:
        """The `[[rerank]]` stages, in order.

        Args:
            depth: Candidates of the first judging stage, in place of the recipe's; later ones keep their own, but see no more.
            after: The first stage, if it is known: steps of interpolation are then checked against what it leaves.

        Raises:
            UsageError: A setting that its judge, strategy or backend refuses, a part to interpolate with that no earlier
                stage leaves; names the table.
        """
        if depth is not None and depth < 1:
            raise UsageError(f"depth must be at least 1, got {depth}")
        stages: list[Reranker] = []
        first = True
        for table, place in zip(self.document.get("rerank", ()), stage_places(self.document, self.path), strict=True):
            deep = None
            if "step" not in table and depth is not None:
                deep = depth if first else min(depth, table.get("depth", depth))
                first = False
            stages.append(make_stage(table, place, backend_named=self._backend, depth=deep))
            if after is not None:
                named = {getattr(one, "name", None) or f"rerank-{at}": one for at, one in enumerate(stages, 1)}
                with located(place):
                    check_mixes(after, named)
        return stages

    def pipeline(
        self, *, index: IndexView | None = None, docs: DocStore | None = None, method: str | None = None
    ) -> Pipeline:
        """The whole recipe.

        Args:
            index: What `[retrieve]` searches; not needed for method "run".
            docs: Where judges read documents; by default the index's.
            method: In place of `[retrieve] method`.

        Raises:
            UsageError: As `rerankers`; an index or documents are missing, or something is not built yet.
        """
        return self._pipeline(index, docs, method, above=())

    def _pipeline(
        self, index: IndexView | None, docs: DocStore | None, method: str | None, *, above: tuple[Path, ...]
    ) -> Pipeline:
        if "rewrite" in self.document:
            refuse_unbuilt("rewrite", Place(self.path, "[rewrite]"))
        here = self.path.resolve()
        if here in above:
            raise UsageError(f"{self.path}: [retrieve] pipelines: the recipe contains itself")

        def inner(path: Path) -> Retriever:
            recipe = load_recipe(path, cache=self._cache)
            found = recipe._pipeline(index, docs, None, above=(*above, here))
            found.name = path.stem
            return found

        place = Place(self.path, "[retrieve]")
        first = make_first_stage(
            self.document.get("retrieve", {}), place, index=index, pipeline_of=inner, method=method
        )
        with located(Place(self.path)):
            known = docs if docs is not None or index is None else index.docs
            return Pipeline(retrieve=first, rerank=self.rerankers(after=first), docs=known, name=self.path.stem)

    def _backend(self, name: str) -> ChatBackend:
        if name not in self._backends:
            place = Place(self.path, f"[llm.{name}]")
            self._backends[name] = make_backend(self.document["llm"][name], place, cache=self._cache)
        return self._backends[name]


def load_recipe(path: str | Path, *, cache: CacheSetting = "default") -> Recipe:
    """Read and check a recipe. Nothing is opened yet: no model, no server, no index.

    Args:
        path: The TOML file; paths in it are relative to it.
        cache: Of its backends: "default" is what `SLEUTH_CACHE` names, None none.

    Raises:
        UsageError: No such file, or something in it is unknown, senseless, secret or not built yet; names the table.
        FormatError: It is no TOML.
    """
    path = Path(path)
    return Recipe(path, read_document(path), cache=cache)
