"""Migrations: safe to repeat and to race, clear when they cannot run, on both PostgreSQL majors."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bursar.gate import CapBody
from bursar.reports import EventKind, PartnerEvent
from ledger import migrate, start_guard
from ledger.changes import HeldBack
from ledger.migrations.preparing import prepare
from ledger.postgres import PostgresBooks
from ops.postgres import LocalPostgres
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.steps import breaks, captured, claimed, deposit, opened, transfer
from tests.ledger.test_old_workers import by_the_old_way

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).parents[2]


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def empty_url(postgres: LocalPostgres) -> AsyncIterator[str]:
    """The superuser's address of a database that was never migrated."""
    name = f"empty_{uuid.uuid4().hex}"
    await execute(postgres.admin_url, f"create database {name}")
    yield postgres.url(name, user="postgres", password=postgres.password)
    await execute(postgres.admin_url, f"drop database {name} with (force)")


async def test_migrating_twice_and_twice_at_once_is_migrating_once(empty_url: str) -> None:
    assert await migrate.current(empty_url) is None
    await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(3)))
    await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == migrate.head()


def test_a_release_starts_on_books_that_are_as_new_as_it_is() -> None:
    assert migrate.head() == start_guard.REVISION


async def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    await execute(empty_url, "create table cases (id int)")
    with pytest.raises(Exception, match='"cases" already exists'):
        await migrate.upgrade(empty_url)
    connection = await asyncpg.connect(empty_url)
    try:
        tables = await connection.fetch("select relname from pg_class where relname = 'payments'")
    finally:
        await connection.close()
    assert tables == []
    assert await migrate.current(empty_url) is None


async def test_a_login_gets_the_newest_password_and_only_its_group(
    admin_url: str, postgres: LocalPostgres
) -> None:
    name, database = f"login_{uuid.uuid4().hex[:8]}", admin_url.rpartition("/")[2]
    for password in ("old-password", "it's $new%"):
        await migrate.ensure_login(admin_url, name, password, "bursar_reader")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url(database, user=name, password="old-password"))
    connection = await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user=name, password="it's $new%", database=database
    )
    try:
        groups = await connection.fetchval(
            "select array_agg(roleid::regrole::text) from pg_auth_members"
            " where member = current_user::regrole"
        )
    finally:
        await connection.close()
    assert groups == ["bursar_reader"]
    await execute(admin_url, f"drop role {name}")


async def test_many_processes_may_set_one_login_at_once(admin_url: str) -> None:
    name = f"login_{uuid.uuid4().hex[:8]}"
    await asyncio.gather(
        *(migrate.ensure_login(admin_url, name, "a-password", "bursar_writer") for _ in range(4))
    )
    await execute(admin_url, f"drop role {name}")


@pytest.mark.parametrize(("password", "group"), [("", "bursar_writer"), ("ok-ok-ok", "postgres")])
async def test_a_login_without_password_or_with_another_group_is_not_made(
    admin_url: str, password: str, group: str
) -> None:
    with pytest.raises(ValueError, match=r"password has to be|is not one of"):
        await migrate.ensure_login(admin_url, "nobody", password, group)


async def test_what_was_claimed_before_the_gate_goes_on_behind_it(empty_url: str) -> None:
    await migrate.upgrade(empty_url, "0001")
    async with PostgresBooks.open(empty_url) as books:
        await open_usual_accounts(books)
        before = (deposit("d/1", 1_000), opened("po_1", 100), claimed("po_1"), opened("po_2", 100))
        for step in before:
            await by_the_old_way(empty_url, step)
        await migrate.upgrade(empty_url)
        permit = await books.mark_sent("po_1-1")
        assert permit.fence == 1
        cap = CapBody(currency="EUR", per_day_minor=199, reason="a test")
        assert await books.set_cap(cap, "ana") == "set"
        assert (await books.write(claimed("po_2"))).held is HeldBack.OVER_LIMIT
        (again,) = await by_the_old_way(empty_url, claimed("po_1"))
        assert again.repeated
    assert await breaks(empty_url) == []


async def test_a_key_that_was_told_of_before_counts_as_old_as_its_payment_from_then_on_d4(
    empty_url: str,
) -> None:
    """And one that nothing tells of stays as it is."""
    await migrate.upgrade(empty_url, "0016")
    async with PostgresBooks.open(empty_url) as books:
        await open_usual_accounts(books)
        await books.write(deposit("d/1", 1_000))
        for n in (1, 2):
            await books.write(opened(f"po_{n}", 100))
            await books.write(claimed(f"po_{n}"))
        event = PartnerEvent(
            partner="bank",
            event_id="evt_1",
            kind=EventKind.PAID,
            reference="po_1-1",
            occurred_at=await books.now(),
        )
        await books.store_event(event, b"", {})
        for n in (1, 2):
            await books.mark_sent(f"po_{n}-1")
        ((told_of,), (other,)) = [await books.attempts(f"po_{n}") for n in (1, 2)]
        await migrate.upgrade(empty_url)
        payment = await books.payment("po_1")
        assert payment is not None
        assert told_of.first_sent_at != payment.created_at
        (mended,) = payment.attempts
        assert mended == told_of.model_copy(update={"first_sent_at": payment.created_at})
        assert await books.attempts("po_2") == [other]


