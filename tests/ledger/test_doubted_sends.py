"""After the start guard's pause: what may have been sent before is asked about first (D4, H3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bursar.gate import START_GUARD
from bursar.payments import PaymentState
from ledger.books import PartnerWord, Unsendable
from ledger.changes import AttemptClosed, AttemptReopened, HeldBack
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from tests.ledger.gate import ALL, with_terms
from tests.ledger.steps import breaks, change, claimed, moves, opened

S = PaymentState


async def sending_stops_and_goes_on(books: PostgresBooks, by: str = START_GUARD) -> None:
    assert await books.pause(ALL, by) == "paused"
    assert await books.resume(ALL, "root", is_admin=True) == "resumed"


async def asked(books: PostgresBooks, payment: str) -> None:
    """Keep the partner's answer, and reopen the attempt as a proof of absence does."""
    key = f"{payment}-1"
    await books.add_word(PartnerWord(attempt_key=key, verb="find", kind="not_found"))
    (row,) = await books.attempts(payment)
    lost = AttemptClosed(key=key, result="unknown", fence=row.fence)
    back = AttemptReopened(key=key, fence=row.fence)
    out, home = moves(S.SUBMITTING, S.OUTCOME_UNKNOWN), moves(S.OUTCOME_UNKNOWN, S.SUBMITTING)
    step = change(f"{payment}/lost/{row.fence}", payment_id=payment, moves=out)
    await books.write(step._replace(attempt=lost))
    await books.write(step._replace(key=f"{payment}/back/{row.fence}", moves=home, attempt=back))


async def test_a_first_send_from_before_the_lifting_asks_first_and_once(
    funded: PostgresBooks, books_url: str
) -> None:
    await funded.write(opened("po_1", 100))
    await sending_stops_and_goes_on(funded)
    await funded.write(opened("po_2", 100))
    for payment in ("po_1", "po_2"):
        await funded.write(claimed(payment))
    assert (await funded.mark_sent("po_2-1")).fence is not None, "it came after the lifting"
    for _ in range(2):
        assert (await funded.mark_sent("po_1-1")).refusal is Unsendable.SENT
    kept = await funded.payment("po_1")
    assert kept is not None
    (row,) = kept.attempts
    assert row.first_sent_at == kept.created_at, "its key may be as old as the payment"
    await asked(funded, "po_1")
    assert (await funded.mark_sent("po_1-1")).fence is not None
    assert await breaks(books_url) == []


async def test_the_key_of_a_listed_send_counts_as_old_as_its_payment_however_late_its_line_d4(
    funded: PostgresBooks, books_url: str
) -> None:
    """A line is booked after its bytes left, and the bank has counted from then on."""
    await funded.write(opened("po_1", 100))
    await funded.write(claimed("po_1"))
    async with Oversight.open(books_url) as oversight:
        await oversight.remember_send("po_1-1", "bank", "line bl_1", await funded.now())
    assert (await funded.mark_sent("po_1-1")).refusal is Unsendable.SENT
    kept = await funded.payment("po_1")
    assert kept is not None
    (row,) = kept.attempts
    assert row.first_sent_at == kept.created_at


async def test_what_was_claimed_or_reopened_before_asks_first_too(funded: PostgresBooks) -> None:
    """Also after a second restoration, of books in which the first one had been asked about."""
    await funded.write(opened("po_1", 100))
    await funded.write(claimed("po_1"))
    for _ in range(2):
        await sending_stops_and_goes_on(funded)
        assert (await funded.mark_sent("po_1-1")).refusal is Unsendable.SENT
        await asked(funded, "po_1")
    assert (await funded.mark_sent("po_1-1")).fence is not None


async def test_a_payment_whose_time_comes_after_the_lifting_and_anybody_elses_pause_doubt_nothing(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    later = datetime.now(UTC) + timedelta(seconds=0.5)
    await funded.write(with_terms("po_1", execute_at=later.isoformat()))
    await sending_stops_and_goes_on(funded)
    await funded.write(opened("po_2", 100))
    await sending_stops_and_goes_on(funded, by="ana")
    await owner.execute("select pg_sleep_until($1)", later)
    for payment in ("po_1", "po_2"):
        assert (await funded.write(claimed(payment))).state is S.SUBMITTING
        assert (await funded.mark_sent(f"{payment}-1")).fence is not None


@pytest.mark.parametrize("old_way", ["(mark_sent_v2($1)).refusal", "(mark_sent_v3($1)).refusal"])
async def test_the_releases_before_are_judged_so_too(
    funded: PostgresBooks, books_url: str, old_way: str
) -> None:
    await funded.write(opened("po_1", 100))
    await sending_stops_and_goes_on(funded)
    await funded.write(claimed("po_1"))
    connection = await asyncpg.connect(books_url)
    try:
        assert await connection.fetchval(f"select {old_way}", "po_1-1") == "sent"
        assert await connection.fetchval("select mark_sent_v1('po_1-1')") is None
    finally:
        await connection.close()


@pytest.mark.parametrize("who", [None, "ops"])
async def test_the_guard_takes_over_somebodys_pause_and_gives_it_back_when_an_administrator_lifts(
    funded: PostgresBooks, books_url: str, who: str | None
) -> None:
    if who is not None:
        await funded.pause(ALL, who)
    await funded.write(opened("po_1", 100))
    async with Oversight.open(books_url) as oversight:
        assert await oversight.stop_sending("the books have lost change 7")
        assert not await oversight.stop_sending("and again")
        told = await oversight.no_send()
    assert (told.paused_by, told.reason) == (START_GUARD, "the books have lost change 7")
    assert await funded.resume(ALL, "ops", is_admin=False) == "not_allowed"
    lifted = await funded.resume(ALL, "root", is_admin=True)
    assert lifted == ("resumed" if who is None else "paused_still")
    if who is not None:
        assert (await funded.write(claimed("po_1"))).held is HeldBack.PAUSED, (
            "ops has not lifted it"
        )
        assert await funded.resume(ALL, who, is_admin=False) == "resumed"
    assert await funded.resume(ALL, "root", is_admin=True) == "not_paused"
    await funded.write(claimed("po_1"))
    assert (await funded.mark_sent("po_1-1")).refusal is Unsendable.SENT
