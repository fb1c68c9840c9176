"""Pauses: once one has returned, no claim and no transfer commits against it."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from bursar.gate import Scope
from bursar.payments import PaymentKind, PaymentState
from ledger import postings
from ledger.changes import Change, HeldBack
from ledger.postgres import PostgresBooks
from tests.ledger.gate import ALL, NEED, nothing_was_written, switch, with_terms
from tests.ledger.steps import (
    ANA,
    BEN,
    breaks,
    change,
    claimed,
    deposit,
    moves,
    opened,
    registration,
    until,
)

S = PaymentState


@pytest.mark.parametrize(
    ("scope", "name", "other"),
    [
        (Scope.ALL, "", None),
        (Scope.PARTNER, "bank", None),
        (Scope.CURRENCY, "EUR", "USD"),
        (Scope.TENANT, "main", None),
    ],
)
async def test_what_is_paused_is_held_back_and_passes_after_the_resumption(
    funded: PostgresBooks,
    owner: asyncpg.Connection,
    books_url: str,
    scope: Scope,
    name: str,
    other: str | None,
) -> None:
    await funded.write(opened("po_1", 100))
    await funded.write(opened("po_2", 100))
    if other is not None:
        await funded.pause(switch(scope, other), "ana")
        assert (await funded.write(claimed("po_2"))).state is S.SUBMITTING
    assert await funded.pause(switch(scope, name), "ana") == "paused"
    assert await funded.pause(switch(scope, name), "ben") == "paused_already"
    assert (await funded.write(claimed("po_1"))).held is HeldBack.PAUSED
    await nothing_was_written(funded, owner, "po_1/claim/1")
    assert await funded.resume(switch(scope, name), "ana", is_admin=False) == "resumed"
    assert (await funded.write(claimed("po_1"))).state is S.SUBMITTING
    assert await breaks(books_url) == []


async def test_only_who_paused_or_an_administrator_lifts_a_pause_and_both_are_on_record_inv_20(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    eur = switch(Scope.CURRENCY, "EUR")
    await funded.pause(eur, "ana")
    assert await funded.resume(eur, "ben", is_admin=False) == "not_allowed"
    assert await funded.resume(eur, "ben", is_admin=True) == "resumed"
    assert await funded.resume(eur, "ben", is_admin=True) == "not_paused"
    rows = await owner.fetch("select paused_by, reason, resumed_by, resumed_reason from pauses")
    assert [tuple(row) for row in rows] == [("ana", "a test", "ben", "a test")]


@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.PARTNER, "bonk"), (Scope.TENANT, "mian"), (Scope.CURRENCY, "BOV")],
)
async def test_a_name_that_the_books_do_not_know_stops_nothing_and_says_so(
    funded: PostgresBooks, scope: Scope, name: str
) -> None:
    known = scope is Scope.CURRENCY
    assert await funded.pause(switch(scope, name), "ana") == ("paused" if known else "unknown")
    assert await funded.resume(switch(scope, name), "ana", is_admin=True) == (
        "resumed" if known else "unknown"
    )


async def test_once_a_pause_has_returned_no_claim_commits(
    funded: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    """Two writers claim as fast as they can; the pause comes in between, ten times over."""
    async with PostgresBooks.open(books_url) as other, PostgresBooks.open(books_url) as boss:
        for number in range(10):
            ids = [f"po_{number}_{n}" for n in range(60)]
            await asyncio.gather(*(funded.write(opened(payment, 1)) for payment in ids))
            claims = [
                asyncio.create_task((funded, other)[n % 2].write(claimed(payment)))
                for n, payment in enumerate(ids)
            ]
            await asyncio.wait(claims[:1])
            assert await boss.pause(ALL, "ana") == "paused"
            committed = await owner.fetchval("select count(*) from attempts")
            answers = await asyncio.gather(*claims)
            assert await owner.fetchval("select count(*) from attempts") == committed
            counts = Counter(told.held for told in answers)
            assert set(counts) <= {None, HeldBack.PAUSED}
            assert await boss.resume(ALL, "ana", is_admin=False) == "resumed"
    assert await breaks(books_url) == []


async def test_a_pause_waits_for_a_claim_that_has_passed_and_not_yet_committed(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        await owner.execute("select pass_gate()")
        pausing = asyncio.create_task(funded.pause(ALL, "ana"))
        await until(
            lambda: owner.fetchval(
                "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
            )
        )
        assert not pausing.done()
    assert await pausing == "paused"


async def test_a_held_claim_leaves_its_neighbours_alone(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for n in range(20):
        await funded.write(with_terms(f"po_{n}", approvals=NEED if n % 2 else None))
    told = await asyncio.gather(*(funded.write(claimed(f"po_{n}")) for n in range(20)))
    assert Counter(one.held for one in told) == {None: 10, HeldBack.NOT_APPROVED: 10}
    assert await owner.fetchval("select count(*) from attempts") == 10


def booked(payment: str, amount: int = 10) -> Change:
    """Return a transfer that is registered and booked in one change."""
    opens = registration(amount)._replace(kind=PaymentKind.TRANSFER, partner=None)
    return change(
        f"{payment}/post",
        *postings.transfer(ANA, BEN, "EUR", amount_minor=amount),
        payment_id=payment,
        opens=opens,
        moves=moves(None, S.RECEIVED, S.SETTLED),
    )


async def test_a_transfer_obeys_pauses_and_money_that_comes_in_does_not(
    funded: PostgresBooks, books_url: str
) -> None:
    for wanted in (ALL, switch(Scope.CURRENCY, "EUR"), switch(Scope.TENANT, "main")):
        payment = f"tr_{wanted.scope}"
        await funded.pause(wanted, "ana")
        assert (await funded.write(booked(payment))).held is HeldBack.PAUSED
        assert await funded.payment(payment) is None
        assert (await funded.write(deposit(f"d/{wanted.scope}", 5))).held is None
        waits = booked(payment)._replace(
            key=f"{payment}/scheduled", legs=(), moves=moves(None, S.RECEIVED, S.SCHEDULED)
        )
        assert (await funded.write(waits)).state is S.SCHEDULED
        later = booked(payment)._replace(opens=None, moves=moves(S.SCHEDULED, S.SETTLED))
        assert (await funded.write(later)).held is HeldBack.PAUSED
        await funded.resume(wanted, "ana", is_admin=False)
        assert (await funded.write(later)).state is S.SETTLED
    await funded.pause(switch(Scope.PARTNER, "bank"), "ana")
    assert (await funded.write(booked("tr_free"))).state is S.SETTLED
    assert await breaks(books_url) == []
