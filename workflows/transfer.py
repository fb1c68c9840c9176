"""Transfer: money between two accounts of ours, in one commit."""

from typing import Any

from temporalio import workflow

from activities.options import books
from activities.payments import PaymentActivities
from activities.terms import NotOpened, Opened, Opening
from bursar import names
from bursar.payments import PaymentResult, PaymentState
from workflows.desk import Desk, only


@workflow.defn(name=names.TRANSFER_WORKFLOW)
class Transfer(Desk):
    """Move money between two accounts of ours, once.

    Workflow id: transfer/<payment id>, never reused. It ends with its booking; before that it may
    wait for approval or its date, be denied, expire or be cancelled, exactly as a payout.
    """

    @workflow.run
    async def run(self, *received: Any) -> PaymentResult:
        """Check, wait if it must, and book."""

        async def opening() -> Opened | NotOpened:
            return await workflow.execute_local_activity_method(
                PaymentActivities.open_transfer,
                Opening(payment_id=self._id, request=only(received)),
                **books("Register, check and book"),
            )

        return await self._live(opening, self._step)

    async def _step(self, state: PaymentState) -> None:
        """Take the one step that the state asks for."""
        match state:
            case PaymentState.AWAITING_APPROVAL:
                await self._await_approval()
            case PaymentState.SCHEDULED:
                await self._await_date()
            case _:
                raise RuntimeError(f"a transfer has no step in state {state}")
