"""One answer being written: what was asked, what was taken so far, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sleuth.models.next_token import ChoicePath, Drawing
from sleuth.models.prompt_tokens import PromptTokens

__all__ = ["Answer", "TokenRequest", "Writing"]

CONTEXT_TOKENS = 8
"""Tokens before an answer that are decoded with it where it continues a text (ours: more than one character has)."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to a causal model, in token ids.

    Attributes:
        ids: The prompt, not empty.
        max_tokens: Longest answer, >= 1.
        drawing: How tokens are drawn.
        labels: Tokens whose log-probabilities as the first token are wanted.
        choices: The only answers allowed; empty for any.
        stop: Texts that end the answer and are no part of it; not looked for in choices.
        continues: The answer continues a text that the prompt ends with.
    """

    ids: tuple[int, ...]
    max_tokens: int = 1
    drawing: Drawing = field(default_factory=Drawing)
    labels: tuple[int, ...] = ()
    choices: tuple[tuple[int, ...], ...] = ()
    stop: tuple[str, ...] = ()
    continues: bool = False

    @property
    def takes_one_step(self) -> bool:
        """Whether the first token decides the whole answer, so that no keys and values need be kept."""
        firsts = {choice[0] for choice in self.choices}
        return self.max_tokens == 1 or (bool(firsts) and len(firsts) == len(set(self.choices)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a causal model answered.

    Attributes:
        text: Without special tokens and stop texts.
        finish: "stop" at an end token, a stop text or a whole choice; "length" at a limit.
        labels: Natural log-probabilities of the request's labels.
        prompt_tokens, completion_tokens: Read, and written (an end token counts).
        cached_tokens: Of those read, the ones whose keys and values another request had computed.
    """

    text: str
    finish: str
    labels: tuple[float, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Writing:
    """An answer in the making.

    Args:
        at: Position of its request.
        request: The request.
        tokens: Decodes.
        ends: Tokens that end an answer.
        room: Tokens that the model's window leaves for it.
    """

    def __init__(
        self, at: int, request: TokenRequest, *, tokens: PromptTokens, ends: Sequence[int], room: int | None
    ) -> None:
        self.at, self.request = at, request
        self.ids: list[int] = []
        self.labels: tuple[float, ...] = ()
        self.cached_tokens = 0
        self.finish = ""
        self._tokens, self._ends = tokens, frozenset(ends)
        self._limit = request.max_tokens if room is None else min(request.max_tokens, room)
        self._rng = np.random.default_rng(request.drawing.seed)
        self._path = ChoicePath(request.choices, list(ends)) if request.choices else None
        self._cut: int | None = None
        self._stop_tokens = max((len(text.encode()) for text in request.stop), default=0) + CONTEXT_TOKENS
        self.is_greedy = self._path is None and request.drawing.temperature == 0
        if self._path is not None and self._path.chosen is not None:
            self._take_choice(self._path.chosen)

    def take(self, logits: NDArray[np.float32]) -> None:
        """One step from the logits (V,) of the next token."""
        if self._path is None:
            self.take_token(self.request.drawing.pick(logits, self._rng))
            return
        self._path.step(logits, self.request.drawing, self._rng)
        if self._path.chosen is not None:
            self._take_choice(self._path.chosen)
            return
        self.ids = list(self._path.taken)
        if len(self.ids) >= self._limit:
            self.finish = "length"

    def take_token(self, token: int) -> None:
        """One step whose token is known."""
        self.ids.append(token)
        if token in self._ends or self._finds_stop():
            self.finish = "stop"
        elif len(self.ids) >= self._limit:
            self.finish = "length"

    def answer(self) -> Answer:
        """What it came to."""
        written = self.ids[:-1] if self.finish == "stop" and self.ids and self.ids[-1] in self._ends else self.ids
        text = self._decode(written)
        return Answer(
            text=text if self._cut is None else text[: self._cut],
            finish=self.finish,
            labels=self.labels,
            prompt_tokens=len(self.request.ids),
            completion_tokens=len(self.ids),
            cached_tokens=self.cached_tokens,
        )

    def _take_choice(self, at: int) -> None:
        ids = self.request.choices[at]
        self.ids = list(ids[: self._limit])
        self.finish = "stop" if len(ids) <= self._limit else "length"

    def _finds_stop(self) -> bool:
        """Whether a stop text was just completed: only the last tokens are looked at, a text of n bytes takes n at most."""
        if not self.request.stop:
            return False
        tail = self._tokens.decode(self.ids[-self._stop_tokens :])
        if not any(stop in tail for stop in self.request.stop):
            return False
        text = self._decode(self.ids)
        found = [at for stop in self.request.stop if (at := text.find(stop)) >= 0]
        self._cut = min(found, default=None)
        return bool(found)

    def _decode(self, ids: Sequence[int]) -> str:
        after = self.request.ids[-CONTEXT_TOKENS:] if self.request.continues else ()
        return self._tokens.decode(ids, after=after)
