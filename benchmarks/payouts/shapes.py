"""The workflows that a payout is compared with: one that does nothing, and the usual way.

They run in the sandbox as the product's do, so this module stays as small as those.
"""

from datetime import timedelta
from typing import Any, TypedDict

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.options import BOOKS_RETRY, books, partner
from activities.terms import Policy
from bursar import names

EMPTY, USUAL = "empty", "usual"
EMPTY_WORKFLOW, USUAL_WORKFLOW = "EmptyPayout", "UsualPayout"
_POLICY = Policy()


class _Told:
    """A run that waits for the partner's event, with the payout's own deadline beside it."""

    def __init__(self) -> None:
        self._id = workflow.info().workflow_id.partition("/")[2]
        self._told = False

    @workflow.signal(name=names.PARTNER_EVENT)
    def partner_event(self, *_received: Any) -> None:
        """Say that an event is there."""
        self._told = True

    async def _wait(self) -> None:
        """Wait for the event.

        Raises:
            TimeoutError: None came in time: the run fails, since nothing here would ask for it.
        """
        await workflow.wait_condition(
            lambda: self._told,
            timeout=_POLICY.poll_after,
            timeout_summary="no word from the partner yet",
        )

    def _end(self) -> dict[str, str]:
        workflow.upsert_search_attributes([names.PAYMENT_STATE.value_set("settled")])
        return {"id": self._id, "state": "settled"}


@workflow.defn(name=EMPTY_WORKFLOW)
class EmptyPayout(_Told):
    """The commands of a payout, in its order, with activities that return at once."""

    @workflow.run
    async def run(self, *received: Any) -> dict[str, str]:
        """Issue the commands."""
        await workflow.execute_local_activity(
            "payout.open", received[0], **books("Register, check and hold")
        )
        await workflow.execute_activity(
            "payout.submit", self._id, **partner(EMPTY, _POLICY, f"Submit: {EMPTY}")
        )
        await self._wait()
        await workflow.execute_local_activity(
            "payout.apply_events", self._id, **books("Apply the partner's events")
        )
        return self._end()


class _BooksOptions(TypedDict):
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


def _regular(summary: str) -> _BooksOptions:
    """Return the options of a step on the books as a regular activity."""
    return _BooksOptions(
        start_to_close_timeout=timedelta(seconds=15), retry_policy=BOOKS_RETRY, summary=summary
    )


@workflow.defn(name=USUAL_WORKFLOW)
class UsualPayout(_Told):
    """The payout's own steps as regular activities: hold, submit, settle."""

    @workflow.run
    async def run(self, *received: Any) -> dict[str, str]:
        """Take the steps, one activity each."""
        await workflow.execute_activity(
            "payout.open",
            {"payment_id": self._id, "request": received[0]},
            **_regular("Register, check and hold"),
        )
        await workflow.execute_activity(
            "payout.submit", self._id, **partner(USUAL, _POLICY, f"Submit: {USUAL}")
        )
        await self._wait()
        await workflow.execute_activity(
            "payout.apply_events", self._id, **_regular("Apply the partner's events")
        )
        return self._end()
