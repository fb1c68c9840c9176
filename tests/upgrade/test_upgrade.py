"""A release takes over what the one before it has begun, and gives it back (T6, D11, INV-14).

Runs begun by the old code wait in every state; the new code's worker goes on with them, and the
other way round. The schema is migrated while old and new workers pay out side by side.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from bursar import Bursar, PaymentHandle, PaymentState, names
from bursar import temporal as connecting
from bursar.payments import FINAL
from ledger import migrate
from ops.namespaces import make_namespace
from ops.postgres import LocalPostgres
from ops.program import Program
from ops.temporal import LocalTemporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.house import House
from tests.payments import a_payout
from tests.task_failures import task_failures
from tests.upgrade.old import OldRelease, a_gateway, unpack

pytestmark = pytest.mark.faults

S = PaymentState
LOCK_WAIT_SECONDS_MAX = 2.0
WALLETS = ("wallet/acme/EUR", "wallet/acme/GBP")
RULES = """
trust_signal_actors = true
approvals = [{ number = 1, role = "approve-l1", currency = "GBP" }]
people = [{ name = "ana", roles = ["approve-l1", "resolve"] }]
[delays]
partner_call_timeout = 8
submit_for = 120
submit_again_after = 0.2
ask_again_after = [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2]
poll_after = 2
poll_every = 0.5
overdue_after = 120
"""
BANK = {
    "BANK_SLOW_SECONDS": "6",
    "BANK_NOT_FOUND_SECONDS": "15",
    "BANK_SLOW_PAID_SECONDS": "15",
}
ADAPTER = {
    "PARTNER_SIMULATOR_TIMEOUT_SECONDS": "7",
    "PARTNER_SIMULATOR_LOOKUP_LAG_SECONDS": "40",
}
"""Slow enough that everything still waits when the release changes, however busy the machine."""


@pytest.fixture(scope="module")
def old() -> Iterator[OldRelease]:
    """The old release's code."""
    folder = Path(tempfile.mkdtemp(prefix="bursar-old-"))
    yield unpack(folder)
    shutil.rmtree(folder)


@asynccontextmanager
async def a_house(
    temporal: LocalTemporal, books_url: str, prepare: Callable[[House], None]
) -> AsyncIterator[House]:
    """Start a house with money in it, whose programs the test has chosen."""
    namespace = temporal.unique("upgrade")
    await make_namespace(temporal.client, namespace)
    directory = Path(tempfile.mkdtemp(prefix="bursar-upgrade-"))
    house = House(directory, temporal.address, namespace, books_url, BANK, ADAPTER, RULES)
    prepare(house)
    try:
        await house.start()
        await house.fund(*WALLETS)
        yield house
    finally:
        await house.stop()
    shutil.rmtree(directory)


async def replace_worker(house: House, program: Program, *, killed: bool) -> None:
    """Put a worker of another release in the place of the one that runs."""
    if killed:
        house.kill("worker")
    else:
        await asyncio.to_thread(house.programs["worker"].stop)
    house.programs["worker"] = program
    await house.start("worker")


async def waiting_everywhere(house: House, bursar: Bursar) -> dict[S, PaymentHandle]:
    """Bring one payout into each state in which a run may wait; return them by that state."""
    later = datetime.now(UTC) + timedelta(hours=1)
    requests = {
        S.AWAITING_APPROVAL: a_payout(currency="GBP"),
        S.SCHEDULED: a_payout(execute_at=later),
        S.SUBMITTED: a_payout("[sim:slow-paid]"),
        S.OUTCOME_UNKNOWN: a_payout("[sim:not-found-for-a-while]"),
        S.SUBMITTING: a_payout("[sim:slow-accept]"),
    }
    handles: dict[S, PaymentHandle] = {
        state: await bursar.pay_out(request) for state, request in requests.items()
    }
    await asyncio.gather(*(house.reaches(each.id, state) for state, each in handles.items()))
    return handles


async def all_end_right(house: House, handles: dict[S, PaymentHandle]) -> None:
    """Act on what waits for people, and assert that everything ends as it must, once."""
    await handles[S.AWAITING_APPROVAL].approve("ana")
    await handles[S.SCHEDULED].cancel("ana", "not needed after all")
    async with asyncio.timeout(150):
        ends = {state: (await each.result()).state for state, each in handles.items()}
    cancelled = {S.SCHEDULED: S.CANCELLED}
    assert ends == {state: cancelled.get(state, S.SETTLED) for state in handles}
    for state, each in handles.items():
        assert (await house.bookings(each.id))[0] == (0 if state is S.SCHEDULED else 1)
    await house.quiet()
    await house.agrees()
    await no_task_has_failed(house, [each.id for each in handles.values()])


async def no_task_has_failed(house: House, payment_ids: list[str]) -> None:
    """Assert that no run was wedged for a moment: a failed task is code that does not fit."""
    client: Client = await connecting.connect(house.temporal_address, house.namespace)
    for payment_id in payment_ids:
        handle = client.get_workflow_handle(names.workflow_id(payment_id))
        events = (await handle.fetch_history()).events
        assert task_failures(events) == [], payment_id


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
async def test_the_new_release_goes_on_where_the_old_one_waits(
    temporal: LocalTemporal, books_url: str, old: OldRelease, killed: bool
) -> None:
    def prepare(house: House) -> None:
        house.programs["worker"] = old.worker(house)

    async with a_house(temporal, books_url, prepare) as house:
        handles = await waiting_everywhere(house, await house.bursar())
        await replace_worker(house, house.worker_program("worker"), killed=killed)
        await all_end_right(house, handles)


