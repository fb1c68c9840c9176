"""The gate: what becomes of a payment whose money may not leave now."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from temporalio.exceptions import ApplicationError

from activities.again import again
from activities.conclusions import Conclusions, Evidence, standing_of, today
from activities.terms import Standing
from bursar.payments import PaymentState
from ledger.books import Books, Payment
from ledger.changes import Change, HeldBack, Move
from partners.port import Partner

AGAIN_AFTER = timedelta(seconds=1)
"""The pause between two looks at the gate, give or take a quarter, while few wait."""
SHARE_OF_RATE = 0.25
"""How much of a rail's rate those may use up that wait: its queue serves others too."""
TRANSFERS_PER_SECOND = 200
"""What stands for a rail's rate where there is no rail."""
AGAIN_AFTER_MAX = timedelta(minutes=5)

FOR_PEOPLE = {
    HeldBack.NOT_APPROVED: "an approval of it counts no more; approve it once more, or cancel it",
    HeldBack.OVER_LIMIT: "it is over a limit; raise the limit, wait for the next day, or cancel it",
}
"""What no time alone is sure to mend: a person is called, once."""


class Gate:
    """Puts on record why a payment is held back, and says when to look again."""

    def __init__(self, books: Books, partners: Mapping[str, Partner]) -> None:
        self._books = books
        self._partners = partners
        self._conclusions = Conclusions(books)

    async def note(self, payment: Payment, held: HeldBack) -> None:
        """Put the reason on the timeline once, and call a person where one is needed."""
        await self._books.add_note(
            payment.id,
            key=f"{payment.id}/held/{held}",
            actor="bursar",
            kind="held_back",
            detail=held,
        )
        if held in FOR_PEOPLE:
            evidence = Evidence(actor="bursar", id=f"held/{held}")
            await self._conclusions.open_case(payment, held, FOR_PEOPLE[held], evidence)

    async def delay(self, payment: Payment, held: HeldBack) -> Standing:
        """Let a transfer wait that may not be booked now: scheduled, until it may."""
        if payment.state is not PaymentState.SCHEDULED:
            await self._books.write(
                Change(
                    key=f"{payment.id}/scheduled",
                    kind="scheduled",
                    actor="bursar",
                    reason=f"held back: {held}",
                    payment_id=payment.id,
                    moves=(Move(before=payment.state, after=PaymentState.SCHEDULED),),
                    effective_on=today(),
                )
            )
        await self.note(payment, held)
        now = await self._conclusions.payment(payment.id)
        waits = now.state is PaymentState.SCHEDULED
        return standing_of(now).model_copy(update={"held": held.value if waits else None})

    async def held(
        self, payment: Payment, held: HeldBack, *, at_least: timedelta = AGAIN_AFTER
    ) -> ApplicationError:
        """Record it, and return the error that makes Temporal try again later."""
        await self.note(payment, held)
        return again(f"held back: {held}", await self._pause(payment, held, at_least))

    async def _pause(self, payment: Payment, held: HeldBack, pause: timedelta) -> timedelta:
        """Return when to look again: soon, but so that all who wait leave the rail its rate."""
        partner = self._partners.get(payment.partner or "")
        rate = partner.guarantees.rate_per_second if partner else TRANSFERS_PER_SECOND
        waiting = await self._books.waiting(payment.partner)
        pause = max(pause, timedelta(seconds=waiting / (rate * SHARE_OF_RATE)))
        if held is HeldBack.NOT_DUE:
            due = datetime.fromisoformat(payment.terms["execute_at"])
            pause = max(pause, due - await self._books.now())
        return min(pause, AGAIN_AFTER_MAX) * random.uniform(0.75, 1.25)  # noqa: S311
