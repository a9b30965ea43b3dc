"""Where in a reply its answer stands: what all parsers of this room do first."""

from __future__ import annotations

from dataclasses import dataclass

from sleuth.replies.characters import fold_characters, may_spell_tags
from sleuth.replies.outcome import Outcome
from sleuth.replies.payload import is_error_payload
from sleuth.replies.thoughts import answer_pairs, without_thoughts

__all__ = ["Region", "find_region"]


@dataclass(frozen=True, slots=True)
class Region:
    """The parts of a reply that may hold its answer, folded (`characters.fold_characters`).

    Attributes:
        texts: Most trusted first: complete `<answer>` pairs, the last one first; else what follows an open
            `<answer>`; else all that is no thought. Empty where there is nothing to read.
        ended: Why there is nothing to read: INVALID (no text, an error message) or UNFINISHED (only a thought).
        error: It is an error message, which no finish reason excuses.
        open: `<answer>` was never closed.
        forced: The answer stands at the end of an unclosed thought.
        unclosed: A thought was never closed, whether or not an answer was found.
    """

    texts: tuple[str, ...] = ()
    ended: Outcome | None = None
    error: bool = False
    open: bool = False
    forced: bool = False
    unclosed: bool = False


def find_region(text: object) -> Region:
    """Find where the answer stands; anything that is not a str counts as an empty text. Never raises."""
    stripped = text.strip() if isinstance(text, str) else ""
    error = is_error_payload(stripped)
    if error or not stripped or not isinstance(text, str):
        return Region(ended=Outcome.INVALID, error=error)
    if may_spell_tags(text):
        text = fold_characters(text)
    thoughts = without_thoughts(text)
    answer = fold_characters(thoughts.answer)
    pairs, opened = answer_pairs(answer)
    missing = thoughts.unclosed and not thoughts.forced and not pairs
    if missing or not answer.strip():  # the text was not blank, so a thought was taken away
        return Region(ended=Outcome.UNFINISHED, unclosed=thoughts.unclosed)
    if pairs:
        return Region(tuple(reversed(pairs)), forced=thoughts.forced, unclosed=thoughts.unclosed)
    if opened is not None:
        return Region((opened,), open=True)
    return Region((answer,))
