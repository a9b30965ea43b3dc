"""The OpenAI SDK, as far as it differs between its versions, and what its errors say.

`import openai` here is the SDK (imports are absolute); `sleuth.llm.openai` is the backend.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from sleuth.errors import MissingExtra, TransportError

__all__ = ["http_error", "import_sdk", "root_words", "said"]


def import_sdk() -> Any:
    """The package.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingExtra("a model over HTTP", "llm", error) from error
    return openai


def http_error() -> type[Exception]:
    """The base of the errors of the SDK's HTTP library (httpx or httpx2): older SDKs let them through in streams."""
    for base in import_sdk().DefaultAsyncHttpxClient.__mro__:
        package = base.__module__.partition(".")[0]
        if package != "openai":
            return cast(type[Exception], importlib.import_module(package).HTTPError)
    raise TransportError("the SDK's HTTP library is none that Sleuth knows; run: pip install --upgrade openai")


def said(body: object) -> str:
    """A server's own words in an error's body: message, code and type, in the forms servers give them; "" if none."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    message = body.get("message") or body.get("detail") or body.get("error") or ""
    names = [body[name] for name in ("code", "type") if isinstance(body.get(name), str)]
    return f"{message} ({', '.join(names)})" if names else str(message)


def root_words(error: BaseException) -> str:
    """What a chain of errors began with: "All connection attempts failed" instead of "Connection error."."""
    seen = error
    while seen.__cause__ is not None:
        seen = seen.__cause__
    return str(seen) or type(seen).__name__
