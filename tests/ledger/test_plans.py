"""No public question reads a table that grows from end to end; the server's own counts say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from bursar.payments import PaymentKind, PaymentState
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from tests.ledger.driving import ACME, Driver
from tests.ledger.steps import until

SMALL = {
    *("accounts", "balances", "currencies", "allowed_moves", "pauses", "caps", "cap_uses"),
    *("check_rounds", "periods"),
}
"""Tables that do not grow with payments, or by a row a minute, or for ten million."""

CROWD_SIZE = 20_000
# Rows of payments that were never made: what matters here is only how many there are.
CROWD = """
set session_replication_role = replica;
create temp table crowd as select n from generate_series(1, 20000) n;
insert into payments select (jsonb_populate_record(p, jsonb_build_object(
        'id', 'po_crowd' || n, 'created_at', p.created_at - n * interval '1 second',
        'state', case when n % 100 = 0 then p.state else 'cancelled' end,
        'batch_id', 'batch' || n / 100, 'partner', 'partner' || n % 50, 'tenant', 't' || n % 50,
        'account', 'wallet/a' || n || '/EUR'))).*
  from payments p, crowd where p.id = 'po_1';
insert into attempts (key, payment_id, ordinal, partner, wire_hash, opened_at)
select 'po_crowd' || n || '-1', 'po_crowd' || n, 1, 'bank', repeat('a', 64), now()
  from crowd;
insert into partner_words (attempt_key, verb, kind, evidence)
select 'po_crowd' || n || '-1', 'submit', 'accepted', '' from crowd;
insert into partner_events (partner, event_id, kind, detail, occurred_at, payment_id, raw, headers,
                            applied_at)
select 'bank', 'evt_crowd' || n, 'paid', '', now(), 'po_crowd' || n, '', '{}', now()
  from crowd;
insert into approvals select 'po_crowd' || n, 'ana', 'approve', 'role', 'hash', '1', null, 'api',
       now() from crowd;
insert into notes (payment_id, key, actor, kind, detail)
select 'po_crowd' || n, 'note', 'ana', 'remark', 'crowd' from crowd;
insert into cases (payment_id, transaction_id, kind, detail, opened_at, opened_by)
select 'po_crowd' || n, 1, 'unknown', '', now(), 'bursar' from crowd;
insert into transitions (payment_id, seq, kind, before, after, at, actor, transaction_id)
select 'po_crowd' || n, 1, 'payout', null, 'received', now(), 'bursar', 1
  from crowd;
insert into transactions (key, digest, kind, outcome, payment_id, effective_on, booked_at, actor)
select 'po_crowd' || n || '/hold', sha256(n::text::bytea), 'hold', 'booked', 'po_crowd' || n,
       now(), now(), 'bursar' from crowd;
insert into entries select 1, 1000000 + 2 * t.id + n, t.id, 'EUR', 1, 0, 1, 0
  from transactions t, generate_series(1, 2) n where t.key like 'po_crowd%';
insert into holds (transaction_id, account_id, amount)
select t.id, 1, 5 from transactions t where t.key like 'po_crowd%';
insert into outbox (event_id, payment_id, seq, tenant, kind, after, at)
select 'po_crowd' || n || '/1', 'po_crowd' || n, 1, 'main', 'payout', 'received', now()
  from crowd;
"""

TABLES = """
select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
"""
ALL_CLOSED = """
select not exists (select from pg_stat_activity
                    where datname = current_database() and application_name like 'bursar%')
"""
COUNTS = "select relname, seq_scan from pg_stat_user_tables where schemaname = 'public'"
PAYMENTS_READ = """
select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'payments'
"""


@pytest.fixture
async def crowded(books_url: str, owner: asyncpg.Connection) -> str:
    """The writer's address of books with one real payout among thousands of others."""
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 10_000_00)
        await driver.open_payout("po_1", batch_id="batch")
        await driver.claim("po_1")
    await owner.execute(CROWD)
    await owner.execute("set session_replication_role = origin")
    for (table,) in await owner.fetch(TABLES):  # as autovacuum does: never a partitioned one
        await owner.execute(f"analyze {table}")
    return books_url


ROWS_READ = """
select relname, coalesce(idx_tup_fetch, 0) + seq_tup_read from pg_stat_user_tables
 where schemaname = 'public'
"""
PAST = "update cases set closed_at = now(), closed_by = 'ana', resolution = ''"


async def read_by(
    owner: asyncpg.Connection, ask: Callable[[], Awaitable[None]]
) -> tuple[set[str], dict[str, int]]:
    """Return what `scanned` does, and how many rows of each table were read."""
    await until(lambda: owner.fetchval(ALL_CLOSED))
    before = {row[0]: row[1] for row in await owner.fetch(ROWS_READ)}
    tables = await scanned(owner, ask)
    after = {row[0]: row[1] for row in await owner.fetch(ROWS_READ)}
    return tables, {name: count - before[name] for name, count in after.items()}


async def scanned(owner: asyncpg.Connection, ask: Callable[[], Awaitable[None]]) -> set[str]:
    """Return the tables that grow and were read from end to end by what was asked.

    What asks has to close its connections: only then its counts are surely complete.
    """
    before = {row[0]: row[1] for row in await owner.fetch(COUNTS)}
    await ask()
    await until(lambda: owner.fetchval(ALL_CLOSED))
    after = {row[0]: row[1] for row in await owner.fetch(COUNTS)}
    return {name for name, count in after.items() if count > before[name]} - SMALL


