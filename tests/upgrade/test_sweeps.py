"""A sweep that another release finds in the middle is lost alone: the next one goes on (T6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from temporalio import activity
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleSpec,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

from activities.sweeping import SweepActivities
from bursar import names
from bursar import temporal as connecting
from bursar.sweeps import SweepReport, Watermark
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ops.namespaces import make_namespace
from ops.temporal import LocalTemporal
from tests.ledger.driving import ACME, Driver
from tests.ledger.steps import until
from workflows.sweep import Sweep

SECONDS_MAX = 120
"""A sweep that is still going after so long keeps all others from beginning."""


@activity.defn(name="sweep.mark")
async def mark_of_before() -> Watermark | None:
    """Mark nothing: the step as a worker has it that is older than its argument."""
    return None


Step = Callable[..., object]


@pytest.fixture
async def books(books_url: str) -> AsyncIterator[PostgresBooks]:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_00)
        yield books


@pytest.fixture
async def client(temporal: LocalTemporal) -> Client:
    namespace = temporal.unique("sweeps")
    await make_namespace(temporal.client, namespace)
    return await connecting.connect(temporal.address, namespace)


@pytest.fixture
async def schedule(client: Client) -> AsyncIterator[ScheduleHandle]:
    """The sweeper's schedule, but for its times: the tests say when."""
    start = ScheduleActionStartWorkflow(
        names.SWEEP_WORKFLOW, id=names.SWEEP_SCHEDULE, task_queue=names.PAYMENTS_QUEUE
    )
    schedule = Schedule(action=start, spec=ScheduleSpec())
    handle = await client.create_schedule(names.SWEEP_SCHEDULE, schedule)
    yield handle
    await handle.delete()


async def begin(client: Client, schedule: ScheduleHandle) -> WorkflowHandle[Sweep, SweepReport]:
    """Let the schedule start a sweep; return it."""

    async def begun() -> list[str]:
        actions = [each.action for each in (await schedule.describe()).info.recent_actions]
        starts = [
            each for each in actions if isinstance(each, ScheduleActionExecutionStartWorkflow)
        ]
        return [each.workflow_id for each in starts]

    before = await begun()
    await schedule.trigger()

    async def is_begun() -> bool:
        return len(await begun()) > len(before)

    await until(is_begun)
    return client.get_workflow_handle_for(Sweep.run, (await begun())[-1])


@asynccontextmanager
async def a_worker(client: Client, steps: list[Step]) -> AsyncIterator[None]:
    queue = names.PAYMENTS_QUEUE
    async with Worker(client, task_queue=queue, workflows=[Sweep], activities=steps):
        yield


async def test_a_sweep_whose_last_step_an_older_worker_refuses_ends_and_the_next_goes_on(
    books: PostgresBooks, books_url: str, client: Client, schedule: ScheduleHandle
) -> None:
    """The way back: what is asked with an argument is refused again and again by who takes none."""
    async with Oversight.open(books_url) as oversight, asyncio.timeout(SECONDS_MAX):
        ours: list[Step] = list(SweepActivities(books, oversight, client).all())
        old = [mark_of_before if "mark" in step.__name__ else step for step in ours]
        async with a_worker(client, old):
            first = await (await begin(client, schedule)).result()
            assert first.watermark is None, "no argument, so that the old one has answered"
        async with a_worker(client, ours):
            assert (await (await begin(client, schedule)).result()).watermark is not None
        async with a_worker(client, old):
            lost = await begin(client, schedule)
            with pytest.raises(WorkflowFailureError) as failure:
                await lost.result()
            assert isinstance(failure.value.cause, ActivityError)
            refusal = failure.value.cause.cause
            assert isinstance(refusal, ApplicationError)
            assert refusal.type == "TypeError"
        async with a_worker(client, ours):
            assert (await (await begin(client, schedule)).result()).watermark is not None
