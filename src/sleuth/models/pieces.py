"""Text to token ids: every text stays text, long ones are cut and counted.

A document that spells "[CLS]" or "<s>" is data. It is encoded with special tokens off, and the ids that
open and close a sequence are added by us; they are read off the tokenizer's own template.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ModelError, UsageError

__all__ = ["Encoded", "Pieces", "refuse_one_text"]

SLICE_CHARACTERS = 100_000
"""Longer texts are tokenized in slices, so that a book costs no more memory than a chapter (ours)."""


def refuse_one_text(texts: object) -> None:
    """A lone str is a sequence of its letters, which nobody means.

    Raises:
        UsageError: It is a str or bytes.
    """
    if isinstance(texts, (str, bytes)):
        raise UsageError(
            f"texts to encode must be a list of str, got one {type(texts).__name__}, {texts[:40]!r}; write [text]"
        )


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some texts.

    Attributes:
        ids: Per text its ids, opening and closing ones included, cut to the limit.
        n_tokens: (n,) int32, length of each before the cut.
        truncated: (n,) bool, what was cut.
    """

    ids: list[list[int]]
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]


class Pieces:
    """A checkpoint's tokenizer.

    Args:
        path: Its tokenizer.json.

    Attributes:
        opening, closing: Ids before and after every text ([CLS] and [SEP] for BERT).
        size: Ids are below this.

    Raises:
        ModelError: The file is absent or not a tokenizer.
    """

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer

        if not Path(path).is_file():
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
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.opening, self.closing = _frame(tokenizer, str(path))
        self.size = int(tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str], *, limit: int, prompt: str = "") -> Encoded:
        """Ids of every text.

        Args:
            texts: n texts; lone surrogates count as U+FFFD.
            limit: Most ids of a text, opening and closing ones included.
            prompt: Put before each text, as one string with it.

        Raises:
            UsageError: One str in place of several, something that is no str, or a limit with no room for text.
        """
        refuse_one_text(texts)
        frame = len(self.opening) + len(self.closing)
        if limit <= frame:
            raise UsageError(f"max_tokens must be above {frame} (the sequence's own special tokens), got {limit}")
        whole = [prompt + _clean(text, at) for at, text in enumerate(texts)]
        short = [at for at, text in enumerate(whole) if len(text) <= SLICE_CHARACTERS]
        bodies: dict[int, tuple[list[int], int]] = {}
        found = self._tokenizer.encode_batch_fast([whole[at] for at in short], add_special_tokens=False)
        for at, encoding in zip(short, found, strict=True):
            bodies[at] = encoding.ids, len(encoding)
        for at in set(range(len(whole))).difference(short):
            bodies[at] = self._encode_slices(whole[at], limit)
        lengths = np.array([bodies[at][1] + frame for at in range(len(whole))], dtype=np.int32)
        ids = [[*self.opening, *bodies[at][0][: limit - frame], *self.closing] for at in range(len(whole))]
        return Encoded(ids, lengths, lengths > limit)

    def _encode_slices(self, text: str, limit: int) -> tuple[list[int], int]:
        """(the first ids, how many there are) of a long text."""
        first: list[int] = []
        count = 0
        for part in _slices(text):
            encoding = self._tokenizer.encode_batch_fast([part], add_special_tokens=False)[0]
            if len(first) < limit:
                first += encoding.ids
            count += len(encoding)
        return first, count


def _slices(text: str) -> Iterator[str]:
    """The text in parts that end before white space, so that no word is cut."""
    begin = 0
    while begin < len(text):
        end = begin + SLICE_CHARACTERS
        while end < len(text) and not text[end].isspace():
            end += 1
        yield text[begin:end]
        begin = end


def _clean(text: Any, at: int) -> str:
    if not isinstance(text, str):
        raise UsageError(f"text {at} to encode must be str, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _frame(tokenizer: Any, where: str) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer's template puts before and after a text."""
    probe = tokenizer.encode("a", add_special_tokens=False)
    body, framed = list(probe.ids), list(tokenizer.post_process(probe, None, True).ids)
    for at in range(len(framed) - len(body) + 1):
        if body and framed[at : at + len(body)] == body:
            return framed[:at], framed[at + len(body) :]
    raise ModelError(f"{where}: its template does not keep a text in one piece ({body} became {framed})")
