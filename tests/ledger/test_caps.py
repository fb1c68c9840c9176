"""Caps: exactly what fits under them is claimed, however many claim at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg

from bursar.gate import CapBody
from bursar.payments import PaymentState
from ledger.changes import HeldBack
from ledger.postgres import PostgresBooks
from tests.ledger.steps import (
    breaks,
    claimed,
    opened,
)

S = PaymentState


def cap(currency: str = "EUR", **bounds: Any) -> CapBody:
    return CapBody(currency=currency, reason="a test", **bounds)


async def test_of_many_claims_exactly_those_under_the_days_limit_pass_h8(
    funded: PostgresBooks, books_url: str
) -> None:
    assert await funded.set_cap(cap(per_day_minor=555), "ana") == "set"
    ids = [f"po_{n}" for n in range(100)]
    await asyncio.gather(*(funded.write(opened(payment, 10)) for payment in ids))
    async with PostgresBooks.open(books_url) as other:
        told = await asyncio.gather(
            *((funded, other)[n % 2].write(claimed(payment)) for n, payment in enumerate(ids))
        )
    assert Counter(one.held for one in told) == {None: 55, HeldBack.OVER_LIMIT: 45}
    assert await funded.set_cap(cap(per_day_minor=570), "ana") == "set"
    told = await asyncio.gather(*(funded.write(claimed(payment)) for payment in ids))
    assert Counter(one.held for one in told) == {None: 57, HeldBack.OVER_LIMIT: 43}
    assert await funded.set_cap(cap(), "ana") == "ended"
    assert await funded.set_cap(cap(), "ana") == "not_set"
    assert (await funded.write(claimed(ids[99]))).held is None
    assert await breaks(books_url) == []


async def test_a_limit_is_of_its_currency_partner_and_tenant_and_all_that_fit_count(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for bounds in (
        {"currency": "USD", "per_payment_minor": 1},
        {"per_payment_minor": 90},
        {"partner": "bank", "per_payment_minor": 100},
        {"partner": "bank", "tenant": "main", "per_day_minor": 150},
    ):
        assert await funded.set_cap(cap(**bounds), "ana") == "set"
    assert await funded.set_cap(cap(partner="bonk", per_day_minor=1), "ana") == "unknown"
    for payment, amount in (("po_1", 91), ("po_2", 90), ("po_3", 61), ("po_4", 60)):
        await funded.write(opened(payment, amount))
    told = [(await funded.write(claimed(f"po_{n}"))).held for n in (1, 2, 3, 4)]
    assert told == [HeldBack.OVER_LIMIT, None, HeldBack.OVER_LIMIT, None]
    uses = await owner.fetch("select amount_minor from cap_uses order by amount_minor")
    assert [row["amount_minor"] for row in uses] == [0, 150, 150, 150]
