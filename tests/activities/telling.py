"""Events as partners tell them, stored as the gateway does, and their steps run by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
from temporalio.testing import ActivityEnvironment

from activities.events import EventActivities
from activities.terms import EventRow
from bursar.actions import Outcome
from bursar.reports import EventKind, PartnerEvent
from ledger.books import ApprovalRow
from ledger.postgres import PostgresBooks
from ledger.resolutions import decision_of
from tests.ledger.driving import BANK, Driver

PAYOUT = "po_1"
AMOUNT = 100_00


async def submitted(driver: Driver, payout_id: str = PAYOUT) -> None:
    await driver.open_payout(payout_id)
    await driver.claim(payout_id)
    await driver.capture(payout_id)


async def settled(driver: Driver, payout_id: str = PAYOUT) -> None:
    await submitted(driver, payout_id)
    await driver.settle(payout_id)


def an_event(
    kind: EventKind, event_id: str, payout_id: str = PAYOUT, **more: object
) -> PartnerEvent:
    """Return an event of the bank about a payout's first attempt; `more` replaces its fields."""
    fields: dict[str, object] = {
        "partner": BANK,
        "event_id": event_id,
        "kind": kind,
        "reference": f"{payout_id}-1",
        "partner_ref": f"b-{payout_id}",
        "amount_minor": AMOUNT,
        "currency": "EUR",
        "occurred_at": datetime.now(UTC),
    }
    return PartnerEvent.model_validate(fields | more)


async def store(books: PostgresBooks, event: PartnerEvent) -> EventRow:
    row_id = await books.store_event(event, b"{}", {})
    assert row_id is not None
    return EventRow(row_id=row_id)


async def take(books: PostgresBooks, event: PartnerEvent) -> EventRow:
    """Store an event and take account of it, in the run that is there for its kind."""
    row = await store(books, event)
    await run_step(books, event, row)
    return row


async def run_step(books: PostgresBooks, event: PartnerEvent, row: EventRow) -> None:
    do = EventActivities(books)
    step = {EventKind.CREDIT: do.book_deposit, EventKind.RETURNED: do.book_return}.get(
        event.kind, do.judge_late
    )
    await ActivityEnvironment().run(step, row)


async def two_say(books: PostgresBooks, outcome: Outcome, payout_id: str = PAYOUT) -> None:
    """Keep the words of two people on what became of a payout."""
    payment = await books.payment(payout_id)
    assert payment is not None
    for name in ("ana", "ben"):
        row = ApprovalRow(
            payment_id=payout_id,
            principal=name,
            decision=decision_of(outcome),
            role="operate",
            content_hash=payment.content_hash,
            rule_version="",
            reason="ticket 4711",
            channel="gateway",
            at=await books.now(),
        )
        await books.add_approval(row)


async def balance(books: PostgresBooks, path: str) -> int:
    account = await books.account(path)
    assert account is not None
    return account.posted_minor


async def cases(url: str) -> list[tuple[str, str | None]]:
    """Return kind and payment of every open case, sorted."""
    rows = await fetch(
        url, "select kind, payment_id from cases where closed_at is null order by 1, 2"
    )
    return [(row["kind"], row["payment_id"]) for row in rows]


async def fetch(url: str, query: str, *arguments: object) -> Sequence[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()
