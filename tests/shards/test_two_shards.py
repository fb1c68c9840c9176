"""Books on two PostgreSQL servers: a transfer across them is whole or not at all, whatever dies."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle

from bursar import temporal as connecting
from ledger import accounts
from ledger.changes import Change, Leg
from ledger.migrate import ensure_login, upgrade
from ledger.postgres import PostgresBooks
from ops.namespaces import make_namespace
from ops.postgres import LocalPostgres
from ops.program import Program
from ops.temporal import LocalTemporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.ledger.steps import breaks
from tests.shards.crossing import (
    CURRENCY,
    QUEUE,
    Cross,
    Crossing,
    End,
    transit_from,
    transit_to,
)

NAMES = ("north", "south")
DAY = date(2026, 11, 27)
FUNDS_MINOR = 10_000
CROSSINGS = 72
AT_ONCE = 24
KILL_EVERY = 15
"""After so many ends something dies, so each of the three does while money is on its way."""

RICH, POOR, CLOSED = (accounts.wallet(owner, CURRENCY) for owner in ("rich", "poor", "closed"))


class Shard:
    """One PostgreSQL with books of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"bursar-shard-{name}-"))
        self.postgres = LocalPostgres(self.directory)

    @property
    def url(self) -> str:
        return self.postgres.url("books", user=WRITER, password=LOGIN_PASSWORD)

    @property
    def admin_url(self) -> str:
        return self.postgres.url("books", user="postgres", password=self.postgres.password)

    async def prepare(self, other: str) -> None:
        """Start it, with three wallets: with money, with none, and one that takes nothing."""
        await asyncio.to_thread(self.postgres.start)
        await run_sql(self.postgres.admin_url, "CREATE DATABASE books")
        await upgrade(self.admin_url)
        await ensure_login(self.admin_url, WRITER, LOGIN_PASSWORD, "bursar_writer")
        own = accounts.own(CURRENCY)
        async with PostgresBooks.open(self.url) as books:
            await books.open_accounts(
                [
                    *(accounts.wallet_account(path, "main") for path in (RICH, POOR, CLOSED)),
                    accounts.rail_accounts("bank", [CURRENCY])[-1],
                    *(transit_to(other), transit_from(other)),
                ]
            )
            legs = (
                Leg(account=own, currency=CURRENCY, delta=-FUNDS_MINOR),
                Leg(account=RICH, currency=CURRENCY, delta=FUNDS_MINOR),
            )
            await books.write(
                Change(key="funds", kind="transfer", actor="test", effective_on=DAY, legs=legs)
            )
        await run_sql(
            self.admin_url,
            "UPDATE balances SET closed = true WHERE account_id ="  # noqa: S608  our own name
            f" (SELECT id FROM accounts WHERE path = '{CLOSED}')",
        )

    async def posted(self, *paths: str) -> list[int]:
        """Return what accounts have, seen from their owners."""
        async with PostgresBooks.open(self.url) as books:
            found = [await books.account(path) for path in paths]
        return [account.posted_minor for account in found if account is not None]

    async def crash(self) -> None:
        """Kill the whole server, and start it again on what it left."""
        await asyncio.to_thread(self.postgres.kill)
        await asyncio.to_thread(self.postgres.start)


@asynccontextmanager
async def two_shards() -> AsyncIterator[dict[str, Shard]]:
    shards = {name: Shard(name) for name in NAMES}
    try:
        for name, other in zip(NAMES, NAMES[::-1], strict=True):  # alembic does one at a time
            await shards[name].prepare(other)
        yield shards
    finally:
        for shard in shards.values():
            await asyncio.to_thread(shard.postgres.stop, "immediate")
            shutil.rmtree(shard.directory)


def a_worker(
    folder: Path, temporal: LocalTemporal, namespace: str, shards: dict[str, Shard]
) -> Program:
    ready = folder / "worker.ready"
    return Program(
        "worker",
        ["tests.shards.worker"],
        settings={
            "SHARDS_TEMPORAL": temporal.address,
            "SHARDS_NAMESPACE": namespace,
            "SHARDS_BOOKS": json.dumps({name: shard.url for name, shard in shards.items()}),
            "SHARDS_READY": str(ready),
        },
        ready=ready,
        log=folder / "worker.log",
        pid_file=folder / "worker.pid",
    )


