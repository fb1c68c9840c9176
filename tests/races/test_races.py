"""Races (A1 to A6, K+, L1, INV-26): one winner, a truthful answer to all, and no money left held.

`make races ROUNDS=10000 SEED=n` runs the same contests longer.
"""

from __future__ import annotations

import pytest

from tests.races.contests import CONTESTS
from tests.races.running import run_contest
from tests.races.stage import open_stage

ROUNDS = {"L1 parallel spends": 1_000, "INV-26 fifty openings": 500}
ROUNDS_USUALLY = 250
BOTH_WIN = {
    "A1 cancel against approve",
    "A1 deny against approve",
    "A2 cancel against claim",
    "A6 disable against claim",
}
"""Contests in which a run without a win of each side has not raced at all."""


@pytest.mark.parametrize("name", CONTESTS)
async def test_a_race_has_one_winner_and_nobody_is_misled(books_url: str, name: str) -> None:
    async with open_stage(books_url) as stage:
        rounds = ROUNDS.get(name, ROUNDS_USUALLY)
        tally = await run_contest(stage, books_url, name, rounds=rounds, seed=1)
    assert tally.clean, tally
    assert sum(tally.winners.values()) == tally.rounds
    if name in BOTH_WIN:
        assert len(tally.winners) == 2, tally
