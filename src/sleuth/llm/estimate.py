"""How many tokens a text has: exact by the model's tokenizer, else estimated from its characters."""

from __future__ import annotations

import re
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any

from sleuth.errors import ModelError
from sleuth.llm.chat import ChatRequest

__all__ = [
    "LATIN_CHARACTERS",
    "MESSAGE_TOKENS",
    "WIDE_CHARACTERS",
    "estimate_tokens",
    "open_tokenizer",
    "request_tokens",
]

LATIN_CHARACTERS = 3.6
"""Characters of a token in scripts with short letters (ours: English passages by current tokenizers)."""

WIDE_CHARACTERS = 1.6
"""Characters of a token in Hangul, Han and Kana (ours: Korean passages by current tokenizers)."""

MESSAGE_TOKENS = 4
"""What a chat template adds to each message: role and separators (ours; OpenAI's and Qwen's add 3 to 5)."""

_WIDE = re.compile(
    "[\u1100-\u11ff\u2e80-\u303f\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+"
)


def estimate_tokens(text: str, tokenizer: str | Path | None = None) -> int:
    """Tokens of a text.

    Args:
        text: Any text; an empty one has 0.
        tokenizer: A `tokenizer.json`, or a folder with one: the count is then exact, without special tokens.

    Raises:
        ModelError: The file is absent or not a tokenizer.
    """
    if tokenizer is not None:
        clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
        return len(open_tokenizer(tokenizer).encode(clean, add_special_tokens=False).ids)
    wide = 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))
    return ceil((len(text) - wide) / LATIN_CHARACTERS + wide / WIDE_CHARACTERS)


def request_tokens(request: ChatRequest, tokenizer: str | Path | None = None) -> int:
    """Tokens that a request is read as: all messages with what a template adds, or the raw prompt; and the prefill.

    Raises:
        ModelError: As of `estimate_tokens`.
    """
    texts = [message.content for message in request.messages]
    added = MESSAGE_TOKENS * (len(texts) + 1) if texts else 0  # one more opens the answer
    return added + sum(estimate_tokens(text, tokenizer) for text in (*texts, request.prompt or "", request.prefill))


def open_tokenizer(path: str | Path) -> Any:
    """A `tokenizers.Tokenizer` that neither cuts nor pads, and reads special tokens as text; opened once.

    Args:
        path: A `tokenizer.json`, or a folder with one.

    Raises:
        ModelError: The file is absent or not a tokenizer.
    """
    file = Path(path).expanduser()
    return _opened((file / "tokenizer.json" if file.is_dir() else file).absolute())


@lru_cache(maxsize=8)
def _opened(path: Path) -> Any:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(
            f"there is no tokenizer at {path}; name a tokenizer.json or a folder with one (the checkpoint's repository "
            "has it), or leave the tokenizer out to estimate from characters"
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file that it can't read
        raise ModelError(f"{path} is not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
