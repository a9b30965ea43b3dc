"""Sleuth: reasoning-intensive retrieval. Find the passages that help answer a hard question.

Public names are loaded on first use, so `import sleuth` stays fast and pulls in neither torch, scipy
nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Budget": "sleuth.context",
    "Context": "sleuth.context",
    "Deadline": "sleuth.context",
    "Doc": "sleuth.types",
    "Qrels": "sleuth.types",
    "Query": "sleuth.types",
    "Ranking": "sleuth.types",
    "Run": "sleuth.types",
    "ScoredDoc": "sleuth.types",
    "SleuthError": "sleuth.errors",
    "StageResult": "sleuth.stages",
}

__all__ = [
    "Budget",
    "Context",
    "Deadline",
    "Doc",
    "Qrels",
    "Query",
    "Ranking",
    "Run",
    "ScoredDoc",
    "SleuthError",
    "StageResult",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sleuth' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