async def test_the_old_release_takes_back_what_the_new_one_has_begun(
    temporal: LocalTemporal, books_url: str, old: OldRelease
) -> None:
    async with a_house(temporal, books_url, lambda _: None) as house:
        handles = await waiting_everywhere(house, await house.bursar())
        await replace_worker(house, old.worker(house), killed=True)
        await all_end_right(house, handles)


class LockWatch:
    """Watches how long anybody waits for a lock in one database."""

    def __init__(self, admin_url: str) -> None:
        self._url = admin_url
        self.longest_seconds = 0.0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        connection = await asyncpg.connect(self._url)
        query = """
            select coalesce(max(extract(epoch from clock_timestamp() - l.waitstart)), 0)
              from pg_locks l join pg_stat_activity a using (pid)
             where not l.granted and l.locktype <> 'advisory' and a.datname = current_database()
        """
        try:
            while True:
                waited = float(await connection.fetchval(query))
                self.longest_seconds = max(self.longest_seconds, waited)
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


@pytest.fixture
async def old_books(postgres: LocalPostgres, old: OldRelease) -> AsyncIterator[tuple[str, str]]:
    """A database as the old release made it: the administrator's address and the writer's."""
    name = "old_books"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {name}")
    admin_url = postgres.url(name, user="postgres", password=postgres.password)
    old.run("-m", "ledger.migrate", settings={"BURSAR_DATABASE_ADMIN_URL": admin_url})
    await migrate.ensure_login(admin_url, WRITER, LOGIN_PASSWORD, "bursar_writer")
    yield admin_url, postgres.url(name, user=WRITER, password=LOGIN_PASSWORD)
    await run_sql(postgres.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_schema_is_migrated_under_load_with_both_releases_at_work(
    temporal: LocalTemporal, old_books: tuple[str, str], old: OldRelease
) -> None:
    admin_url, books_url = old_books
    if await migrate.current(admin_url) == migrate.head():
        pytest.skip(f"there is no revision after {migrate.head()} yet")

    def prepare(house: House) -> None:
        house.programs["worker"] = old.worker(house)
        house.programs["gateway"] = old.gateway(house)

    async with a_house(temporal, books_url, prepare) as house:
        watch = LockWatch(admin_url)
        watching = asyncio.create_task(watch.run())
        load = Load(house, await house.bursar())
        loading = asyncio.create_task(load.run())
        await house.until(lambda: load.has_ended(10))
        await migrate.upgrade(admin_url)
        assert await migrate.current(admin_url) == migrate.head()
        at_migration = len(load.sent)
        await take_over_step_by_step(house, load, at_migration)
        await loading
        watching.cancel()
        await house.until(lambda: load.has_ended(len(load.sent)))
        await load.each_settled_once()
    assert watch.longest_seconds < LOCK_WAIT_SECONDS_MAX


async def take_over_step_by_step(house: House, load: Load, at_migration: int) -> None:
    """Run old and new workers side by side for a while, then replace everything old."""
    newer = house.worker_program("newer")
    await asyncio.to_thread(newer.start)
    try:
        await house.until(lambda: load.has_ended(at_migration + 20))
        await replace_worker(house, house.worker_program("worker"), killed=False)
    finally:
        await asyncio.to_thread(newer.stop)
    await asyncio.to_thread(house.programs["gateway"].stop)
    house.programs["gateway"] = a_gateway(house)
    await house.start("gateway")
    load.enough.set()


class Load:
    """Payouts that are sent steadily, until it is enough."""

    def __init__(self, house: House, bursar: Bursar) -> None:
        self.house = house
        self.bursar = bursar
        self.enough = asyncio.Event()
        self.sent: list[str] = []

    async def run(self) -> None:
        """Send one payout after the other, a few of them open at a time."""
        while not self.enough.is_set():
            request = a_payout(amount_minor=1_000 + len(self.sent))
            await self.bursar.pay_out(request)
            self.sent.append(request.id)
            await self.house.until(self._has_room)

    async def _has_room(self) -> bool:
        return len(self.sent) - (await self._states()).total() < 8

    async def _states(self) -> Counter[str]:
        connection = await asyncpg.connect(self.house.books_url)
        try:
            rows = await connection.fetch(
                "select state from payments where id = any($1::text[]) and state = any($2::text[])",
                self.sent,
                [str(state) for state in FINAL],
            )
        finally:
            await connection.close()
        return Counter(row["state"] for row in rows)

    async def has_ended(self, number: int) -> bool:
        """Tell whether so many payouts have ended."""
        return (await self._states()).total() >= number

    async def each_settled_once(self) -> None:
        """Assert that every payout was settled, once, and that no run was wedged meanwhile."""
        assert await self._states() == {S.SETTLED: len(self.sent)}
        for payment_id in self.sent:
            assert (await self.house.bookings(payment_id))[0] == 1
        await self.house.quiet()
        await self.house.agrees()
        await no_task_has_failed(self.house, self.sent)
