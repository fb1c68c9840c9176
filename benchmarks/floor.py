"""The floor: what PostgreSQL itself makes of unprotected postings, one commit each, by pgbench."""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import Process
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.callers import Sample
from benchmarks.server import TICKS, run_sql, server_cpu_seconds
from ops.postgres import LocalPostgres

DATABASE = "floor"
RANDOM_CLIENTS = (8, 16, 64)
HOT_CLIENTS = (1, 8, 64)
ACCOUNTS = 10_000
THREADS = 2
WARM_UP_SECONDS = 2
"""After its first posting, while new sessions fill their caches; that does not count."""
SECONDS_MAX = 60
"""For connecting, warming up and measuring."""

SCHEMA = """
create table header (
    id        bigint generated always as identity primary key,
    booked_at timestamptz not null default now());
create table entry (
    header_id bigint, account_id bigint, delta bigint not null,
    primary key (header_id, account_id));
create table balance (
    account_id bigint primary key, posted bigint not null) with (fillfactor = 50)
"""

# All of a posting goes out at once, so that it is one round trip and one commit: of the ways to
# write it this one costs least, before one statement for all of it, before one after the other.
# The lower account is always updated first, so that no two postings wait in a circle.
_POSTING = r"""
\set amount random(1, 1000)
\startpipeline
begin;
insert into header default values;
insert into entry values
    (currval('header_id_seq'), :source::bigint, -(:amount::bigint)),
    (currval('header_id_seq'), :target::bigint, :amount::bigint);
update balance set posted = posted - :amount::bigint where account_id = :source::bigint;
update balance set posted = posted + :amount::bigint where account_id = :target::bigint;
commit;
\endpipeline
"""
_RANDOM = rf"""
\set source random(1, {ACCOUNTS // 2})
\set target random({ACCOUNTS // 2 + 1}, {ACCOUNTS})
"""
_HOT = rf"""
\set source 1
\set target random(2, {ACCOUNTS})
"""

_BARE = "insert into bare values (1);\n"

_PROGRESS = re.compile(rb"progress: [0-9.]+ s, ([0-9.]+) tps")


class Pgbench:
    """pgbench against one server; every script is prepared once for each client."""

    def __init__(self, postgres: LocalPostgres, scripts: Path) -> None:
        """Write down which server, and a folder to put scripts in."""
        self._postgres = postgres
        self._scripts = scripts

    async def prepare_floor(self) -> None:
        """Make the floor's database."""
        await run_sql(self._postgres.admin_url, f"create database {DATABASE}")
        await run_sql(
            self.url(DATABASE),
            SCHEMA,
            f"insert into balance select id, 0 from generate_series(1, {ACCOUNTS}) id",  # noqa: S608
            "vacuum analyze balance",
            "create table bare (n bigint not null)",
        )

    async def prepare_peer(self, sql: str) -> None:
        """Make another ledger's database out of its SQL."""
        await run_sql(self._postgres.admin_url, "create database peer")
        await run_sql(self.url("peer"), sql)

    def url(self, database: str) -> str:
        """Return the superuser's address of a database."""
        return self._postgres.url(database, user="postgres", password=self._postgres.password)

    async def floor(self, clients: int, seconds: float, *, hot: bool) -> Sample:
        """Return postings per second; hot: one account has a part in each of them."""
        return await self._run(DATABASE, (_HOT if hot else _RANDOM) + _POSTING, clients, seconds)

    async def bare_commit(self, clients: int, seconds: float) -> Sample:
        """Return how one row, alone in its commit, fares: the least that any caller waits for."""
        return await self._run(DATABASE, _BARE, clients, seconds, logs=True)

    async def peer(self, call: str, clients: int, seconds: float, *, hot: bool) -> Sample:
        """Return calls per second of another ledger's posting.

        Args:
            call: One SQL statement; :source, :target (1 to `ACCOUNTS`) and :amount are set.
            clients: Connections at once.
            seconds: How long.
            hot: Whether :source is always 1.
        """
        script = (_HOT if hot else _RANDOM) + "\\set amount random(1, 1000)\n" + call + ";\n"
        return await self._run("peer", script, clients, seconds)

    async def _run(
        self, database: str, script: str, clients: int, seconds: float, *, logs: bool = False
    ) -> Sample:
        file = self._scripts / f"{database}.sql"
        file.write_text(script)
        process = await self._start(
            database,
            *("--no-vacuum", "--protocol=prepared", f"--file={file}", "--progress=1"),
            *(f"--client={clients}", f"--jobs={min(THREADS, clients)}", f"--time={SECONDS_MAX}"),
            *(("--log", f"--log-prefix={self._scripts / 'latencies'}") if logs else ()),
        )
        try:
            sample = await self._watch(process, max(1, round(seconds)))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
        return replace(sample, latencies=self._logged()) if logs else sample

    def _logged(self) -> tuple[float, ...]:
        """Return the latencies that pgbench has written down, in seconds, sorted; once."""
        latencies: list[float] = []
        for file in self._scripts.glob("latencies.*"):
            latencies += [int(line.split()[2]) / 1e6 for line in file.read_text().splitlines()[:-1]]
            file.unlink()
        return tuple(sorted(latencies))

    async def _start(self, database: str, *options: str) -> Process:
        address = urlsplit(self.url(database))
        return await asyncio.create_subprocess_exec(
            str(self._postgres.bin / "pgbench"),
            *options,
            *(f"--host={address.hostname}", f"--port={address.port}", "--username=postgres"),
            database,
            env={**os.environ, "PGPASSWORD": self._postgres.password},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _watch(self, process: Process, seconds: int) -> Sample:
        """Return the mean rate of some seconds after the warm-up, and the CPU they took."""
        used = self._cpu_seconds(process)
        busy = 0
        said = b""
        rates: list[float] = []
        if process.stderr is None:
            raise RuntimeError("pgbench was started without a pipe for what it says")
        async for line in process.stderr:
            said += line
            if (found := _PROGRESS.match(line)) is None:
                continue
            rate = float(found[1])
            busy += busy > 0 or rate > 0
            if busy > WARM_UP_SECONDS:
                rates.append(rate)
            if busy == WARM_UP_SECONDS:
                used = self._cpu_seconds(process)
            if len(rates) == seconds:
                break
        if len(rates) < seconds or not any(rates):
            raise RuntimeError(f"pgbench got too little done: {said.decode().strip()[-800:]}")
        count = sum(rates)
        client, server = (
            now - then for now, then in zip(self._cpu_seconds(process), used, strict=True)
        )
        return Sample(count / seconds, (), 1000 * client / count, 1000 * server / count)

    def _cpu_seconds(self, process: Process) -> tuple[float, float]:
        return _cpu_seconds(process.pid), server_cpu_seconds(self._postgres)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU that one process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(int(field) for field in fields[11:13]) / TICKS
