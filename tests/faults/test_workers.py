"""Workers that die, or freeze and come back, while their calls are at the bank."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.batch import Batch, Sort
from tests.faults.site import Site

pytestmark = pytest.mark.faults

SLOW = (Sort("slow-accept", 24),)
IN_FLIGHT_MIN = 5

SENT = """
SELECT count(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
 WHERE p.batch_id = $1 AND p.state = 'submitting' AND a.sent_at IS NOT NULL
"""
UNANSWERED = """
SELECT count(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
 WHERE p.batch_id = $1 AND NOT EXISTS (
    SELECT FROM partner_words w WHERE w.attempt_key = a.key AND w.verb = 'submit')
"""


async def calls_are_in_flight(batch: Batch) -> None:
    """Wait until the bank works on many calls at once: sent, and not answered."""

    async def enough() -> bool:
        return await batch.site.number(SENT, batch.name) >= IN_FLIGHT_MIN

    await batch.site.until(f"{IN_FLIGHT_MIN} calls are in flight", enough)


async def test_a_worker_killed_while_its_calls_are_at_the_bank_asks_and_sends_nothing_twice(
    site: Site,
) -> None:
    batch = Batch(site, SLOW)
    sending = asyncio.create_task(batch.send())
    await calls_are_in_flight(batch)
    await site.kill("worker")
    assert await site.number(UNANSWERED, batch.name) >= IN_FLIGHT_MIN
    await site.start("worker")
    await sending
    await batch.nothing_is_lost_or_doubled()
    assert await site.number(UNANSWERED, batch.name) > 0, "no answer was lost with the worker"


@pytest.fixture
async def second(site: Site) -> AsyncIterator[str]:
    """The name of a second worker beside the usual one."""
    site.house.programs["second"] = site.house.worker_program("second")
    await site.start("second")
    yield "second"
    await site.stop("second")
    del site.house.programs["second"]


async def test_a_frozen_worker_that_comes_back_finds_its_work_done_and_pays_nothing_again(
    site: Site, second: str
) -> None:
    batch = Batch(site, SLOW)
    sending = asyncio.create_task(batch.send())
    await calls_are_in_flight(batch)
    site.freeze("worker")
    try:
        await sending
        await batch.ended()
        unheard = await site.number(UNANSWERED, batch.name)
        assert unheard > 0, "the frozen worker had no call in flight"
    finally:
        site.thaw("worker")
    await site.stop(second)
    alone = Batch(site, (Sort("", 5),))  # what it does now comes after whatever it had in hand
    await alone.send()
    await alone.nothing_is_lost_or_doubled()
    await batch.nothing_is_lost_or_doubled()
