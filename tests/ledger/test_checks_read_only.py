"""Whoever checks the books changes nothing in them."""

from __future__ import annotations

from ledger.reading import Reader
from tests.ledger.driving import ACME, driving


async def test_checks_change_nothing_even_as_a_login_that_may_write(books_url: str) -> None:
    reader = Reader(books_url)
    async with driving(books_url) as driver:
        before = await driver.books.account(ACME)
        assert (await reader.check()).breaks == ()
        assert await driver.books.account(ACME) == before
    await reader.aclose()
