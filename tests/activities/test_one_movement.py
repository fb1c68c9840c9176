"""One movement at a partner is booked once, whatever it is told as, and by whom, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.events import EventActivities
from bursar import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger import accounts
from ledger.books import Books
from ledger.evidence import LineKind, PartnerLine
from ledger.migrations.scripts import SQL
from ledger.postgres import PostgresBooks
from tests.activities.telling import (
    AMOUNT,
    PAYOUT,
    an_event,
    balance,
    cases,
    settled,
    store,
    submitted,
    take,
)
from tests.activities.test_money_evidence import FOUND, FUNDS, GONE, NOSTRO, breaks, state
from tests.ledger.driving import ACME, Driver
from tests.ledger.steps import until

S = PaymentState
PAID, BACK, CREDIT = EventKind.PAID, EventKind.RETURNED, EventKind.CREDIT
LATE = "wallet/late/EUR"
SCRIPT = (SQL / "0016_lines_of_before.sql").read_text()


def a_credit(event_id: str, to: str = LATE) -> PartnerEvent:
    return an_event(CREDIT, event_id, reference=to, line_ref="bl_1", partner_ref=None)


def a_return(event_id: str, **more: Any) -> PartnerEvent:
    return an_event(
        BACK, event_id, line_ref="bl_1", fee_minor=0, payment_amount_minor=AMOUNT, **more
    )


async def test_a_credit_that_came_before_its_account_is_not_booked_again_for_it(
    books: PostgresBooks, auditor_url: str
) -> None:
    await take(books, a_credit("evt_1"))
    await books.open_accounts([accounts.wallet_account(LATE, "main")])
    for again in ("evt_2", "evt_3"):
        await take(books, a_credit(again))
    assert await balance(books, NOSTRO) == FUNDS + AMOUNT
    assert (await balance(books, FOUND), await balance(books, LATE)) == (AMOUNT, 0)
    assert await cases(auditor_url) == [("mismatch", None), ("unowned_credit", None)]
    assert await breaks(auditor_url) == []


async def test_a_credit_that_was_booked_is_not_put_into_suspense_by_another_word_of_it(
    books: PostgresBooks, auditor_url: str
) -> None:
    for number, to in enumerate((ACME, "wallet/nobody/EUR", ACME)):
        await take(books, a_credit(f"evt_{number}", to))
    assert await balance(books, NOSTRO) == FUNDS + AMOUNT
    assert (await balance(books, FOUND), await balance(books, ACME)) == (0, FUNDS + AMOUNT)
    assert await cases(auditor_url) == [("mismatch", None)]


@pytest.mark.parametrize("wrong_first", [True, False])
async def test_a_return_that_is_told_wrongly_and_rightly_is_booked_as_it_was_told_first(
    books: PostgresBooks, driver: Driver, auditor_url: str, *, wrong_first: bool
) -> None:
    await settled(driver)
    told = [a_return("evt_1", payee_account="DE89…9999"), a_return("evt_2")]
    for event in told if wrong_first else reversed(told):
        await take(books, event)
    assert await balance(books, NOSTRO) == FUNDS
    in_suspense = AMOUNT if wrong_first else 0
    assert await balance(books, FOUND) == in_suspense
    assert await state(books) is (S.SETTLED if wrong_first else S.RETURNED)
    assert "mismatch" in [kind for kind, _ in await cases(auditor_url)]
    assert await breaks(auditor_url) == []


async def test_a_return_that_is_told_of_two_payments_is_booked_on_the_first_only(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await settled(driver)
    await settled(driver, "po_2")
    await take(books, a_return("evt_1"))
    await take(books, a_return("evt_2", reference="po_2-1", partner_ref="b-po_2"))
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    assert await balance(books, FOUND) == 0
    assert (await state(books), await state(books, "po_2")) == (S.RETURNED, S.SETTLED)
    assert await cases(auditor_url) == [("mismatch", "po_2")]


@pytest.mark.parametrize("name", ["po_2-1", f"{PAYOUT}-7"])
async def test_a_phantom_debit_is_not_booked_again_as_the_payout_that_it_turns_out_to_be(
    books: PostgresBooks, driver: Driver, auditor_url: str, name: str
) -> None:
    """D4: the books were restored, and the payment it is of was registered again later."""
    await submitted(driver)
    await take(books, an_event(PAID, "evt_1", reference=name, line_ref="bl_1", partner_ref=None))
    if name == "po_2-1":
        await submitted(driver, "po_2")
    payout_id = "po_2" if name == "po_2-1" else PAYOUT
    for again in ("evt_2", "evt_3"):
        await take(books, an_event(PAID, again, payout_id, line_ref="bl_1"))
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    assert await balance(books, GONE) == AMOUNT
    assert await state(books, payout_id) is S.SUBMITTED
    assert ("mismatch", payout_id) in await cases(auditor_url)
    assert await breaks(auditor_url) == []


class Dying:
    """The books as a worker reaches them that dies once, when it goes to write."""

    def __init__(self, books: PostgresBooks) -> None:
        self._books = books

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def write(self, *_given: object) -> object:
        raise ConnectionError("the worker has died")


@pytest.mark.parametrize("kind", [CREDIT, BACK])
async def test_what_was_noted_by_a_try_that_died_is_booked_as_it_was_noted(
    books: PostgresBooks, driver: Driver, auditor_url: str, kind: EventKind
) -> None:
    """K: between the note and the posting the account is opened, or the payment ends otherwise."""
    await submitted(driver)
    event = a_credit("evt_1") if kind is CREDIT else a_return("evt_1")
    row = await store(books, event)
    dying = EventActivities(cast(Books, Dying(books)))
    with pytest.raises(ConnectionError):
        await ActivityEnvironment().run(
            dying.book_deposit if kind is CREDIT else dying.book_return, row
        )
    await books.open_accounts([accounts.wallet_account(LATE, "main")])
    await driver.fail(PAYOUT)
    do = EventActivities(books)
    for again in (row, await store(books, event.model_copy(update={"event_id": "evt_2"}))):
        await ActivityEnvironment().run(
            do.book_deposit if kind is CREDIT else do.book_return, again
        )
    assert await balance(books, NOSTRO) == FUNDS + AMOUNT
    assert (await balance(books, FOUND), await balance(books, LATE)) == (AMOUNT, 0)
    assert await books.open_events(PAYOUT) == []
    assert await breaks(auditor_url) == []


class OfBefore:
    """The books as a worker reaches them that is older than the noting of what is nobody's."""

    def __init__(self, books: PostgresBooks) -> None:
        self._books = books

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def note_line(
        self, partner: str, line_ref: str, payment_id: str | None, kind: LineKind, amount_minor: int
    ) -> PartnerLine:
        return PartnerLine(
            partner=partner,
            line_ref=line_ref,
            payment_id=payment_id,
            kind=kind,
            amount_minor=amount_minor,
            ordinal=1,
            fits=True,
            completes=False,
        )


