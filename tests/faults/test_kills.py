"""Any process killed in the middle of a hundred payouts: nothing is lost, and nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.batch import Batch
from tests.faults.site import Site

pytestmark = pytest.mark.faults

A_THIRD = 34
LATE = 25


async def kill(batch: Batch, name: str) -> None:
    """Kill one process, and let the backend send on while it is away."""
    await batch.site.kill(name)
    batch.killed.set()


@asynccontextmanager
async def in_the_middle(batch: Batch) -> AsyncIterator[None]:
    """Send a batch, and do what is inside once a third is past `reserved`; then check all."""
    sending = asyncio.create_task(batch.send())
    try:
        await batch.past_reserved(A_THIRD)
        yield
        await sending
    finally:
        sending.cancel()
    await batch.nothing_is_lost_or_doubled()


@pytest.mark.parametrize("name", ["worker", "bank"])
async def test_a_kill_in_the_middle_loses_and_doubles_nothing(site: Site, name: str) -> None:
    async with in_the_middle(batch := Batch(site, late=LATE)):
        await kill(batch, name)
        await site.start(name)


async def test_the_gateway_may_be_away_while_the_bank_has_things_to_tell(site: Site) -> None:
    async with in_the_middle(batch := Batch(site, late=LATE)):
        await kill(batch, "gateway")

        async def bank_has_much_to_tell() -> bool:
            state = await site.house.ask_bank("GET", "/control/state")
            return int(state["webhooks"]["queued"]) >= 20

        await site.until("the bank keeps 20 webhooks for us", bank_has_much_to_tell)
        await site.start("gateway")


async def test_temporal_may_be_away_while_events_come_in_and_a_backend_sends(site: Site) -> None:
    async with in_the_middle(batch := Batch(site, late=LATE)):
        await kill(batch, "temporal")
        query = "SELECT count(*) FROM partner_events WHERE taken_at IS NULL"

        async def events_wait() -> bool:
            return await site.number(query) >= 3

        await site.until("events wait for Temporal", events_wait)
        assert len(batch.acknowledged) == len(batch.requests) - LATE
        await site.start("temporal")


async def test_postgres_may_crash_twice_under_load(site: Site) -> None:
    async with in_the_middle(batch := Batch(site, late=LATE)):
        await kill(batch, "postgres")
        await site.start("postgres")
        await batch.past_reserved(2 * A_THIRD)
        await asyncio.to_thread(site.postgres.stop, "immediate")
        await site.start("postgres")
