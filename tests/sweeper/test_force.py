"""Whatever people do to a run by hand: the payment ends right, and is paid once (T7, T8)."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from bursar import Bursar, PaymentState, names
from bursar.actions import Verdict
from bursar.errors import BursarError
from tests.faults.site import Site
from tests.payments import a_payout
from workflows.desk import NOTES_MAX

pytestmark = pytest.mark.faults

S = PaymentState
SIGNALS_MAX = 10_000
"""What Temporal takes for one run."""


async def reset_points(client: Client, workflow_id: str) -> list[int]:
    """Return every event of a run's history that it can be reset to."""
    history = client.get_workflow_handle(workflow_id).fetch_history_events()
    return [
        event.event_id
        async for event in history
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]


async def reset(client: Client, workflow_id: str, run_id: str, event_id: int) -> None:
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason="somebody pressed the button",
            workflow_task_finish_event_id=event_id,
            request_id=uuid.uuid4().hex,
        )
    )


@pytest.mark.parametrize(
    ("marker", "state"),
    [("", S.SETTLED), ("slow-paid", S.SUBMITTED), ("slow-accept", S.SUBMITTING)],
)
async def test_a_reset_to_any_point_sends_nothing_again(
    site: Site, client: Client, bursar: Bursar, marker: str, state: PaymentState
) -> None:
    request = a_payout(f"[sim:{marker}]" if marker else "")
    await bursar.pay_out(request)
    await site.house.reaches(request.id, state)
    handle = client.get_workflow_handle(names.workflow_id(request.id))
    if state is S.SETTLED:
        await handle.result()
    first = await handle.describe()
    points = await reset_points(client, handle.id)
    assert points
    for event_id in points:
        await reset(client, handle.id, first.run_id, event_id)
    await site.house.reaches(request.id, S.SETTLED)
    newest = client.get_workflow_handle(handle.id)
    assert (await newest.result())["state"] == S.SETTLED
    assert (await newest.describe()).run_id != first.run_id
    await site.house.quiet()
    assert (await site.debits())[request.id] == 1
    await site.house.agrees()


async def test_ten_thousand_signals_wedge_no_run_and_lose_no_payment(
    site: Site, client: Client, bursar: Bursar
) -> None:
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30))
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    handle = client.get_workflow_handle(names.workflow_id(request.id))
    flooded = (await handle.describe()).run_id
    of_this_run = client.get_workflow_handle(handle.id, run_id=flooded)
    kinds: list[tuple[str, list[object]]] = [
        (names.PARTNER_EVENT, [{"row_id": 1}]),
        (names.APPROVE, [{"by": "ana"}]),
        (names.APPROVE, [{"who": "ana"}]),
        ("no_such_signal", [1, 2]),
    ]

    async def flood(number: int) -> None:
        for turn in range(number):
            name, arguments = kinds[turn % len(kinds)]
            await of_this_run.signal(name, args=arguments)

    floods = (flood(SIGNALS_MAX // 40 + 10) for _ in range(40))
    ends = await asyncio.gather(*floods, return_exceptions=True)
    told = [str(end) for end in ends if isinstance(end, RPCError)]
    assert told, "Temporal takes no more, or the run has been replaced"
    assert len(told) == len([end for end in ends if end is not None])

    async def has_a_fresh_run() -> bool:
        return (await handle.describe()).run_id != flooded

    await site.until("the run is replaced by a fresh one", has_a_fresh_run)
    notes = await site.number("SELECT count(*) FROM notes WHERE payment_id = $1", request.id)
    assert notes <= NOTES_MAX + 10
    assert (await payout.cancel("ana", "enough")).verdict is Verdict.CANCELLED
    assert (await payout.result()).state is S.CANCELLED
    assert (await site.debits())[request.id] == 0


async def test_a_payout_under_a_flood_of_signals_is_paid_once(
    site: Site, client: Client, bursar: Bursar
) -> None:
    request = a_payout("[sim:slow-accept]")
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SUBMITTING)
    handle = client.get_workflow_handle(names.workflow_id(request.id))
    cancel = {"by": "ana", "reason": "again and again"}
    ends = await asyncio.gather(
        *(handle.signal(names.CANCEL, cancel) for _ in range(500)), return_exceptions=True
    )
    assert not [end for end in ends if end is not None and not isinstance(end, RPCError)]
    assert (await payout.result()).state is S.SETTLED
    assert (await site.debits())[request.id] == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (names.CANCEL, []),
        (names.CANCEL, [{"by": "ana", "reason": "x"}, {"by": "ben", "reason": "y"}]),
        (names.CANCEL, ["ana"]),
        (names.CANCEL, [{"who": "ana"}]),
        (names.RESOLVE, [None]),
        ("no_such_update", [{"by": "ana"}]),
    ],
)
async def test_an_update_of_a_wrong_shape_is_refused_and_harms_nothing(
    site: Site, client: Client, bursar: Bursar, name: str, arguments: list[object]
) -> None:
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30))
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    handle = client.get_workflow_handle(names.workflow_id(request.id))
    with pytest.raises((WorkflowUpdateFailedError, RPCError)):
        async with asyncio.timeout(20):
            await handle.execute_update(name, args=arguments)
    assert (await payout.cancel("ana", "test over")).verdict is Verdict.CANCELLED


async def test_more_updates_than_a_run_takes_at_once_harm_nothing(
    site: Site, bursar: Bursar
) -> None:
    """Temporal takes 10 in flight: the others are refused, and their callers may repeat."""
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30))
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    ends = await asyncio.gather(*(payout.approve("ana") for _ in range(60)), return_exceptions=True)
    assert not [
        end for end in ends if isinstance(end, Exception) and not isinstance(end, BursarError)
    ]
    assert (await payout.cancel("ana", "test over")).verdict is Verdict.CANCELLED
    assert (await payout.result()).state is S.CANCELLED
