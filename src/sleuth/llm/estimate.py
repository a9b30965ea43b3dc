"""How many tokens a text has: exact by the model's tokenizer, else estimated from its characters."""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path

from sleuth.llm.chat import ChatRequest
from sleuth.prompts.tokens import open_tokenizer

__all__ = [
    "LATIN_CHARACTERS",
    "MESSAGE_TOKENS",
    "WIDE_CHARACTERS",
    "estimate_tokens",
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
        tokenizer: The model's (`sleuth.prompts.tokens.open_tokenizer`): the count is then exact, without special tokens.

    Raises:
        UsageError: There is no such tokenizer.
        ModelError: What is there is no tokenizer.
    """
    if tokenizer is not None:
        clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
        return len(open_tokenizer(tokenizer).encode(clean, add_special_tokens=False).ids)
    wide = 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))
    return ceil((len(text) - wide) / LATIN_CHARACTERS + wide / WIDE_CHARACTERS)


def request_tokens(request: ChatRequest, tokenizer: str | Path | None = None) -> int:
    """Tokens that a request is read as: all messages with what a template adds, or the raw prompt; and the prefill.

    Raises:
        UsageError, ModelError: As of `estimate_tokens`.
    """
    texts = [message.content for message in request.messages]
    added = MESSAGE_TOKENS * (len(texts) + 1) if texts else 0  # one more opens the answer
    return added + sum(estimate_tokens(text, tokenizer) for text in (*texts, request.prompt or "", request.prefill))
