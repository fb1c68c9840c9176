"""Rounds: every load once, side by side within minutes, again and again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from benchmarks import loads
from benchmarks.books import Databases
from benchmarks.callers import Sample, bare_commit_seconds, measure
from benchmarks.floor import DATABASE, HOT_CLIENTS, RANDOM_CLIENTS, Pgbench
from ledger.connections import SERVER_SETTINGS
from ledger.postgres import PostgresBooks
from ops.postgres import LocalPostgres

SMALL_ENTRIES = 100_000
BOOKS = "books"
SMALL = "books_small"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How long and how large."""

    rounds: int
    seconds: float
    """Of one load in one round, after it has warmed up."""
    sizes: tuple[int, ...]
    """Entries in the books that the small ones are compared with, rising."""
    peer_call: str | None = None
    checks: bool = False
    """Whether to measure the checks of the largest books, too."""


@dataclass
class Results:
    """What each load has shown, round by round, under its name."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, name: str, sample: Sample) -> None:
        """Keep what a load has shown in the present round."""
        self.samples.setdefault(name, []).append(sample)
        log.info("  %-14s %10.1f /s", name, sample.rate)


class Rounds:
    """Runs the loads of a plan; the databases are there and filled."""

    def __init__(
        self, plan: Plan, postgres: LocalPostgres, databases: Databases, pgbench: Pgbench
    ) -> None:
        """Take what the loads run on."""
        self._plan = plan
        self._postgres = postgres
        self._databases = databases
        self._pgbench = pgbench
        self.results = Results()

    async def run(self) -> Results:
        """Run every round and return what came of it."""
        async with AsyncExitStack() as stack:
            books = await stack.enter_async_context(self._books(BOOKS))
            large = {
                size: await stack.enter_async_context(self._books(f"books_{size}"))
                for size in self._plan.sizes
            }
            for each in large.values():  # A page's first change after a checkpoint is logged whole.
                await measure(loads.plain(each), 64, self._plan.seconds, self._postgres)
            for number in range(1, self._plan.rounds + 1):
                log.info("Round %d of %d", number, self._plan.rounds)
                await self._against_the_floor(books)
                await self._against_alone(books)
                await self._growth(large)
                await self._peer()
        return self.results

    @asynccontextmanager
    async def _books(self, database: str) -> AsyncIterator[PostgresBooks]:
        async with PostgresBooks.open(self._databases.url(database)) as books:
            yield books

    async def _against_the_floor(self, books: PostgresBooks) -> None:
        ours = (
            ("ours_64", loads.plain(books), 64),
            ("ours_512", loads.plain(books), 512),
            ("payouts_64", loads.payouts(books), 64),
        )
        for clients, load in zip(RANDOM_CLIENTS, ours, strict=True):
            await self._floor(clients)
            await self._ours(*load)
        self.results.add("bare_commit_64", await self._pgbench.bare_commit(64, self._plan.seconds))
        for clients in HOT_CLIENTS:
            sample = await self._pgbench.floor(clients, self._plan.seconds, hot=True)
            self.results.add(f"floor_hot_{clients}", sample)
        await self._ours("hot_512", loads.hot(books), 512)

    async def _against_alone(self, books: PostgresBooks) -> None:
        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(
                self._databases.url(BOOKS), server_settings=SERVER_SETTINGS
            )

        await self._ours("direct_8", loads.direct(connect), 8)
        await self._ours("ours_8", loads.plain(books), 8)
        bare = await bare_commit_seconds(self._pgbench.url(DATABASE), self._plan.seconds / 2)
        self.results.add("bare_commit_1", Sample(1 / bare, (bare,)))
        await self._ours("ours_1", loads.plain(books), 1)

    async def _growth(self, large: dict[int, PostgresBooks]) -> None:
        await self._databases.copy(SMALL)  # So that it has no more entries than it should.
        async with self._books(SMALL) as small:
            await self._ours(f"size_{SMALL_ENTRIES}", loads.plain(small), 64)
        for size, books in large.items():
            await self._ours(f"size_{size}", loads.plain(books), 64)

    async def _peer(self) -> None:
        if self._plan.peer_call is None:
            return
        for clients in (8, 64):
            for hot, name in ((False, "peer"), (True, "peer_hot")):
                sample = await self._pgbench.peer(
                    self._plan.peer_call, clients, self._plan.seconds, hot=hot
                )
                self.results.add(f"{name}_{clients}", sample)

    async def _floor(self, clients: int) -> None:
        sample = await self._pgbench.floor(clients, self._plan.seconds, hot=False)
        self.results.add(f"floor_{clients}", sample)

    async def _ours(self, name: str, caller: loads.Caller, callers: int) -> None:
        sample = await measure(caller, callers, self._plan.seconds, self._postgres)
        self.results.add(name, sample)
