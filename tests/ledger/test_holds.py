"""Held money is captured, released and returned, never more than there is."""

from __future__ import annotations

import asyncpg

from bursar.payments import PaymentState
from ledger.changes import Change, Leg, Refusal
from ledger.postgres import PostgresBooks
from tests.ledger.steps import (
    ANA,
    breaks,
    captured,
    change,
    claimed,
    deposit,
    opened,
)

S = PaymentState


async def available(books: PostgresBooks, path: str = ANA) -> int:
    account = await books.account(path)
    assert account is not None
    return account.available_minor


async def test_a_hold_is_captured_in_parts_and_the_rest_released(
    books: PostgresBooks, owner: asyncpg.Connection, books_url: str
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(change("h/1", Leg(account=ANA, currency="EUR", held=600)))
    assert (await books.write(captured("c/1", "h/1", 250))).refusal is None
    assert (await books.write(captured("c/2", "h/1", 100))).refusal is None
    assert (await books.write(captured("c/3", "h/1", 251))).refusal is Refusal.HOLD_SPENT
    rest = Leg(account=ANA, currency="EUR", held=-250, hold="h/1", releases=True)
    assert (await books.write(change("v/1", rest))).refusal is None
    assert (await books.write(change("v/2", rest))).refusal is Refusal.HOLD_SPENT
    assert (await books.write(captured("c/4", "h/1", 1))).refusal is Refusal.HOLD_SPENT
    row = await owner.fetchrow("select amount, captured, released, returned from holds")
    assert row is not None
    assert tuple(row) == (600, 350, 250, 0)
    assert await available(books) == 650
    assert await breaks(books_url, legs_only=True) == []


async def test_no_more_comes_back_to_a_hold_than_was_captured_from_it(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(change("h/1", Leg(account=ANA, currency="EUR", held=600)))
    await books.write(captured("c/1", "h/1", 400))

    def back(key: str, amount: int) -> Change:
        return change(
            key,
            Leg(account="transit/out/bank/EUR", currency="EUR", delta=-amount),
            Leg(account=ANA, currency="EUR", delta=amount, hold="h/1"),
        )

    assert (await books.write(back("r/1", 300))).refusal is None
    assert (await books.write(back("r/2", 101))).refusal is Refusal.HOLD_SPENT
    assert (await books.write(back("r/3", 100))).refusal is None
    assert await owner.fetchval("select returned from holds") == 400


async def test_a_hold_that_was_refused_can_never_be_captured(books: PostgresBooks) -> None:
    refused = await books.write(change("h/1", Leg(account=ANA, currency="EUR", held=600)))
    await books.write(deposit("d/1", 1_000))
    assert refused.refusal is Refusal.FUNDS
    assert (await books.write(captured("c/1", "h/1", 600))).refusal is Refusal.HOLD_SPENT


async def test_the_claim_takes_a_holds_expiry_away(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    soon = await books.now()
    await books.write(opened("po_1", 100)._replace(hold_expires_at=soon))
    assert await owner.fetchval("select expires_at from holds") == soon
    await books.write(claimed("po_1"))
    assert await owner.fetchval("select expires_at from holds") is None
