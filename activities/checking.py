"""Checking: rounds of checks over the books; what is broken calls a person."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby

from temporalio import activity

from activities.conclusions import Conclusions, Evidence
from bursar.views import Break, CheckRound
from ledger.books import Books
from ledger.oversight import Oversight
from ledger.reading import Reader

ACTOR = "bursar:checker"
CASE = "books_break"
CASES_MAX = 20
"""So many cases are open for one check at most: what has broken more calls nobody anew."""
BEAT_SECONDS = 10.0


class CheckActivities:
    """Runs a round, opens its cases and puts it on record, in this order; it may be repeated."""

    def __init__(self, books: Books, oversight: Oversight, reader: Reader) -> None:
        self._oversight = oversight
        self._reader = reader
        self._conclusions = Conclusions(books)

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (self.check,)

    @activity.defn(name="checks.round")
    async def check(self, full: bool) -> CheckRound:
        """Check what is new since the last round, or everything.

        The round counts only once it is on record, which is the last thing: one that ends before
        looks at the same things again, and finds its cases open.
        """
        async with _heartbeats():
            done = await self._reader.check_round(full=full)
            for name, found in groupby(done.report.breaks, key=lambda each: each.check):
                await self._call(name, list(found))
            return await self._oversight.record_round(done)

    async def _call(self, check: str, breaks: Sequence[Break]) -> None:
        """Open a case for each break that has no open one, while there are not too many."""
        cases = await self._oversight.cases_below(_key(check))
        room = CASES_MAX - sum(cases.values())
        for found in breaks:
            mine = [is_open for key, is_open in cases.items() if f"/{_mark(found)}/" in key]
            if any(mine) or room <= 0:
                continue
            room -= 1
            activity.logger.error("the books are broken: %s", _told(found))
            detail = _told(found)
            if room == 0:
                detail += "; there may be more: bursar books check"
            evidence = Evidence(actor=ACTOR, id=f"{check}/{_mark(found)}/{len(mine)}")
            await self._conclusions.open_case(None, CASE, detail, evidence)


def _key(check: str) -> str:
    """Return what the keys of all cases of a check begin with: see `Conclusions.open_case`."""
    return f"{ACTOR}/case/{CASE}/{check}"


def _mark(found: Break) -> str:
    """Return what tells a break from others of its check, of characters that any key may have."""
    return hashlib.sha256(found.where.encode()).hexdigest()[:16]


def _told(found: Break) -> str:
    return f"{found.check} at {found.where}: {found.detail}"


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Tell Temporal again and again that this goes on: most of the time is the database's."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
