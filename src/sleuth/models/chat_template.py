"""A checkpoint's chat template: how messages become one string, in jinja's sandbox.

Templates come with a checkpoint, so they are foreign code: they run in an immutable sandbox, see plain strings only,
and get the few helpers that templates on the model hub rely on (`raise_exception`, `tojson`, `strftime_now`,
loop controls, `{% generation %}`), as in transformers' `utils/chat_template_utils.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from sleuth.errors import FormatError, RequestRefused

__all__ = ["ChatTemplate", "read_chat_template", "special_names"]

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The special tokens that templates know by name."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template and the names it can use.

    Attributes:
        source: Jinja.
        names: What the template knows besides the messages: "bos_token" -> "<s>", ….
        where: The file it came from, for messages.
    """

    source: str
    names: Mapping[str, str] = field(default_factory=dict)
    where: str = ""

    def render(self, messages: Sequence[tuple[str, str]], options: Mapping[str, Any] | None = None) -> str:
        """The conversation as one string that ends where the assistant's answer begins.

        Args:
            messages: (role, content) of each turn.
            options: Values that this template reads, `{"enable_thinking": False}` for Qwen3, say.

        Raises:
            RequestRefused: The template refuses these messages, or is no jinja that the sandbox runs.
        """
        from jinja2.exceptions import TemplateError

        turns = [{"role": role, "content": content} for role, content in messages]
        values = {**self.names, **(options or {}), "messages": turns, "add_generation_prompt": True}
        try:
            return str(_compile(self.source).render(values))
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            roles = ", ".join(role for role, _ in messages)
            raise RequestRefused(f"{self.where}: the chat template refuses messages ({roles}): {error}") from error


def read_chat_template(folder: str | Path) -> ChatTemplate | None:
    """The template of a checkpoint: chat_template.jinja, else tokenizer_config.json's (its "default" if it has several).

    None where the checkpoint has none: it is then used with raw prompts only.

    Raises:
        FormatError: tokenizer_config.json is not JSON, or holds templates in another form.
    """
    folder = Path(folder)
    names = special_names(folder)
    path = folder / "chat_template.jinja"
    if path.is_file():
        return ChatTemplate(path.read_text(encoding="utf-8"), names, str(path))
    path = folder / "tokenizer_config.json"
    found = _read_object(path).get("chat_template")
    if isinstance(found, list):
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    if found is not None and not isinstance(found, str):
        raise FormatError(path, f"chat_template is a {type(found).__name__}, expected text or a list with a default")
    return None if found is None else ChatTemplate(found, names, str(path))


def special_names(folder: str | Path) -> dict[str, str]:
    """ "bos_token" -> "<s>" and the like, of tokenizer_config.json and special_tokens_map.json."""
    names: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in _read_object(Path(folder) / file).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key in NAMES and isinstance(text, str):
                names[key] = text
    return names


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FormatError(path, f"not JSON ({error}); get the model's files again") from error
    if not isinstance(value, dict):
        raise FormatError(path, f"holds a {type(value).__name__}, expected an object")
    return value


@lru_cache(maxsize=16)
def _compile(source: str) -> Any:
    """The compiled template; 16 are kept, more than a process has models (ours)."""
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _generation_tag()]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment.from_string(source)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    """JSON without jinja's HTML escapes."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


@lru_cache(maxsize=1)
def _generation_tag() -> Any:
    """An extension that renders the body of `{% generation %}`, which marks answers for training, as it is."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 (jinja reads the class)

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation
