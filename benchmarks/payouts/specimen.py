"""Specimens: one lone payout of each shape, whose history is counted and compared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from bursar import names
from ops.histories import actions_in, writes_in


class ShapesDiffer(RuntimeError):
    """Two histories that should have the same events do not: the comparison would mean nothing."""


@dataclass(frozen=True)
class Specimen:
    """What one payout has left in Temporal."""

    kinds: tuple[str, ...]
    """The types of its events, in order."""
    writes: int
    actions: int
    server_writes: int
    """How often the server says that it has written the run's state."""


async def specimen(client: Client, payment_id: str) -> Specimen:
    """Return what a finished payout has left."""
    handle = client.get_workflow_handle(names.workflow_id(payment_id))
    history, described = await asyncio.gather(handle.fetch_history(), handle.describe())
    info = described.raw_description.workflow_execution_info
    prefix = "EVENT_TYPE_"
    return Specimen(
        kinds=tuple(
            EventType.Name(event.event_type).removeprefix(prefix) for event in history.events
        ),
        writes=writes_in(history.events),
        actions=actions_in(history.events),
        server_writes=info.state_transition_count,
    )


def check_same_shape(product: Specimen, empty: Specimen) -> None:
    """Refuse to compare runs that did not have the same events in the same order.

    Raises:
        ShapesDiffer: They had not; the message names the first that differs.
    """
    if product.kinds == empty.kinds:
        return
    longer = max(len(product.kinds), len(empty.kinds))
    for place in range(longer):
        ours = product.kinds[place] if place < len(product.kinds) else "nothing"
        theirs = empty.kinds[place] if place < len(empty.kinds) else "nothing"
        if ours != theirs:
            raise ShapesDiffer(
                f"event {place + 1} is {ours} in the payout and {theirs} in the empty workflow"
            )
