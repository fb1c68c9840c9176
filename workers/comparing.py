"""Comparing the books, when a worker starts, with what Temporal and the partners know."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.restored import Restored
from bursar import names
from bursar.sweeps import SweepReport, Watermark
from partners.port import Partner, StatementUnavailable
from workers.resources import Resources

STATEMENT_SECONDS_MAX = 10.0
"""How long a start waits for a partner's statement; later it is asked for beside the work."""
ASK_AGAIN_SECONDS = 30.0
STATEMENT_DAYS_MAX = 40
"""How many days back statements are compared at most; books that are older are not in use."""

log = logging.getLogger("workers")


class Uncompared(NamedTuple):
    """Partners that gave no statement in time, to be asked again, from the same day on."""

    partners: tuple[Partner, ...]
    since: date


async def compare_books(resources: Resources) -> Uncompared:
    """Stop all sending where the books are behind Temporal or a partner."""
    restored = Restored(resources.oversight)
    mark = await _last_watermark(resources.client)
    reason = await restored.stop_if_behind(mark) if mark else None
    if reason:
        log.error("no-send mode: %s", reason)
    partners = tuple(resources.partners.values())
    since = await _since(resources)

    async def in_time(partner: Partner) -> bool:
        try:
            async with asyncio.timeout(STATEMENT_SECONDS_MAX):
                return await _compare(restored, partner, since)
        except TimeoutError:
            log.warning("no statement of %s in time; compared beside the work", partner.name)
            return False

    compared = await asyncio.gather(*map(in_time, partners))
    left = tuple(p for p, done in zip(partners, compared, strict=True) if not done)
    return Uncompared(left, since)


async def compare_later(resources: Resources, uncompared: Uncompared) -> None:
    """Ask again for the statements that could not be had, until each has been compared."""
    restored = Restored(resources.oversight)
    partners, since = uncompared
    while partners:
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        try:
            partners = tuple([p for p in partners if not await _compare(restored, p, since)])
        except ConnectionError:
            log.warning("the books do not answer; statements are compared later")


async def _since(resources: Resources) -> date:
    """Return the first day to compare: the one before the books' last, but yesterday at the latest.

    What a backup has forgotten came after the last that it knows, however old it is.
    """
    today = datetime.now(UTC).date()
    last = await resources.oversight.booked_last()
    known = today if last is None else min(last.astimezone(UTC).date(), today)
    first = today - timedelta(days=STATEMENT_DAYS_MAX)
    if known < first:
        log.warning("the books end %s; statements are compared from %s on only", known, first)
    return max(known - timedelta(days=1), first)


async def _compare(restored: Restored, partner: Partner, since: date) -> bool:
    """Compare a partner's statements, the newest day first; False where there are none to have."""
    day = datetime.now(UTC).date()
    while day >= since:
        try:
            async with asyncio.timeout(STATEMENT_SECONDS_MAX):
                new = await restored.compare(partner, (day,))
        except (StatementUnavailable, TimeoutError) as error:
            log.warning("no statement of %s to compare the books with yet: %s", partner.name, error)
            return False
        if new:
            log.error("no-send mode: %s booked what the books do not know: %s", partner.name, new)
        day -= timedelta(days=1)
    return True


async def _last_watermark(client: Client) -> Watermark | None:
    """Return the books' newest change that the last finished sweep saw; None: there is none."""
    try:
        schedule = await client.get_schedule_handle(names.SWEEP_SCHEDULE).describe()
        for done in reversed(schedule.info.recent_actions):
            if not isinstance(done.action, ScheduleActionExecutionStartWorkflow):
                continue
            run = client.get_workflow_handle(
                done.action.workflow_id,
                run_id=done.action.first_execution_run_id,
                result_type=SweepReport,
            )
            if (await run.describe()).status is WorkflowExecutionStatus.COMPLETED:
                swept: SweepReport = await run.result()
                return swept.watermark
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise ConnectionError(f"Temporal does not answer: {error}") from error
    return None
