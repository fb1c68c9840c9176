"""Running contests: many rounds at once, each from its own seed, and what came of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random

from tests.ledger.steps import breaks
from tests.races.contests import CONTESTS
from tests.races.stage import Stage

AT_ONCE = 8
SHOWN_MAX = 5


@dataclass
class Tally:
    """What came of all rounds of one contest."""

    contest: str
    seed: int
    rounds: int
    racers: int
    winners: dict[str, int] = field(default_factory=dict)
    violations: int = 0
    first_violations: list[str] = field(default_factory=list)
    held_left_minor: int = 0
    book_breaks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing at all was wrong."""
        return not (self.violations or self.held_left_minor or self.book_breaks)

    def line(self) -> dict[str, object]:
        """Return the tally as plain data."""
        return asdict(self)


async def run_contest(stage: Stage, books_url: str, name: str, *, rounds: int, seed: int) -> Tally:
    """Run a contest so often that its racers meet about `rounds` times; look at the books after."""
    contest, per_round = CONTESTS[name]
    times = max(1, rounds // per_round)
    tally = Tally(name, seed, times, per_round if per_round > 1 else 2)
    winners: Counter[str] = Counter()
    numbers = iter(range(times))
    began = time.monotonic()

    async def lane() -> None:
        for number in numbers:
            try:
                rng = Random(f"{seed}/{name}/{number}")  # noqa: S311  repeatable, no secret
                winners[await contest(stage, rng)] += 1
            except Exception as error:
                tally.violations += 1
                if len(tally.first_violations) < SHOWN_MAX:
                    told = f"round {number}: {type(error).__name__}: {error}"
                    tally.first_violations.append(told[:500])

    await asyncio.gather(*(lane() for _ in range(1 if per_round > 1 else AT_ONCE)))
    tally.winners = dict(sorted(winners.items()))
    tally.held_left_minor = await stage.money_left_held()
    tally.book_breaks = await breaks(books_url)
    tally.seconds = round(time.monotonic() - began, 1)
    return tally
