"""Temporal's whole database lost: an empty server, the same books, the same requests again."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.batch import Batch
from tests.faults.site import Site

pytestmark = pytest.mark.faults

NOTICED_IN_VAIN = """
SELECT count(*) FROM partner_events WHERE taken_at IS NOT NULL AND applied_at IS NULL
"""


async def test_payments_sent_again_go_on_where_the_register_says_and_no_event_is_forgotten(
    site: Site,
) -> None:
    batch = Batch(site, late=25)
    sending = asyncio.create_task(batch.send())
    await batch.past_reserved(34)
    site.freeze("worker")  # it comes back with calls and steps of a server that is no more
    try:

        async def some_are_noticed_and_not_applied() -> bool:
            return await site.number(NOTICED_IN_VAIN) >= 3

        await site.until("only Temporal knows of events", some_are_noticed_and_not_applied)
        await site.lose_temporal()
    finally:
        site.thaw("worker")
    batch.killed.set()
    await sending
    batch.acknowledged.clear()  # a backend cannot know what was lost: it sends all of them again
    await batch.send()
    await site.let_leases_end()
    await batch.nothing_is_lost_or_doubled()
