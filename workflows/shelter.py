"""Shelter: a run's life goes on when Temporal is told to cancel it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def sheltered(life: Coroutine[Any, Any, T], on_cancel: Callable[[], None]) -> T:
    """Run a life to its end in a task of its own; each cancellation only makes a call.

    Cancelled work on money could end between two steps that belong together, so a cancellation is
    told to `on_cancel` and not obeyed.
    """
    task = asyncio.create_task(life)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                on_cancel()
    return task.result()
