"""A partner knows a payment that we did not hand over: nothing is sent blindly, a person sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.conclusions import Conclusions, Evidence
from activities.events import EventActivities
from activities.rules import Delays
from bursar import PaymentState
from bursar.actions import Outcome
from bursar.reports import Accepted, EventKind, NotFound, Paid, Rejected, RejectionCode, Report
from ledger.postgres import PostgresBooks
from partners.port import Attempt
from tests.activities.telling import (
    AMOUNT,
    PAYOUT,
    an_event,
    balance,
    cases,
    store,
    submitted,
    take,
    two_say,
)
from tests.activities.test_money_evidence import FUNDS, NOSTRO, submitted_as
from tests.activities.test_rails import Bank, opened
from tests.ledger.driving import Driver

S = PaymentState
ACCEPTED, PAID = EventKind.ACCEPTED, EventKind.PAID


class KeylessBank(Bank):
    """A bank that can be asked, and pays once for each time that it is sent something."""

    def __init__(self, found: Report) -> None:
        super().__init__([Accepted(partner_ref="b-2")], key_lifetime=timedelta(days=1))
        update = {"key_lifetime": None, "finds_by_reference": True, "absence_after": timedelta()}
        self.guarantees = self.guarantees.model_copy(update=update)
        self.found = found

    async def find(self, _attempt: Attempt) -> Report:
        return self.found


@pytest.mark.parametrize("kind", [ACCEPTED, PAID])
@pytest.mark.parametrize(
    ("found", "ends"),
    [(Accepted(partner_ref="b-1"), S.SUBMITTED), (NotFound(evidence="404"), S.OUTCOME_UNKNOWN)],
)
@pytest.mark.parametrize("by_its_run", [True, False])
async def test_what_a_partner_knows_before_it_was_sent_is_asked_about_and_not_sent(
    books: PostgresBooks,
    auditor_url: str,
    kind: EventKind,
    found: Report,
    ends: S,
    *,
    by_its_run: bool,
) -> None:
    """D4: books that were restored, or somebody else with our name; sent blindly it doubles."""
    bank = KeylessBank(found)
    payout = await opened(books, bank)
    amount = payout.request.amount.amount_minor
    await store(books, an_event(kind, "evt_1", payout.request.id, amount_minor=amount))
    if by_its_run:
        await ActivityEnvironment().run(EventActivities(books).apply_events, payout.request.id)
    assert (await payout.submit()).state is ends
    assert bank.sends == 0
    assert await cases(auditor_url) == [("contradiction", payout.request.id)]


async def test_the_case_names_the_partner_that_has_told_and_not_the_one_to_be_sent_to(
    books: PostgresBooks,
) -> None:
    payout = await opened(books, KeylessBank(NotFound(evidence="404")))
    await store(books, an_event(PAID, "evt_1", payout.request.id, partner="elsewhere"))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    (case,) = await books.open_cases(payout.request.id)
    assert (case.opened_by, case.detail.split(" told of it")[0]) == ("partner:elsewhere",) * 2


async def test_a_debit_that_is_noted_as_a_phantom_settles_nothing_and_is_asked_about_in_steps(
    books: PostgresBooks, auditor_url: str
) -> None:
    """D4: it was told before its payment was registered again; now every look-up tells it too."""
    paid = Paid(partner_ref="b-1", line_ref="bl_1")
    await take(books, an_event(PAID, "evt_1", "po_lost", line_ref="bl_1", partner_ref=None))
    bank = KeylessBank(paid)
    bank.script = [paid]
    payout = await opened(books, bank, Delays(ask_again_after=(0.001,), ask_for=86_400))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    standing = await payout.ask()
    assert (standing.state, standing.open_cases) == (S.OUTCOME_UNKNOWN, 2)
    with pytest.raises(ApplicationError, match="still unknown"):  # and not at once for ever
        await payout.ask()
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    named = payout.request.id
    assert await cases(auditor_url) == [
        *[("mismatch", named)] * 2,
        ("phantom_debit", None),
    ]


async def never_sent(books: PostgresBooks, driver: Driver) -> None:
    """Have our own conclusion end it: every try has certainly done nothing."""
    await driver.open_payout(PAYOUT)
    await driver.claim(PAYOUT)
    evidence = Evidence(actor="partner:bank", id=f"submit/{PAYOUT}-1", fence=0)
    conclusions = Conclusions(books)
    await conclusions.never_sent(PAYOUT, RejectionCode.NOT_SUPPORTED, evidence)


async def cancelled(books: PostgresBooks, driver: Driver) -> None:
    await driver.open_payout(PAYOUT)
    await driver.void(PAYOUT, S.RESERVED, S.CANCELLED)


async def resolved(books: PostgresBooks, driver: Driver) -> None:
    """Have two people find out that it never moved."""
    await submitted(driver)
    await two_say(books, Outcome.NEVER_MOVED)
    evidence = Evidence(actor="ana with ben", id=f"resolution/{PAYOUT}", closes_cases=True)
    payment = await Conclusions(books).payment(PAYOUT)
    await Conclusions(books).conclude(payment, Rejected(code=RejectionCode.OTHER), evidence)


async def refused_by_its_partner(books: PostgresBooks, driver: Driver) -> None:
    await submitted_as(driver, PAYOUT, f"b-{PAYOUT}")
    await take(books, an_event(EventKind.FAILED, "evt_no"))


@pytest.mark.parametrize(
    ("end", "called"),
    [(never_sent, 1), (cancelled, 1), (resolved, 1), (refused_by_its_partner, 0)],
)
async def test_a_yes_after_an_end_that_no_partner_has_told_of_calls_a_person(
    books: PostgresBooks,
    driver: Driver,
    auditor_url: str,
    end: Callable[[PostgresBooks, Driver], Awaitable[None]],
    called: int,
) -> None:
    await end(books, driver)
    await take(books, an_event(ACCEPTED, "evt_1"))
    assert await cases(auditor_url) == [("contradiction", PAYOUT)] * called
