"""W7: an event that fails again and again is set aside, all others flow, and it can come back."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from activities.events import EventActivities
from activities.terms import Judged, Standing
from bursar import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger import accounts
from ledger.poison import FAILURES_MAX
from ledger.postgres import PostgresBooks
from tests.activities.telling import PAYOUT, an_event, balance, cases, store, submitted
from tests.ledger.driving import BANK, Driver

S = PaymentState
NO_ACCOUNTS_IN_IT = "CHF"


def poison() -> PartnerEvent:
    """Return an event that no code of ours can book: there is no suspense in its currency."""
    return an_event(EventKind.PAID, "evt_bad", reference=f"{PAYOUT}-7", currency=NO_ACCOUNTS_IN_IT)


async def test_poison_lets_all_other_events_of_its_payment_through_and_is_set_aside(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    await store(books, poison())
    await store(books, an_event(EventKind.PAID, "evt_good"))
    step = EventActivities(books).apply_events
    with pytest.raises(ValueError, match="no account"):
        await ActivityEnvironment().run(step, PAYOUT)
    payment = await books.payment(PAYOUT)
    assert payment is not None
    assert payment.state is S.SETTLED  # it came second, and did not wait
    for _ in range(FAILURES_MAX - 2):
        with pytest.raises(ValueError, match="no account"):
            await ActivityEnvironment().run(step, PAYOUT)
    standing: Standing = await ActivityEnvironment().run(step, PAYOUT)
    assert (standing.state, standing.open_cases) == (S.SETTLED, 1)
    assert await cases(auditor_url) == [("event_set_aside", PAYOUT)]
    assert await books.events_set_aside() == 1
    assert await books.open_events(PAYOUT) == []
    assert await books.events_to_relay(10) == []


async def test_poison_in_a_run_of_its_own_ends_that_run_and_can_be_brought_back(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    credit = an_event(EventKind.CREDIT, "evt_bad", reference="nobody", currency=NO_ACCOUNTS_IN_IT)
    row = await store(books, credit)
    step = EventActivities(books).book_deposit
    for _ in range(FAILURES_MAX - 1):
        with pytest.raises(ValueError, match="no account"):
            await ActivityEnvironment().run(step, row)
    assert await ActivityEnvironment().run(step, row) == Judged(needs_ops=True)
    assert await cases(auditor_url) == [("event_set_aside", None)]

    await books.open_accounts(accounts.rail_accounts(BANK, [NO_ACCOUNTS_IN_IT]))  # mended
    assert await books.redrive_events(None, "ana") == [row.row_id]
    assert await books.redrive_events(None, "ana") == []
    (offered,) = await books.events_to_relay(10)
    assert (offered.row_id, offered.failures, offered.redrives) == (row.row_id, 0, 1)
    await ActivityEnvironment().run(step, row)
    assert await balance(books, accounts.suspense_in(BANK, NO_ACCOUNTS_IN_IT)) == 100_00
    assert await books.events_set_aside() == 0
