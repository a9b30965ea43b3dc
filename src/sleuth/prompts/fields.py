"""The keys of a template file and what each may hold. Everything here is about one key; `template` joins them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sleuth.errors import FormatError, nearest
from sleuth.prompts.slots import SlotError, parse_form

__all__ = ["NUMBERINGS", "REPLIES", "GradeRange", "OutputTokens", "read_fields"]

REPLIES = ("permutation", "grade", "grades", "yes-no", "choice", "text")
NUMBERINGS = ("brackets", "letters", "plain")


class GradeRange(NamedTuple):
    """The grades a prompt asks for: lowest, highest, and the words that stand before a grade in an answer."""

    min: float
    max: float
    label: str | None = None


class OutputTokens(NamedTuple):
    """About how long an answer is, in tokens, for plans: in any case, for each passage shown, and as thoughts."""

    base: int = 8
    per_passage: int = 0
    thought: int = 0

    def of(self, n: int) -> int:
        """Of an answer about n passages."""
        return self.base + self.per_passage * n + self.thought


def read_fields(table: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The values of a template file, checked one by one; forms parsed, keys left out left out.

    Raises:
        FormatError: An unknown key, a value of the wrong type or range, a slot that does not exist.
    """
    found = {}
    for key, value in table.items():
        if key not in _READERS:
            near = nearest(key, list(_READERS))
            hint = f" Did you mean {near!r}?" if near else ""
            raise FormatError(path, f"unknown key {key!r}.{hint} Known: {', '.join(sorted(_READERS))}")
        try:
            found[key] = _READERS[key](value)
        except SlotError as error:
            raise FormatError(path, f"{key}: {error}", line=_line_of(path, value, error.at)) from error
        except ValueError as error:
            raise FormatError(path, f"{key}: {error}") from error
    return found


def _line_of(path: str | Path, text: str, at: int) -> int | None:
    """The 1-based line of a file where `text[at:]` begins; None where the file spells the text otherwise."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    wanted = text[start : None if end < 0 else end]
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []
    places = [number for number, line in enumerate(lines, 1) if wanted in line]
    return places[0] if len(places) == 1 else None


# ── one reader a kind of value; each raises ValueError ──────────────────────────────────────────────


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _word(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError("is empty; leave the key out")
    return str(value)


def _form(value: Any) -> Any:
    return parse_form(_text(value))


def _form_with(slot: str, *others: str) -> Callable[[Any], Any]:
    """A form that has this slot, and besides it only the others."""

    def read(value: Any) -> Any:
        form = _form(value)
        strange = [name for name in form.slots if name not in (slot, *others)]
        if slot not in form.slots or strange:
            allowed = " and ".join(f"{{{name}}}" for name in (slot, *others))
            raise ValueError(f"takes {allowed}, and {{{slot}}} is needed; got {value!r}")
        return form

    return read


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _one_of(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in names:
            near = nearest(str(value), list(names))
            hint = f" Did you mean {near!r}?" if near else ""
            raise ValueError(f"expected one of {', '.join(names)}, got {value!r}.{hint}")
        return str(value)

    return read


def _whole(smallest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise ValueError(f"expected a whole number of at least {smallest}, got {value!r}")
        return value

    return read


def _number(low: float, high: float = math.inf, *, open_low: bool = False) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"expected a number, got {value!r}")
        if not low <= value <= high or (open_low and value == low):
            raise ValueError(f"expected a number {'above' if open_low else 'from'} {low} up to {high}, got {value!r}")
        return float(value)

    return read


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"expected a list of texts that aren't empty, got {value!r}")
    return tuple(value)


def _table(value: Any, known: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table, got {value!r}")
    found = {}
    for key, one in value.items():
        if key not in known:
            raise ValueError(f"unknown key {key!r}; known: {', '.join(sorted(known))}")
        try:
            found[key] = known[key](one)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    return found


def _spellings(value: Any) -> Mapping[str, tuple[str, ...]]:
    """Name -> its spellings; no spelling may stand for two names."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"expected a table of lists of texts, got {value!r}")
    found: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for name, spellings in value.items():
        try:
            found[name] = _texts(spellings)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if not found[name]:
            raise ValueError(f"{name}: the list is empty")
        for spelling in found[name]:
            if owner.setdefault(spelling, name) != name:
                raise ValueError(f"{spelling!r} stands for both {owner[spelling]!r} and {name!r}")
    return found


def _scale(value: Any) -> GradeRange:
    table = _table(value, {"min": _number(-math.inf), "max": _number(-math.inf), "label": _word})
    if not {"min", "max"} <= set(table) or not table["min"] < table["max"]:
        raise ValueError(f"needs min and max with min < max, got {value!r}")
    return GradeRange(**table)


def _decoding(value: Any) -> Mapping[str, Any]:
    known: dict[str, Callable[[Any], Any]] = {
        "max_tokens": _whole(1),
        "temperature": _number(0),
        "top_p": _number(0, 1, open_low=True),
        "top_k": _whole(1),
        "stop": _texts,
    }
    return _table(value, known)


def _output_tokens(value: Any) -> OutputTokens:
    return OutputTokens(**_table(value, {name: _whole(0) for name in OutputTokens._fields}))


_READERS: dict[str, Callable[[Any], Any]] = {
    "decoding": _decoding,
    "description": _text,
    "family": _word,
    "final_fix": _switch,
    "fix_text": _switch,
    "force": _word,
    "guard": _texts,
    "instruction": _text,
    "label_prefill": _text,
    "labels": _spellings,
    "licence": _text,
    "max_passages": _whole(1),
    "min_passages": _whole(1),
    "numbering": _one_of(*NUMBERINGS),
    "output_tokens": _output_tokens,
    "passage": _form,
    "passage_newlines": _text,
    "prefill": _text,
    "prompt": _form,
    "query_brackets": _switch,
    "query_newlines": _text,
    "reply": _one_of(*REPLIES),
    "round_trip": _switch,
    "scale": _scale,
    "source": _text,
    "strip": _switch,
    "system": _form,
    "user": _form,
    "with_instruction": _form_with("instruction"),
    "with_title": _form_with("text", "title"),
    "words": _spellings,
}