async def test_entries_become_the_first_period_as_they_are_while_old_workers_go_on(
    empty_url: str,
) -> None:
    await migrate.upgrade(empty_url, "0008")
    async with PostgresBooks.open(empty_url) as books:
        await open_usual_accounts(books)
    await by_the_old_way(empty_url, deposit("d/1", 1_000_000))
    enough = asyncio.Event()

    async def pay(name: str) -> int:
        number = 0
        while not enough.is_set():
            number += 1
            (told,) = await by_the_old_way(empty_url, transfer(f"{name}/{number}", 3))
            assert not told.repeated
        return number

    owner = await asyncpg.connect(empty_url)
    try:
        file = await owner.fetchval("select pg_relation_filenode('entries')")
        await prepared(empty_url)  # and then it is cut off
        proofs = "select array_agg(conname) from pg_constraint where conname ~ '^entries_until'"
        assert await owner.fetchval(proofs) == ["entries_until_10000000"]
        payers = [asyncio.create_task(pay(name)) for name in "abc"]
        await migrate.upgrade(empty_url)
        enough.set()
        paid = sum([await payer for payer in payers])
        await by_the_old_way(empty_url, transfer("late/1", 3))
        assert await owner.fetchval("select pg_relation_filenode('entries_1')") == file
        assert await owner.fetchval("select count(*) from entries_1") == 2 * (paid + 2)
        assert await owner.fetchval(proofs) is None
    finally:
        await owner.close()
    assert await breaks(empty_url) == []


async def prepared(url: str) -> None:
    """Do what a migration of books with entries does before it locks them."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            await prepare(connection)
    finally:
        await engine.dispose()


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with these settings and no others of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    return subprocess.run(
        [sys.executable, "-m", "ledger.migrate"],
        cwd=ROOT,
        env=plain | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_says_what_is_missing() -> None:
    done = run()
    assert done.returncode == 2
    assert "BURSAR_DATABASE_ADMIN_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://x:y@127.0.0.1:9/none", "The books were not migrated: "),
        ("no address at all", "BURSAR_DATABASE_ADMIN_URL: "),
        ("mysql://x:y@127.0.0.1:9/z", "BURSAR_DATABASE_ADMIN_URL: "),
    ],
)
def test_the_command_says_why_it_cannot_reach_the_server(url: str, says: str) -> None:
    done = run(BURSAR_DATABASE_ADMIN_URL=url)
    assert done.returncode == 2
    assert done.stderr.startswith(says)
    assert "Traceback" not in done.stderr


def test_the_command_refuses_a_wrong_password_without_telling_it(postgres: LocalPostgres) -> None:
    url = postgres.url("postgres", user="postgres", password="wrong-word")
    done = run(BURSAR_DATABASE_ADMIN_URL=url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "password authentication failed" in done.stderr
    assert "wrong-word" not in done.stderr


def test_the_command_migrates_and_makes_the_logins(
    empty_url: str, postgres: LocalPostgres, tmp_path: Path
) -> None:
    (tmp_path / "bursar_worker_password").write_text("by-file-for-tests")
    done = run(
        BURSAR_DATABASE_ADMIN_URL=empty_url,
        BURSAR_SECRETS_DIR=str(tmp_path),
        BURSAR_AUDITOR_PASSWORD="by-environment",
    )
    assert (done.returncode, done.stdout) == (0, f"The books are at revision {migrate.head()}.\n")
    database = empty_url.rpartition("/")[2]
    for user, password in (
        ("bursar_worker", "by-file-for-tests"),
        ("bursar_auditor", "by-environment"),
    ):
        url = postgres.url(database, user=user, password=password)
        assert asyncio.run(migrate.current(url)) == migrate.head()


@pytest.fixture
def postgres_15() -> Iterator[LocalPostgres]:
    """A server of the oldest PostgreSQL that is supported."""
    if not POSTGRES_15.exists():
        pytest.skip(f"PostgreSQL 15 is not installed at {POSTGRES_15}")
    directory = Path(tempfile.mkdtemp(prefix="bursar-15-"))
    server = LocalPostgres(directory, bin_dir=POSTGRES_15)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)


async def test_the_books_work_on_postgresql_15_with_an_administrator_who_is_no_superuser(
    postgres_15: LocalPostgres,
) -> None:
    await execute(
        postgres_15.admin_url, "create role dba login createrole createdb password 'for-tests-only'"
    )
    await execute(postgres_15.admin_url, "create database books owner dba")
    admin = postgres_15.url("books", user="dba", password="for-tests-only")
    await migrate.upgrade(admin)
    await migrate.ensure_login(admin, "worker", "for-tests-only", "bursar_writer")
    url = postgres_15.url("books", user="worker", password="for-tests-only")
    async with PostgresBooks.open(url) as books:
        await open_usual_accounts(books)
        await books.write(deposit("d/1", 1_000))
        await asyncio.gather(*(books.write(transfer(f"t/{n}", 3)) for n in range(100)))
        await books.write(opened("po_1", 500))
        await books.write(claimed("po_1"))
        hold = captured("po_1/capture/1", "po_1/hold", 500)
        assert (await books.write(hold)).refusal is None
    assert await breaks(url, legs_only=True) == []
