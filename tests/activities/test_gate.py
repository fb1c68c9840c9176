"""What is held back is tried again soon and silently, and says why once."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from activities.calls import ContentChanged
from activities.gate import AGAIN_AFTER
from activities.payments import PaymentActivities
from activities.rules import Delays, Rules
from activities.terms import NotOpened, Opened, Opening, Standing
from bursar import PaymentState
from bursar.gate import CapBody, Scope, SwitchBody
from bursar.reports import Report
from ledger.postgres import PostgresBooks
from partners.port import Attempt
from tests.activities.test_rails import SWALLOWED, UNSENT, Bank, Payout, opened
from tests.ledger.driving import BANK
from tests.payments import a_transfer

S = PaymentState
ALL = SwitchBody(scope=Scope.ALL, reason="a test")
DAY = timedelta(days=1)
SOON = AGAIN_AFTER * 1.25
SLOW = Delays(ask_again_after=(0.001,), submit_for=100)


async def held_back(payout: Payout, why: str) -> None:
    """Try to hand over, and see that it is put off for a moment, as no error of anybody's."""
    with pytest.raises(ApplicationError, match=f"held back: {why}") as caught:
        await payout.submit()
    assert caught.value.category is ApplicationErrorCategory.BENIGN
    assert caught.value.next_retry_delay is not None
    assert timedelta() < caught.value.next_retry_delay <= SOON


async def test_a_paused_payout_is_tried_again_soon_and_says_once_why(
    books: PostgresBooks, admin_url: str
) -> None:
    bank = Bank([UNSENT], key_lifetime=DAY)
    payout = await opened(books, bank)
    await books.pause(ALL, "ana")
    for _ in range(3):
        await held_back(payout, "paused")
    assert bank.sends == 0
    assert await books.attempts(payout.request.id) == []
    assert await books.open_cases(payout.request.id) == []
    owner = await asyncpg.connect(admin_url)
    try:
        notes = await owner.fetch("select kind, detail from notes")
    finally:
        await owner.close()
    assert [tuple(note) for note in notes] == [("held_back", "paused")]
    await books.resume(ALL, "ana", is_admin=False)
    assert (await payout.submit()).state is S.FAILED
    assert bank.sends == 1


async def test_a_payout_over_a_limit_calls_a_person_once_and_passes_when_the_limit_is_raised(
    books: PostgresBooks,
) -> None:
    payout = await opened(books, Bank([SWALLOWED], key_lifetime=DAY))
    cap = CapBody(currency="EUR", partner=BANK, per_payment_minor=1, reason="a test")
    await books.set_cap(cap, "ana")
    told = await payout.submit()
    assert (told.state, told.open_cases) == (S.RESERVED, 1)  # so that its run calls people
    for _ in range(3):
        await held_back(payout, "over_limit")
    (case,) = await books.open_cases(payout.request.id)
    assert case.kind == "over_limit"
    await books.set_cap(cap.model_copy(update={"per_payment_minor": 10_000_00}), "ana")
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN


async def test_a_pause_stops_the_next_try_to_send_what_was_claimed(books: PostgresBooks) -> None:
    bank = Bank([UNSENT], key_lifetime=DAY)
    payout = await opened(books, bank, SLOW)
    with pytest.raises(ApplicationError, match="not sent"):
        await payout.submit()
    await books.pause(ALL, "ana")
    for _ in range(2):
        await held_back(payout, "paused")
    assert bank.sends == 1
    await books.resume(ALL, "ana", is_admin=False)
    with pytest.raises(ApplicationError, match="not sent"):
        await payout.submit()
    assert bank.sends == 2


async def test_a_pause_stops_the_resend_of_an_unknown_outcome(books: PostgresBooks) -> None:
    bank = Bank([SWALLOWED], key_lifetime=DAY)
    payout = await opened(books, bank, SLOW)
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    await books.pause(ALL, "ana")
    with pytest.raises(ApplicationError, match="held back: paused"):
        await payout.ask()
    await books.resume(ALL, "ana", is_admin=False)
    assert (await payout.ask()).state is S.SUBMITTING
    assert bank.sends == 1


class OvertakenBank(Bank):
    """A bank whose first call takes so long that another worker takes the step over meanwhile."""

    payout: Payout

    async def submit(self, attempt: Attempt) -> Report:
        report = await super().submit(attempt)
        if self.sends == 1:
            assert (await self.payout.submit()).state is S.OUTCOME_UNKNOWN
            assert (await self.payout.ask()).state is S.SUBMITTING
        return report


@pytest.mark.parametrize("late", [SWALLOWED, UNSENT], ids=lambda report: report.kind)
async def test_a_zombies_late_word_changes_nothing_once_another_may_send(
    books: PostgresBooks, late: Report
) -> None:
    bank = OvertakenBank([late, SWALLOWED], key_lifetime=DAY)
    bank.payout = payout = await opened(books, bank, SLOW)
    assert (await payout.submit()).state is S.SUBMITTING
    (attempt,) = await books.attempts(payout.request.id)
    assert (attempt.fence, attempt.sent_at) == (2, None)
    assert bank.sends == 1
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    (attempt,) = await books.attempts(payout.request.id)
    assert (attempt.fence, bank.sends) == (3, 2)


async def test_a_request_that_somebody_has_changed_in_the_database_is_never_claimed_inv_11(
    books: PostgresBooks, admin_url: str
) -> None:
    payout = await opened(books, Bank([SWALLOWED], key_lifetime=DAY))
    owner = await asyncpg.connect(admin_url)
    try:
        await owner.execute("set session_replication_role = replica")
        await owner.execute(
            "update payments set request = jsonb_set(request, '{amount,amount_minor}', '1251')"
        )
    finally:
        await owner.close()
    with pytest.raises(ContentChanged):
        await payout.submit()
    assert await books.attempts(payout.request.id) == []


async def test_a_payout_that_comes_back_after_its_end_is_not_sent(books: PostgresBooks) -> None:
    bank = Bank([UNSENT], key_lifetime=DAY)
    payout = await opened(books, bank)
    assert (await payout.submit()).state is S.FAILED
    assert (await payout.submit()).state is S.FAILED
    assert bank.sends == 1


class Transfer:
    """One transfer, and the steps that its workflow would run."""

    def __init__(self, books: PostgresBooks) -> None:
        self.request = a_transfer(destination="zenith")
        self.steps = PaymentActivities(books, {}, Rules())

    async def open(self) -> Opened:
        content = self.request.model_dump(mode="json")
        opening = Opening(payment_id=self.request.id, request=content)
        opened = await self.steps.open_transfer(opening)
        assert not isinstance(opened, NotOpened)
        return opened

    async def book(self) -> Standing:
        standing: Standing = await ActivityEnvironment().run(self.steps.book, self.request.id)
        return standing


async def test_a_paused_transfer_is_registered_and_waits_and_is_booked_after_the_resumption(
    books: PostgresBooks,
) -> None:
    transfer = Transfer(books)
    await books.pause(ALL, "ana")
    standing = (await transfer.open()).standing
    assert (standing.state, standing.held) == (S.SCHEDULED, "paused")
    again = (await transfer.open()).standing
    assert again.state is S.SCHEDULED
    for _ in range(2):
        with pytest.raises(ApplicationError, match="held back: paused") as caught:
            await transfer.book()
        assert caught.value.next_retry_delay is not None
        assert caught.value.next_retry_delay <= SOON
    account = await books.account(transfer.request.source)
    assert account is not None
    assert account.posted_minor == 1_000_00
    await books.resume(ALL, "ana", is_admin=False)
    assert (await transfer.book()).state is S.SETTLED
