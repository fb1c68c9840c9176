"""Fixtures: the books on a fresh database, with accounts to move money between."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.accounts import rail_accounts, wallet_account
from ledger.books import Books
from ledger.postgres import PostgresBooks
from tests.ledger.steps import deposit


@pytest.fixture
async def books(books_url: str) -> AsyncIterator[PostgresBooks]:
    """The books as a worker has them, with the accounts of a rail and two wallets in EUR."""
    async with PostgresBooks.open(books_url) as books:
        await open_usual_accounts(books)
        yield books


async def open_usual_accounts(books: Books) -> None:
    """Open what the tests' payments need: wallets of ana and ben, and the bank's rail."""
    wallets = [wallet_account(f"wallet/{owner}/EUR", "main") for owner in ("ana", "ben")]
    await books.open_accounts([*rail_accounts("bank", ["EUR", "USD"]), *wallets])


@pytest.fixture
async def owner(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right, as an attacker or a careless administrator has it."""
    connection = await asyncpg.connect(admin_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def funded(books: PostgresBooks) -> PostgresBooks:
    """The same books, with money in ana's wallet."""
    await books.write(deposit("d/1", 1_000_000))
    return books
