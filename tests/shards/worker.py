"""A worker of the shards in a process of its own, so that it can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from temporalio.worker import Worker

from bursar import temporal
from ledger.changes import Change, Written
from ledger.postgres import PostgresBooks
from tests.shards.crossing import QUEUE, Cross, ShardSteps

LOST = 0.2
"""Share of the answers that are lost on their way from a shard, after its commit."""


class LossyShard:
    """A shard of which some answers never come: what was written is written all the same."""

    def __init__(self, books: PostgresBooks) -> None:
        self._books = books

    async def write(self, change: Change) -> Written:
        """Write a change; some callers are not told that it was."""
        written = await self._books.write(change)
        if random.random() < LOST:  # noqa: S311  a fault, no secret
            raise ConnectionError("the answer was lost")
        return written


async def serve(
    address: str, namespace: str, shards: dict[str, str], ready: Callable[[], None]
) -> None:
    """Serve until the process is ended; a shard that is down when it starts is waited for."""
    client = await temporal.connect(address, namespace)
    async with AsyncExitStack() as stack:
        books = {
            name: LossyShard(await stack.enter_async_context(PostgresBooks.open(url)))
            for name, url in shards.items()
        }
        steps = ShardSteps(books)
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Cross],
            activities=[steps.take_out, steps.bring_in, steps.give_back],
        )
        await stack.enter_async_context(worker)
        ready()
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(
        asyncio.run(
            serve(
                os.environ["SHARDS_TEMPORAL"],
                os.environ["SHARDS_NAMESPACE"],
                json.loads(os.environ["SHARDS_BOOKS"]),
                Path(os.environ["SHARDS_READY"]).touch,
            )
        )
    )
