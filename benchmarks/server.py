"""The benchmark's own PostgreSQL: every commit durable, and what its processes cost in CPU."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from ops.postgres import LocalPostgres

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
}
"""The same server serves every side of a comparison."""

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def server(bin_dir: Path | None) -> Iterator[LocalPostgres]:
    """Give a fresh server, deleted at the end with all its data.

    Args:
        bin_dir: Another PostgreSQL's binaries, pgbench among them; None: the packaged ones.
    """
    directory = Path(tempfile.mkdtemp(prefix="bursar-benchmark-", dir="/var/tmp"))
    postgres = LocalPostgres(directory, bin_dir=bin_dir, settings=SETTINGS)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop("immediate")
        shutil.rmtree(directory)


async def run_sql(url: str, *scripts: str) -> None:
    """Run scripts of one or more statements on a connection of their own."""
    connection = await asyncpg.connect(url)
    try:
        for script in scripts:
            await connection.execute(script)
    finally:
        await connection.close()


def as_login(url: str, login: str, password: str) -> str:
    """Return the address of the same database for another login."""
    parts = urlsplit(url)
    return f"postgresql://{login}:{password}@{parts.hostname}:{parts.port}{parts.path}"


def server_cpu_seconds(postgres: LocalPostgres) -> float:
    """Return the CPU that a server and all its processes, ended ones too, have used so far."""
    if postgres.process is None:
        raise RuntimeError("the server does not run")
    root = postgres.process.pid  # Every other process of the server is its child.
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" (", 1)
        except OSError:  # It has ended meanwhile, and the server has its ticks.
            continue
        fields = rest.rpartition(") ")[2].split()
        if int(pid) == root:
            ticks += sum(int(field) for field in fields[11:15])
        elif int(fields[1]) == root:
            ticks += sum(int(field) for field in fields[11:13])
    return ticks / TICKS