async def test_what_the_activities_ask_is_answered_from_indexes(
    crowded: str, owner: asyncpg.Connection
) -> None:
    async def ask() -> None:
        async with PostgresBooks.open(crowded) as books:
            assert await books.account(ACME) is not None
            assert await books.payment("po_1") is not None
            assert len(await books.attempts("po_1")) == 1
            await books.words("po_1")
            await books.event(1)
            await books.open_events("po_1")
            await books.approvals("po_1")
            await books.open_cases("po_1")
            await books.events_to_relay(10)

    assert await scanned(owner, ask) == set()


async def test_what_the_activities_write_is_found_by_indexes(
    crowded: str, owner: asyncpg.Connection
) -> None:
    async def ask() -> None:
        async with PostgresBooks.open(crowded) as books:
            driver = Driver(books)
            await driver.capture("po_1")
            await driver.settle("po_1")
            await driver.settle_whole_payout("po_2")
            await driver.open_transfer("tr_1")

    assert await scanned(owner, ask) == set()


WAITING = """
insert into partner_events (partner, event_id, kind, detail, occurred_at, payment_id, raw, headers,
                            received_at)
select 'bank', 'evt_wait' || n, 'credit', '', now(), case when n > 1 then 'po_1' end, '', '{}',
       now() - interval '1 day'
  from generate_series(1, 4) n;
insert into transactions (key, digest, kind, outcome, payment_id, effective_on, booked_at, actor)
select format('event/%s/waits/0', id), sha256(event_id::bytea), 'case', 'booked', payment_id, now(),
       now(), 'bursar' from partner_events where event_id < 'evt_wait4' and applied_at is null;
insert into cases (payment_id, transaction_id, kind, detail, opened_at, opened_by, closed_at,
                   closed_by)
select payment_id, id, 'event_waits', '', now(), 'bursar',
       now() - case payment_id when 'po_1' then interval '1 minute' else interval '1 day' end, 'ana'
  from transactions where starts_with(key, 'event/');
"""


async def test_what_no_case_calls_people_to_is_found_from_indexes(
    crowded: str, owner: asyncpg.Connection
) -> None:
    """One that was called and looked at long ago, and one that nobody was ever called to."""
    found: list[tuple[str, int]] = []

    async def ask() -> None:
        async with Oversight.open(crowded) as oversight:
            waiting = await oversight.waiting_events(timedelta(minutes=15), 5)
            found.extend((event.event_id, event.cases) for event in waiting)

    await owner.execute("set session_replication_role = replica")
    await owner.execute(WAITING)
    tables, rows = await read_by(owner, ask)
    assert found == [("evt_wait1", 1), ("evt_wait4", 0)]
    assert tables == set()
    assert sum(rows.values()) < 100


async def test_what_people_look_up_is_answered_from_indexes(
    crowded: str, owner: asyncpg.Connection
) -> None:
    async def ask() -> None:
        reader = Reader(crowded)
        assert await reader.payment("po_1") is not None
        page = await reader.payments(limit=5)
        assert page.next_cursor is not None
        await reader.payments(cursor=page.next_cursor)
        await reader.payments(state=PaymentState.SUBMITTING)
        await reader.payments(kind=PaymentKind.PAYOUT, limit=5)
        await reader.payments(batch_id="batch")
        await reader.aclose()

    assert await scanned(owner, ask) == set()


async def test_a_question_without_an_index_would_be_found_out(
    crowded: str, owner: asyncpg.Connection
) -> None:
    async def ask() -> None:
        stranger = await asyncpg.connect(crowded, server_settings={"application_name": "bursar x"})
        await stranger.fetch("select from notes where detail = 'nowhere'")
        await stranger.close()

    assert await scanned(owner, ask) == {"notes"}


@pytest.mark.parametrize(
    "whose", [{"tenant": "t7"}, {"account": "wallet/a7/EUR"}, {"partner": "partner7"}]
)
async def test_a_page_of_somebodys_payments_reads_hardly_more_than_it_shows(
    crowded: str, owner: asyncpg.Connection, whose: dict[str, Any]
) -> None:
    async def ask() -> None:
        reader = Reader(crowded)
        page = await reader.payments(limit=5, **whose)
        assert page.payments
        if page.next_cursor is not None:
            assert (await reader.payments(limit=5, cursor=page.next_cursor, **whose)).payments
        await reader.aclose()

    before = await owner.fetchval(PAYMENTS_READ)
    assert await scanned(owner, ask) == set()
    assert await owner.fetchval(PAYMENTS_READ) - before < 100


async def test_a_round_of_checks_reads_hardly_more_than_what_is_new(
    crowded: str, owner: asyncpg.Connection
) -> None:
    async def go_round() -> None:
        reader = Reader(crowded)
        async with Oversight.open(crowded) as oversight:
            done = await reader.check_round(full=False)
            await oversight.record_round(done)
            news.append((done.report.scope, done.report.transactions))
        await reader.aclose()

    news: list[tuple[str, int | None]] = []
    await owner.execute("set session_replication_role = replica")
    await owner.execute(PAST)
    await owner.execute("vacuum analyze")  # which summarises the index on xid as autovacuum does
    await go_round()
    tables, rows = await read_by(owner, go_round)
    assert tables == set()
    assert sum(rows[name] for name in ("entries", "payments", "transitions", "holds")) == 0
    assert rows["transactions"] < CROWD_SIZE / 2, "of the index's last range of pages"

    async with PostgresBooks.open(crowded) as books:
        await Driver(books).settle_whole_payout("po_2")
    tables, rows = await read_by(owner, go_round)
    assert tables == set()
    assert sum(rows[name] for name in ("entries", "payments", "transitions", "holds")) < 1_000
    assert rows["transactions"] < CROWD_SIZE / 2
    assert news == [("full", None), ("since_last", 0), ("since_last", 4)]
