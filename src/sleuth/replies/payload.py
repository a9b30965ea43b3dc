"""Error messages that arrive as if they were answers.

Backends raise on transport errors, but proxies and wrappers deliver "Error code: 429 - rate limit 3 per 1 min" as
content. Its digits are no ids: the known forms of such texts are refused before anything else is read.
"""

from __future__ import annotations

import re

import orjson

__all__ = ["is_error_payload"]

_ERROR = re.compile(
    r"error\ code|error:|traceback\ \(most\ recent\ call\ last\)|http\ error|http/[0-9]"
    r"|[0-9]{3}\ (?:client|server)\ error"
    r"|[a-z._]*(?:error|exception):"
    r"|request\ timed\ out|connection\ (?:error|refused|reset|aborted)|internal\ server\ error"
    r"|service\ unavailable|bad\ gateway|gateway\ timeout|too\ many\ requests|rate\ limit",
    re.IGNORECASE | re.ASCII,
)


def is_error_payload(text: str) -> bool:
    """Whether a text (stripped) is an error message: it begins as one, or is a JSON object with the key `error`."""
    if _ERROR.match(text):
        return True
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        value = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and "error" in value
