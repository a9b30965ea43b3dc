"""Prompt templates: TOML files, built in (presets) or the user's own. See `docs/prompts.md` for every key.

A template says what a model is shown (`system`, `user`, `passage`, or `prompt`, `passage` for models that take plain
text), what kind of answer it asks for, and how query and passages are prepared before they are put in. It holds no
code, so a checkpoint's own prompt is data that a golden test compares byte by byte.
"""

from __future__ import annotations

import hashlib
import string
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from sleuth.errors import FormatError, UnknownName, UsageError
from sleuth.prompts.fields import GradeRange, OutputTokens, read_fields
from sleuth.prompts.slots import Form, parse_form

__all__ = ["Numbering", "ReplyKind", "Template", "list_templates", "load_template", "template_source"]

ReplyKind = Literal["permutation", "grade", "grades", "yes-no", "choice", "text"]
Numbering = Literal["brackets", "letters", "plain"]

NAMING: tuple[ReplyKind, ...] = ("permutation", "choice", "grades")
"""Replies that name passages, so each passage must show its name (`{i}`)."""

_TITLED = parse_form("Title: {title} Content: {text}")
"""Default `with_title`: RankLLM's and ReasonRank's form of a passage that has a title."""

_BARE = parse_form("{instruction}")


@dataclass(frozen=True, slots=True)
class Template:
    """What a model is asked, and how to prepare what is put in.

    Attributes:
        name: The preset's name, or the path of the user's file.
        reply: What the answer is: a "permutation" of the passages, one "grade", "grades" of several passages,
            "yes-no", the "choice" of one passage, or free "text" (rewriting).
        system, user: Messages of a chat; empty `system` is left out. Both empty where `prompt` is given.
        prompt: A raw prompt, for text completion; None for chat.
        passage: One passage of `{passages}`; passages follow each other with nothing between.
        prefill: With what the answer begins, because the checkpoint was trained so.
        force: What is appended to a thought that found no end, so that the answer follows; "" where unknown.
        label_prefill: With what an answer must be begun for `labels` (or the passages' names) to be its next token.
        numbering: What `{i}` is: "brackets" and "plain" count from 1, "letters" from A. Default: "brackets" where
            `passage` has `[{i}]`, else "plain".
        brackets: `passage` has `[{i}]`: a passage's own `[12]` (with letters, `[B]`) becomes `(12)`.
        query_brackets: The same in the query. Default: as `brackets`.
        min_passages, max_passages: How many may be shown at once; None is no limit.
        family: The model family whose training this prompt belongs to; None is any.
        instruction: Default of `{instruction}`.
        with_instruction: What goes into `{instruction}` where an instruction is not empty.
        with_title: What goes into `{text}` where a document has a title and `{title}` stands nowhere else.
        strip: White space at both ends of query and passages goes.
        fix_text: ftfy's `fix_text` for each passage.
        final_fix: ftfy's `fix_text` once more for each whole message.
        round_trip: Under a token cap, short passages too go through the tokenizer and back, and a character may be
            cut in its middle, as the checkpoint's own code does.
        passage_newlines: What a run of line breaks in a passage becomes; None leaves them.
        query_newlines: What each line break in the query becomes; None leaves them.
        guard: Strings that user text must not spell, such as a closing tag of this prompt: treated as control tokens.
        labels: Answer -> tokens whose probabilities are summed up for it ("yes", "no", or a grade as written).
        words: "yes", "no" -> further words that a text answer may say it with.
        scale: Of grades; None for other replies.
        decoding: Settings of `llm.chat.Decoding` that this prompt is used with; those left out are its defaults.
        output_tokens: About how long an answer is.
        description, source, licence: For people.
        digest: SHA-256 of the file.
    """

    name: str
    reply: ReplyKind
    system: Form = field(default_factory=Form)
    user: Form = field(default_factory=Form)
    prompt: Form | None = None
    passage: Form = field(default_factory=lambda: parse_form("{text}"))
    prefill: str = ""
    force: str = ""
    label_prefill: str = ""
    numbering: Numbering = "plain"
    brackets: bool = False
    query_brackets: bool = False
    min_passages: int = 1
    max_passages: int | None = None
    family: str | None = None
    instruction: str = ""
    with_instruction: Form = _BARE
    with_title: Form = _TITLED
    strip: bool = False
    fix_text: bool = False
    final_fix: bool = False
    round_trip: bool = False
    passage_newlines: str | None = None
    query_newlines: str | None = None
    guard: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: GradeRange | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)
    output_tokens: OutputTokens = field(default_factory=OutputTokens)
    description: str = ""
    source: str = ""
    licence: str = ""
    digest: str = ""

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    @property
    def forms(self) -> tuple[Form, ...]:
        """What is shown outside of passages: the raw prompt, or system and user message."""
        return (self.system, self.user) if self.prompt is None else (self.prompt,)

    @property
    def shows_passages(self) -> bool:
        """Some passage is shown (a rewriting prompt shows none)."""
        return any(slot in ("passages", "text") for form in self.forms for slot in form.slots)

    @property
    def takes_instruction(self) -> bool:
        """There is a place for an instruction; where there is none, one is not shown."""
        return "instruction" in self._slots()

    @property
    def places_title(self) -> bool:
        """`{title}` has a place of its own, so `{text}` is the text alone."""
        return "title" in self._slots()

    def _slots(self) -> set[str]:
        return {slot for form in (*self.forms, self.passage) for slot in form.slots}

    def identifiers(self, n: int) -> tuple[str, ...]:
        """The names of n passages as `{i}` shows them: 1, 2, 3 … or A, B, C …

        Raises:
            UsageError: More passages than letters.
        """
        if self.numbering != "letters":
            return tuple(map(str, range(1, n + 1)))
        if n > len(string.ascii_uppercase):
            raise UsageError(f"prompt {self.name!r} names passages by letters and can show 26, got {n}")
        return tuple(string.ascii_uppercase[:n])

    def fits(self, family: str | None) -> bool:
        """Whether a model of this family may be asked with it; an unknown family may."""
        return self.family is None or family is None or family == self.family


