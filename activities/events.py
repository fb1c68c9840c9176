"""What partners tell by themselves: events about payments, returns, and money that comes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from temporalio import activity

from activities.conclusions import (
    HELD,
    Conclusions,
    Evidence,
    check_not_refused,
    hold_key,
    partner,
    today,
    wallet,
)
from activities.payments import standing_of
from activities.terms import EventRow, Standing
from bursar.ids import WalletPath
from bursar.payments import PaymentState
from bursar.reports import Accepted, EventKind, Paid, PartnerEvent, Rejected, RejectionCode
from ledger import postings
from ledger.books import Books, Payment, StoredEvent
from ledger.changes import CaseOpened, Change, Leg, Move

_S = PaymentState


ABOUT_THE_PAYOUT = frozenset({EventKind.ACCEPTED, EventKind.PAID, EventKind.FAILED})
"""Kinds of events that move a payout on its way out."""


MAY_COME_BACK = HELD | {_S.SUBMITTED, _S.SETTLED}
"""States of a payout whose money may be out, and so may come back."""


class EventMissing(RuntimeError):
    """A step was asked for an event that is not stored: a bug, so it waits."""


class EventActivities:
    """Takes account of stored events; in any order, any number of times, with the same end."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._conclusions = Conclusions(books)

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (self.apply_events, self.judge_late, self.book_deposit, self.book_return)

    @activity.defn(name="payout.apply_events")
    async def apply_events(self, payment_id: str) -> Standing:
        """Take account of every event of a payout that has not been taken account of yet."""
        standing = standing_of(await self._conclusions.payment(payment_id))
        for stored in await self._books.open_events(payment_id):
            if stored.event.kind in ABOUT_THE_PAYOUT:  # returns and credits have runs of their own
                standing = await self._apply(payment_id, stored)
        return standing

    @activity.defn(name="event.judge_late")
    async def judge_late(self, row: EventRow) -> None:
        """Take account of an event that no running payment waits for."""
        stored = await self._event(row)
        if stored.applied_at is not None:  # this step has run before, and only its answer was lost
            return
        if stored.payment_id is None or stored.event.kind is EventKind.UNRECOGNISED:
            await self._unowned(stored)
        else:
            await self._apply(stored.payment_id, stored)

    @activity.defn(name="deposit.book")
    async def book_deposit(self, row: EventRow) -> None:
        """Book money that came in: for the account it names, or into suspense with a case."""
        stored = await self._event(row)
        event = stored.event
        if stored.applied_at is not None:
            return
        if event.amount_minor is None or event.currency is None:
            await self._unowned(stored)
            return
        owner = await self._owner(event)
        amount = event.amount_minor
        legs = (
            postings.deposit(owner, event.partner, event.currency, amount_minor=amount)
            if owner
            else postings.deposit_unowned(event.partner, event.currency, amount_minor=amount)
        )
        case = None if owner else CaseOpened(kind="unowned_credit", detail=_credit_text(event))
        written = await self._books.write(_event_change(stored, "deposit", legs, case))
        if written.refusal:  # the account was closed in the meantime
            await self._unowned(stored)

    @activity.defn(name="return.book")
    async def book_return(self, row: EventRow) -> str | None:
        """Book money that came back; what is still open of the payment is settled first.

        Returns the payment whose run may still wait for a last word, if there is one.
        """
        stored = await self._event(row)
        if stored.applied_at is not None or stored.payment_id is None:
            await self._unowned(stored)
            return None
        payment = await self._conclusions.payment(stored.payment_id)
        arrived = stored.event.amount_minor
        if payment.state not in MAY_COME_BACK or arrived is None or _misfit(payment, stored.event):
            await self._unowned(stored)
            return None
        if payment.state is not _S.SETTLED:  # what comes back has been paid
            proof = replace(_evidence(stored), event_row=None)  # the return itself is still open
            word = Paid(partner_ref=stored.event.partner_ref or "")
            await self._conclusions.conclude(payment.id, word, proof)
        await self._return(payment, stored, arrived)
        return payment.id if payment.state is not _S.SETTLED else None

    async def _return(self, payment: Payment, stored: StoredEvent, arrived_minor: int) -> None:
        legs = postings.returned(
            wallet(payment),
            partner(payment),
            payment.currency,
            amount_minor=payment.amount_minor,
            kept_minor=payment.amount_minor - arrived_minor,
            hold_key=hold_key(payment.id),
        )
        change = _event_change(stored, "return", legs, None).model_copy(
            update={"moves": (Move(before=_S.SETTLED, after=_S.RETURNED),)}
        )
        written = await self._books.write(change)
        if written.stale or written.refusal:  # another return was faster: this is for a person
            await self._unowned(await self._event(EventRow(row_id=stored.row_id)))

    async def _apply(self, payment_id: str, stored: StoredEvent) -> Standing:
        """Take account of one event, if it fits what we asked for."""
        payment = await self._conclusions.payment(payment_id)
        event = stored.event
        word = _word(event)
        mismatch = _mismatch(payment, event)
        if mismatch is None and word is not None:
            return await self._conclusions.conclude(payment_id, word, _evidence(stored))
        if mismatch is not None:
            await self._conclusions.open_case(payment, "mismatch", mismatch, _evidence(stored))
        await self._books.set_event_aside(stored.row_id, mismatch or "says nothing new")
        return standing_of(payment)

    async def _unowned(self, stored: StoredEvent) -> None:
        """Give an event that fits nowhere to a person; its money waits in suspense.

        One that is taken account of already has only lost the answer of its first run.
        """
        if stored.applied_at is not None:
            return
        event = stored.event
        legs: tuple[Leg, ...] = ()
        if (
            event.kind in {EventKind.RETURNED, EventKind.CREDIT}
            and event.amount_minor is not None
            and event.currency is not None
        ):
            legs = postings.deposit_unowned(
                event.partner, event.currency, amount_minor=event.amount_minor
            )
        case = CaseOpened(kind=f"unowned_{event.kind}", detail=_credit_text(event))
        check_not_refused(await self._books.write(_event_change(stored, "suspense", legs, case)))

    async def _owner(self, event: PartnerEvent) -> WalletPath | None:
        """Return the account that a credit names, if we have it in that currency."""
        if event.reference is None or not event.reference.startswith("wallet/"):
            return None
        account = await self._books.account(event.reference)
        fits = account is not None and account.currency == event.currency and not account.closed
        return event.reference if fits else None

    async def _event(self, row: EventRow) -> StoredEvent:
        stored = await self._books.event(row.row_id)
        if stored is None:
            raise EventMissing(f"event {row.row_id}")
        return stored


