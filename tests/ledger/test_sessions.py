"""Connections go back to the pool as they are, since no statement leaves anything behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg
import pytest

from ledger.connections import open_pool
from ledger.postgres import PostgresBooks
from ledger.scribe import Scribe
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.steps import deposit
from tests.ledger.test_memory_gate import SCENES, Said

SESSION = """
select (select array_agg(concat(name, '=', setting) order by name) from pg_settings) as settings,
       (select count(*) from pg_locks
         where pid = pg_backend_pid() and locktype = 'advisory') as locks,
       (select count(*) from pg_listening_channels()) as channels,
       (select count(*) from pg_cursors) as cursors,
       pg_my_temp_schema() as temporary_tables,
       pg_current_xact_id_if_assigned() as transaction
"""


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_no_statement_of_the_books_leaves_anything_in_its_session(
    scene: Callable[[Said], Awaitable[None]], books_url: str
) -> None:
    """What one left there, the next statement on the connection would run under."""
    pool = await open_pool(books_url, idle=1, connections_max=1)
    scribe = Scribe(partial(asyncpg.connect, books_url))
    await pool.execute("do $$ begin end $$")  # loads the language, which brings settings of its own
    (fresh,) = await pool.fetch(SESSION)
    said = Said(PostgresBooks(pool, scribe))
    await open_usual_accounts(said.books)
    await said.books.write(deposit("d/1", 1_000_000))
    await scene(said)
    (left,) = await pool.fetch(SESSION)
    await scribe.aclose()
    await pool.close()
    assert fresh is not None
    assert left is not None
    assert set(left["settings"]) ^ set(fresh["settings"]) == set()
    assert left == fresh


async def test_a_transaction_that_somebody_left_open_ends_with_its_turn(books_url: str) -> None:
    pool = await open_pool(books_url, idle=1, connections_max=1)
    fresh = await pool.fetchrow(SESSION)
    async with pool.acquire() as connection:
        await connection.execute("begin; set local lock_timeout = '7s'")
        await connection.execute("select pg_current_xact_id(), pg_advisory_xact_lock(1)")
    assert await pool.fetchrow(SESSION) == fresh
    await pool.close()
