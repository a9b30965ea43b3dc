"""Which token comes next: the likeliest, a drawn one, or one that keeps to given answers. No torch.

Each answer draws from its own generator, so that it does not depend on who shares its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import UsageError

__all__ = ["ChoicePath", "Drawing"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How tokens are drawn.

    Attributes:
        temperature: 0 takes the likeliest.
        top_k: Only the k likeliest; None for all.
        top_p: Only the smallest set of likeliest tokens that holds this much probability, of what `top_k` left.
        seed: Of the answer's generator.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def pick(self, logits: NDArray[np.float32], rng: np.random.Generator) -> int:
        """The next token.

        Args:
            logits: (V,), natural units.
            rng: The answer's generator; one number is drawn, none at temperature 0.
        """
        if self.temperature == 0:
            return int(logits.argmax())
        tokens = np.arange(len(logits))
        if self.top_k is not None and self.top_k < len(logits):
            tokens = np.sort(np.argpartition(logits, -self.top_k)[-self.top_k :])
        scaled = logits[tokens].astype(np.float64) / self.temperature
        chances = np.exp(scaled - scaled.max())
        chances /= chances.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-chances, kind="stable")
            kept = order[: int(np.searchsorted(np.cumsum(chances[order]), self.top_p)) + 1]
            tokens, chances = tokens[kept], chances[kept]
        steps = np.cumsum(chances)
        at = int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))
        return int(tokens[min(at, len(tokens) - 1)])


class ChoicePath:
    """An answer held to given texts, token by token.

    Args:
        choices: Token ids of each text, none empty.
        ends: Tokens that end an answer: where one text is the beginning of another, they decide.

    Attributes:
        chosen: The text's position once it is certain, else None.
        taken: Tokens taken so far.
    """

    def __init__(self, choices: Sequence[tuple[int, ...]], ends: Sequence[int]) -> None:
        if not choices or not all(choices):
            raise UsageError("choices must be texts that are not empty")
        self._choices, self._ends = choices, list(ends)
        self._left = list({ids: at for at, ids in reversed(list(enumerate(choices)))}.values())[::-1]
        self._depth = 0
        self.taken: list[int] = []
        self.chosen: int | None = self._left[0] if len(self._left) == 1 else None

    def allowed(self) -> tuple[list[int], int | None]:
        """(tokens that continue, the text that may end here or None)."""
        longer = sorted({self._choices[at][self._depth] for at in self._left if len(self._choices[at]) > self._depth})
        return longer, next((at for at in self._left if len(self._choices[at]) == self._depth), None)

    def step(self, logits: NDArray[np.float32], drawing: Drawing, rng: np.random.Generator) -> None:
        """Take one token, or the end where a text may end."""
        tokens, ended = self.allowed()
        scores = logits[tokens]
        if ended is not None and self._ends:
            scores = np.append(scores, logits[self._ends].max())
        at = drawing.pick(scores, rng)
        if at == len(tokens):
            self.chosen = ended
            return
        self._left = [one for one in self._left if self._choices[one][self._depth : self._depth + 1] == (tokens[at],)]
        self._depth += 1
        self.taken.append(tokens[at])
        if len(self._left) == 1:
            self.chosen = self._left[0]
