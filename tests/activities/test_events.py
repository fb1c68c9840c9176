"""Events are taken account of once, and only where they fit; each step may run again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.events import EventActivities
from activities.terms import EventRow, Standing
from bursar import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger import accounts
from ledger.postgres import PostgresBooks
from tests.ledger.driving import ACME, BANK, Driver

S = PaymentState
PAYOUT = "po_1"


async def told(
    books: PostgresBooks,
    kind: EventKind,
    *,
    amount_minor: int = 100_00,
    reference: str = f"{PAYOUT}-1",
    currency: str = "EUR",
    partner: str = BANK,
    fee_minor: int | None = None,
) -> EventRow:
    """Store an authentic event, as the gateway does."""
    event = PartnerEvent(
        partner=partner,
        event_id=f"evt_{kind}_{partner}",
        kind=kind,
        reference=reference,
        partner_ref="b-1",
        amount_minor=amount_minor,
        currency=currency,
        fee_minor=fee_minor,
        occurred_at=datetime.now(UTC),
    )
    row_id = await books.store_event(event, b"{}", {})
    assert row_id is not None
    return EventRow(row_id=row_id)


async def balance(books: PostgresBooks, path: str) -> int:
    account = await books.account(path)
    assert account is not None
    return account.posted_minor


async def settled(driver: Driver) -> None:
    await driver.open_payout(PAYOUT)
    await driver.claim(PAYOUT)
    await driver.capture(PAYOUT)
    await driver.settle(PAYOUT)


async def test_a_return_whose_step_runs_again_is_booked_once(
    books: PostgresBooks, driver: Driver
) -> None:
    await settled(driver)
    row = await told(books, EventKind.RETURNED, amount_minor=99_00, fee_minor=1_00)
    step = EventActivities(books).book_return
    for _ in range(3):
        await ActivityEnvironment().run(step, row)
    assert await balance(books, accounts.suspense_in(BANK, "EUR")) == 0
    assert await balance(books, accounts.nostro(BANK, "EUR")) == 1_000_00 - 100_00 + 99_00
    payment = await books.payment(PAYOUT)
    assert payment is not None
    assert payment.state is S.RETURNED


async def test_a_deposit_whose_step_runs_again_stays_where_it_was_booked(
    books: PostgresBooks, driver: Driver
) -> None:
    row = await told(books, EventKind.CREDIT, reference="wallet/late/EUR")
    step = EventActivities(books).book_deposit
    await ActivityEnvironment().run(step, row)
    await books.open_accounts([accounts.wallet_account("wallet/late/EUR", "main")])
    await ActivityEnvironment().run(step, row)
    assert await balance(books, accounts.suspense_in(BANK, "EUR")) == 100_00
    assert await balance(books, "wallet/late/EUR") == 0


@pytest.mark.parametrize(("currency", "amount_minor"), [("JPY", 100_00), ("EUR", 100_01)])
async def test_a_return_that_does_not_fit_moves_no_payment(
    books: PostgresBooks, driver: Driver, currency: str, amount_minor: int
) -> None:
    await driver.open_payout(PAYOUT)
    await driver.claim(PAYOUT)
    await driver.lose_track(PAYOUT)
    row = await told(books, EventKind.RETURNED, currency=currency, amount_minor=amount_minor)
    await ActivityEnvironment().run(EventActivities(books).book_return, row)
    payment = await books.payment(PAYOUT)
    assert payment is not None
    assert payment.state is S.OUTCOME_UNKNOWN
    assert await balance(books, accounts.suspense_in(BANK, currency)) == amount_minor


@pytest.mark.parametrize("kind", [EventKind.PAID, EventKind.ACCEPTED])
async def test_a_partner_that_knows_a_payment_we_never_handed_over_calls_a_person(
    books: PostgresBooks, driver: Driver, kind: EventKind
) -> None:
    await driver.open_payout(PAYOUT)
    await told(books, kind)
    standing: Standing = await ActivityEnvironment().run(
        EventActivities(books).apply_events, PAYOUT
    )
    assert standing.state is S.RESERVED
    assert [case.kind for case in await books.open_cases(PAYOUT)] == ["contradiction"]


async def test_a_late_no_gives_a_settled_payout_no_code(
    books: PostgresBooks, driver: Driver
) -> None:
    await settled(driver)
    await told(books, EventKind.FAILED)
    standing: Standing = await ActivityEnvironment().run(
        EventActivities(books).apply_events, PAYOUT
    )
    assert (standing.state, standing.code) == (S.SETTLED, None)
    assert [case.kind for case in await books.open_cases(PAYOUT)] == ["contradiction"]


async def test_a_credit_that_names_a_payout_is_left_to_its_own_run(
    books: PostgresBooks, driver: Driver
) -> None:
    await settled(driver)
    row = await told(books, EventKind.CREDIT)
    await ActivityEnvironment().run(EventActivities(books).apply_events, PAYOUT)
    await ActivityEnvironment().run(EventActivities(books).book_deposit, row)
    assert await balance(books, accounts.suspense_in(BANK, "EUR")) == 100_00
    assert await balance(books, ACME) == 1_000_00 - 100_50
