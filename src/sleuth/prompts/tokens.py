"""A model's tokenizer, as far as prompts need it: cutting a passage, and knowing the control tokens.

Text is always encoded as text: a document that spells `<|im_end|>` is five or six ordinary tokens long.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from sleuth.errors import ModelError, UsageError

__all__ = ["Cutter", "open_tokenizer", "special_tokens"]

HEAD_CHARACTERS = 16
"""Characters a token that are read at first of a long text: English has about 4 (ours; what is too few is read whole)."""

MARGIN_TOKENS = 256
"""A head must be longer than the limit by this much, so that where it ends can't change the tokens before (ours)."""


def open_tokenizer(where: str | Path | Any) -> Any:
    """A `tokenizers.Tokenizer` that encodes text as text, without a length limit or padding of its own.

    Args:
        where: A `tokenizer.json`, a folder that holds one, a `tokenizers.Tokenizer`, a fast tokenizer of transformers,
            or a name on the hub (its files are used where they are cached, else fetched).

    Raises:
        UsageError: There is nothing there.
        ModelError: What is there is no tokenizer.
    """
    if isinstance(where, (str, Path)):
        return _read(str(where))
    inner = getattr(where, "backend_tokenizer", where)
    if not hasattr(inner, "to_str"):
        raise UsageError(f"tokenizer: expected a path, a name or a tokenizers.Tokenizer, got {type(where).__name__}")
    return _plain(inner.to_str())


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """The tokenizer's control tokens as they are spelled, sorted; what its vocabulary marks as special."""
    added = tokenizer.get_added_tokens_decoder().values()
    return tuple(sorted({token.content for token in added if token.special and token.content}))


@lru_cache(maxsize=8)
def _read(where: str) -> Any:
    from tokenizers import Tokenizer

    path = Path(where)
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        try:
            return _plain(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{file} can't be read: {error}") from error
    if path.exists() or path.suffix == ".json" or where.startswith((".", "/", "~")):
        raise UsageError(f"there is no tokenizer.json at {where}; name the file or the folder that holds it")
    try:
        found = Tokenizer.from_pretrained(where).to_str()
    except Exception as error:
        raise UsageError(f"no tokenizer {where!r}: neither a file here nor to be had from the hub ({error})") from error
    return _plain(found)


def _plain(text: str) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:
        raise ModelError(f"this is no tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


class Cutter:
    """Cuts texts to a number of tokens. Safe to use from several threads.

    Args:
        tokenizer: As `open_tokenizer` gives it.
        limit: Tokens at most, >= 1.
        round_trip: Give back the tokens' own text, for short texts too; a character cut in its middle is then U+FFFD.
            Otherwise a short text stays as it is and a long one is cut between characters.
    """

    def __init__(self, tokenizer: Any, limit: int, *, round_trip: bool = False) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise UsageError(f"max_passage_tokens must be a whole number of at least 1, got {limit!r}")
        self._tokenizer, self._limit, self._round_trip = tokenizer, limit, round_trip

    def cut(self, text: str, *, taken: int = 0) -> tuple[str, int, bool]:
        """(the text, how many tokens it has, whether it was cut) with a limit that is `taken` tokens smaller."""
        limit = max(self._limit - taken, 0)
        encoded = self._encode(text, limit)
        ids = encoded.ids
        cut = len(ids) > limit
        if self._round_trip:
            return self._tokenizer.decode(ids[:limit], skip_special_tokens=False), min(len(ids), limit), cut
        if not cut:
            return text, len(ids), False
        if limit == 0:
            return "", 0, True
        return text[: min(encoded.offsets[limit - 1][1], encoded.offsets[limit][0])], limit, True

    def _encode(self, text: str, limit: int) -> Any:
        """The encoding, of as much of a long text as it takes to know its first `limit` tokens."""
        head = HEAD_CHARACTERS * (limit + MARGIN_TOKENS)
        if len(text) > 2 * head:
            encoded = self._tokenizer.encode(text[:head], add_special_tokens=False)
            if len(encoded.ids) > limit + MARGIN_TOKENS:
                return encoded
        return self._tokenizer.encode(text, add_special_tokens=False)
