"""Put a query and its passages into a template.

Everything is filled in one pass: no text that came from a user is read as a template again. Last of all, control
tokens that stand anywhere but in the template's own words are neutralized, those too that only arise where two
texts meet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sleuth.errors import UsageError
from sleuth.prompts.control import neutralize, replace_surrogates
from sleuth.prompts.fixing import fix_text
from sleuth.prompts.passages import Passage, prepare_query
from sleuth.prompts.slots import Form
from sleuth.prompts.template import Template

__all__ = ["Rendered", "render_prompt"]

Role = Literal["system", "user"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is sent: messages or a raw prompt, never both.

    Attributes:
        messages: (role, content) of a chat; empty for a raw prompt.
        prompt: The raw prompt; None for a chat. The template's `prefill` is not part of either.
        neutralized: Control tokens that query, instruction and these passages spelled, all together.
    """

    messages: tuple[tuple[Role, str], ...] = ()
    prompt: str | None = None
    neutralized: int = 0


def render_prompt(
    template: Template,
    *,
    query: str,
    passages: Sequence[Passage] = (),
    instruction: str | None = None,
    control_tokens: Collection[str] = (),
) -> Rendered:
    """What the model is asked about these passages.

    Args:
        template: The template that the passages were made for.
        query: As the user or a rewriter wrote it.
        passages: In the order shown; their names (`{i}`) count from 1 or A here.
        instruction: None takes the template's default; a template without `{instruction}` shows none.
        control_tokens: As given to the `PassageMaker` (`maker.control_tokens`).

    Raises:
        UsageError: More or fewer passages than the template shows at once.
    """
    _check_count(template, len(passages))
    values = _values(template, query, passages, instruction)
    forbidden = frozenset((*control_tokens, *template.guard))
    counted = sum(passage.neutralized for passage in passages)
    if template.prompt is not None:
        prompt, found = _filled(template, template.prompt, values, passages, forbidden)
        return Rendered(prompt=prompt, neutralized=counted + found)
    messages: list[tuple[Role, str]] = []
    roles: tuple[tuple[Role, Form], ...] = (("system", template.system), ("user", template.user))
    for role, form in roles:
        if role == "user" or form:
            content, found = _filled(template, form, values, passages, forbidden)
            messages.append((role, content))
            counted += found
    return Rendered(messages=tuple(messages), neutralized=counted)


def _check_count(template: Template, n: int) -> None:
    low, high = (template.min_passages, template.max_passages) if template.shows_passages else (0, 0)
    if n < low or (high is not None and n > high):
        wanted = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
        raise UsageError(f"prompt {template.name!r} shows {wanted} passage(s) at a time, got {n}")


def _values(template: Template, query: str, passages: Sequence[Passage], instruction: str | None) -> dict[str, str]:
    instruction = replace_surrogates(template.instruction if instruction is None else instruction)
    values = {
        "query": prepare_query(query, template),
        "n": str(len(passages)),
        "instruction": template.with_instruction.fill({"instruction": instruction}) if instruction else "",
    }
    if len(passages) == 1:
        values |= {"i": template.identifiers(1)[0], "title": passages[0].title, "text": passages[0].text}
    return values


def _filled(
    template: Template,
    form: Form,
    values: Mapping[str, str],
    passages: Sequence[Passage],
    forbidden: frozenset[str],
) -> tuple[str, int]:
    """One form filled, and how many control tokens it still spelled."""
    if template.final_fix or not forbidden:
        text = "".join(part for part, _ in _parts(template, form, values, passages))
        if template.final_fix:
            text = fix_text(text, unescape=False)  # in the original, the chat's own "<|im_start|>" turns unescaping off
        return neutralize(text, forbidden)
    parts = list(_parts(template, form, values, passages))
    own, at = [], 0
    for part, is_own in parts:
        if is_own:
            own.append((at, at + len(part)))
        at += len(part)
    return neutralize("".join(part for part, _ in parts), forbidden, own=own)


def _parts(
    template: Template, form: Form, values: Mapping[str, str], passages: Sequence[Passage]
) -> Iterator[tuple[str, bool]]:
    """(text, whether it is the template's own) in order, the passages' parts in their place."""
    for piece, is_own in form.pieces():
        if is_own or piece != "passages":
            yield (piece, True) if is_own else (values[piece], False)
            continue
        pieces = list(template.passage.pieces())
        for name, passage in zip(template.identifiers(len(passages)), passages, strict=True):
            each = {**values, "i": name, "title": passage.title, "text": passage.text}
            yield from ((part, True) if own else (each[part], False) for part, own in pieces)
