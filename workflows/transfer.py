"""Transfer: money between two accounts of ours, in one commit."""

from typing import Any

from temporalio import workflow

from activities.options import books, waiting
from activities.payments import PaymentActivities
from activities.terms import NotOpened, Opened, Opening
from bursar import names
from bursar.payments import PaymentResult, PaymentState
from workflows.desk import Desk
from workflows.received import only


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
            case PaymentState.SCHEDULED if self._is_held():
                await self._await_gate()
            case PaymentState.SCHEDULED:
                await self._await_date()
            case _:
                raise RuntimeError(f"a transfer has no step in state {state}")

    def _is_held(self) -> bool:
        """Tell whether it waits for the gate to open: it was told so, or has no date to wait for.

        The second is so where a run takes up a transfer that an earlier run has left held back.
        """
        return self._now().held is not None or self._terms.execute_at is None

    async def _await_gate(self) -> None:
        """Book as soon as it may pass; people may cancel meanwhile."""
        call = workflow.start_activity_method(
            PaymentActivities.book, self._id, **waiting("Book, once it may pass")
        )
        await self._attend(call, frozenset({PaymentState.SCHEDULED}))
