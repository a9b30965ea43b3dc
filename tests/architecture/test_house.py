"""The rules of the house, checked on the source; and, for each rule, that the check can fail.

This file holds the one list of rooms. A room imports only rooms named before it; rooms in the same
group never import each other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ORDER: list[set[str]] = [
    {"errors"},
    {"types"},
    {"context"},
    {"journal"},
    {"manifest"},
    {"stages"},
    {"text"},
    {"replies"},
    {"prompts"},
    {"fusion"},
    {"measures"},
    {"data"},
    {"models"},
    {"llm"},
    {"index"},
    {"rewrite", "retrieve", "rerank", "answer"},
    {"pipeline"},
    {"hits"},
    {"front"},
    {"recipe"},
    {"tune"},
    {"synthesize"},
    {"train"},
    {"bench"},
    {"scale", "integrations", "serve", "cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
HEAVY = ("torch", "transformers", "sentence_transformers", "scipy", "numba")
TORCH_ROOMS = ("models/", "index/scan_torch.py", "llm/transformers.py", "train/")
LONGEST_MODULE = 450


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """(path below src/sleuth, parsed source) of every module."""
    home = root / "src" / "sleuth"
    for path in sorted(home.rglob("*.py")):
        yield path.relative_to(home).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: str) -> str:
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Absolute dotted names of everything imported, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "relative"
            elif node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def order_faults(path: str, tree: ast.AST) -> list[str]:
    """Imports of a room that does not lie below this one."""
    here = room_of(path)
    if here == "__init__":
        return []
    if here == "__main__":
        here = "cli"
    if here not in FLOOR:
        return [f"{path}: {here!r} is not in the order of the house"]
    faults = []
    for name in imported(tree):
        if name == "relative":
            faults.append(f"{path}: relative import")
        if not name.startswith("sleuth."):
            continue
        there = name.split(".")[1]
        if there in ("__version__", here):
            continue
        if there in FLOOR and FLOOR[there] >= FLOOR[here]:
            faults.append(f"{path} imports {name}")
    return faults


def top_imports(tree: ast.Module) -> Iterator[str]:
    """Names imported when the module is loaded (not inside functions, not for type checking)."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                todo += getattr(node, part, [])
            for handler in getattr(node, "handlers", []):
                todo += handler.body


def heavy_faults(path: str, tree: ast.Module) -> list[str]:
    """Heavy libraries loaded with a module, and torch outside its rooms at any depth."""
    faults = [f"{path} loads {n} on import" for n in top_imports(tree) if n.split(".")[0] in HEAVY]
    if not path.startswith(TORCH_ROOMS):
        torches = {n for n in imported(tree) if n.split(".")[0] in ("torch", "transformers", "sentence_transformers")}
        faults += [f"{path} imports {n} outside the rooms for torch" for n in sorted(torches)]
    return faults


def name_faults(path: str, tree: ast.Module) -> list[str]:
    """Top-level functions that carry a room's or a module's name."""
    taken = set(FLOOR) | {room_of(path), Path(path).stem, *MODULE_STEMS}
    return [
        f"{path}: function {node.name} carries the name of a room or module"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name in taken
        and not node.name.startswith("_")
    ]


MODULE_STEMS: set[str] = set()
"""Stems of modules that lie directly in src/sleuth; filled per test run from the source."""


def print_faults(path: str, tree: ast.AST) -> list[str]:
    return [
        f"{path}:{node.lineno} prints"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def size_faults(path: str, source: str) -> list[str]:
    lines = source.count("\n")
    return [f"{path} has {lines} lines, more than {LONGEST_MODULE}"] if lines > LONGEST_MODULE else []


@pytest.fixture(scope="module")
def house(root: Path) -> list[tuple[str, ast.Module]]:
    found = list(modules(root))
    MODULE_STEMS.update(path.removesuffix(".py") for path, _ in found if "/" not in path)
    assert len(found) > 10
    return found


def test_rooms_import_only_lower_rooms(house: list[tuple[str, ast.Module]]) -> None:
    assert [fault for path, tree in house for fault in order_faults(path, tree)] == []


def test_heavy_libraries_are_imported_where_they_are_used(house: list[tuple[str, ast.Module]]) -> None:
    assert [fault for path, tree in house for fault in heavy_faults(path, tree)] == []


def test_no_function_named_like_a_room_or_module(house: list[tuple[str, ast.Module]]) -> None:
    assert [fault for path, tree in house for fault in name_faults(path, tree)] == []


def test_the_library_never_prints(house: list[tuple[str, ast.Module]]) -> None:
    assert [fault for path, tree in house for fault in print_faults(path, tree)] == []


def test_modules_hold_one_idea(root: Path) -> None:
    home = root / "src" / "sleuth"
    assert [f for p in home.rglob("*.py") for f in size_faults(p.name, p.read_text(encoding="utf-8"))] == []


def test_no_catch_all_modules(root: Path) -> None:
    names = {path.stem for path in (root / "src").rglob("*.py")}
    assert names.isdisjoint({"utils", "util", "helpers", "misc", "common"})


def test_every_module_says_what_it_is(house: list[tuple[str, ast.Module]]) -> None:
    assert [path for path, tree in house if tree.body and not ast.get_docstring(tree)] == []


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after this statement."""
    code = f"import sys; {statement}; sys.stdout.write(' '.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_import_sleuth_is_light() -> None:
    assert loaded_by("import sleuth").isdisjoint({*HEAVY, "numpy", "pydantic", "typer", "rich"})


def test_command_line_starts_light() -> None:
    assert loaded_by("import sleuth.cli").isdisjoint({*HEAVY})


class TestTheChecksCanFail:
    """A check that can't fail is no check."""

    def test_order(self) -> None:
        assert order_faults("text/chunk.py", ast.parse("from sleuth.index import store"))
        assert order_faults("rerank/driver.py", ast.parse("def f():\n    import sleuth.retrieve.lexical"))
        assert order_faults("text/chunk.py", ast.parse("from . import clean"))
        assert order_faults("attic/box.py", ast.parse(""))
        assert not order_faults("index/store.py", ast.parse("from sleuth.text import analyzer"))

    def test_heavy(self) -> None:
        assert heavy_faults("fusion/x.py", ast.parse("import scipy.sparse"))
        assert heavy_faults("fusion/x.py", ast.parse("def f():\n    import torch"))
        assert heavy_faults("models/x.py", ast.parse("try:\n    import torch\nexcept ImportError:\n    pass"))
        assert not heavy_faults("models/x.py", ast.parse("def f():\n    import torch"))
        assert "scipy" in loaded_by("import scipy")

    def test_names(self) -> None:
        assert name_faults("fusion/x.py", ast.parse("def rerank(): ..."))
        assert name_faults("fusion/rbo.py", ast.parse("def rbo(): ..."))
        assert not name_faults("fusion/x.py", ast.parse("def mix(): ..."))

    def test_print_and_size(self) -> None:
        assert print_faults("x.py", ast.parse("print(1)"))
        assert size_faults("x.py", "\n" * (LONGEST_MODULE + 1))
