"""Postings: the legs of every step in a payment's life; pure, and balanced by construction.

Amounts are minor units. A principal has to be above 0; a fee, a cost and what a partner keeps may
be 0, and then have no leg. Anything else is a ValueError, since the books would refuse it later.
"""

from __future__ import annotations

from ledger import accounts
from ledger.changes import Leg

Legs = tuple[Leg, ...]


def hold(account: str, currency: str, *, amount_minor: int, fee_minor: int = 0) -> Legs:
    """Hold principal and fee on an account; nothing moves."""
    total = _total(amount_minor, fee_minor)
    return (Leg(account=account, currency=currency, held=total),)


def capture(
    hold_key: str,
    account: str,
    partner: str,
    currency: str,
    *,
    amount_minor: int,
    fee_minor: int = 0,
) -> Legs:
    """Take held money: the principal is in transit at the partner, the fee is ours.

    Less than was held captures that part; the rest stays held.
    """
    total = _total(amount_minor, fee_minor)
    return (
        Leg(account=account, currency=currency, delta=-total, held=-total, hold=hold_key),
        *_credit(accounts.transit_out(partner, currency), currency, amount_minor),
        *_credit(accounts.fees(accounts.PAYOUT, currency), currency, fee_minor),
    )


def void(
    hold_key: str, account: str, currency: str, *, amount_minor: int, fee_minor: int = 0
) -> Legs:
    """Release held money, or a part of it: its owner may use it again."""
    total = _total(amount_minor, fee_minor)
    return (Leg(account=account, currency=currency, held=-total, hold=hold_key, releases=True),)


def settle(partner: str, currency: str, *, amount_minor: int, cost_minor: int = 0) -> Legs:
    """Book what the partner has booked: transit is over, and our money there is less.

    Args:
        partner: The partner that has booked.
        currency: The currency of the payment.
        amount_minor: What the beneficiary gets.
        cost_minor: What the partner has taken from our account for it, on top.
    """
    total = _total(amount_minor, cost_minor)
    return (
        *_debit(accounts.transit_out(partner, currency), currency, amount_minor),
        *_debit(accounts.cost(partner, currency), currency, cost_minor),
        *_credit(accounts.nostro(partner, currency), currency, total),
    )


def uncapture(
    account: str,
    partner: str,
    currency: str,
    *,
    amount_minor: int,
    fee_minor: int = 0,
    hold_key: str | None = None,
) -> Legs:
    """Give principal and fee back out of transit: the partner will not pay after all.

    With `hold_key` the books refuse to bring back more than was captured from that hold.
    """
    total = _total(amount_minor, fee_minor)
    return (
        *_debit(accounts.transit_out(partner, currency), currency, amount_minor),
        *_debit(accounts.fees(accounts.PAYOUT, currency), currency, fee_minor),
        Leg(account=account, currency=currency, delta=total, hold=hold_key),
    )


def returned(
    account: str,
    partner: str,
    currency: str,
    *,
    amount_minor: int,
    kept_minor: int = 0,
    hold_key: str | None = None,
) -> Legs:
    """Book money that came back after it was settled; what the partner kept is our cost.

    With `hold_key` the books refuse to bring back more than was captured from that hold.
    """
    arrived = _arrived(amount_minor, kept_minor)
    return (
        *_debit(accounts.nostro(partner, currency), currency, arrived),
        *_debit(accounts.cost(partner, currency), currency, kept_minor),
        Leg(account=account, currency=currency, delta=amount_minor, hold=hold_key),
    )


def return_told(
    account: str,
    partner: str,
    currency: str,
    *,
    amount_minor: int,
    hold_key: str | None = None,
) -> Legs:
    """Give the money back on the partner's word; it owes us the money until it arrives.

    With `hold_key` the books refuse to bring back more than was captured from that hold.
    """
    _total(amount_minor)
    return (
        *_debit(accounts.returns_due(partner, currency), currency, amount_minor),
        Leg(account=account, currency=currency, delta=amount_minor, hold=hold_key),
    )


