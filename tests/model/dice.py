"""Dice: every choice of a life, from a seed or a script, and written down for the replay."""

from __future__ import annotations

import random
from collections.abc import Sequence


class Dice:
    """Gives numbers, and remembers them: the script of a life."""

    def __init__(self, script: Sequence[int] | None = None, *, seed: str = "") -> None:
        """Begin a life.

        Args:
            script: Numbers to give, each modulo what is asked for; 0 once they are used up, so
                that a shorter script is a calmer life.
            seed: Where there is no script: what the numbers are drawn from.
        """
        self.script: list[int] = []
        self._given = None if script is None else list(script)
        self._random = random.Random(seed)  # noqa: S311  a game's dice, and repeatable

    def below(self, sides: int) -> int:
        """Return a number from 0 to below `sides`; 0 is always the calmest choice."""
        if self._given is None:
            number = int(self._random.random() * sides)
        else:
            place = len(self.script)
            number = self._given[place] % sides if place < len(self._given) else 0
        self.script.append(number)
        return number

    def one_in(self, sides: int) -> bool:
        """Tell whether something happens that happens once in so many times."""
        return self.below(sides) == sides - 1
