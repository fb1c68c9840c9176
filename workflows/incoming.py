"""Incoming: what partners tell that no running payment waits for; one short run for each event."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from activities.events import EventActivities
from activities.options import books
from activities.terms import EventRow, Judged
from bursar import names
from workflows.received import only
from workflows.shelter import sheltered


def _row(received: Sequence[Any]) -> EventRow:
    """Read what a run was started with; anybody may have started it, and with anything."""
    try:
        return EventRow.model_validate(only(received), strict=True)
    except ValidationError as error:
        reason = "takes one object with the row_id of a stored event"
        raise ApplicationError(reason, type="InvalidRequest", non_retryable=True) from error


def _unmoved() -> None:
    """What a partner has told stays true when somebody cancels the run that books it."""
    workflow.logger.warning("a cancellation was ignored")


async def _tell(payment_id: str, event: EventRow) -> None:
    """Wake the payment's own run, which may wait for a last word that has come another way."""
    run = workflow.get_external_workflow_handle(names.workflow_id(payment_id))
    try:
        await run.signal(names.PARTNER_EVENT, event)
    except FailureError:
        workflow.logger.info("the payment's run has ended already")


def _call_ops(judged: Judged | str | None) -> None:
    """Show in Temporal's index that a person has to look at what an event has come to."""
    if isinstance(judged, Judged) and judged.needs_ops:
        workflow.upsert_search_attributes([names.NEEDS_OPS.value_set(True)])


@workflow.defn(name=names.DEPOSIT_WORKFLOW)
class Deposit:
    """Book one incoming credit. Workflow id: deposit/<partner>/<event id>."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Book the credit for the account that it names, or into suspense."""
        event = _row(received)
        judged = await sheltered(
            workflow.execute_local_activity_method(
                EventActivities.book_deposit, event, **books("Book an incoming credit")
            ),
            _unmoved,
        )
        _call_ops(judged)


@workflow.defn(name=names.RETURN_WORKFLOW)
class Return:
    """Book money that came back after it was paid. Workflow id: return/<partner>/<event id>."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Book the return on its payment, or into suspense."""
        event = _row(received)
        judged = await sheltered(
            workflow.execute_local_activity_method(
                EventActivities.book_return, event, **books("Book a return")
            ),
            _unmoved,
        )
        _call_ops(judged)
        tell = judged.tell if isinstance(judged, Judged) else judged
        if tell is not None:
            await _tell(tell, event)


@workflow.defn(name=names.LATE_EVENT_WORKFLOW)
class LateEvent:
    """Judge an event whose payment has ended or is not known. Workflow id: late/<partner>/<id>."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Take account of the event, or give it to a person."""
        event = _row(received)
        judged = await sheltered(
            workflow.execute_local_activity_method(
                EventActivities.judge_late, event, **books("Judge a late event")
            ),
            _unmoved,
        )
        _call_ops(judged)
