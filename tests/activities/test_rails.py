"""What may have left is never given up as unsent, and nothing is sent under a forgotten key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.calls import BodyChanged
from activities.payments import PaymentActivities
from activities.rails import PAUSE_MAX, RailActivities
from activities.rules import Delays, Rules
from activities.terms import Opened, Opening, Question, Standing
from bursar import PaymentState
from bursar.reports import (
    Accepted,
    NotFound,
    NotSent,
    Paid,
    Rejected,
    RejectionCode,
    Report,
    Throttled,
    Unknown,
)
from ledger.books import Books, PartnerWord
from ledger.postgres import PostgresBooks
from partners.port import Attempt, Guarantees, Partner
from tests.ledger.driving import BANK
from tests.payments import a_payout

S = PaymentState
SWALLOWED = Unknown(evidence="cut off")
UNSENT = NotSent(evidence="refused")


class Bank:
    """A bank that honours keys, cannot be asked, and answers by a script."""

    name = BANK

    def __init__(self, script: Sequence[Report], *, key_lifetime: timedelta) -> None:
        self.script = list(script)
        self.sends = 0
        self.suffix = b""
        self.guarantees = Guarantees(
            key_lifetime=key_lifetime,
            replays_failures=False,
            finds_by_reference=False,
            absence_after=None,
            throttled_is_not_processed=True,
            cancels_pending=False,
            sends_events=False,
            currencies=frozenset({"EUR"}),
            beneficiaries=frozenset({"iban"}),
            rate_per_second=1_000,
        )

    def render(self, attempt: Attempt) -> bytes:
        return attempt.model_dump_json().encode() + self.suffix

    async def submit(self, _attempt: Attempt) -> Report:
        self.sends += 1
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class Payout:
    """One payout, and the activities that its workflow would run."""

    def __init__(self, books: PostgresBooks, bank: Bank, delays: Delays) -> None:
        self.request = a_payout()
        partners = {BANK: bank}
        self.steps = PaymentActivities(books, partners, Rules(delays=delays))  # type: ignore[arg-type]  # as much of a Partner as these steps call
        self.calls = RailActivities(books, partners)  # type: ignore[arg-type]  # likewise

    async def open(self) -> None:
        content = self.request.model_dump(mode="json")
        opening = Opening(payment_id=self.request.id, request=content)
        assert isinstance(await self.steps.open_payout(opening), Opened)

    async def submit(self) -> Standing:
        standing: Standing = await ActivityEnvironment().run(self.calls.submit, self.request.id)
        return standing

    async def ask(self) -> Standing:
        question = Question(payment_id=self.request.id)
        standing: Standing = await ActivityEnvironment().run(self.calls.ask, question)
        return standing


QUICK = Delays(ask_again_after=(0.001,), submit_for=0)


async def opened(books: PostgresBooks, bank: Bank, delays: Delays = QUICK) -> Payout:
    payout = Payout(books, bank, delays)
    await payout.open()
    return payout


async def test_after_a_send_that_may_have_arrived_not_sent_releases_nothing(
    books: PostgresBooks,
) -> None:
    payout = await opened(books, Bank([SWALLOWED, UNSENT], key_lifetime=timedelta(days=1)))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    standing = await payout.ask()
    while standing.state is not S.IN_REVIEW:
        step = payout.submit if standing.state is S.SUBMITTING else payout.ask
        standing = await step()
        assert standing.state in {S.SUBMITTING, S.OUTCOME_UNKNOWN, S.IN_REVIEW}
    account = await books.account(payout.request.account)
    assert account is not None
    assert account.held_minor == payout.request.amount.amount_minor


async def test_what_never_left_in_its_time_fails_and_gives_the_money_back(
    books: PostgresBooks,
) -> None:
    payout = await opened(books, Bank([UNSENT], key_lifetime=timedelta(days=1)))
    assert (await payout.submit()).state is S.FAILED
    account = await books.account(payout.request.account)
    assert account is not None
    assert account.held_minor == 0


async def test_a_key_that_may_be_forgotten_is_not_sent_again(books: PostgresBooks) -> None:
    bank = Bank([SWALLOWED], key_lifetime=timedelta(microseconds=2))
    payout = await opened(books, bank)
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    assert (await payout.ask()).state is S.IN_REVIEW
    assert bank.sends == 1


class Interrupted:
    """The books as one worker reaches them; something happens once, after a call of one name."""

    def __init__(self, books: PostgresBooks, after: str, then: Callable[[], Awaitable[object]]):
        self._books = books
        self._after = after
        self._then: Callable[[], Awaitable[object]] | None = then

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._books, name)
        if name != self._after:
            return found

        async def call(*arguments: Any) -> Any:
            answer = await found(*arguments)
            then, self._then = self._then, None
            if then is not None:
                await then()
            return answer

        return call


async def test_a_try_gives_nothing_back_once_another_may_have_sent(books: PostgresBooks) -> None:
    """K+: the first try gives up; meanwhile a second one finds it lost, and sends again."""
    paid = Accepted(partner_ref="b-1")
    bank = Bank([UNSENT, paid], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank)

    async def another_worker_goes_on() -> None:
        assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
        assert (await payout.ask()).state is S.SUBMITTING
        assert (await payout.submit()).state is S.SUBMITTED

    first = RailActivities(
        cast(Books, Interrupted(books, "words", another_worker_goes_on)),
        {BANK: cast(Partner, bank)},
    )
    standing: Standing = await ActivityEnvironment().run(first.submit, payout.request.id)
    assert (standing.state, bank.sends) == (S.SUBMITTED, 2)


@pytest.mark.parametrize("ends", [S.SUBMITTED, S.SETTLED])
async def test_a_no_to_an_older_send_gives_nothing_back_once_a_newer_one_is_accepted(
    books: PostgresBooks, ends: S
) -> None:
    """K+: the no crawls home; meanwhile a second try sends the same key, and hears yes."""
    yes = Accepted(partner_ref="b-1") if ends is S.SUBMITTED else Paid(partner_ref="b-1")
    bank = Bank([Rejected(code=RejectionCode.PARTNER_FUNDS), yes], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank)

    async def another_worker_goes_on() -> None:
        assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
        assert (await payout.ask()).state is S.SUBMITTING
        assert (await payout.submit()).state is ends

    first = RailActivities(
        cast(Books, Interrupted(books, "add_word", another_worker_goes_on)),
        {BANK: cast(Partner, bank)},
    )
    async with asyncio.timeout(30):  # a word that moves nothing is not tried for ever
        standing: Standing = await ActivityEnvironment().run(first.submit, payout.request.id)
    assert (standing.state, standing.open_cases, bank.sends) == (ends, 0, 2)


async def test_a_try_that_was_held_up_past_its_time_sends_nothing(books: PostgresBooks) -> None:
    """K+: a frozen worker comes back when another may have concluded that nothing was sent."""
    bank = Bank([Accepted(partner_ref="b-1")], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank, Delays(partner_call_timeout=1e-9))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    assert bank.sends == 0


class ForgetfulBank(Bank):
    """A bank that does not find yet what it has."""

    def __init__(self, absence_after: timedelta) -> None:
        super().__init__([SWALLOWED], key_lifetime=timedelta(days=1))
        update = {"finds_by_reference": True, "absence_after": absence_after}
        self.guarantees = self.guarantees.model_copy(update=update)

    async def find(self, _attempt: Attempt) -> Report:
        return NotFound(evidence="404")


class LockedBooks:
    """The books as a worker reaches them; they are locked for an hour when a word is to be kept."""

    def __init__(self, books: PostgresBooks) -> None:
        self._books = books
        self._later = timedelta()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def now(self) -> datetime:
        return await self._books.now() + self._later

    async def add_word(self, word: PartnerWord) -> None:
        self._later = timedelta(hours=1)
        await self._books.add_word(word)


async def test_an_early_miss_proves_nothing_however_late_the_books_keep_it(
    books: PostgresBooks,
) -> None:
    """D9, P8: the partner was asked within its lag, and then the books were locked for long."""
    bank = ForgetfulBank(absence_after=timedelta(minutes=30))
    payout = await opened(books, bank, Delays(ask_again_after=(0.001,), ask_for=86_400))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    with pytest.raises(ApplicationError):  # the first miss
        await payout.ask()
    locked = cast(Books, LockedBooks(books))
    late = RailActivities(locked, {BANK: cast(Partner, bank)})
    question = Question(payment_id=payout.request.id, cancel_wished=True)
    with pytest.raises(ApplicationError):
        await ActivityEnvironment().run(late.ask, question)
    payment = await books.payment(payout.request.id)
    assert payment is not None
    assert payment.state is S.OUTCOME_UNKNOWN
    standing: Standing = await ActivityEnvironment().run(late.ask, question)
    assert standing.state is S.FAILED  # asked after the lag: now it is a proof


async def test_absence_gives_nothing_back_once_another_has_sent_again(books: PostgresBooks) -> None:
    """K+: of two look-ups at once, the one without the wish to cancel sends again, and is first."""
    bank = ForgetfulBank(timedelta())
    payout = await opened(books, bank, Delays(ask_again_after=(0.001,), ask_for=600))
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    with pytest.raises(ApplicationError):
        await payout.ask()

    async def another_worker_sends_again() -> None:
        assert (await payout.ask()).state is S.SUBMITTING

    late = RailActivities(
        cast(Books, Interrupted(books, "words", another_worker_sends_again)),
        {BANK: cast(Partner, bank)},
    )
    question = Question(payment_id=payout.request.id, cancel_wished=True)
    standing: Standing = await ActivityEnvironment().run(late.ask, question)
    assert standing.state is S.SUBMITTING


class SilentBank(Bank):
    """A bank that could be asked, if it answered at all."""

    def __init__(self) -> None:
        super().__init__([SWALLOWED], key_lifetime=timedelta(days=1))
        self.guarantees = self.guarantees.model_copy(update={"finds_by_reference": True})

    async def find(self, _attempt: Attempt) -> Report:
        return SWALLOWED


@pytest.mark.parametrize(("ask_for", "ends"), [(600.0, S.OUTCOME_UNKNOWN), (0.0, S.IN_REVIEW)])
async def test_while_a_partner_is_out_it_is_asked_as_long_as_the_policy_says(
    books: PostgresBooks, ask_for: float, ends: S
) -> None:
    payout = await opened(
        books, SilentBank(), Delays(ask_again_after=(0.001, 0.001), ask_for=ask_for)
    )
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    for _ in range(2):
        with pytest.raises(ApplicationError):
            await payout.ask()
    with suppress(ApplicationError):
        await payout.ask()
    payment = await books.payment(payout.request.id)
    assert payment is not None
    assert payment.state is ends


async def test_a_partner_cannot_ask_for_a_pause_without_end(books: PostgresBooks) -> None:
    bank = Bank([Throttled(retry_after_seconds=10.0**7)], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank, Delays(submit_for=10.0**6))
    with pytest.raises(ApplicationError) as caught:
        await payout.submit()
    assert caught.value.next_retry_delay == PAUSE_MAX


async def test_a_body_that_is_not_the_claimed_one_is_never_sent(books: PostgresBooks) -> None:
    bank = Bank([UNSENT], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank, Delays(submit_for=100))
    with pytest.raises(ApplicationError):
        await payout.submit()
    bank.suffix = b" "
    with pytest.raises(BodyChanged):
        await payout.submit()
    assert bank.sends == 1
