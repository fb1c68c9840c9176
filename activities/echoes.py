"""Echoes: whether what a partner tells of a payment is what we asked for, field by field."""

from __future__ import annotations

from dataclasses import dataclass

from activities.calls import attempt_of
from activities.conclusions import HELD
from bursar.beneficiaries import masked
from bursar.ids import attempt_key
from bursar.payments import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger.books import Payment, StoredEvent


@dataclass(frozen=True)
class Mismatch:
    """How an authentic word differs from what we asked for; it moves nothing."""

    text: str
    other_payment: str | None = None
    """Another payment of ours that the word may be about: a person has to see both."""
    unknown_reference: bool = False
    """Whether it names an attempt that we never made."""


def mismatch_of(payment: Payment, stored: StoredEvent) -> Mismatch | None:
    """Return how an event differs from its payment, or None where all that it echoes fits.

    Args:
        payment: Read after the event, so that it has the attempt that the event is about.
        stored: The event.
    """
    event, owner = stored.event, stored.named_payment
    known = {row.key for row in payment.attempts} or {attempt_key(payment.id, 1)}
    if event.reference is not None and event.reference not in known:
        return Mismatch("the event names an attempt that we never made", unknown_reference=True)
    if text := _difference(payment, event):
        return Mismatch(text)
    if not event.partner_ref:
        return None
    if owner not in (None, payment.id):
        return Mismatch(f"the event carries the partner's name of {owner}", owner)
    if _names_another(payment, event):
        return Mismatch("the event is of another payout than the partner has accepted")
    return None


def _difference(payment: Payment, event: PartnerEvent) -> str | None:
    """Return which field is echoed otherwise than asked, or None; never the values."""
    if event.partner != payment.partner:
        return f"{event.partner} tells of a payment through {payment.partner}"
    amount = event.amount_minor
    if event.kind is EventKind.RETURNED:  # there the amount is what has arrived
        amount = event.payment_amount_minor
    if amount not in (None, payment.amount_minor):
        return "the event has another amount than the payment"
    if event.currency not in (None, payment.currency):
        return "the event has another currency than the payment"
    if event.payee_account not in (None, _payee(payment) if event.payee_account else None):
        return "the event has another beneficiary than the payment"
    return None


def _payee(payment: Payment) -> str:
    return masked(attempt_of(payment, ordinal=1).beneficiary.account())


def _names_another(payment: Payment, event: PartnerEvent) -> bool:
    """Tell whether an event is about something else than was accepted, as long as that is open.

    A no to it would give money back, and a yes to it is a second payout. Of money that has left,
    its line says whose it is.
    """
    open_states = HELD | {PaymentState.SUBMITTED}
    attempts = payment.attempts
    of_the_payout = event.kind in {EventKind.FAILED, EventKind.ACCEPTED}
    if not of_the_payout or payment.state not in open_states or not attempts:
        return False
    return attempts[-1].partner_ref not in (None, "", event.partner_ref)
