"""Histories: how many events and billable actions finished payments have cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from bursar import names

AT_ONCE = 8

_ONE_ACTION = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    }
)

_ONE_WRITE = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
        EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        EventType.EVENT_TYPE_TIMER_FIRED,
    }
)


@dataclass(frozen=True)
class Cost:
    """What one finished payment has cost Temporal."""

    payment_id: str
    sent_at: float
    """When the sender's call was taken, in seconds since 1970."""
    events: int
    actions: int


def actions_in(events: Iterable[HistoryEvent]) -> int:
    """Return the billable actions in a history, as far as a history shows them.

    A start, timer, signal, update or upsert is one, an activity one for each attempt, and all
    local activities of one workflow task are one together. Queries leave no trace.

    Source: Temporal Cloud's documentation, "Actions".
    """
    actions = 0
    tasks_with_local_steps: set[int] = set()
    for event in events:
        if event.event_type in _ONE_ACTION:
            actions += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            actions += event.activity_task_started_event_attributes.attempt
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            tasks_with_local_steps.add(marker.workflow_task_completed_event_id)
    return actions + len(tasks_with_local_steps)


def writes_in(events: Iterable[HistoryEvent]) -> int:
    """Return how often the server has written the run's state, as far as a history shows it.

    Each is a commit of the server's database: one for a start, a signal, an update or a timer that
    fires, and two for each workflow task and each try of an activity: taken, and ended.
    """
    writes = 0
    for event in events:
        if event.event_type in _ONE_WRITE:
            writes += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            # A try that failed and was followed by another left no event: it was taken, and ended.
            writes += 2 * event.activity_task_started_event_attributes.attempt - 1
    return writes


async def costs(client: Client, payment_ids: Iterable[str]) -> list[Cost]:
    """Return the cost of each payment whose workflow has completed; others are left out."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(payment_id: str) -> Cost | None:
        handle = client.get_workflow_handle(names.workflow_id(payment_id))
        async with gate:
            try:
                described = await handle.describe()
                if described.status is not WorkflowExecutionStatus.COMPLETED:
                    return None
                history = await handle.fetch_history()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:  # past its retention
                    return None
                raise
        sent_at = described.start_time.timestamp()
        return Cost(payment_id, sent_at, len(history.events), actions_in(history.events))

    found = await asyncio.gather(*(one(payment_id) for payment_id in payment_ids))
    return [cost for cost in found if cost is not None]
