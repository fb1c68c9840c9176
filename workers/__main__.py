"""Run a worker: `python -m workers`, or `python -m workers --queue payments` for some queues."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from bursar import names
from bursar.exit import leave
from bursar.faults import FAULTS, explain
from workers.comparing import compare_books, compare_later
from workers.memory import collect_seldom
from workers.resources import Opening, open_resources
from workers.schedules import keep_schedules, schedules, set_schedules
from workers.serving import queues, workers
from workers.settings import Settings

log = logging.getLogger("workers")


async def serve(
    settings: Settings, wanted: Sequence[str], opening: Opening = open_resources
) -> None:
    """Serve queues until SIGTERM or SIGINT, then let running activities finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opening(settings) as resources, contextlib.AsyncExitStack() as stack:
        silent = await compare_books(resources)
        for worker in workers(settings, resources, wanted):
            await stack.enter_async_context(worker)
        await stack.enter_async_context(_beside(compare_later(resources, silent)))
        if names.PAYMENTS_QUEUE in wanted:
            wanted_schedules = schedules(settings)
            await set_schedules(resources.client, wanted_schedules)
            keeping = keep_schedules(resources.client, wanted_schedules)
            await stack.enter_async_context(_beside(keeping))
        log.info("serving %s", ", ".join(wanted))
        with _ready(settings.ready_file):
            await stop.wait()
        log.info("stopping: no new work, and running work may finish")


@contextlib.contextmanager
def _ready(file: Path | None) -> Iterator[None]:
    """Show by a file that this worker polls, for as long as it does."""
    if file is None:
        yield
        return
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside the workers for as long as this lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def main() -> int:
    """Read settings and arguments, serve, and return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--queue", action="append", help="a queue to serve; several times for several; default all"
    )
    arguments = parser.parse_args()
    try:
        settings = Settings()
        known = queues(settings)
        wanted = tuple(arguments.queue or known)
        strangers = set(wanted) - set(known)
        if strangers:
            parser.error(f"no queue {', '.join(sorted(strangers))}; there are {', '.join(known)}")
        collect_seldom()
        asyncio.run(serve(settings, wanted))
    except FAULTS as error:
        return explain("worker", error)
    return 0


if __name__ == "__main__":
    leave(main())
