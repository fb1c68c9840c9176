"""What each step of a payout does to the accounts, read from what is stored of the payment."""

from __future__ import annotations

from ledger import postings
from ledger.books import Payment
from ledger.changes import Leg


class PaymentMissing(RuntimeError):
    """A step was asked for a payment that the register does not have: a bug, so it waits."""


def hold_key(payment_id: str) -> str:
    """Return the key of the change that holds a payment's money."""
    return f"{payment_id}/hold"


def wallet(payment: Payment) -> str:
    """Return the account that pays."""
    request = payment.request
    return str(request["account"] if "account" in request else request["source"])


def partner(payment: Payment) -> str:
    """Return the partner of a payout."""
    if payment.partner is None:
        raise PaymentMissing(f"{payment.id} has no partner")
    return payment.partner


def captured(payment: Payment) -> tuple[Leg, ...]:
    """Take the held money into transit, and the fee."""
    return postings.capture(
        hold_key(payment.id),
        wallet(payment),
        partner(payment),
        payment.currency,
        amount_minor=payment.amount_minor,
        fee_minor=payment.fee_minor,
    )


def booked_out(payment: Payment) -> tuple[Leg, ...]:
    """Take what the partner has paid out of transit."""
    return postings.settle(partner(payment), payment.currency, amount_minor=payment.amount_minor)


def gone(payment: Payment) -> tuple[Leg, ...]:
    """Book what has left although it had no reason to, against suspense."""
    return postings.paid_after_failed(
        partner(payment), payment.currency, amount_minor=payment.amount_minor
    )


def released(payment: Payment) -> tuple[Leg, ...]:
    """Give the held money back, of which nothing was captured."""
    return postings.void(
        hold_key(payment.id),
        wallet(payment),
        payment.currency,
        amount_minor=payment.amount_minor,
        fee_minor=payment.fee_minor,
    )


def uncaptured(payment: Payment) -> tuple[Leg, ...]:
    """Give captured money back, and its fee."""
    return postings.uncapture(
        wallet(payment),
        partner(payment),
        payment.currency,
        amount_minor=payment.amount_minor,
        fee_minor=payment.fee_minor,
        hold_key=hold_key(payment.id),
    )
