"""A site of its own for faults: servers and a house whose every process may be killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from ledger.connections import is_lost
from ledger.migrate import ensure_login, upgrade
from ops.postgres import LocalPostgres
from ops.temporal import NAMESPACE, LocalTemporal, find_temporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.house import House

WALLET = "wallet/acme/EUR"
PATIENCE_SECONDS = 100.0

RULES = """
fees = [{ kind = "payout", currency = "EUR", fixed_minor = 20, rate_bps = 10 }]
[delays]
approval_expires_after = 60
partner_call_timeout = 4
submit_for = 120
submit_again_after = 0.2
ask_again_after = [0.2, 0.4, 0.8, 1.5, 1.5, 1.5, 2, 2, 2, 2, 5, 5, 5, 5, 5]
ask_for = 60
resends_max = 5
poll_after = 1
poll_every = 0.5
overdue_after = 120
"""
"""Patient enough that no restart makes a case for people: only the fault itself is tried."""

BANK = {"BANK_WEBHOOK_RETRY_SECONDS_MAX": "1", "BANK_SLOW_PAID_SECONDS": "8"}


class Site:
    """PostgreSQL, Temporal, bank, gateway and worker, each with a life of its own."""

    def __init__(self, postgres: LocalPostgres, temporal: LocalTemporal, house: House) -> None:
        self.postgres = postgres
        self.temporal = temporal
        self.house = house

    async def kill(self, name: str) -> None:
        """End one process with signal 9."""
        if name == "postgres":
            await asyncio.to_thread(self.postgres.kill)
        elif name == "temporal":
            await asyncio.to_thread(self.temporal.kill)
        else:
            await asyncio.to_thread(self.house.kill, name)

    async def start(self, name: str) -> None:
        """Start one process again, on the data that it left behind."""
        if name == "postgres":
            await asyncio.to_thread(self.postgres.start)
        elif name == "temporal":
            await asyncio.to_thread(self.temporal.start)
        else:
            await self.house.start(name)

    async def stop(self, name: str) -> None:
        """Stop one program of the house as a new release does: work that runs may finish."""
        await asyncio.to_thread(self.house.programs[name].stop)

    async def all_up(self) -> None:
        """Start what an earlier test has left dead."""
        processes = {
            "postgres": self.postgres.process,
            "temporal": self.temporal.process,
            **{name: program.process for name, program in self.house.programs.items()},
        }
        for name, process in processes.items():
            if process is None or process.poll() is not None:
                await self.start(name)

    async def lose_temporal(self) -> None:
        """Kill Temporal together with its database, and start an empty one in its place."""
        await self.kill("temporal")
        await asyncio.to_thread(shutil.rmtree, self.temporal.directory)
        await self.start("temporal")

    def freeze(self, name: str) -> None:
        """Stop a program where it stands, as a machine that swaps or a paused virtual one does."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen program go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.house.programs[name].process
        assert process is not None
        os.kill(process.pid, number)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask the database itself, past all of our own code."""
        connection = await asyncpg.connect(self.house.books_url, timeout=5)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def number(self, query: str, *arguments: Any) -> int:
        """Return the one number that a query counts."""
        return int((await self.rows(query, *arguments))[0][0])

    async def let_leases_end(self) -> None:
        """Let time pass for events that wait to be offered to a workflow again."""
        await run_sql(
            self.postgres.url("books", user="postgres", password=self.postgres.password),
            "UPDATE partner_events SET leased_until = NULL WHERE applied_at IS NULL",
        )

    async def until(self, what: str, question: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the answer is yes; a database that is down has not answered yet."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await _answered(question):  # noqa: ASYNC110  it lives in other processes
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"it never came to be that {what}") from None

    async def debits(self) -> Counter[str]:
        """Return how often the bank's own book debits each payout, over all of its attempts."""
        found: Counter[str] = Counter()
        after: int | None = 0
        while after is not None:
            page = await self.house.ask_bank("GET", f"/v1/book?after={after}&limit=1000")
            found.update(
                line["reference"].rpartition("-")[0]
                for line in page["lines"]
                if line["kind"] == "payout"
            )
            after = page["next_after"]
        return found

    async def workflows(self) -> dict[str, list[str]]:
        """Return how each run ended, by workflow id, once Temporal's index knows of no open one."""
        client = await self.temporal.connect()

        async def none_is_open() -> bool:
            return (await client.count_workflows("ExecutionStatus = 'Running'")).count == 0

        await self.until("all workflows are closed", none_is_open)
        ends: dict[str, list[str]] = {}
        async for run in client.list_workflows():
            assert run.status is not None
            ends.setdefault(run.id, []).append(run.status.name)
        return ends


async def _answered(question: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await question()
    except Exception as error:
        if not is_lost(error):
            raise
        return False


@asynccontextmanager
async def open_site(
    settings: Mapping[str, str] | None = None, rules: str = RULES
) -> AsyncIterator[Site]:
    """Start everything afresh, with money in the wallet; stop everything in the end.

    `settings` are variables that the worker and the gateway get besides the house's own.
    """
    # Two folders: the database's has to be open to the user who runs its server for root.
    database, rest = (Path(tempfile.mkdtemp(prefix=f"bursar-{w}-")) for w in ("faults", "house"))
    postgres = LocalPostgres(database)
    temporal = LocalTemporal(
        rest / "temporal", binary=find_temporal(), ui=False, log=rest / "temporal.log"
    )
    try:
        await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(temporal.start))
        await run_sql(postgres.admin_url, "CREATE DATABASE books")
        admin_url = postgres.url("books", user="postgres", password=postgres.password)
        await upgrade(admin_url)
        await ensure_login(admin_url, WRITER, LOGIN_PASSWORD, "bursar_writer")
        books_url = postgres.url("books", user=WRITER, password=LOGIN_PASSWORD)
        house = House(rest, temporal.address, NAMESPACE, books_url, BANK, settings or {}, rules)
        try:
            await house.start()
            await house.fund(WALLET)
            yield Site(postgres, temporal, house)
        finally:
            await house.stop()
    finally:
        await asyncio.to_thread(temporal.stop)
        await asyncio.to_thread(postgres.stop, "immediate")
    shutil.rmtree(database)  # kept, with the logs, where something has failed
    shutil.rmtree(rest)
