"""Returns: money that comes back after it was paid; in full, in parts, or less a kept fee."""

from __future__ import annotations

from activities.conclusions import HELD, PAID_OUT, Conclusions, Evidence
from activities.echoes import mismatch_of
from activities.payout_legs import hold_key, partner, wallet
from activities.strays import Strays
from bursar.payments import PaymentState
from bursar.reports import Paid, PartnerEvent
from ledger import postings
from ledger.books import Books, Payment, StoredEvent
from ledger.changes import Move

_S = PaymentState

MAY_COME_BACK = HELD | {_S.SUBMITTED} | PAID_OUT
"""States of a payout whose money may be out, and so may come back."""


class Returns:
    """Books returns on their payments. All that came back, fees included, never exceeds the amount.

    A payout is `returned` once nothing of it is left with the beneficiary; until then it stays
    `settled`, with the sum that came back beside it.
    """

    def __init__(self, books: Books, conclusions: Conclusions, strays: Strays) -> None:
        self._books = books
        self._conclusions = conclusions
        self._strays = strays

    async def book(self, stored: StoredEvent) -> str | None:
        """Book a return; return the payment whose run may still wait for a last word, if any."""
        if stored.payment_id is None:
            await self._strays.book(stored)
            return None
        payment = await self._conclusions.payment(stored.payment_id)
        why = self._misfit(payment, stored)
        if why is not None and not await self._was_noted(payment, stored):
            await self._strays.book(stored, why=why)
            return payment.id
        line = await self._strays.noted(stored, "returned", _covered(stored.event))
        if (line.kind, line.payment_id) != ("returned", payment.id):
            await self._strays.follow(stored, line)
            return payment.id
        if not line.fits:
            await self._exceeds(stored, "more would have come back than was paid")
            return payment.id
        waits = payment.state in MAY_COME_BACK - PAID_OUT
        if waits:  # what comes back has been paid
            word = Paid(partner_ref=stored.event.partner_ref or "")
            await self._conclusions.conclude(payment, word, _proof(stored))
        await self._write(payment, stored, completes=line.completes)
        return payment.id if waits else None

    def _misfit(self, payment: Payment, stored: StoredEvent) -> str | None:
        """Return why a return cannot be this payment's, or None."""
        event = stored.event
        if payment.state not in MAY_COME_BACK:
            return f"came back for a payment that is {payment.state}"
        if not event.amount_minor or event.currency is None:
            return "came back without amount or currency"
        mismatch = mismatch_of(payment, stored)
        return None if mismatch is None else mismatch.text

    async def _was_noted(self, payment: Payment, stored: StoredEvent) -> bool:
        """Tell whether a return was noted as the payment's own before that came to another end.

        Then whoever noted it has died, or has booked it: under its own key, it is once.
        """
        if payment.state in MAY_COME_BACK:
            return False
        line = await self._strays.known(stored.event)
        return line is not None and (line.kind, line.payment_id) == ("returned", payment.id)

    async def _exceeds(self, stored: StoredEvent, why: str) -> None:
        """Keep apart what its payment does not take, though the movement is noted as its own."""
        await self._strays.suspend(stored, "excess_return", why)

    async def _write(self, payment: Payment, stored: StoredEvent, *, completes: bool) -> None:
        legs = postings.returned(
            wallet(payment),
            partner(payment),
            payment.currency,
            amount_minor=_covered(stored.event),
            kept_minor=stored.event.fee_minor or 0,
            hold_key=hold_key(payment.id),
        )
        moves = (Move(before=_S.SETTLED, after=_S.RETURNED),) if completes else ()
        written = await self._strays.write(stored, "return", legs, moves=moves)
        if written.stale or written.refusal:
            fresh = await self._books.event(stored.row_id)
            if fresh is not None and fresh.applied_at is None:  # no account takes it any more
                await self._exceeds(stored, "its account does not take it")


def _covered(event: PartnerEvent) -> int:
    """Return how much of a payment's own amount a return covers: what arrived and what was kept."""
    return (event.amount_minor or 0) + (event.fee_minor or 0)


def _proof(stored: StoredEvent) -> Evidence:
    """Return the evidence that a payment was paid: the return, which is itself still open."""
    event = stored.event
    return Evidence(
        actor=f"partner:{event.partner}", id=f"event/{event.event_id}", value_on=event.value_on
    )
