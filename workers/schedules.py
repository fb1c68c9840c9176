"""Schedules: what Temporal starts by itself; kept as this release wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from bursar import names
from workers.settings import Settings

SWEEP_SECONDS_MAX = 900
"""A sweep that has not ended by then is given up, so that a wedged one stops no later one."""
CHECK_SECONDS_MAX = 900
CHECK_FULL_HOURS_MAX = 12
"""So are rounds of checks."""
CHECK_FULL_MINUTE = 17
"""Past the hour, when not everything else in the world begins."""
CATCHUP = timedelta(seconds=60)
"""What was due while Temporal was down is made up for this long after, and no longer."""
KEEP_SECONDS = 20.0

log = logging.getLogger("workers")


def schedules(settings: Settings) -> dict[str, Schedule]:
    """Return every schedule by its id, as the settings want it; none starts two runs at once."""
    return {
        names.SWEEP_SCHEDULE: _schedule(
            ScheduleActionStartWorkflow(
                names.SWEEP_WORKFLOW,
                id="sweep",
                task_queue=names.PAYMENTS_QUEUE,
                execution_timeout=timedelta(seconds=SWEEP_SECONDS_MAX),
                static_summary="register and runs compared",
            ),
            ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.sweep_every)]),
        ),
        names.CHECK_SCHEDULE: _schedule(
            _round(names.CHECK_SCHEDULE, full=False),
            ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.check_every)]),
        ),
        names.CHECK_FULL_SCHEDULE: _schedule(
            _round(names.CHECK_FULL_SCHEDULE, full=True),
            ScheduleSpec(
                calendars=[
                    ScheduleCalendarSpec(
                        hour=[ScheduleRange(settings.check_full_hour)],
                        minute=[ScheduleRange(CHECK_FULL_MINUTE)],
                    )
                ]
            ),
        ),
    }


def _round(workflow_id: str, *, full: bool) -> ScheduleActionStartWorkflow:
    limit = CHECK_FULL_HOURS_MAX * 3600 if full else CHECK_SECONDS_MAX
    return ScheduleActionStartWorkflow(
        names.CHECK_WORKFLOW,
        full,
        id=workflow_id,
        task_queue=names.PAYMENTS_QUEUE,
        execution_timeout=timedelta(seconds=limit),
        static_summary="all of the books checked" if full else "what is new in the books checked",
    )


def _schedule(action: ScheduleActionStartWorkflow, spec: ScheduleSpec) -> Schedule:
    return Schedule(
        action=action,
        spec=spec,
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP),
    )


async def set_schedules(client: Client, wanted: Mapping[str, Schedule]) -> None:
    """Make each schedule, or set the one that is there right; whether it is paused stays.

    Raises:
        ConnectionError: Temporal did not take one.
    """
    for name, schedule in wanted.items():
        try:
            await _set(client, name, schedule)
        except RPCError as error:
            raise ConnectionError(f"Temporal did not take schedule {name}: {error}") from error


async def _set(client: Client, name: str, wanted: Schedule) -> None:
    def as_wanted(known: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(wanted, state=known.description.schedule.state))

    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(name).update(as_wanted)


async def keep_schedules(client: Client, wanted: Mapping[str, Schedule]) -> None:
    """Make a schedule again whenever it is gone, as after the loss of Temporal's database."""
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        for name, schedule in wanted.items():
            try:
                await client.create_schedule(name, schedule)
                log.warning("schedule %s was gone, and is there again", name)
            except ScheduleAlreadyRunningError:
                continue
            except RPCError as error:
                log.warning("schedule %s cannot be looked after: %s", name, error)
