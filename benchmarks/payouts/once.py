"""What is measured once: memory over many payouts, a crowd of starts, a backlog that drains."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg

from benchmarks.payouts import driver
from benchmarks.payouts.rounds import HALF_PAY_SECONDS
from benchmarks.payouts.site import PARTNER, PRODUCT, Site
from bursar import Bursar, PayoutRequest
from bursar.gate import Scope, SwitchBody

WINDOW_SECONDS = 5.0
"""Over how long a rail's rate is looked at: Temporal hands its tokens out in bursts of a second."""
BEFORE = 20
"""Lone payouts whose time a payout beside the backlog is compared with."""
PAUSE_SECONDS = 1.0


async def memory(site: Site, first: int, last: int) -> float:
    """Return the worker's memory after `last` payouts over that after `first`; a fresh worker."""
    program = site.programs[PRODUCT]
    await asyncio.to_thread(program.stop)
    await asyncio.to_thread(program.start)
    bursar = Bursar(await site.client())
    await site.settle_after(HALF_PAY_SECONDS)
    waiting = itertools.islice(driver.requests(), last)

    async def settle(number: int) -> int:
        mine = itertools.islice(waiting, number)

        async def caller() -> None:
            for request in mine:
                await driver.pay(bursar, request)

        await asyncio.gather(*(caller() for _ in range(driver.IN_FLIGHT)))
        return _resident_bytes(site.pid(PRODUCT))

    small = await settle(first)
    return await settle(last - first) / small


async def starts(site: Site, number: int) -> float:
    """Return the seconds that the client takes to start payouts; no worker takes them meanwhile."""
    await asyncio.to_thread(site.programs[PRODUCT].stop)
    bursar = Bursar(await site.client())
    began = time.perf_counter()
    await driver.start_many(bursar, number)
    return time.perf_counter() - began


async def backlog(site: Site, number: int, limit: float) -> dict[str, float]:
    """Let payouts queue up behind a paused rail, resume it, and return how they drained.

    Args:
        site: Its rail allows `limit` hand-overs per second.
        number: How many payouts wait.
        limit: See `site`.
    """
    bursar = Bursar(await site.client())
    await site.settle_after(HALF_PAY_SECONDS)
    alone = [await driver.pay(bursar, request) for request in _some(BEFORE)]
    rail = SwitchBody(scope=Scope.PARTNER, name=PARTNER, reason="benchmark")
    connection = await asyncpg.connect(site.database_url)
    try:
        async with site.reader() as reader:
            await reader.pause(rail)
            waiting = await driver.start_many(bursar, number)
            await _until(connection, _HELD, waiting, number)
            await reader.resume(rail)
        drained = asyncio.Event()
        beside = asyncio.create_task(_one_after_the_other(bursar, drained))
        await _until(connection, _SENT, waiting, number)
        drained.set()
        latencies = await beside
        rows = await connection.fetch(_TIMES, waiting)
    finally:
        await connection.close()
    how = drain([row[0] for row in rows], limit)
    return {**how, "backlog_instant_delay": _median(latencies) / _median(alone)}


def drain(handed_over: Sequence[datetime], limit: float) -> dict[str, float]:
    """Return how a backlog drained, over the rail's limit: its mean, and its busiest moment.

    The mean is over the middle nine tenths, so that neither a first nor a last one that came late
    says anything of the others.
    """
    times = sorted(moment.timestamp() for moment in handed_over)
    low, high = int(len(times) * 0.05), int(len(times) * 0.95) - 1
    mean = (high - low) / (times[high] - times[low])
    busiest, first = 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] >= WINDOW_SECONDS:
            first += 1
        busiest = max(busiest, last - first + 1)
    return {
        "backlog_rate": mean / limit,
        "backlog_busiest": busiest / WINDOW_SECONDS / limit,
        "backlog_seconds": times[-1] - times[0],
    }


_HELD = "select count(*) from payments where id = any($1) and state = 'reserved'"
_SENT = "select count(*) from attempts where payment_id = any($1) and sent_at is not null"
_TIMES = "select sent_at from attempts where payment_id = any($1)"


async def _until(
    connection: asyncpg.Connection, query: str, ids: Sequence[str], number: int
) -> None:
    while await connection.fetchval(query, ids) < number:  # noqa: ASYNC110  other processes
        await asyncio.sleep(PAUSE_SECONDS)


async def _one_after_the_other(bursar: Bursar, drained: asyncio.Event) -> list[float]:
    """Pay out again and again while the backlog drains; return what each took."""
    latencies: list[float] = []
    waiting = driver.requests()
    while not drained.is_set():
        latencies.append(await driver.pay(bursar, next(waiting)))
        await asyncio.sleep(PAUSE_SECONDS)
    return latencies


def _some(number: int) -> list[PayoutRequest]:
    return list(itertools.islice(driver.requests(), number))


def _median(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"process {pid} has no memory")
