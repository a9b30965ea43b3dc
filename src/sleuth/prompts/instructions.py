"""What a task's models are told to look for: BRIGHT's instructions, by task and model family.

The table is `instructions.toml` (xlang-ai/BRIGHT, CC BY 4.0). A user's own `Query.instruction` beats it wherever a
stage takes one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from sleuth.errors import UnknownName

__all__ = ["document_prefix", "instruction_for", "instruction_tasks"]


def instruction_for(task: str, family: str | None = None, *, long: bool = False) -> str:
    r"""The instruction of a task, in the form that a model family reads.

    Args:
        task: BRIGHT's name of the task as its files write it ("biology", "theoremqa_theorems", …).
        family: "e5" and "qwen" give `Instruct: …\nQuery: `, "grit" (ReasonIR too) `<|user|>\n…\n<|embed|>\n`, "bge" a
            sentence of its own: what stands before the query's text. Any other family, and None, gives the bare
            sentence, which is what goes into a prompt's `{instruction}`.
        long: For whole documents instead of passages.

    Raises:
        UnknownName: No such task, or `long` for a task that has no whole documents.
    """
    tasks = _table()["tasks"]
    if task not in tasks:
        raise UnknownName("task", task, instruction_tasks())
    own = tasks[task].get(family, tasks[task]) if family is not None else tasks[task]
    if long and "long" not in own:
        raise UnknownName("task with whole documents", task, [name for name in tasks if "long" in tasks[name]])
    sentence = str(own["long" if long else "short"])
    form = _table()["families"].get(family, {}).get("query", "{instruction}")
    return str(form).replace("{instruction}", sentence)


def document_prefix(family: str | None) -> str:
    r"""What stands before every document for this family: `<|embed|>\n` for "grit", nothing for the others."""
    return str(_table()["families"].get(family, {}).get("document", ""))


def instruction_tasks() -> list[str]:
    """The tasks that have an instruction, sorted."""
    return sorted(_table()["tasks"])


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = (resources.files("sleuth.prompts") / "instructions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
