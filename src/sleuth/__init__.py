"""Sleuth: reasoning-intensive retrieval. Find the passages that help answer a hard question.

Public names are loaded on first use, so `import sleuth` stays fast and pulls in neither torch, scipy
nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AP": "sleuth.measures.ranked",
    "Budget": "sleuth.context",
    "Citation": "sleuth.hits",
    "Context": "sleuth.context",
    "Deadline": "sleuth.context",
    "Dense": "sleuth.retrieve.dense",
    "Doc": "sleuth.types",
    "Embeddings": "sleuth.stages",
    "Hit": "sleuth.hits",
    "Hits": "sleuth.hits",
    "Hybrid": "sleuth.retrieve.hybrid",
    "Imported": "sleuth.retrieve.imported",
    "Judged": "sleuth.measures.ranked",
    "Lexical": "sleuth.retrieve.lexical",
    "Measure": "sleuth.measures.ranked",
    "P": "sleuth.measures.ranked",
    "Pipeline": "sleuth.pipeline",
    "Qrels": "sleuth.types",
    "Query": "sleuth.types",
    "R": "sleuth.measures.ranked",
    "RM3": "sleuth.retrieve.rm3",
    "RR": "sleuth.measures.ranked",
    "Ranking": "sleuth.types",
    "Result": "sleuth.pipeline",
    "Rprec": "sleuth.measures.ranked",
    "Run": "sleuth.types",
    "ScoredDoc": "sleuth.types",
    "SleuthError": "sleuth.errors",
    "Smoothed": "sleuth.fusion.smoothed",
    "StageResult": "sleuth.stages",
    "Success": "sleuth.measures.ranked",
    "build_index": "sleuth.front",
    "evaluate": "sleuth.measures.evaluation",
    "fuse": "sleuth.fusion.combine",
    "get_analyzer": "sleuth.text.analyzer",
    "index_corpus": "sleuth.front",
    "judged_only": "sleuth.measures.views",
    "macro": "sleuth.measures.tasks",
    "make_retriever": "sleuth.front",
    "nDCG": "sleuth.measures.ranked",
    "open_encoder": "sleuth.models.encoder",
    "open_index": "sleuth.front",
    "oracle_run": "sleuth.measures.views",
    "parse_measure": "sleuth.measures.spelling",
    "rbo": "sleuth.measures.overlap",
    "read_corpus": "sleuth.data.readers",
    "read_qrels": "sleuth.data.readers",
    "read_queries": "sleuth.data.readers",
    "read_run": "sleuth.data.readers",
    "search": "sleuth.front",
    "write_qrels": "sleuth.data.writers",
    "write_queries": "sleuth.data.writers",
    "write_run": "sleuth.data.writers",
}

_LATER = {"GradeScale", "YesNo", "load_recipe", "parse_permutation", "parse_score"}

__all__ = [  # noqa: RUF022 (plain alphabetical order, as a reader looks names up)
    "AP",
    "Budget",
    "Citation",
    "Context",
    "Deadline",
    "Dense",
    "Doc",
    "Embeddings",
    "Hit",
    "Hits",
    "Hybrid",
    "Imported",
    "Judged",
    "Lexical",
    "Measure",
    "P",
    "Pipeline",
    "Qrels",
    "Query",
    "R",
    "RM3",
    "RR",
    "Ranking",
    "Result",
    "Rprec",
    "Run",
    "ScoredDoc",
    "SleuthError",
    "Smoothed",
    "StageResult",
    "Success",
    "__version__",
    "build_index",
    "evaluate",
    "fuse",
    "get_analyzer",
    "index_corpus",
    "judged_only",
    "macro",
    "make_retriever",
    "nDCG",
    "open_encoder",
    "open_index",
    "oracle_run",
    "parse_measure",
    "rbo",
    "read_corpus",
    "read_qrels",
    "read_queries",
    "read_run",
    "search",
    "write_qrels",
    "write_queries",
    "write_run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if name in _LATER:
        raise AttributeError(f"sleuth.{name} is not built yet")
    if home is None:
        raise AttributeError(f"module 'sleuth' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
