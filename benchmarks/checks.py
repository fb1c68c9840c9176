"""Checks: what a round over a minute's traffic costs beside large books."""

from __future__ import annotations

import asyncio
import itertools
import logging
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from benchmarks import loads
from benchmarks.books import Databases
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ledger.rounds import Round

TIMES = 3
"""How often a round is run before it is put on record; its time is the median."""
FULL_RATE = 10_000
"""Postings a second, of which a minute at the full rate is made."""
PAYOUTS_RATE = 20
"""Payouts a second, of which a minute of payouts is made."""
CHANGES = 4
"""Of one payout: hold, claim, capture, settle."""
CALLERS = 64

log = logging.getLogger(__name__)


async def check_and_measure(databases: Databases, database: str) -> dict[str, float]:
    """Check all of some books, then let a minute's traffic of each kind come in and check that.

    Returns:
        checks_full_s: over all of the books, with checks_entries in them.
        checks_s_per_minute: of 60 s of postings at `FULL_RATE`, two entries each.
        checks_s_per_minute_payouts: of 60 s of payouts at `PAYOUTS_RATE`.
        checks_s_per_100k_entries: the first of the two minutes by its entries.

    Raises:
        RuntimeError: The books are not sound.
    """
    async with _watching(databases, database) as (reader, oversight):
        full = await _timed(reader, oversight, full=True, times=1)
        entries = await databases.entries(database)
        postings = FULL_RATE * 60
        await databases.add(database, postings)
        minute = await _timed(reader, oversight)
        async with PostgresBooks.open(databases.url(database)) as books:
            await _pay_out(books, PAYOUTS_RATE * 60 * CHANGES)
        payouts = await _timed(reader, oversight)
    return {
        "checks_entries": entries,
        "checks_full_s": full,
        "checks_s_per_minute": minute,
        "checks_s_per_minute_payouts": payouts,
        "checks_s_per_100k_entries": minute / (2 * postings / 100_000),
    }


@asynccontextmanager
async def _watching(databases: Databases, database: str) -> AsyncIterator[tuple[Reader, Oversight]]:
    reader = Reader(databases.url(database))
    try:
        async with Oversight.open(databases.url(database)) as oversight:
            yield reader, oversight
    finally:
        await reader.aclose()


async def _timed(
    reader: Reader, oversight: Oversight, *, full: bool = False, times: int = TIMES
) -> float:
    """Run a round some times, put it on record, and return its median time in seconds."""
    rounds, seconds = [], []
    for _ in range(times):
        began = time.perf_counter()
        rounds.append(await reader.check_round(full=full))
        seconds.append(time.perf_counter() - began)
    done = rounds[-1]
    _say(done, seconds)
    if done.report.breaks:
        raise RuntimeError(f"the books are not sound: {done.report.breaks[0]}")
    await oversight.record_round(done)
    return statistics.median(seconds)


def _say(done: Round, seconds: list[float]) -> None:
    took = ", ".join(f"{each:.2f}" for each in seconds)
    log.info("  %s, %d transactions: %s s", done.report.scope, done.horizon.transactions, took)


async def _pay_out(books: PostgresBooks, changes: int) -> None:
    """Make so many changes of payouts, as many at once as there are callers."""
    numbers = itertools.count(1)

    async def caller() -> None:
        async with aclosing(loads.payouts(books)()) as steps:
            async for _ in steps:
                if next(numbers) > changes - CALLERS:
                    return

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
