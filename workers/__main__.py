"""Run a worker: `python -m workers`, or `python -m workers --queue payments` for some queues."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import SettingsError

from bursar.errors import BursarError
from bursar.exit import leave
from bursar.faults import settings_fault
from workers.memory import collect_seldom
from workers.resources import open_resources
from workers.serving import queues, workers
from workers.settings import Settings

log = logging.getLogger("workers")


async def serve(settings: Settings, wanted: Sequence[str]) -> None:
    """Serve queues until SIGTERM or SIGINT, then let running activities finish."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_resources(settings) as resources, contextlib.AsyncExitStack() as stack:
        for worker in workers(settings, resources, wanted):
            await stack.enter_async_context(worker)
        log.info("serving %s", ", ".join(wanted))
        if settings.ready_file is not None:
            settings.ready_file.touch()
        await stop.wait()
        log.info("stopping: no new work, and running work may finish")


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
    except (ValidationError, SettingsError) as error:
        fault = settings_fault(error, "BURSAR_")
        print(f"the worker's settings are not right: {fault}", file=sys.stderr)  # noqa: T201
        return 2
    except (BursarError, ConnectionError) as error:
        print(f"the worker cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 6
    return 0


if __name__ == "__main__":
    leave(main())
