"""Each payment that has not ended has a next action and a moment by which it is due (INV-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from activities.terms import Policy, Terms
from bursar.payments import FINAL, PaymentState
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from tests.ledger.driving import ACME, Driver
from tests.ledger.gate import ALL

S = PaymentState
POLICY = Policy(
    step_within=timedelta(seconds=7),
    outcome_within=timedelta(seconds=11),
    submit_for=timedelta(seconds=13),
    overdue_after=timedelta(seconds=17),
    poll_every=timedelta(seconds=19),
)
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def reader(auditor_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may only read, as a watcher has it."""
    connection = await asyncpg.connect(auditor_url)
    try:
        yield connection
    finally:
        await connection.close()


def terms(policy: Policy = POLICY) -> dict[str, object]:
    made = Terms(content_hash="c" * 64, approve_by=EXPIRES, execute_at=EXPIRES, policy=policy)
    return made.model_dump(mode="json")


async def due(reader: asyncpg.Connection, payment_id: str) -> tuple[str, timedelta]:
    """Return a payment's next action, and how long after its last move that is due."""
    row = await reader.fetchrow("SELECT * FROM payment_next WHERE id = $1", payment_id)
    assert row is not None
    return row["next_action"], row["due_at"] - row["updated_at"]


async def test_a_held_payout_is_to_be_handed_over_within_a_step(
    books_url: str, reader: asyncpg.Connection
) -> None:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        await driver.open_payout("po_held", terms=terms())
        assert await due(reader, "po_held") == (
            "it is handed to the partner",
            timedelta(seconds=7),
        )


@pytest.mark.parametrize("state", [S.AWAITING_APPROVAL, S.SCHEDULED])
async def test_what_waits_for_people_or_its_time_is_due_a_step_after_that(
    books_url: str, reader: asyncpg.Connection, state: PaymentState
) -> None:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.open_payout("po_waits", state, terms=terms())
    row = await reader.fetchrow("SELECT * FROM payment_next WHERE id = 'po_waits'")
    assert row is not None
    assert row["due_at"] == EXPIRES + timedelta(seconds=7)


async def test_what_a_pause_holds_back_is_not_late_before_it_could_look_again(
    books_url: str, reader: asyncpg.Connection
) -> None:
    """INV-13: the pause is the alarm, and its end is no alarm for all that has waited for it."""
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        await driver.open_payout("po_held", terms=terms())
        await books.pause(ALL, "ana")
        paused = await reader.fetchrow("SELECT * FROM payment_next")
        await books.resume(ALL, "ana", is_admin=False)
        resumed = await reader.fetchrow("SELECT n.*, s.resumed_at FROM payment_next n, pauses s")
        await driver.open_payout("po_later", terms=terms())
        assert (await due(reader, "po_later"))[1] == timedelta(seconds=7)
    assert paused is not None
    assert resumed is not None
    assert (paused["is_paused"], resumed["is_paused"]) == (True, False)
    assert resumed["due_at"] - resumed["resumed_at"] == timedelta(minutes=7, seconds=7)


async def test_what_was_held_back_without_a_date_waits_to_pass(
    books_url: str, reader: asyncpg.Connection
) -> None:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        dateless = terms() | {"execute_at": None}
        await driver.open_payout("po_waits", S.SCHEDULED, terms=dateless)
        assert await due(reader, "po_waits") == (
            "it is booked once it may pass",
            timedelta(seconds=7),
        )


async def test_terms_of_an_earlier_release_are_read_with_the_defaults_of_the_policy(
    books_url: str, reader: asyncpg.Connection
) -> None:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        await driver.open_payout("po_old", terms={})
    assert (await due(reader, "po_old"))[1] == Policy().step_within
    asking = await reader.fetchval("SELECT asking_takes('{}'::jsonb)")
    ladder = Policy().ask_again_after
    calls = (len(ladder) + 1) * Policy().partner_call_timeout
    longest = max(Policy().ask_for, sum(ladder, timedelta()))
    stored = Terms(content_hash="c" * 64).model_dump_json()
    written = await reader.fetchval("SELECT asking_takes($1::jsonb)", stored)
    assert written == longest + max(ladder) + calls
    assert timedelta() <= written - asking <= calls


async def test_every_state_that_is_not_an_end_has_a_next_action(
    reader: asyncpg.Connection,
) -> None:
    definition = await reader.fetchval("SELECT pg_get_viewdef('payment_next'::regclass)")
    for state in PaymentState:
        assert (state in FINAL) != (f"WHEN '{state}'" in definition), state


async def test_a_forgotten_send_is_refused_as_sent_once_and_then_may_be_sent(
    books_url: str,
) -> None:
    """D4, H3: the first send of a restored attempt becomes a question; after it all is as ever."""
    async with PostgresBooks.open(books_url) as books, Oversight.open(books_url) as oversight:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        await driver.open_payout("po_lost")
        long_ago = datetime.now(UTC) - timedelta(days=1)
        assert await oversight.remember_send("po_lost-1", "bank", "line 7", long_ago)
        assert not await oversight.remember_send("po_lost-1", "bank", "line 8", long_ago)
        await driver.claim("po_lost")
        permit = await books.mark_sent("po_lost-1")
        assert (permit.fence, permit.refusal) == (None, "sent")
        [attempt] = await books.attempts("po_lost")
        assert attempt.first_sent_at == long_ago
        assert attempt.sent_at is not None
        assert await oversight.not_known_as_sent(["po_lost-1", "po_none-1"]) == {"po_none-1"}
