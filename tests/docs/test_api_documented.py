"""docs/api.md lists every public name once, with the signature it has."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import sleuth

ROOT = Path(__file__).resolve().parent.parent.parent
LINE = re.compile(
    r"^- `(?P<module>[a-z_0-9.]+\.)?(?P<name>\w+)(?P<signature>\(.*?\))?`: (?P<purpose>.+)$", re.MULTILINE
)


def entries() -> list[re.Match[str]]:
    """The list items of the page. Names without a module are those of `sleuth` itself."""
    return list(LINE.finditer((ROOT / "docs" / "api.md").read_text(encoding="utf-8")))


def signature_of(value: Any) -> str:
    """Parameters with their defaults, without annotations; "" for what is not called."""
    if not callable(value) or isinstance(value, sleuth.Measure) or _is_exception(value):
        return ""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(value).parameters.values()
    ]
    text = str(inspect.Signature(bare))
    return re.sub(r"<factory>|<dataclasses\._HAS_DEFAULT_FACTORY_CLASS[^>]*>", "…", text)


def _is_exception(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseException)


OWN = [name for name in sleuth.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", OWN)
def test_public_name_is_documented(name: str) -> None:
    found = [entry for entry in entries() if entry["name"] == name and not entry["module"]]
    expected = f"- `{name}{signature_of(getattr(sleuth, name))}`: …"
    assert len(found) == 1, f"docs/api.md must have one line\n{expected}"
    assert (found[0]["signature"] or "") == signature_of(getattr(sleuth, name)), f"docs/api.md should say\n{expected}"


def test_nothing_is_documented_that_is_not_there() -> None:
    for entry in entries():
        module = importlib.import_module((entry["module"] or "sleuth.").rstrip("."))
        assert hasattr(module, entry["name"]), entry[0]
        if entry["module"]:
            assert entry["name"] in module.__all__, entry[0]
            if entry["signature"]:
                assert entry["signature"] == signature_of(getattr(module, entry["name"])), entry[0]
        else:
            assert entry["name"] in sleuth.__all__, entry[0]
