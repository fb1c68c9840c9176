"""The benchmark's books: migrated databases with funded wallets and as many entries as wanted."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import asyncpg

from benchmarks.server import as_login, run_sql
from bursar.views import BooksReport
from ledger import accounts, postings
from ledger.books import AccountToOpen
from ledger.changes import Change
from ledger.migrate import ensure_login, upgrade
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ops.postgres import LocalPostgres

WALLETS = 10_000
PARTNER = "bench"
CURRENCY = "EUR"
FUNDS_MINOR = 10**12
"""What each wallet has at first: more than any run can spend."""
DAY = date(2026, 1, 1)
LOGIN = "bench_writer"
PASSWORD = "on-loopback-only"  # noqa: S105  of a server that lives as long as the run
SEED = "books_seed"
BLOCK = 500_000
FILL = Path(__file__).with_name("fill.sql")


def wallet(number: int) -> str:
    """Return the path of one of the wallets, 0 to `WALLETS` - 1."""
    return accounts.wallet(f"w{number:05d}", CURRENCY)


class Databases:
    """The databases with books on one server; each is a copy of one with little in it."""

    def __init__(self, postgres: LocalPostgres) -> None:
        """Remember the server; nothing is made yet."""
        self._postgres = postgres

    def admin_url(self, database: str) -> str:
        """Return the superuser's address of a database."""
        return self._postgres.url(database, user="postgres", password=self._postgres.password)

    def url(self, database: str) -> str:
        """Return the address that a worker has: it may execute the functions and read."""
        return as_login(self.admin_url(database), LOGIN, PASSWORD)

    async def seed(self, entries: int) -> None:
        """Make the database that the others are copies of: funded wallets and some entries."""
        await run_sql(self._postgres.admin_url, f"create database {SEED}")
        await upgrade(self.admin_url(SEED))
        await ensure_login(self.admin_url(SEED), LOGIN, PASSWORD, "bursar_writer")
        async with PostgresBooks.open(self.url(SEED)) as books:
            await _open_accounts(books)
            await _fund(books)
        await self.fill(SEED, entries)

    async def copy(self, name: str) -> None:
        """Make a fresh copy of the seed under a name, in place of an older one."""
        await run_sql(
            self._postgres.admin_url,
            f"drop database if exists {name} with (force)",
            f"create database {name} template {SEED}",
        )

    async def fill(self, database: str, entries: int) -> None:
        """Bring a database to a number of entries; blocks are written set by set, all rules on."""
        connection = await asyncpg.connect(self.admin_url(database))
        try:
            there = await connection.fetchval("select count(*) from entries")
            await _add_transfers(connection, max(0, entries - there) // 2)
            for table in ("transactions", "entries", "balances", "accounts"):
                await connection.execute(f"vacuum (analyze, freeze) {table}")
        finally:
            await connection.close()

    async def add(self, database: str, transfers: int) -> None:
        """Add transfers as traffic does: nothing is vacuumed or counted anew."""
        connection = await asyncpg.connect(self.admin_url(database))
        try:
            await _add_transfers(connection, transfers)
        finally:
            await connection.close()

    async def entries(self, database: str) -> int:
        """Return how many entries there are."""
        connection = await asyncpg.connect(self.admin_url(database))
        try:
            count: int = await connection.fetchval("select count(*) from entries")
            return count
        finally:
            await connection.close()

    async def check(self, database: str) -> BooksReport:
        """Run every check over the books of a database."""
        reader = Reader(self.admin_url(database))
        try:
            return await reader.check()
        finally:
            await reader.aclose()


async def _add_transfers(connection: asyncpg.Connection, transfers: int) -> None:
    script = FILL.read_text("utf-8")
    first = 1 + await connection.fetchval("select max(id) from transactions")
    await connection.execute("set work_mem = '512MB'")
    for begin in range(first, first + transfers, BLOCK):
        end = min(begin + BLOCK, first + transfers) - 1
        await connection.execute(script.format(first=begin, last=end, wallets=WALLETS))
    await connection.execute(
        "select setval('transactions_id_seq', (select max(id) from transactions))"
    )


async def _open_accounts(books: PostgresBooks) -> None:
    wallets = [
        AccountToOpen(path=wallet(n), kind=accounts.LIABILITY, currency=CURRENCY, floor_minor=0)
        for n in range(WALLETS)
    ]
    await books.open_accounts([*accounts.rail_accounts(PARTNER, [CURRENCY]), *wallets])


async def _fund(books: PostgresBooks) -> None:
    """Give every wallet its money, through the front door, as many at once as the queue takes."""

    async def one(number: int) -> None:
        path = wallet(number)
        legs = postings.deposit(path, PARTNER, CURRENCY, amount_minor=FUNDS_MINOR)
        await books.write(
            Change(
                key=f"deposit/{PARTNER}/{number}",
                kind="deposit",
                actor="benchmark",
                legs=legs,
                effective_on=DAY,
                evidence_id=f"line/{number}",
            )
        )

    for begin in range(0, WALLETS, 1_000):
        await asyncio.gather(*(one(number) for number in range(begin, begin + 1_000)))
