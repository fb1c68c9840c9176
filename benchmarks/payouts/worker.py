"""A worker of the benchmark: `python -m benchmarks.payouts.worker empty` or `usual`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.events import EventActivities
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from benchmarks.payouts.shapes import EMPTY, USUAL, EmptyPayout, UsualPayout
from bursar import names, temporal
from bursar.exit import leave
from partners.loading import load
from workers.memory import collect_seldom
from workers.resources import open_resources
from workers.settings import Settings

BELL_VARIABLE = "BURSAR_BENCH_BELL"
"""UDP port of the client process, which signals the run whose id arrives there."""

Activity = Callable[..., Any]


class AtOnce:
    """Activities that return at once; the one that submits has the bell rung for its run."""

    def __init__(self, bell: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", bell))

    @activity.defn(name="payout.open")
    async def open(self, _request: Any) -> None:
        """Do nothing."""

    @activity.defn(name="payout.submit")
    async def submit(self, payment_id: str) -> None:
        """Ask for the signal that a partner's event would bring."""
        self._socket.send(payment_id.encode())

    @activity.defn(name="payout.apply_events")
    async def apply(self, _payment_id: str) -> None:
        """Do nothing."""


@asynccontextmanager
async def _empty(settings: Settings) -> AsyncIterator[list[Worker]]:
    client = await temporal.connect(settings.temporal_address, settings.temporal_namespace)
    at_once = AtOnce(int(os.environ[BELL_VARIABLE]))
    rate = load(settings.partners[0]).guarantees.rate_per_second
    yield [
        _workflows(client, settings, EMPTY, EmptyPayout, [at_once.open, at_once.apply]),
        _calls(client, settings, EMPTY, [at_once.submit], rate),
    ]


@asynccontextmanager
async def _usual(settings: Settings) -> AsyncIterator[list[Worker]]:
    async with open_resources(settings) as resources:
        steps = PaymentActivities(resources.books, resources.partners, resources.rules)
        events = EventActivities(resources.books)
        rails = RailActivities(resources.books, resources.partners)
        rate = resources.partners[settings.partners[0]].guarantees.rate_per_second
        client = resources.client
        yield [
            _workflows(
                client, settings, USUAL, UsualPayout, [steps.open_payout, events.apply_events]
            ),
            _calls(client, settings, USUAL, [rails.submit], rate),
        ]


def _workflows(
    client: Client, settings: Settings, queue: str, workflow: type, steps: Sequence[Activity]
) -> Worker:
    """Serve one workflow and its steps, with the limits that the product's worker has."""
    return Worker(
        client,
        task_queue=queue,
        workflows=[workflow],
        activities=steps,
        max_concurrent_workflow_tasks=settings.workflow_tasks_max,
        max_concurrent_activities=settings.book_steps_max,
        max_concurrent_local_activities=settings.book_steps_max,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=settings.shutdown_grace,
    )


def _calls(
    client: Client, settings: Settings, name: str, calls: Sequence[Activity], rate: float
) -> Worker:
    """Serve the calls to the partner, with the limits that the product's worker has."""
    return Worker(
        client,
        task_queue=names.partner_queue(name),
        activities=calls,
        max_concurrent_activities=settings.partner_calls_max,
        max_task_queue_activities_per_second=rate,
        graceful_shutdown_timeout=settings.shutdown_grace,
    )


_OPENINGS: Mapping[str, Callable[[Settings], Any]] = {EMPTY: _empty, USUAL: _usual}


async def serve(settings: Settings, shape: str) -> None:
    """Serve one shape until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _OPENINGS[shape](settings) as workers, AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        if settings.ready_file is not None:
            settings.ready_file.touch()
        await stop.wait()


def main() -> int:
    """Serve the shape that the command line names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if sys.argv[1:] not in ([EMPTY], [USUAL]):
        sys.stderr.write(f"name a shape: {EMPTY} or {USUAL}\n")
        return 2
    collect_seldom()
    asyncio.run(serve(Settings(), sys.argv[1]))
    return 0


if __name__ == "__main__":
    leave(main())
