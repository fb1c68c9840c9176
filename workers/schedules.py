"""Schedules: what Temporal starts by itself; kept as this release wants it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from bursar import names

SWEEP_SECONDS_MAX = 900
"""A sweep that has not ended by then is given up, so that a wedged one stops no later one."""
CATCHUP = timedelta(seconds=60)
"""A sweep that was due while Temporal was down is made up for this long after, and no longer."""
KEEP_SECONDS = 20.0

log = logging.getLogger("workers")


def sweep_schedule(every: timedelta) -> Schedule:
    """Return the schedule that starts a sweep each so often, and never two at once."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.SWEEP_WORKFLOW,
            id="sweep",
            task_queue=names.PAYMENTS_QUEUE,
            execution_timeout=timedelta(seconds=SWEEP_SECONDS_MAX),
            static_summary="register and runs compared",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP),
    )


async def set_sweep_schedule(client: Client, every: timedelta) -> None:
    """Make the schedule, or set the one that is there right; whether it is paused stays.

    Raises:
        ConnectionError: Temporal did not take it.
    """
    wanted = sweep_schedule(every)
    try:
        await client.create_schedule(names.SWEEP_SCHEDULE, wanted)
    except ScheduleAlreadyRunningError:

        def as_wanted(known: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state = known.description.schedule.state
            return ScheduleUpdate(wanted)

        try:
            await client.get_schedule_handle(names.SWEEP_SCHEDULE).update(as_wanted)
        except RPCError as error:
            raise ConnectionError(f"Temporal did not take the schedule: {error}") from error
    except RPCError as error:
        raise ConnectionError(f"Temporal did not take the schedule: {error}") from error


async def keep_sweep_schedule(client: Client, every: timedelta) -> None:
    """Make the schedule again whenever it is gone, as after the loss of Temporal's database."""
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        try:
            await client.create_schedule(names.SWEEP_SCHEDULE, sweep_schedule(every))
            log.warning("the schedule of the sweeper was gone, and is there again")
        except ScheduleAlreadyRunningError:
            continue
        except RPCError as error:
            log.warning("the schedule of the sweeper cannot be looked after: %s", error)