def return_money(partner: str, currency: str, *, amount_minor: int, kept_minor: int = 0) -> Legs:
    """Book the arrival of a return that was told before; what the partner kept is our cost."""
    arrived = _arrived(amount_minor, kept_minor)
    return (
        *_debit(accounts.nostro(partner, currency), currency, arrived),
        *_debit(accounts.cost(partner, currency), currency, kept_minor),
        *_credit(accounts.returns_due(partner, currency), currency, amount_minor),
    )


def fee(account: str, product: str, currency: str, *, amount_minor: int) -> Legs:
    """Take a fee from an account by itself, apart from any payment's capture."""
    _total(amount_minor)
    return (
        *_debit(account, currency, amount_minor),
        *_credit(accounts.fees(product, currency), currency, amount_minor),
    )


def transfer(
    source: str, destination: str, currency: str, *, amount_minor: int, fee_minor: int = 0
) -> Legs:
    """Move money between two accounts of ours; the source pays the fee."""
    if source == destination:
        raise ValueError(f"{source} cannot be both source and destination of a transfer")
    total = _total(amount_minor, fee_minor)
    return (
        *_debit(source, currency, total),
        *_credit(destination, currency, amount_minor),
        *_credit(accounts.fees(accounts.TRANSFER, currency), currency, fee_minor),
    )


def deposit(account: str, partner: str, currency: str, *, amount_minor: int) -> Legs:
    """Book money that came in at a partner for an account of ours."""
    _total(amount_minor)
    return (
        *_debit(accounts.nostro(partner, currency), currency, amount_minor),
        *_credit(account, currency, amount_minor),
    )


def deposit_unowned(partner: str, currency: str, *, amount_minor: int) -> Legs:
    """Book money that came in without an owner we know: it waits in suspense."""
    return deposit(
        accounts.suspense_in(partner, currency), partner, currency, amount_minor=amount_minor
    )


def assign(account: str, partner: str, currency: str, *, amount_minor: int) -> Legs:
    """Give money out of suspense to the owner a person has found."""
    _total(amount_minor)
    return (
        *_debit(accounts.suspense_in(partner, currency), currency, amount_minor),
        *_credit(account, currency, amount_minor),
    )


def paid_after_failed(partner: str, currency: str, *, amount_minor: int) -> Legs:
    """Book a payment that the partner made although the customer has the money back.

    It stays in suspense, with a case, until a person decides who bears it.
    """
    _total(amount_minor)
    return (
        *_debit(accounts.suspense_out(partner, currency), currency, amount_minor),
        *_credit(accounts.nostro(partner, currency), currency, amount_minor),
    )


def out_of_suspense(suspense: str, target: str, currency: str, *, delta: int) -> Legs:
    """Give what a case has put into suspense to the account that people have found for it.

    Args:
        suspense: The account it waits on.
        target: A customer's account, or for money that is gone an account of losses.
        currency: Of all three.
        delta: What was put there, signed: a credit without an owner positive, money gone negative.
    """
    if delta == 0:
        raise ValueError("there is nothing in suspense to take out")
    return (*_credit(suspense, currency, -delta), *_credit(target, currency, delta))


def _total(amount_minor: int, extra_minor: int = 0) -> int:
    """Return principal and extra together, after both have been found sound."""
    if amount_minor <= 0:
        raise ValueError(f"an amount has to be above 0 minor units, not {amount_minor}")
    if extra_minor < 0:
        raise ValueError(f"a fee or cost cannot be below 0 minor units, as {extra_minor} is")
    return amount_minor + extra_minor


def _arrived(amount_minor: int, kept_minor: int) -> int:
    """Return what is left of a returned amount after the partner kept a part."""
    _total(amount_minor, kept_minor)
    if kept_minor > amount_minor:
        raise ValueError(f"a partner cannot keep {kept_minor} of {amount_minor} minor units")
    return amount_minor - kept_minor


def _debit(account: str, currency: str, amount_minor: int) -> Legs:
    return _credit(account, currency, -amount_minor)


def _credit(account: str, currency: str, amount_minor: int) -> Legs:
    """Return one leg, or none: the books take no entry that moves nothing."""
    if amount_minor == 0:
        return ()
    return (Leg(account=account, currency=currency, delta=amount_minor),)