def crossings() -> list[Crossing]:
    """Return transfers both ways: most arrive, some have too little, some meet a closed wallet."""
    rng = random.Random(7)  # noqa: S311  a plan, no secret
    planned = []
    for number in range(CROSSINGS):
        source, target = NAMES if number % 2 else NAMES[::-1]
        planned.append(
            Crossing(
                id=f"cross_{number:04}",
                source=source,
                source_wallet=POOR if number % 10 == 3 else RICH,
                target=target,
                target_wallet=CLOSED if number % 10 == 6 else RICH,
                amount_minor=rng.randint(1, 50),
                value_date=DAY,
            )
        )
    return planned


class Reaper:
    """Kills the worker and both servers in turn, as money goes on its way."""

    def __init__(self, worker: Program, shards: Sequence[Shard]) -> None:
        self._worker = worker
        self._shards = shards
        self.deaths: Counter[str] = Counter()

    async def strike(self, number: int) -> None:
        victim = (number // KILL_EVERY) % 3
        if victim < len(self._shards):
            self.deaths[self._shards[victim].name] += 1
            await self._shards[victim].crash()
            return
        process = self._worker.process
        assert process is not None
        self.deaths["worker"] += 1
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        await asyncio.to_thread(self._worker.start)


async def cross_all(client: Client, planned: Sequence[Crossing], reaper: Reaper) -> list[End]:
    """Have all of it done, so many at a time, while one after the other dies."""
    waiting = iter(planned)
    ends: list[End] = []
    dying = asyncio.Lock()

    async def clerk() -> None:
        for crossing in waiting:
            handle: WorkflowHandle[Cross, End] = await client.start_workflow(
                Cross.run, crossing, id=crossing.id, task_queue=QUEUE
            )
            ends.append(await handle.result())
            if len(ends) % KILL_EVERY == 0 and not dying.locked():
                async with dying:
                    await reaper.strike(len(ends))

    await asyncio.gather(*(clerk() for _ in range(AT_ONCE)))
    return ends


@pytest.mark.faults
async def test_money_between_two_shards_is_whole_and_sums_to_zero_whatever_dies(
    tmp_path: Path, temporal: LocalTemporal
) -> None:
    """K5, D1, D2: worker and both servers are killed, and answers are lost; INV-01, INV-02."""
    namespace = temporal.unique("shards")
    await make_namespace(await temporal.connect(), namespace)
    client = await connecting.connect(temporal.address, namespace)
    planned = crossings()
    async with two_shards() as shards, AsyncExitStack() as stack:
        worker = a_worker(tmp_path, temporal, namespace, shards)
        await asyncio.to_thread(worker.start)
        stack.callback(worker.stop)
        reaper = Reaper(worker, list(shards.values()))

        ends = Counter(await cross_all(client, planned, reaper))

        assert set(reaper.deaths) == {*NAMES, "worker"}
        assert ends[End.REFUSED] == sum(each.source_wallet == POOR for each in planned)
        assert ends[End.GIVEN_BACK] == sum(each.target_wallet == CLOSED for each in planned)
        assert ends[End.ARRIVED] == CROSSINGS - ends[End.REFUSED] - ends[End.GIVEN_BACK]
        await everything_adds_up(shards, planned)


async def everything_adds_up(shards: dict[str, Shard], planned: Sequence[Crossing]) -> None:
    """Each shard is sound, what one has sent the other has, and every wallet has what it should."""
    for name, other in zip(NAMES, NAMES[::-1], strict=True):
        shard = shards[name]
        assert await breaks(shard.url) == []
        sent = sum(each.amount_minor for each in planned if arrives(each) and each.source == name)
        came = sum(each.amount_minor for each in planned if arrives(each) and each.target == name)
        assert await shard.posted(RICH, POOR, CLOSED) == [FUNDS_MINOR + came - sent, 0, 0]
        assert await shard.posted(transit_to(other).path) == [sent]
        assert await shards[other].posted(transit_from(name).path) == [sent]


def arrives(crossing: Crossing) -> bool:
    return crossing.source_wallet != POOR and crossing.target_wallet != CLOSED
