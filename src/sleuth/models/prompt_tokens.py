"""Requests to token ids for a causal language model, without torch.

Control tokens (`<|im_end|>`, `</think>`, …) steer a model, so only the checkpoint's own template and raw prompts may
bring them: in a message a string that spells one stays text. Such a string is cut after its first character and its
parts are encoded apart, which no tokenizer joins again; messages without one are encoded as one string with the
template, exactly as transformers does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sleuth.errors import ModelError, RequestRefused, UsageError
from sleuth.models.chat_template import read_chat_template, special_names

__all__ = ["PromptTokens"]

THOUGHT_TAGS = ("<think>", "</think>")
"""Control tokens even where the tokenizer doesn't call them special: they part thoughts from the answer."""

MARK = "\ufdd0"
"""Where a spelled control token is cut while the template runs. A noncharacter; repeated until no message has it."""


class PromptTokens:
    """A checkpoint's tokenizer and chat template.

    Args:
        folder: With tokenizer.json, and the template where there is one.

    Attributes:
        control_tokens: The tokens' texts: special ones, those the chat template writes, and the tags of thoughts;
            those of a single character or of white space only are ordinary text.
        template: The chat template, or None.
        opening: Ids before a raw prompt (`<s>` for Llama; none for Qwen).
        end_id: The tokenizer's end of text, or None.

    Raises:
        ModelError: tokenizer.json is absent or not a tokenizer.
        FormatError: tokenizer_config.json is not what it should be.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self._tokenizer = _open(folder / "tokenizer.json")
        self.template = read_chat_template(folder)
        self._controls = self._find_controls()
        self.control_tokens = tuple(sorted(self._controls.values()))
        body = self._tokenizer.encode("a", add_special_tokens=False).ids
        framed = self._tokenizer.encode("a", add_special_tokens=True).ids
        first = next((at for at in range(len(framed)) if framed[at : at + len(body)] == body), 0)
        self.opening: list[int] = framed[:first]
        self.end_id: int | None = self._tokenizer.token_to_id(special_names(folder).get("eos_token", ""))

    def chat(
        self, messages: Sequence[tuple[str, str]], *, prefill: str = "", options: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Ids of a conversation, up to where the answer begins.

        Args:
            messages: (role, content) of each turn. Content is text, whatever it spells.
            prefill: With what the answer begins; it may hold control tokens, as a preset's own words.
            options: For the template.

        Raises:
            RequestRefused: There is no chat template, or it refuses the messages.
        """
        if self.template is None:
            raise RequestRefused("this checkpoint has no chat template; use a preset with a raw prompt")
        longest = max((_longest_run(content, MARK) for _, content in messages), default=0)
        mark = MARK * (longest + 1)
        marked = [(role, mark.join(self._parts(_clean(content)))) for role, content in messages]
        whole = self.template.render(marked, options) + _clean(prefill)
        return self._ids(whole.split(mark))

    def raw(self, prompt: str, *, prefill: str = "") -> list[int]:
        """Ids of a raw prompt: control tokens in it are control tokens, as in every completion API."""
        ids = self._ids([_clean(prompt) + _clean(prefill)])
        return ids if ids[: len(self.opening)] == self.opening else [*self.opening, *ids]

    def text(self, text: str) -> list[int]:
        """Ids of text alone, free of control tokens."""
        return self._ids(self._parts(_clean(text)))

    def label(self, label: str) -> int:
        """The one token that spells a label.

        Raises:
            UsageError: It takes more than one, or none; shows them.
        """
        ids = self._ids([_clean(label)])
        if len(ids) != 1:
            pieces = [self._tokenizer.id_to_token(one) for one in ids]
            raise UsageError(f"label {label!r} must be one token of the model, it takes {len(ids)}: {pieces}")
        return ids[0]

    def choice(self, text: str) -> tuple[int, ...]:
        """Ids of an answer that a model is held to.

        Raises:
            UsageError: It is empty.
        """
        ids = tuple(self._ids([_clean(text)]))
        if not ids:
            raise UsageError(f"a choice must have text, got {text!r}")
        return ids

    def decode(self, ids: Sequence[int], *, after: Sequence[int] = ()) -> str:
        """Text of generated ids, special tokens left out.

        Args:
            ids: What was generated.
            after: The last ids before them, where the text continues a text: some tokenizers drop the space in
                front of a first word.
        """
        if not after:
            return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
        before = str(self._tokenizer.decode(list(after), skip_special_tokens=True))
        return str(self._tokenizer.decode([*after, *ids], skip_special_tokens=True))[len(before) :]

    def _ids(self, parts: Sequence[str]) -> list[int]:
        found = self._tokenizer.encode_batch([part for part in parts if part], add_special_tokens=False)
        return [one for encoding in found for one in encoding.ids]

    def _parts(self, text: str) -> list[str]:
        """The text, cut so that no part has a control token in it.

        The tokenizer itself says where it sees one, so spellings that its normalizer makes are found too.
        """
        done: list[str] = []
        todo = [text]
        while todo:  # a stack, the first part on top
            part = todo.pop()
            spans = self._spans(part)
            if not spans:
                done.append(part)
                continue
            begin, pieces = 0, []
            for start, end, token in spans:
                at = max(part.find(token, start, end), start)  # a token may take white space around it along
                if end - at == 1:  # one character that a normalizer spells out: it has no other spelling
                    pieces.append(part[begin:at] + "\ufffd")
                    begin = end
                elif at + 1 > begin:
                    pieces.append(part[begin : at + 1])
                    begin = at + 1
            pieces.append(part[begin:])
            todo += reversed(pieces)
        return done

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, token) of control tokens that the tokenizer sees in a text."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        controls = self._controls
        hits = [at for at, one in enumerate(encoding.ids) if one in controls]
        if not hits:
            return []
        offsets, ids = encoding.offsets, encoding.ids
        return [(*offsets[at], controls[ids[at]]) for at in hits]

    def _find_controls(self) -> dict[int, str]:
        """Id -> text of the control tokens."""
        source = self.template.source if self.template else ""
        found = {}
        for number, token in self._tokenizer.get_added_tokens_decoder().items():
            text = token.content
            named = token.special or text in THOUGHT_TAGS or text in source
            if named and len(text) > 1 and not text.isspace():
                found[int(number)] = text
        return found


def _open(path: Path) -> Any:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(
            f"{path} is not there. Older checkpoints lack it; write it once with transformers: "
            "AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)"
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file that it can't read
        raise ModelError(f"{path} is not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _clean(text: Any) -> str:
    """The text, lone surrogates as U+FFFD."""
    if not isinstance(text, str):
        raise UsageError(f"text for a model must be str, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _longest_run(text: str, letter: str) -> int:
    longest = run = 0
    if letter in text:
        for one in text:
            run = run + 1 if one == letter else 0
            longest = max(longest, run)
    return longest
