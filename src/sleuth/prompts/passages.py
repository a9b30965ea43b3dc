"""From a document to the passage that a model is shown; the work is done once a document."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from sleuth.errors import UsageError
from sleuth.prompts.control import neutralize, replace_surrogates
from sleuth.prompts.fixing import fix_text
from sleuth.prompts.template import Template, load_template
from sleuth.prompts.tokens import Cutter, open_tokenizer, special_tokens
from sleuth.types import Doc

__all__ = ["LARGEST_MEMORY", "Passage", "PassageMaker", "doc_from_fields", "prepare_query"]

LARGEST_MEMORY = 32_000_000
"""Characters of finished passages that are kept, about as many bytes (ours: 60,000 passages of a Wikipedia paragraph,
or all candidates of 100 queries at 100 documents of 3,000 characters)."""

TEXT_FIELDS = ("text", "segment", "contents", "content", "body", "passage")
"""Where a record's text may stand, first present wins: rank_llm's order; ReasonRank's is the same without "content"."""

_NUMBERED = re.compile(r"\[(\d+)\]")
_LETTERED = re.compile(r"\[([A-Z])\]")
_LINE_BREAKS = re.compile(r"[\r\n]+")
_OVERHEAD = 200


@dataclass(frozen=True, slots=True)
class Passage:
    """A document as a template shows it.

    Attributes:
        text: What goes into `{text}`; holds the title too, unless the template places that itself.
        title: What goes into `{title}`; empty where the template does not place it.
        truncated: The token cap cut something off.
        neutralized: How many control tokens its text spelled.
    """

    text: str
    title: str = ""
    truncated: bool = False
    neutralized: int = 0


class PassageMaker:
    """Prepares documents for one template. Safe to use from several threads.

    In this order, as far as the template says so: title and text joined, white space stripped, line breaks replaced,
    ftfy, the token cap, `[12]` to `(12)`, control tokens neutralized.

    Args:
        template: A template, a preset's name or a template's path.
        max_passage_tokens: Longest passage in tokens (its title included), >= 1; None cuts nothing.
        tokenizer: The model's: what `prompts.tokens.open_tokenizer` takes. A cap needs it.
        control_tokens: Strings that text must not spell. None: the tokenizer's own, where one is given.

    Attributes:
        template, control_tokens: As used.

    Raises:
        UsageError: A cap without a tokenizer, a cap below 1, no tokenizer at this place.
    """

    def __init__(
        self,
        template: Template | str | Path,
        *,
        max_passage_tokens: int | None = None,
        tokenizer: Any = None,
        control_tokens: Collection[str] | None = None,
    ) -> None:
        self.template = load_template(template)
        opened = None if tokenizer is None else open_tokenizer(tokenizer)
        if max_passage_tokens is not None and opened is None:
            raise UsageError(
                f"max_passage_tokens={max_passage_tokens} needs the model's tokenizer to count with: "
                "give its path or name as `tokenizer`, or leave the cap out"
            )
        self._cutter = None
        if max_passage_tokens is not None:
            self._cutter = Cutter(opened, max_passage_tokens, round_trip=self.template.round_trip)
        if control_tokens is None:
            control_tokens = () if opened is None else special_tokens(opened)
        if isinstance(control_tokens, str):
            raise UsageError(f"control_tokens must be several strings, got the one string {control_tokens!r}")
        self.control_tokens = tuple(control_tokens)
        self._forbidden = frozenset((*self.control_tokens, *self.template.guard))
        self._made: OrderedDict[tuple[str, int, int, int], Passage] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def of(self, doc: Doc) -> Passage:
        """The document's passage, made now or remembered."""
        key = (doc.doc_id, len(doc.text), hash(doc.text), hash(doc.title))
        with self._lock:
            found = self._made.get(key)
            if found is not None:
                self._made.move_to_end(key)
                return found
        made = self._make(doc)
        with self._lock:
            if key not in self._made:
                self._made[key] = made
                self._size += _size_of(made)
            while self._size > LARGEST_MEMORY and len(self._made) > 1:
                self._size -= _size_of(self._made.popitem(last=False)[1])
        return made

    def _make(self, doc: Doc) -> Passage:
        template = self.template
        title, text = doc.title, doc.text
        if title and not template.places_title:
            title, text = "", template.with_title.fill({"title": title, "text": text})
        title, text = self._clean(title), self._clean(text)
        truncated = False
        if self._cutter is not None:
            taken = 0
            if title:
                title, taken, truncated = self._cutter.cut(title)
            text, _, text_cut = self._cutter.cut(text, taken=taken)
            truncated = truncated or text_cut
        (title, in_title), (text, in_text) = self._guarded(title), self._guarded(text)
        return Passage(text, title, truncated, in_title + in_text)

    def _clean(self, text: str) -> str:
        text = replace_surrogates(text)
        if self.template.strip:
            text = text.strip()
        if self.template.passage_newlines is not None:
            text = _LINE_BREAKS.sub(lambda _: self.template.passage_newlines or "", text)
        return fix_text(text) if self.template.fix_text else text

    def _guarded(self, text: str) -> tuple[str, int]:
        if self.template.brackets:
            text = _parenthesize(text, self.template)
        return neutralize(text, self._forbidden)


def prepare_query(query: str, template: Template) -> str:
    """The query as the template shows it: stripped, line breaks and `[12]` replaced, as far as it says so."""
    query = replace_surrogates(query)
    if template.query_newlines is not None:
        query = query.replace("\n", template.query_newlines)
    if template.query_brackets:
        query = _parenthesize(query, template)
    return query.strip() if template.strip else query


def doc_from_fields(fields: Mapping[str, Any], doc_id: str = "") -> Doc:
    """A document from a record of a candidate list: `title`, and the first present of `TEXT_FIELDS`.

    Raises:
        UsageError: No text, or a text or title that is not a string.
    """
    text = next((fields[name] for name in TEXT_FIELDS if fields.get(name) is not None), None)
    title = fields.get("title")
    if not isinstance(text, str) or not isinstance(title, str | None):
        raise UsageError(f"a passage needs a text (one of {', '.join(TEXT_FIELDS)}), got {str(dict(fields))[:80]}")
    return Doc(doc_id, text, title or "")


def _parenthesize(text: str, template: Template) -> str:
    return (_LETTERED if template.numbering == "letters" else _NUMBERED).sub(r"(\1)", text)


def _size_of(passage: Passage) -> int:
    return len(passage.text) + len(passage.title) + _OVERHEAD
