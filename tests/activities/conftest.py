"""Real books with two funded customers, for activities that are run by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ledger.postgres import PostgresBooks
from tests.ledger.driving import ACME, Driver


@pytest.fixture
async def books(books_url: str) -> AsyncIterator[PostgresBooks]:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        yield books


@pytest.fixture
def driver(books: PostgresBooks) -> Driver:
    return Driver(books)
