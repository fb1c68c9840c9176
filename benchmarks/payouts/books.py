"""The payouts' books: wallets with money, through the front door."""

from __future__ import annotations

import asyncio
from datetime import date

from benchmarks.server import as_login, run_sql
from bursar.views import BooksReport
from ledger import accounts, postings
from ledger.books import AccountToOpen
from ledger.changes import Change
from ledger.migrate import ensure_login, upgrade
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ops.postgres import LocalPostgres

WALLETS = 1_000
CURRENCY = "EUR"
FUNDS_MINOR = 10**11
"""What each wallet has at first, and the bank's account too: more than any run can spend."""
FUNDING = "funding"
"""The rail through which the wallets' money came; the measured one is the bank's."""

_LOGIN, _PASSWORD = "bench_payouts", "on-loopback-only"  # a server that lives as long as the run
_DAY = date(2026, 1, 1)


def wallet(number: int) -> str:
    """Return the path of one of the wallets, 0 to `WALLETS` - 1."""
    return accounts.wallet(f"w{number:05d}", CURRENCY)


CREDIT = {
    "credit_id": "bench-funds",
    "amount_minor": FUNDS_MINOR,
    "currency": CURRENCY,
    "reference": wallet(0),
}
"""Money that comes in at the bank, for the payouts to go out of."""


async def make_books(postgres: LocalPostgres, database: str) -> str:
    """Make a database with funded wallets; return the address that a worker has."""
    await run_sql(postgres.admin_url, f"create database {database}")
    admin_url = _admin_url(postgres, database)
    await upgrade(admin_url)
    await ensure_login(admin_url, _LOGIN, _PASSWORD, "bursar_writer")
    url = as_login(admin_url, _LOGIN, _PASSWORD)
    async with PostgresBooks.open(url) as books:
        await books.open_accounts(
            [
                *accounts.rail_accounts(FUNDING, [CURRENCY]),
                *(
                    AccountToOpen(
                        path=wallet(number),
                        kind=accounts.LIABILITY,
                        currency=CURRENCY,
                        tenant="main",
                        floor_minor=0,
                    )
                    for number in range(WALLETS)
                ),
            ]
        )
        await asyncio.gather(*(books.write(_funding(number)) for number in range(WALLETS)))
    return url


async def check_books(postgres: LocalPostgres, database: str) -> BooksReport:
    """Run every check over the books."""
    reader = Reader(_admin_url(postgres, database))
    try:
        return await reader.check()
    finally:
        await reader.aclose()


def _admin_url(postgres: LocalPostgres, database: str) -> str:
    return postgres.url(database, user="postgres", password=postgres.password)


def _funding(number: int) -> Change:
    return Change(
        key=f"deposit/{FUNDING}/{number}",
        kind="deposit",
        actor="benchmark",
        legs=postings.deposit(wallet(number), FUNDING, CURRENCY, amount_minor=FUNDS_MINOR),
        effective_on=_DAY,
        evidence_id=f"line/{number}",
    )
