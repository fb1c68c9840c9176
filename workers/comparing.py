"""Comparing the books, when a worker starts, with what Temporal and the partners know."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

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

log = logging.getLogger("workers")


async def compare_books(resources: Resources) -> tuple[Partner, ...]:
    """Stop all sending where the books are behind Temporal or a partner.

    Returns the partners that gave no statement in time, to be asked again.
    """
    restored = Restored(resources.books, resources.oversight)
    mark = await _last_watermark(resources.client)
    reason = await restored.stop_if_behind(mark) if mark else None
    if reason:
        log.error("no-send mode: %s", reason)
    partners = tuple(resources.partners.values())
    compared = await asyncio.gather(*(_compare(restored, partner) for partner in partners))
    return tuple(p for p, done in zip(partners, compared, strict=True) if not done)


async def compare_later(resources: Resources, partners: tuple[Partner, ...]) -> None:
    """Ask again for the statements that could not be had, until each has been compared."""
    restored = Restored(resources.books, resources.oversight)
    while partners:
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        try:
            partners = tuple([p for p in partners if not await _compare(restored, p)])
        except ConnectionError:
            log.warning("the books do not answer; statements are compared later")


async def _compare(restored: Restored, partner: Partner) -> bool:
    """Compare a partner's statements of yesterday and today; False where there are none to have."""
    today = datetime.now(UTC).date()
    try:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            new = await restored.compare(partner, (today - timedelta(days=1), today))
    except (StatementUnavailable, TimeoutError) as error:
        log.warning("no statement of %s to compare the books with yet: %s", partner.name, error)
        return False
    if new:
        log.error("no-send mode: %s has booked what the books do not know: %s", partner.name, new)
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