def _evidence(stored: StoredEvent) -> Evidence:
    event = stored.event
    return Evidence(
        actor=f"partner:{event.partner}",
        id=f"event/{event.event_id}",
        event_row=stored.row_id,
        value_on=event.value_on,
    )


def _word(event: PartnerEvent) -> Accepted | Paid | Rejected | None:
    """Return what an event says about its payout, or None if it says nothing definite."""
    match event.kind:
        case EventKind.ACCEPTED:
            return Accepted(partner_ref=event.partner_ref or "")
        case EventKind.PAID:
            return Paid(partner_ref=event.partner_ref or "", value_on=event.value_on)
        case EventKind.FAILED:
            return Rejected(code=event.code or RejectionCode.OTHER, partner_ref=event.partner_ref)
        case EventKind.RETURNED | EventKind.CREDIT | EventKind.UNRECOGNISED:
            return None


def _mismatch(payment: Payment, event: PartnerEvent) -> str | None:
    """Return how an event's money differs from what we asked for, or None."""
    if event.partner != payment.partner:
        return f"{event.partner} tells of a payment through {payment.partner}"
    if event.amount_minor not in (None, payment.amount_minor):
        return "the event has another amount than the payment"
    if event.currency not in (None, payment.currency):
        return "the event has another currency than the payment"
    return None


def _misfit(payment: Payment, event: PartnerEvent) -> bool:
    """Tell whether a return cannot be this payment's: other partner, currency, or too much."""
    return (
        event.partner != payment.partner
        or event.currency != payment.currency
        or event.amount_minor is None
        or event.amount_minor > payment.amount_minor
    )


def _credit_text(event: PartnerEvent) -> str:
    return f"{event.kind} {event.partner_ref or event.event_id}: fits no payment or account of ours"


def _event_change(
    stored: StoredEvent, kind: str, legs: tuple[Leg, ...], case: CaseOpened | None
) -> Change:
    """Return the change that books an event by itself, keyed by the event."""
    event = stored.event
    owner = stored.payment_id or f"{kind}/{event.partner}"
    return Change(
        key=f"{owner}/{kind}/{event.event_id}"
        if stored.payment_id
        else f"{owner}/{event.event_id}",
        kind=kind,
        actor=f"partner:{event.partner}",
        payment_id=stored.payment_id,
        legs=legs,
        effective_on=event.value_on or today(),
        evidence_id=f"event/{event.event_id}",
        applies_events=(stored.row_id,),
        case=case,
    )
