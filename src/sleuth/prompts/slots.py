"""Text with named places: the whole syntax of a prompt template.

`{query}` is a place, `{{` and `}}` are braces, anything else in braces is an error. Filling is one pass over
the pieces, so text that is put into a place is never read again and can't open another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sleuth.errors import nearest

__all__ = ["SLOTS", "Form", "SlotError", "parse_form"]

SLOTS = ("i", "instruction", "n", "passages", "query", "text", "title")
"""Every place there is: the query, the passages and their number, one passage's number, text and title, and the
instruction."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


class SlotError(ValueError):
    """Why a text is no form. Readers of templates turn it into a FormatError that names the file.

    Args:
        problem: What is wrong and what to write instead.
        at: Where in the text it begins, in characters.
    """

    def __init__(self, problem: str, at: int) -> None:
        self.problem, self.at = problem, at
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Form:
    """A parsed text: literals with places between them.

    Attributes:
        literals: One more than there are places; some may be empty.
        slots: The places' names, in order; a name may come more than once.
    """

    literals: tuple[str, ...] = ("",)
    slots: tuple[str, ...] = ()

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """(literal, True) and (name of a place, False) in order; empty literals left out."""
        if self.literals[0]:
            yield self.literals[0], True
        for slot, literal in zip(self.slots, self.literals[1:], strict=True):
            yield slot, False
            if literal:
                yield literal, True

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every place filled once."""
        found = [self.literals[0]]
        for slot, literal in zip(self.slots, self.literals[1:], strict=True):
            found.append(values[slot])
            found.append(literal)
        return "".join(found)

    def __bool__(self) -> bool:
        return bool(self.slots) or bool(self.literals[0])

    def __str__(self) -> str:
        """The form as it is written in a file."""
        escaped = [literal.replace("{", "{{").replace("}", "}}") for literal in self.literals]
        return escaped[0] + "".join(f"{{{slot}}}{text}" for slot, text in zip(self.slots, escaped[1:], strict=True))


def parse_form(text: str) -> Form:
    """The form that a text spells.

    Raises:
        SlotError: A place that does not exist, or a lone brace.
    """
    literals, slots, pending, end = [], [], "", 0
    for brace in _BRACES.finditer(text):
        pending += text[end : brace.start()]
        end = brace.end()
        if brace[0] in ("{{", "}}"):
            pending += brace[0][0]
        elif brace[1] in SLOTS:
            literals.append(pending)
            slots.append(brace[1])
            pending = ""
        else:
            raise SlotError(_problem(brace), brace.start())
    return Form((*literals, pending + text[end:]), tuple(slots))


def _problem(brace: re.Match[str]) -> str:
    name = brace[1]
    if name is None:
        return f"a lone {brace[0]!r}; write {brace[0] * 2!r} for a brace"
    near = nearest(name.strip(), list(SLOTS))
    hint = f" Did you mean {{{near}}}?" if near else ""
    known = " ".join(f"{{{slot}}}" for slot in SLOTS)
    return f"there is no slot {{{name}}}.{hint} Slots: {known}; write {{{{ and }}}} for braces"
