"""Callers: how many changes a crowd of them gets committed, how fast, and at which CPU."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass

import asyncpg

from benchmarks.loads import Caller
from benchmarks.server import server_cpu_seconds
from ops.postgres import LocalPostgres

WARM_UP_SECONDS = 0.3


@dataclass(frozen=True)
class Sample:
    """What one round of one load has shown."""

    rate: float
    """Changes per second whose answers came back, that is, whose commits are durable."""
    latencies: tuple[float, ...] = ()
    """Seconds from each call to its answer, sorted."""
    client_ms: float = 0.0
    """CPU milliseconds per change of who writes: callers, scribe and driver; or pgbench."""
    postgres_ms: float = 0.0
    """CPU milliseconds per change of all server processes."""

    def percentile(self, share: float) -> float:
        """Return the latency in seconds below which a share of the answers came, 0 to 1."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class _Round:
    """The clock of one round: what comes before it is warming up, what comes after is late."""

    def __init__(self, seconds: float) -> None:
        self.begin = time.perf_counter() + WARM_UP_SECONDS
        self.end = self.begin + seconds
        self.latencies: list[float] = []

    async def call(self, caller: Caller) -> None:
        work = caller()
        try:
            began = time.perf_counter()
            async for _ in work:
                ended = time.perf_counter()
                if ended > self.end:
                    return
                if ended > self.begin:
                    self.latencies.append(ended - began)
                began = time.perf_counter()
        finally:
            await work.aclose()


async def measure(caller: Caller, callers: int, seconds: float, postgres: LocalPostgres) -> Sample:
    """Let callers work at once for some seconds and return what they got done."""
    clock = _Round(seconds)

    async with asyncio.TaskGroup() as group:
        cpu = group.create_task(_cpu(clock, postgres))
        for _ in range(callers):
            group.create_task(clock.call(caller))
    count, used = len(clock.latencies), cpu.result()
    return Sample(
        rate=count / seconds,
        latencies=tuple(sorted(clock.latencies)),
        client_ms=1000 * used[0] / count,
        postgres_ms=1000 * used[1] / count,
    )


async def _cpu(clock: _Round, postgres: LocalPostgres) -> tuple[float, float]:
    """Return the CPU seconds that this process and the server use between begin and end."""
    await asyncio.sleep(clock.begin - time.perf_counter())
    before = time.process_time(), server_cpu_seconds(postgres)
    await asyncio.sleep(clock.end - time.perf_counter())
    return time.process_time() - before[0], server_cpu_seconds(postgres) - before[1]


async def bare_commit_seconds(url: str, seconds: float) -> float:
    """Return the median time of a prepared insert of one small row, alone in its commit."""
    connection = await asyncpg.connect(url)
    try:
        insert = await connection.prepare("insert into bare values ($1)")
        times: list[float] = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            await insert.fetch(len(times))
            times.append(time.perf_counter() - began)
        return statistics.median(times)
    finally:
        await connection.close()
