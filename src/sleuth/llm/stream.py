"""A streamed answer, gathered; the stream is closed as soon as the answer is whole.

Reasoning rerankers end with `</answer>` and may go on talking. Closing the stream there tells the server to stop, which
saves what it would still have written. `</answer>` inside thoughts ends nothing: it counts only where the thoughts
are known to be over or apart (`</think>` came before it, the server delivers thoughts in a field of their own, or the
text begins with `<answer>`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sleuth.errors import TransportError

__all__ = ["Gathered", "gather"]

END = "</answer>"
"""What ends the answer in the templates of ReasonRank, Rank-K, Rearank and RankT."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A whole streamed answer.

    Attributes:
        text, reasoning: As in `Reply`, without a prefill.
        finish_reason: As the server says, "stop" where the stream was closed at the answer's end.
        usage: As the server tells it last, None where it doesn't.
        model: As the server names it.
        closed_early: There would have been more.
    """

    text: str
    reasoning: str
    finish_reason: str
    usage: dict[str, Any] | None
    model: str
    closed_early: bool


async def gather(chunks: AsyncIterator[Any], *, prefill: str, where: str) -> Gathered:
    """All chunks of a chat or text completion, up to its end or the end of its answer.

    Args:
        chunks: The SDK's chunks; the caller closes the stream afterwards.
        prefill: With what the answer was begun for the model.
        where: Model and address, for messages.

    Raises:
        TransportError: The stream ended without a choice, or without saying why.
    """
    pieces: list[str] = [prefill]
    thoughts: list[str] = []
    tail, finish, usage, model, any_choice = prefill[-len(END) :], "", None, "", False
    async for chunk in chunks:
        model = getattr(chunk, "model", None) or model
        if getattr(chunk, "usage", None) is not None:
            usage = chunk.usage.model_dump()
        if not chunk.choices:
            continue
        any_choice = True
        text, thought, reason = _pieces(chunk.choices[0])
        finish = reason or finish
        if thought:
            thoughts.append(thought)
        if text:
            pieces.append(text)
            tail = (tail + text)[-len(END) - len(text) :]
            if END in tail:
                whole = "".join(pieces)
                end = answer_end(whole, apart=bool(thoughts))
                if end is not None and not finish:
                    return Gathered(whole[len(prefill) : end], "".join(thoughts), "stop", usage, model, True)
            tail = tail[-len(END) :]
    if not any_choice or not finish:
        what = "a finish reason" if any_choice else "a choice"
        raise TransportError(f"{where}: the stream ended without {what}; nothing of it is used", status=200)
    return Gathered("".join(pieces)[len(prefill) :], "".join(thoughts), finish, usage, model, False)


def answer_end(text: str, *, apart: bool) -> int | None:
    """Where the answer ends in a text so far: just behind the first `</answer>` that is no thought's, or None.

    Args:
        text: What was written so far.
        apart: The server delivers thoughts in a field of their own.
    """
    closed = text.rfind("</think>")
    if closed < 0 and not apart and not text.lstrip().startswith("<answer>"):
        return None
    found = text.find(END, max(closed, 0))
    return None if found < 0 else found + len(END)


def _pieces(choice: Any) -> tuple[str, str, str]:
    """(text, thought, finish reason) of one chunk's choice, "" where there is none."""
    finish = getattr(choice, "finish_reason", None) or ""
    delta = getattr(choice, "delta", None)
    if delta is None:
        return getattr(choice, "text", None) or "", "", finish
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    text = getattr(delta, "content", None)
    return (text if isinstance(text, str) else ""), (thought if isinstance(thought, str) else ""), finish