def list_templates() -> list[str]:
    """The presets' names, sorted."""
    return sorted(file.name.removesuffix(".toml") for file in _presets().iterdir() if file.name.endswith(".toml"))


def load_template(name_or_path: str | Path | Template) -> Template:
    """A preset by its name, or a user's template by its path (a `Path`, or a str that ends in .toml or has a slash).

    Raises:
        UnknownName: No preset of this name.
        UsageError: There is no such file.
        FormatError: The file is no template; names the key, and the line where a slot is wrong.
    """
    if isinstance(name_or_path, Template):
        return name_or_path
    if _is_path(name_or_path):
        return _parse(*_read(Path(name_or_path)), name=str(name_or_path))
    return _preset(str(name_or_path))


def template_source(name_or_path: str | Path) -> str:
    """The TOML of a template as written, for people who want to start from one. Errors as `load_template`."""
    path = Path(name_or_path) if _is_path(name_or_path) else _preset_path(str(name_or_path))
    return _read(path)[0]


def _is_path(name_or_path: str | Path) -> bool:
    if isinstance(name_or_path, Path):
        return True
    return name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path


def _presets() -> Any:
    return resources.files("sleuth.prompts") / "presets"


def _preset_path(name: str) -> Path:
    if name not in list_templates():
        raise UnknownName("prompt", name, list_templates())
    return Path(str(_presets() / f"{name}.toml"))


@lru_cache(maxsize=64)
def _preset(name: str) -> Template:
    return _parse(*_read(_preset_path(name)), name=name)


def _read(path: Path) -> tuple[str, Path]:
    try:
        return path.read_bytes().decode("utf-8-sig"), path
    except UnicodeDecodeError as error:
        raise FormatError(path, f"is not UTF-8 ({error}); a prompt template is a TOML file") from error
    except OSError as error:
        raise UsageError(f"can't read the prompt template {path}: {error.strerror or error}") from error


