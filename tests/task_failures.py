"""What went wrong in a run's workflow tasks, apart from what the server does with every run."""

from __future__ import annotations

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

THE_SERVERS_OWN = (
    # a run would end while a message has just come: it looks again
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    # a hundred messages came during one task: it is taken back, so that they can be written down
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
)


def task_failures(events: Iterable[HistoryEvent]) -> list[str]:
    """Return why tasks of a run have failed, those aside that the server itself took back."""
    failures = [
        event.workflow_task_failed_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    return [
        f"{WorkflowTaskFailedCause.Name(each.cause)} {each.failure.message[-600:]}"
        for each in failures
        if each.cause not in THE_SERVERS_OWN
    ]
