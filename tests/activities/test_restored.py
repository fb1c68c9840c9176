"""Restored books: no failed stop is forgotten, and no hold is released that may be spent (D4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import cast

import asyncpg
import pytest

from activities.restored import Restored
from activities.terms import Wish
from bursar.actions import Answer, Cancel, Verdict
from bursar.gate import START_GUARD, Scope, SwitchBody
from bursar.payments import PaymentState
from bursar.reports import Accepted, EventKind, NotFound, Report
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from partners.port import Partner, Statement, StatementLine
from tests.activities.telling import PAYOUT, an_event, store
from tests.activities.test_known_elsewhere import KeylessBank
from tests.activities.test_rails import UNSENT, Bank, Payout, opened
from tests.ledger.driving import BANK, Driver
from tests.ledger.steps import breaks

S = PaymentState
V = Verdict
EVERYTHING = SwitchBody(scope=Scope.ALL, reason="compared")
CANCEL = Cancel(by="ana", reason="paid by card")
TODAY = datetime.now(UTC).date()
GATE_HELD = "select pg_advisory_lock_shared(7094702627973330021)"


@pytest.fixture
async def oversight(books_url: str) -> AsyncIterator[Oversight]:
    async with Oversight.open(books_url) as oversight:
        yield oversight


class Stated:
    """A partner with one debit on its statement."""

    name = BANK

    async def statement(self, day: date) -> tuple[Statement, ...]:
        line = StatementLine(
            line_id="bl_1",
            booked_at=datetime.now(UTC),
            value_on=day,
            amount_minor=-100,
            currency="EUR",
            reference="po_lost-1",
            kind="payout",
        )
        return (
            Statement(day=day, currency="EUR", opening_minor=0, closing_minor=-100, lines=(line,)),
        )


STATED = cast(Partner, Stated())


async def test_a_difference_whose_stop_has_failed_stops_all_sending_when_it_is_seen_again(
    books: PostgresBooks, oversight: Oversight, books_url: str
) -> None:
    restored = Restored(oversight)
    busy = await asyncpg.connect(books_url)
    try:
        await busy.execute(GATE_HELD)
        with pytest.raises(ConnectionError):
            await restored.compare(STATED, [TODAY])
    finally:
        await busy.close()
    assert await restored.compare(STATED, [TODAY]) == ["po_lost-1"]
    told = await oversight.no_send()
    assert (told.stopped, told.paused_by) == (True, START_GUARD)
    assert "po_lost-1 was sent, says statement line bl_1" in (told.reason or "")
    await books.resume(EVERYTHING, "root", is_admin=True)
    assert await restored.compare(STATED, [TODAY]) == []
    assert not (await oversight.no_send()).stopped, "people have compared"


async def test_what_a_release_before_has_kept_without_a_stop_stops_all_sending(
    books: PostgresBooks, oversight: Oversight
) -> None:
    """Whether by its crash, or by a stop of the guard's that was over before it was found."""
    await books.pause(EVERYTHING, START_GUARD)
    await books.resume(EVERYTHING, "root", is_admin=True)
    await oversight.remember_send("po_lost-1", BANK, "statement line bl_1", datetime.now(UTC))
    assert await Restored(oversight).compare(STATED, [TODAY]) == ["po_lost-1"]
    assert (await oversight.no_send()).stopped


async def is_forgotten(books: PostgresBooks, oversight: Oversight, payment: str) -> None:
    await oversight.remember_send(f"{payment}-1", BANK, "statement line bl_1", datetime.now(UTC))


async def is_told(books: PostgresBooks, _oversight: Oversight, payment: str) -> None:
    await store(books, an_event(EventKind.ACCEPTED, "evt_1", payment))


async def is_stopped(_books: PostgresBooks, oversight: Oversight, _payment: str) -> None:
    await oversight.stop_sending("the books have lost change 7")


async def is_let_go_on(books: PostgresBooks, oversight: Oversight, payment: str) -> None:
    await is_stopped(books, oversight, payment)
    await books.resume(EVERYTHING, "root", is_admin=True)


Doubt = Callable[[PostgresBooks, Oversight, str], Awaitable[None]]
DOUBTS = [is_forgotten, is_told, is_stopped, is_let_go_on]


async def cancel(payout: Payout) -> Answer:
    return (await payout.steps.act(_wish(payout.request.id))).answer


def _wish(payment: str) -> Wish:
    return Wish(payment_id=payment, action=CANCEL, channel="update")


async def held(books: PostgresBooks, payout: Payout) -> int:
    account = await books.account(payout.request.account)
    assert account is not None
    return account.held_minor


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize(
    ("found", "ends"),
    [(Accepted(partner_ref="b-1"), S.SUBMITTED), (NotFound(evidence="404"), S.FAILED)],
)
async def test_a_cancel_of_what_may_be_at_its_partner_releases_nothing_until_it_was_asked(
    books: PostgresBooks,
    oversight: Oversight,
    auditor_url: str,
    doubt: Doubt,
    found: Report,
    ends: S,
) -> None:
    """INV-08: and the wish is granted with a proof of absence, whichever run asks for it."""
    bank = KeylessBank(found)
    payout = await opened(books, bank)
    await doubt(books, oversight, payout.request.id)
    for _ in range(2):
        assert (await cancel(payout)).verdict is V.TOO_LATE
    assert await held(books, payout) == payout.request.amount.amount_minor
    await books.resume(EVERYTHING, "root", is_admin=True)
    standing = await payout.submit()
    while standing.state is S.OUTCOME_UNKNOWN:
        standing = await payout.ask()
    assert (standing.state, bank.sends, await held(books, payout)) == (ends, 0, 0)
    assert await breaks(auditor_url) == []


async def test_where_nobody_can_be_asked_people_decide_and_no_wish_is_answered_by_a_first_send(
    books: PostgresBooks, oversight: Oversight
) -> None:
    bank = Bank([UNSENT], key_lifetime=timedelta(days=1))
    payout = await opened(books, bank)
    await is_let_go_on(books, oversight, payout.request.id)
    assert (await cancel(payout)).verdict is V.TOO_LATE
    assert (await payout.submit()).state is S.OUTCOME_UNKNOWN
    assert (await payout.ask()).state is S.IN_REVIEW
    assert bank.sends == 0


async def test_a_cancel_is_granted_at_once_where_nothing_tells_of_a_send(
    books: PostgresBooks, oversight: Oversight, driver: Driver
) -> None:
    """Nor was it sent before its date, in any life; and a pause of people's doubts nothing."""
    payout = await opened(books, Bank([UNSENT], key_lifetime=timedelta(days=1)))
    await books.pause(EVERYTHING, "ops")
    assert (await cancel(payout)).verdict is V.CANCELLED
    assert await held(books, payout) == 0
    later = datetime.now(UTC) + timedelta(days=1)
    terms: dict[str, object] = {"content_hash": "c" * 64, "execute_at": later.isoformat()}
    await driver.open_payout(PAYOUT, S.SCHEDULED, terms=terms)
    for doubt in (is_forgotten, is_told, is_stopped):
        await doubt(books, oversight, PAYOUT)
    acted = await payout.steps.act(_wish(PAYOUT))
    assert (acted.answer.verdict, acted.standing.state) == (V.CANCELLED, S.CANCELLED)