def _parse(text: str, path: Path, *, name: str) -> Template:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise FormatError(path, f"is not TOML: {error}") from error
    found = read_fields(table, path)
    for problem in _problems(found):
        raise FormatError(path, problem)
    return Template(name=name, digest=hashlib.sha256(text.encode()).hexdigest(), **_completed(found))


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """With the defaults that follow from other keys."""
    brackets = found.get("numbering") == "brackets" or any(
        left.endswith("[") and slot == "i" and right.startswith("]")
        for form in _forms(found)
        for left, slot, right in zip(form.literals, form.slots, form.literals[1:], strict=False)
    )
    found = {"numbering": "brackets" if brackets else "plain", "query_brackets": brackets, **found}
    if found["reply"] in ("grade", "yes-no"):
        found = {"max_passages": 1, **found}
    elif found["reply"] == "choice":
        found = {"min_passages": 2, **found}
    if found["numbering"] == "letters":
        found = {"max_passages": len(string.ascii_uppercase), **found}
    return {"brackets": brackets, **found}


def _forms(found: Mapping[str, Any]) -> list[Form]:
    return [found[key] for key in ("system", "user", "prompt", "passage") if key in found]


def _problems(found: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong about the keys together."""
    if "reply" not in found:
        yield "has no 'reply'; say what the answer is: permutation, grade, grades, yes-no, choice or text"
    if ("user" in found) == ("prompt" in found):
        yield "needs either 'user' (with 'system' and 'passage': a chat) or 'prompt' (with 'passage': raw), not both"
    if "prompt" in found and "system" in found:
        yield "a raw prompt has no 'system'; write it into 'prompt'"
    if "prompt" in found and found.get("final_fix"):
        yield "final_fix works on messages; a raw prompt has none"
    if found.get("final_fix") and found.get("guard"):
        yield "guard and final_fix exclude each other: after the final fix the template's own words can't be told apart"
    if "passages" in found.get("passage", Form()).slots:
        yield "passage: {passages} stands in 'user' or 'prompt', a passage is made of {i}, {title} and {text}"
    yield from _slot_problems(found)
    yield from _answer_problems(found)


def _slot_problems(found: Mapping[str, Any]) -> Iterator[str]:
    reply = found["reply"]
    outside = {slot for key in ("system", "user", "prompt") if key in found for slot in found[key].slots}
    shown = outside | set(found.get("passage", Form()).slots)
    main = "user" if "user" in found else "prompt"
    if reply != "text" and "query" not in shown:
        yield f"the query is nowhere shown; put {{query}} into {main!r}"
    if reply != "text" and not outside & {"passages", "text"}:
        yield f"no passage is shown; put {{passages}} into {main!r}"
    if "passages" in outside and "passage" not in found:
        yield "{passages} needs 'passage', how one passage looks, such as \"[{i}] {text}\\n\""
    if "passages" in outside and "text" not in found["passage"].slots:
        yield "passage: the passage's text is nowhere shown; put {text} into it"
    if reply in NAMING and "passages" in outside and "i" not in found["passage"].slots:
        yield f'passage: a {reply!r} names passages, and they have no names; put {{i}} into it, such as "[{{i}}] {{text}}\\n"'
    if reply not in ("grade", "yes-no") and outside & {"i", "text", "title"}:
        yield f"{main}: {{i}}, {{title}} and {{text}} stand in 'passage' (only a prompt about one passage may say {{text}})"


def _answer_problems(found: Mapping[str, Any]) -> Iterator[str]:
    reply, scale = found["reply"], found.get("scale")
    if (scale is not None) != (reply in ("grade", "grades")):
        yield f"reply {reply!r} {'has no' if scale else 'needs a'} [scale]: min, max and perhaps a label"
    for key in ("labels", "words"):
        allowed = {"yes-no": {"yes", "no"}}.get(reply)
        names = set(found.get(key, ()))
        if names and allowed is not None and names != allowed:
            yield f"{key}: a yes-no prompt has exactly the keys yes and no, got {', '.join(sorted(names))}"
        elif names and allowed is None and (key == "words" or reply != "grade"):
            yield f"{key}: a prompt with reply {reply!r} has none"
        elif names and reply == "grade" and scale is not None and not all(_is_grade(name, scale) for name in names):
            yield f"{key}: every key is a grade from {scale.min:g} to {scale.max:g}, got {', '.join(sorted(names))}"
    low, high = found.get("min_passages", 1), found.get("max_passages")
    if high is not None and low > high:
        yield f"min_passages {low} is more than max_passages {high}"


def _is_grade(name: str, scale: GradeRange) -> bool:
    try:
        return scale.min <= float(name) <= scale.max
    except ValueError:
        return False
