"""Guards: what the database refuses, whoever asks, the owner of the tables included."""

from __future__ import annotations

import re

import asyncpg
import iso4217
import pytest

from bursar.payments import PAYOUT_MOVES, TRANSFER_MOVES
from ledger.books import ApprovalRow, PartnerWord
from ledger.postgres import PostgresBooks
from tests.ledger.steps import claimed, deposit, opened

APPEND_ONLY = (
    "transactions",
    "entries",
    "transitions",
    "approvals",
    "notes",
    "partner_words",
)
COLUMN = {
    "transactions": "reason = 'x'",
    "entries": "delta = 1",
    "transitions": "actor = 'x'",
    "approvals": "principal = 'x'",
    "notes": "detail = 'x'",
    "partner_words": "evidence = 'x'",
    "accounts": "currency = 'USD'",
    "balances": "side = -1",
    "holds": "amount = 1",
    "payments": "content_hash = 'x'",
    "attempts": "wire_hash = 'x'",
    "partner_events": "raw = ''",
    "cases": "detail = 'x'",
    "pauses": "reason = 'x'",
    "caps": "per_day_minor = 1",
    "cap_uses": "day = now()",
    "people_disabled": "reason = 'x'",
    "check_rounds": "breaks = 0",
    "periods": "first_id = 1",
    "closings": "posted = 1",
}


@pytest.fixture
async def full_books(books: PostgresBooks) -> PostgresBooks:
    """Books in which each append-only table has a row."""
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    await books.write(claimed("po_1"))
    await books.add_word(PartnerWord(attempt_key="po_1-1", verb="submit", kind="accepted"))
    await books.add_note("po_1", key="n", actor="ana", kind="wish", detail="please")
    await books.add_approval(
        ApprovalRow(
            payment_id="po_1",
            principal="ben",
            decision="approve",
            role="approve-l1",
            content_hash="c" * 64,
            rule_version="1",
            reason=None,
            channel="update",
            at=await books.now(),
        )
    )
    return books


