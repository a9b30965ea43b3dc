"""Close a thought that found no end, so that the model goes on with its answer.

A reasoning model that is cut in its thought has spent its tokens for nothing; asked again it would be cut again. Where
the backend can begin an answer, the retry begins it with the thought so far, closed, and the words that open the
answer (Rank1's way, orionw/rank1 `rank1.py`: cut at the last sentence end, `</think>`, then the answer).
"""

from __future__ import annotations

import re

from sleuth.prompts.template import Template
from sleuth.replies.thoughts import split_thoughts

__all__ = ["closed_thought", "opened_thought"]

_TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning|analysis)>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s)|\n")
LONGEST_REST = 400
"""Characters after the last sentence end that are given up; a longer rest is no half sentence and stays (ours)."""


def opened_thought(text: str, template: Template, *, finish_reason: str | None) -> str:
    """A reply with the opening tag that its prompt may have swallowed.

    Chat templates of some reasoning models begin the thought themselves, so a reply that is cut in its thought holds
    no tag at all, and its drafts would be read as an answer. Where the prompt asks for thoughts and the reply was
    cut before any tag came, it is a thought.
    """
    thinks = template.output_tokens.thought > 0
    if not thinks or finish_reason != "length" or "<answer>" in text.lower() or _TAG.search(text):
        return text
    return text if text.lstrip().startswith("[") else f"<think>{text}"


def closed_thought(text: str, reasoning: str, template: Template) -> str | None:
    """With what an answer must begin to follow from a thought that was cut; None where no thought was cut.

    Args:
        text: The reply, as `opened_thought` gives it.
        reasoning: The thought that a server delivered apart.
        template: Its `force` closes a thought as the checkpoint was trained; else the thought's own tag does.
    """
    if not text.strip() and reasoning.strip():
        return f"<think>\n{_whole_sentences(reasoning)}{template.force or closing_of('think')}"
    thoughts = split_thoughts(text)
    if not thoughts.unclosed or thoughts.forced:
        return None
    opening = [tag[2].lower() for tag in _TAG.finditer(text) if not tag[1]]
    return _whole_sentences(text) + (template.force or closing_of(opening[-1] if opening else "think"))


def closing_of(tag: str) -> str:
    """How a thought is closed where a template does not say."""
    return f"\n</{tag}>\n\n"


def _whole_sentences(text: str) -> str:
    """The text up to its last sentence end, white space at the end gone."""
    text = text.rstrip()
    ends = [found.end() for found in _SENTENCE_END.finditer(text, max(0, len(text) - LONGEST_REST))]
    return text[: ends[-1]].rstrip() if ends else text
