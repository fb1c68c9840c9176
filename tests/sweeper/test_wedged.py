"""No release whose code fails strands a payment in silence: it is a case, and goes on (T5, T6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.sweeping import Pace, SweepActivities
from bursar import PaymentState, PayoutRequest, names
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from tests.faults.site import Site
from tests.payments import a_payout
from tests.sweeper.broken import BrokenPayout
from workflows.sweep import Sweep

pytestmark = pytest.mark.faults

S = PaymentState
CASES = "SELECT id, detail FROM cases WHERE kind = 'wedged' AND payment_id IS NOT DISTINCT FROM $1"


@asynccontextmanager
async def a_broken_release(site: Site, client: Client) -> AsyncIterator[None]:
    """Replace the worker by one of a release that fails in every payout; then take it back."""
    url = site.house.books_url
    await site.stop("worker")
    try:
        async with (
            PostgresBooks.open(url) as books,
            Oversight.open(url) as oversight,
            Worker(
                client,
                task_queue=names.PAYMENTS_QUEUE,
                workflows=[BrokenPayout, Sweep],
                activities=SweepActivities(
                    books, oversight, client, Pace(grace=timedelta(seconds=1))
                ).all(),
            ),
        ):
            yield
    finally:
        await site.start("worker")


async def start(client: Client, request: PayoutRequest) -> None:
    """Start a payout whose tasks have little time, so that their tries follow one another soon."""
    await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        request,
        id=names.workflow_id(request.id),
        task_queue=names.PAYMENTS_QUEUE,
        task_timeout=timedelta(seconds=1),
    )


async def test_a_run_that_fails_again_and_again_is_one_case_and_is_paid_after_the_fix(
    site: Site, client: Client
) -> None:
    known = a_payout(execute_at=datetime.now(UTC) + timedelta(seconds=10))
    fresh = a_payout()
    await start(client, known)
    await site.house.reaches(known.id, S.SCHEDULED)
    async with a_broken_release(site, client):
        await start(client, fresh)  # fails before it is registered

        async def are_cases() -> bool:
            return bool(await site.rows(CASES, known.id)) and bool(await site.rows(CASES, None))

        await site.until("both runs are cases", are_cases)
    for payment_id, request in ((known.id, known), (None, fresh)):
        [case] = await site.rows(CASES, payment_id)
        assert names.workflow_id(request.id) in case["detail"]
    for request in (known, fresh):
        await site.house.reaches(request.id, S.SETTLED)
        assert (await site.debits())[request.id] == 1
    for payment_id in (known.id, None):
        [case] = await site.rows(CASES, payment_id)
        async with site.house.reader() as reader:
            answer = await reader.resolve_case(case["id"], "a fix is deployed")
        assert answer.verdict == "resolved"
    await site.house.agrees()