async def test_what_an_old_worker_books_during_the_roll_is_not_booked_again_as_another(
    books: PostgresBooks, auditor_url: str
) -> None:
    row = await store(books, a_credit("evt_1"))
    old = EventActivities(cast(Books, OfBefore(books)))
    await ActivityEnvironment().run(old.book_deposit, row)
    await books.open_accounts([accounts.wallet_account(LATE, "main")])
    await take(books, a_credit("evt_2"))
    assert await balance(books, NOSTRO) == FUNDS + AMOUNT
    assert (await balance(books, FOUND), await balance(books, LATE)) == (AMOUNT, 0)
    assert await cases(auditor_url) == [("mismatch", None), ("unowned_credit", None)]
    assert await breaks(auditor_url) == []


async def test_what_releases_before_have_booked_is_noted_when_the_schema_is_brought_here(
    books: PostgresBooks, driver: Driver, admin_url: str
) -> None:
    await settled(driver)
    await take(books, a_credit("evt_1"))
    await take(books, an_event(CREDIT, "evt_2", reference=ACME, line_ref="bl_2", partner_ref=None))
    wrong = a_return("evt_3", payee_account="DE89…9999")
    await take(books, wrong.model_copy(update={"line_ref": "bl_3"}))
    await take(books, an_event(PAID, "evt_4", reference="po_no-1", line_ref="bl_4"))
    noted = "select * from partner_lines order by line_ref"
    connection = await asyncpg.connect(admin_url)
    rows = [{**row, "noted_at": None} for row in await connection.fetch(noted)]
    assert [row["kind"] for row in rows] == ["suspense", "deposit", "suspense", "phantom"]
    await connection.execute("set session_replication_role = replica; delete from partner_lines")
    await connection.execute(SCRIPT)
    again = [{**row, "noted_at": None} for row in await connection.fetch(noted)]
    await connection.close()
    for row in (*rows, *again):
        row["ordinal"] = None  # Of no meaning where there is no payment.
    assert again == rows


WAITS_FOR_A_ROW = (
    "select from pg_locks where pid = $1 and locktype = 'transactionid' and not granted"
)
HAS_READ = "select relation::regclass::text from pg_locks where pid = $1 and relation is not null"


@pytest.fixture
async def looks_back(
    books: PostgresBooks, driver: Driver, admin_url: str
) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the script, with money in suspense for po_1 that is noted, for po_2 not."""
    for payout_id in ("po_1", "po_2"):
        await settled(driver, payout_id)
        wrong = a_return(
            f"evt_{payout_id}",
            reference=f"{payout_id}-1",
            partner_ref=f"b-{payout_id}",
            payee_account="DE89…9999",
        )
        await take(books, wrong.model_copy(update={"line_ref": f"bl_{payout_id}"}))
    connection = await asyncpg.connect(admin_url)
    await connection.execute("set session_replication_role = replica")
    gone = await connection.execute("delete from partner_lines where line_ref = 'bl_po_2'")
    assert gone == "DELETE 1"
    await connection.execute("set session_replication_role = origin")
    yield connection
    await connection.close()


async def noted(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("select line_ref from partner_lines order by 1")
    return [row["line_ref"] for row in rows]


async def test_looking_back_locks_no_payment_of_which_all_is_noted(
    looks_back: asyncpg.Connection, admin_url: str
) -> None:
    await looks_back.execute("set lock_timeout = '2s'")
    at_work = await asyncpg.connect(admin_url)
    try:
        async with at_work.transaction():
            await at_work.execute("select from payments where id = 'po_1' for update")
            await looks_back.execute(SCRIPT)
    finally:
        await at_work.close()
    assert await noted(looks_back) == ["bl_po_1", "bl_po_2"]


async def test_the_journal_is_read_before_the_first_payment_is_locked(
    looks_back: asyncpg.Connection, admin_url: str
) -> None:
    """While it waits for the one payment that it has to note something of, all has been read."""
    pid = looks_back.get_server_pid()
    at_work = await asyncpg.connect(admin_url)
    try:
        async with at_work.transaction():
            await at_work.execute("select from payments where id = 'po_2' for update")
            looking = asyncio.create_task(looks_back.execute(SCRIPT))
            await until(lambda: at_work.fetch(WAITS_FOR_A_ROW, pid))
            read = {row[0] for row in await at_work.fetch(HAS_READ, pid)}
            assert not looking.done()
        await looking
    finally:
        await at_work.close()
    assert {"transactions", "partner_events"} <= read
    assert await noted(looks_back) == ["bl_po_1", "bl_po_2"]
