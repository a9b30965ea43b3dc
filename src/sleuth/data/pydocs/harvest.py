"""Collect the docstrings of the running Python's standard library, one JSON line each.

Run as a program of its own (`python -I harvest.py`), so that importing some 450 modules leaves no trace in the
process that asked. It uses nothing but the standard library.

What counts: every public function, class, method, property and module whose docstring has at least
nine words. Left out: private and dunder names; test packages; modules that open windows, print or
install things when imported; platform modules behind `os`; modules that were removed in Python 3.12 or 3.13 (labels must hold from 3.10 on).
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

FEWEST_WORDS = 9
LONGEST_SIGNATURE = 200

NOT_IMPORTED = frozenset(
    [
        "__main__",
        "antigravity",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "nturl2path",
        "pydoc_data",
        "test",
        "this",
        "tkinter",
        "turtle",
        "turtledemo",
        "venv",
    ]
)
OTHER_NAMES = frozenset(
    ["genericpath", "nt", "ntpath", "posix", "posixpath", "sre_compile", "sre_constants", "sre_parse"]
)
"""Modules behind `os`, `os.path` and `re`, which are the names people use."""
REMOVED_LATER = frozenset(
    [
        "aifc",
        "asynchat",
        "asyncore",
        "audioop",
        "binhex",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "telnetlib",
        "uu",
        "xdrlib",
    ]
)
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def public(name: str) -> bool:
    return not name.startswith("_")


def standard_modules() -> dict[str, Any]:
    """name -> module, for every public module that can be imported here."""
    found: dict[str, Any] = {}
    for name in sorted(sys.stdlib_module_names):
        if not public(name) or name in NOT_IMPORTED | OTHER_NAMES | REMOVED_LATER:
            continue
        load(name, found)
        for info in pkgutil.walk_packages(getattr(found.get(name), "__path__", []), f"{name}."):
            parts = info.name.split(".")
            if all(map(public, parts)) and NOT_IMPORTED.isdisjoint(parts) and "tests" not in parts:
                load(info.name, found)
    load("os.path", found)  # a module that no walk over packages meets
    return found


def load(name: str, found: dict[str, Any]) -> None:
    """Import a module; one that this system does not have is left out."""
    try:
        found[name] = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):
        return


def signature(value: Any) -> str:
    """The call signature without memory addresses, or "" where Python can't tell it."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError, AttributeError):
        return ""
    text = ADDRESS.sub("", text)
    return text if len(text) <= LONGEST_SIGNATURE else text[: LONGEST_SIGNATURE - 1] + "…"


def entry(name: str, value: Any, kind: str, module: str) -> dict[str, str] | None:
    """One record, or None where there is no docstring worth it."""
    doc = inspect.getdoc(value)
    if not isinstance(doc, str) or len(doc.split()) < FEWEST_WORDS:
        return None
    shown = signature(value) if kind in ("function", "method", "class") else ""
    return {"name": name, "signature": shown, "doc": doc, "kind": kind, "module": module}


def members(prefix: str, cls: type, module: str) -> Iterator[dict[str, str] | None]:
    """Public methods and properties of a class, inherited ones too (they are aliases)."""
    for name in sorted(filter(public, dir(cls))):
        try:
            raw = inspect.getattr_static(cls, name)
        except AttributeError:
            continue
        if isinstance(raw, property):
            yield entry(f"{prefix}.{name}", raw, "property", module)
        elif isinstance(raw, staticmethod | classmethod) or callable(raw) or inspect.isdatadescriptor(raw):
            bound = raw.__func__ if isinstance(raw, staticmethod | classmethod) else raw
            kind = "method" if callable(bound) else "property"
            yield entry(f"{prefix}.{name}", bound, kind, module)


def records() -> Iterator[dict[str, str] | None]:
    """All records, module by module."""
    for name, module in sorted(standard_modules().items()):
        yield entry(name, module, "module", name)
        prefix = "" if name == "builtins" else f"{name}."
        for key, value in sorted(vars(module).items()):
            if not public(key) or inspect.ismodule(value):
                continue
            if inspect.isclass(value):
                yield entry(prefix + key, value, "class", name)
                yield from members(prefix + key, value, name)
            elif callable(value):
                yield entry(prefix + key, value, "function", name)


def main() -> None:
    warnings.simplefilter("ignore")
    out = sys.stdout
    sys.stdout = sys.stderr  # a module that talks when imported must not mix with the records
    for record in records():
        if record is not None:
            out.write(json.dumps(record, ensure_ascii=True) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
