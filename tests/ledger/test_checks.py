"""Sound books pass every check; each way to break them is found, by its own check and no other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bursar.views import BooksReport
from ledger.check import Part
from ledger.checks import BREAKS_MAX, CHECKS, run_checks
from ledger.checks_each_minute import EACH_MINUTE
from ledger.reading import Reader
from ledger.rounds import run_round
from ops.postgres import LocalPostgres
from tests.conftest import run_sql
from tests.ledger.corruptions import CORRUPTIONS, Corruption, stored_event
from tests.ledger.driving import Driver, driving, live_every_life

FIRST_MARK = "select record_check_round_v1(null, 1, 0, 0, 0, '[]', now(), now())"
COMMITTED = """
    update transactions set xid = 2 where xid = pg_current_xact_id()::text::bigint
"""
"""What the test itself has planted is safe, as if it had been committed."""

LEFT_TO_THE_NIGHT = {name for name, how in EACH_MINUTE.items() if how.part is Part.NOTHING}

Checker = Callable[[AsyncConnection], Awaitable[BooksReport]]


@pytest.fixture(scope="module")
async def town(postgres: LocalPostgres, template: str) -> AsyncIterator[AsyncEngine]:
    """The books with a payment in every state, as their superuser."""
    name = f"town_{uuid.uuid4().hex}"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    url = postgres.url(name, user="postgres", password=postgres.password)
    async with driving(url) as driver:
        await live_every_life(driver)
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()
    await run_sql(postgres.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def checked(town: AsyncEngine, *statements: str, check: Checker = run_checks) -> BooksReport:
    """Check the town as it would be after some statements that no trigger sees; undo them."""
    async with town.connect() as connection:
        await connection.exec_driver_sql("set local session_replication_role = replica")
        for statement in statements:
            await connection.exec_driver_sql(statement)
        report = await check(connection)
        await connection.rollback()
    return report


async def checked_as_new(connection: AsyncConnection) -> BooksReport:
    """Check all that is in the books as what has come in since the last round."""
    await connection.exec_driver_sql(FIRST_MARK)
    await connection.exec_driver_sql(COMMITTED)
    done = await run_round(connection, full=False)
    assert done.report.scope == "since_last"
    return done.report


async def test_books_in_which_payments_lived_every_life_pass_every_check(town: AsyncEngine) -> None:
    report = await checked(town)
    assert report.breaks == ()
    assert report.trial_balance == {"EUR": 0, "JPY": 0, "KWD": 0}
    assert report.checks == tuple(check.name for check in CHECKS)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.story.replace(" ", "-"))
async def test_what_breaks_the_books_is_found_by_its_own_check_and_no_other(
    town: AsyncEngine, corruption: Corruption
) -> None:
    report = await checked(town, *corruption.statements)
    assert {found.check for found in report.breaks} == corruption.found_by, report.breaks


def test_every_check_has_books_that_it_finds_broken() -> None:
    assert set().union(*(c.found_by for c in CORRUPTIONS)) == {check.name for check in CHECKS}


async def test_what_is_new_and_sound_passes_every_check_of_a_minute(town: AsyncEngine) -> None:
    report = await checked(town, check=checked_as_new)
    assert report.breaks == ()
    assert report.trial_balance == {"EUR": 0, "JPY": 0, "KWD": 0}
    assert report.transactions is not None
    assert report.transactions > 30
    assert set(report.checks) == {check.name for check in CHECKS} - LEFT_TO_THE_NIGHT


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.story.replace(" ", "-"))
async def test_what_breaks_the_books_anew_is_found_within_the_minute(
    town: AsyncEngine, corruption: Corruption
) -> None:
    report = await checked(town, *corruption.statements, check=checked_as_new)
    expected = corruption.found_by - LEFT_TO_THE_NIGHT - corruption.at_night
    assert {found.check for found in report.breaks} == expected, report.breaks


def test_every_check_that_runs_each_minute_has_books_that_it_finds_broken_then() -> None:
    found = set().union(*(c.found_by - c.at_night for c in CORRUPTIONS))
    assert found >= {check.name for check in CHECKS} - LEFT_TO_THE_NIGHT
    assert EACH_MINUTE.keys() == {check.name for check in CHECKS}
    assert all(EACH_MINUTE[name].leaves for name in LEFT_TO_THE_NIGHT)


async def test_a_break_says_where_and_what(town: AsyncEngine) -> None:
    report = await checked(town, *CORRUPTIONS[0].statements)
    by_check = {found.check: found for found in report.breaks}
    assert by_check["trial_balance"].where == "EUR"
    assert by_check["balances_equal_entries"].where == "own/EUR"
    assert "stored 1 " in by_check["balances_equal_entries"].detail
    assert report.trial_balance["EUR"] == 1


async def test_events_that_were_published_and_deleted_in_order_are_no_break(
    town: AsyncEngine,
) -> None:
    report = await checked(
        town,
        "delete from outbox where payment_id = 'po_settled' and seq <= 3",
        "delete from outbox where payment_id = 'po_held'",
    )
    assert report.breaks == ()


async def test_an_event_that_was_taken_just_now_or_is_in_the_books_is_no_break(
    town: AsyncEngine,
) -> None:
    report = await checked(
        town, stored_event("4 minutes", applied=False), stored_event("6 minutes", applied=True)
    )
    assert report.breaks == ()


async def test_a_check_that_finds_very_much_says_that_there_is_more(town: AsyncEngine) -> None:
    report = await checked(
        town,
        "insert into outbox (event_id, payment_id, seq, tenant, kind, after, at)"
        " select 'po_x/' || n, 'po_x', n, 'main', 'payout', 'received', now()"
        " from generate_series(1, 500) n",
    )
    assert len(report.breaks) == BREAKS_MAX + 1
    assert report.breaks[-1].detail == f"more than {BREAKS_MAX} in all"


async def test_checks_see_one_moment_while_payments_go_on(books_url: str, auditor_url: str) -> None:
    reader = Reader(auditor_url)
    enough = asyncio.Event()
    async with driving(books_url) as driver:
        lives = asyncio.gather(*(_live(driver, name, enough) for name in ("a", "b", "c", "d")))
        reports = [await reader.check() for _ in range(6)]
        enough.set()
        lived = sum(await lives)
        reports.append(await reader.check())
    await reader.aclose()
    assert [report.breaks for report in reports] == [()] * len(reports)
    assert lived >= 4


async def _live(driver: Driver, name: str, enough: asyncio.Event) -> int:
    """Live one payout after another until it is enough; return how many."""
    for number in count(1):
        payout_id = f"po_{name}_{number}"
        await driver.settle_whole_payout(payout_id, amount_minor=1_00, fee_minor=0)
        await driver.give_back(payout_id)
        if enough.is_set():
            return number
    raise AssertionError("counting has ended")
