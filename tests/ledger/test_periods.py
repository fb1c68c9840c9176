"""Periods: entries go to the part that is theirs, and no guard is weaker for there being many."""

from __future__ import annotations

import re

import asyncpg
import pytest

from ledger.lives import _ENTRIES
from ledger.postgres import PostgresBooks
from tests.ledger.steps import breaks, deposit, transfer

WIDTH = 10_000_000
BEYOND = "entries_beyond"
PARTS = "select tableoid::regclass::text as part, count(*) from entries group by 1"
PERIODS = "select array_agg((first_id, until_id) order by number)::text from periods"


async def go_to(owner: asyncpg.Connection, transaction_id: int) -> None:
    """Give the next transaction this id, as if those before it had been used."""
    await owner.execute("select setval('transactions_id_seq', $1, false)", transaction_id)


async def parts(owner: asyncpg.Connection) -> dict[str, int]:
    """Return how many entries each part has that has any."""
    return {row["part"]: row["count"] for row in await owner.fetch(PARTS)}


async def test_three_periods_are_ahead_and_each_entry_goes_to_its_own(
    funded: PostgresBooks, owner: asyncpg.Connection, books_url: str
) -> None:
    assert await owner.fetchval("select max(until_id) from periods") == 4 * WIDTH
    await go_to(owner, WIDTH - 1)
    for number in range(3):
        await funded.write(transfer(f"t/{number}", 5))
    assert await parts(owner) == {"entries_1": 4, "entries_2": 4}
    await go_to(owner, 2 * WIDTH)
    worker = await asyncpg.connect(books_url)
    try:
        assert await worker.fetchval("select make_periods_v1()") == 1
        assert await worker.fetchval("select make_periods_v1()") == 0
    finally:
        await worker.close()
    await funded.write(transfer("t/3", 5))
    assert (await parts(owner))["entries_3"] == 2
    assert await breaks(books_url) == []


async def test_an_entry_for_which_no_period_was_made_in_time_is_kept_all_the_same(
    funded: PostgresBooks, owner: asyncpg.Connection, books_url: str
) -> None:
    await go_to(owner, 7 * WIDTH)
    await funded.write(transfer("t/1", 5))
    assert await parts(owner) == {"entries_1": 2, "entries_beyond": 2}
    assert await owner.fetchval("select make_periods_v1()") == 1
    await go_to(owner, 9 * WIDTH)
    await funded.write(transfer("t/2", 5))
    assert await parts(owner) == {"entries_1": 2, "entries_beyond": 2, "entries_5": 2}
    assert await breaks(books_url) == []


async def test_a_number_that_an_account_has_used_in_another_period_is_refused(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    again = (
        "insert into entries (account_id, seq, transaction_id, currency, delta, held,"
        " posted_after, held_after) select account_id, seq, transaction_id + $1, currency, delta,"
        " held, posted_after, held_after from entries"
    )
    with pytest.raises(asyncpg.CheckViolationError, match="has an entry 1 already"):
        await owner.execute(again, WIDTH)
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(again, 0)


@pytest.mark.parametrize("part", ["entries_1", "entries_2", "entries_beyond"])
async def test_a_part_is_guarded_like_the_whole(
    funded: PostgresBooks, owner: asyncpg.Connection, part: str
) -> None:
    for statement in (
        f"update {part} set delta = 1",  # noqa: S608  a table's name
        f"delete from {part}",  # noqa: S608
        f"truncate {part}",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is refused"):
            await owner.execute(statement)
    with pytest.raises(asyncpg.CheckViolationError, match="EUR is off by 5"):
        await owner.execute(
            f"insert into {part} select account_id, seq + 1, p.id, currency, 5, 0, posted + 5, 0"  # noqa: S608
            " from balances, (select coalesce(min(first_id), 9 * 10000000) as id"
            f" from periods where part = '{part}') p where seq = 1 order by account_id limit 1"
        )


async def test_what_a_payment_has_moved_is_looked_for_in_its_own_periods_alone(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    """Planned as for tables that are large, on which a scan from end to end never pays."""
    for number in range(4):
        await go_to(owner, number * WIDTH + 1)
        await books.write(deposit(f"d/{number}", 100)._replace(payment_id=None))
    await go_to(owner, 2 * WIDTH + 5)
    await owner.execute(
        "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off"
    )
    query = str(_ENTRIES).replace("t.payment_id = :id", "t.key = 'd/2'")
    plan = [row[0] for row in await owner.fetch(f"explain (analyze, costs off) {query}")]
    looked_at = [found for line in plan if (found := re.search(r"Scan.* on (entries\w+) e_", line))]
    assert {part[1] for part in looked_at} == {*(f"entries_{n}" for n in range(1, 5)), BEYOND}
    assert {part[1] for part in looked_at if "never executed" not in part.string} == {"entries_3"}