@pytest.mark.parametrize("table", COLUMN)
async def test_what_is_written_cannot_be_changed_or_deleted_even_by_the_superuser(
    full_books: PostgresBooks, owner: asyncpg.Connection, table: str
) -> None:
    before = await owner.fetch(f"select * from {table}")  # noqa: S608  a table's name
    for statement in (
        f"update {table} set {COLUMN[table]}",  # noqa: S608
        f"delete from {table}",  # noqa: S608
        f"truncate {table} cascade",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is refused"):
            await owner.execute(statement)
    assert await owner.fetch(f"select * from {table}") == before  # noqa: S608
    if table in APPEND_ONLY:
        assert before


async def refused_writes(url: str) -> dict[str, int]:
    """Try every way of writing to every table; return how many were refused for want of rights."""
    connection = await asyncpg.connect(url)
    refused: dict[str, int] = {}
    try:
        columns = await connection.fetch(
            "select table_name, min(column_name::text) as name from information_schema.columns"
            " join information_schema.tables using (table_schema, table_name)"
            " where table_schema = 'public' and is_identity = 'NO' and table_type = 'BASE TABLE'"
            " group by table_name"
        )
        for table, column in columns:
            await connection.fetch(f"select * from {table}")  # noqa: S608  a table's name
            refused[table] = 0
            for statement in (
                f"insert into {table} default values",
                f"update {table} set {column} = null",  # noqa: S608
                f"delete from {table}",  # noqa: S608
                f"truncate {table}",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
                refused[table] += 1
    finally:
        await connection.close()
    return refused


async def test_the_writers_login_may_read_every_table_and_write_none(books_url: str) -> None:
    refused = await refused_writes(books_url)
    assert set(refused.values()) == {4}
    assert set(refused) >= {*COLUMN, "outbox", "currencies", "allowed_moves"}


async def test_the_readers_login_may_read_every_table_and_write_none(auditor_url: str) -> None:
    refused = await refused_writes(auditor_url)
    assert set(refused.values()) == {4}
    assert set(refused) >= {*COLUMN, "outbox", "currencies", "allowed_moves"}


async def test_a_reader_may_call_no_function_that_writes(auditor_url: str) -> None:
    connection = await asyncpg.connect(auditor_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("select mark_taken_v1(1)")
    finally:
        await connection.close()


async def test_a_writer_may_call_only_the_functions_that_stand_for_a_whole_step(
    owner: asyncpg.Connection,
) -> None:
    names = await owner.fetch(
        "select proname, has_function_privilege('bursar_writer', oid, 'execute') as may,"
        " prosecdef, proconfig::text as settings,"
        " proname in ('delay_of', 'asking_takes', 'person_of') as is_pure from pg_proc"
        " where pronamespace = 'public'::regnamespace"
    )
    assert {row["proname"] for row in names if row["may"]} == {
        row["proname"] for row in names if row["is_pure"] or re.search(r"_v\d+$", row["proname"])
    }
    for row in names:
        if row["may"] and not row["is_pure"]:  # views and checks call those as whoever reads
            assert row["prosecdef"], row["proname"]
            assert "search_path=public, pg_temp" in row["settings"], row["proname"]


async def test_nobody_can_insert_entries_that_do_not_balance(
    full_books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance: EUR is off by -5"):
        await owner.execute(
            "insert into entries (account_id, seq, transaction_id, currency, delta, held,"
            " posted_after, held_after) select account_id, seq + 1, 1, currency, -5, 0,"
            " posted - 5, held from balances order by seq desc limit 1"
        )


async def test_nobody_can_insert_an_entry_in_another_currency_than_its_accounts(
    full_books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="does not hold USD"):
        await owner.execute(
            "insert into entries (account_id, seq, transaction_id, currency, delta, held,"
            " posted_after, held_after) select account_id, seq + 1, 1, 'USD', 0, 1, posted,"
            " held + 1 from balances where currency = 'EUR' order by seq desc limit 1"
        )


async def test_nobody_can_put_a_balance_below_its_floor(
    full_books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="balances_floor"):
        await owner.execute("update balances set held = side * posted + 1 where floor = 0")


async def test_nobody_can_spend_a_hold_twice(
    full_books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="holds_spent_once"):
        await owner.execute("update holds set captured = 60, released = 41")


async def test_nobody_can_insert_a_transition_that_is_not_allowed_or_leaves_a_gap(
    full_books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    insert = (
        "insert into transitions (payment_id, seq, kind, before, after, at, actor,"
        " transaction_id) values ('po_1', $1, 'payout', $2, $3, now(), 'x', 1)"
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="transitions_allowed"):
        await owner.execute(insert, 4, "submitting", "returned")
    with pytest.raises(asyncpg.CheckViolationError, match="does not begin where"):
        await owner.execute(insert, 4, "reserved", "cancelled")
    with pytest.raises(asyncpg.CheckViolationError, match="does not begin where"):
        await owner.execute(insert, 5, "submitting", "submitted")


async def test_the_database_allows_the_same_moves_as_the_code(owner: asyncpg.Connection) -> None:
    allowed = {
        (row["kind"], row["before"], row["after"])
        for row in await owner.fetch("select kind, before, after from allowed_moves")
    }
    code = {
        (kind, before.value, after.value)
        for kind, table in (("payout", PAYOUT_MOVES), ("transfer", TRANSFER_MOVES))
        for before, afters in table.items()
        for after in afters
    }
    assert allowed == code | {("payout", None, "received"), ("transfer", None, "received")}


async def test_the_database_knows_every_currency_with_its_digits(
    owner: asyncpg.Connection,
) -> None:
    rows = await owner.fetch("select code::text, exponent from currencies")
    stored = {row["code"]: row["exponent"] for row in rows}
    assert stored == {
        currency.value: currency.exponent
        for currency in iso4217.Currency
        if currency.exponent is not None
    }
    assert (stored["JPY"], stored["EUR"], stored["KWD"]) == (0, 2, 3)
