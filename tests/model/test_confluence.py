"""INV-21: whatever the order of a payout's events, and however often each comes, the end is one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from activities.events import EventActivities
from activities.terms import EventRow
from bursar.payments import PaymentState
from bursar.reports import EventKind, PartnerEvent, RejectionCode
from ledger import accounts
from ledger.memory import MemoryBooks
from tests.ledger.driving import ACME, BANK, Driver

S = PaymentState
PAYOUT = "po_order"
AMOUNT = 100_00

HONEST = ("accepted", "paid", "paid", "returned", "accepted", "paid again")
"""A payout that is paid and comes back, told twice over, and once under another event's id."""

REFUSED = ("accepted", "failed", "failed", "accepted", "failed again", "accepted again")


async def _at_once(books: MemoryBooks) -> Driver:
    driver = Driver(books)
    await driver.open_accounts()
    await driver.deposit(ACME, 1_000_00)
    await driver.open_payout(PAYOUT)
    await driver.claim(PAYOUT)
    await driver.lose_track(PAYOUT)
    return driver


def _event(word: str, books: MemoryBooks) -> PartnerEvent:
    kind = EventKind(word.split()[0])
    return PartnerEvent(
        partner=BANK,
        event_id=word.replace(" ", "-"),
        kind=kind,
        reference=f"{PAYOUT}-1",
        partner_ref="b-1",
        amount_minor=AMOUNT,
        currency="EUR",
        code=RejectionCode.ACCOUNT_CLOSED if kind is EventKind.FAILED else None,
        occurred_at=books.clock(),
    )


async def _told(books: MemoryBooks, words: Sequence[str]) -> None:
    """Tell events one by one as gateway and relay do; what a run has ended for is judged late."""
    steps = EventActivities(books)
    for word in words:
        row_id = await books.store_event(_event(word, books), b"", {})
        if row_id is None:
            continue
        if word.startswith("returned"):
            await steps.book_return(EventRow(row_id=row_id))
        else:
            await steps.apply_events(PAYOUT)


async def _end(books: MemoryBooks) -> dict[str, Any]:
    payment = await books.payment(PAYOUT)
    assert payment is not None
    paths = [ACME, accounts.nostro(BANK, "EUR"), accounts.transit_out(BANK, "EUR")]
    paths += [accounts.suspense_in(BANK, "EUR"), accounts.suspense_out(BANK, "EUR")]
    balances = {}
    for path in paths:
        account = await books.account(path)
        assert account is not None
        balances[path] = (account.posted_minor, account.held_minor)
    return {"state": payment.state, **balances}


@pytest.mark.parametrize(
    ("words", "state"), [(HONEST, S.RETURNED), (REFUSED, S.FAILED)], ids=["paid", "refused"]
)
async def test_all_orders_of_six_events_end_alike(words: tuple[str, ...], state: S) -> None:
    ends = []
    for order in set(permutations(words)):
        books = MemoryBooks()
        await _at_once(books)
        await _told(books, order)
        end = await _end(books)
        if end not in ends:
            ends.append(end)
        assert not [row for row in books.events.values() if row.applied_at is None]
    assert len(ends) == 1, ends
    assert ends[0]["state"] is state


async def test_every_subset_of_events_that_holds_the_last_word_ends_alike() -> None:
    for size in range(1, 5):
        for order in set(permutations(HONEST, size)):
            if "returned" not in order:
                continue
            books = MemoryBooks()
            await _at_once(books)
            await _told(books, order)
            assert (await _end(books))["state"] is S.RETURNED, order
