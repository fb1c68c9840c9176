"""Content: what was asked for, what was registered, and what a bank was sent, are one thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from checker.facts import Facts, payment_of
from checker.findings import Finding
from checker.rows import BankBook, BankPayout, Payment

ALIVE = frozenset({"pending", "paid", "returned"})
"""What a bank's payout may be, in truth, if money has left or still may."""


def as_approved(facts: Facts) -> Iterator[Finding]:
    """INV-11: what was asked for, what was registered and what the bank was sent are the same."""
    for payment in facts.payments:
        if content_hash(payment.request) != payment.content_hash:
            yield Finding(payment.id, "its request is not the one that was hashed")
        amount = payment.request.get("amount") or {}
        asked = (amount.get("amount_minor"), amount.get("currency"), _source(payment))
        if asked != (payment.amount_minor, payment.currency, payment.account):
            yield Finding(payment.id, f"registered otherwise than asked: {asked}")
    for book in facts.banks or ():
        for payout in book.payouts:
            sent_for = facts.payment.get(payment_of(payout.reference) or "")
            if sent_for is not None and _other_content(book, payout, sent_for):
                yield Finding(payout.reference, f"{book.partner} has other content than was asked")


def wrong_amounts(facts: Facts) -> Iterator[Finding]:
    """Money that left in another amount or currency, or to another payee, than was asked."""
    for payment_id, payouts in facts.bank_payouts_of.items():
        payment = facts.payment.get(payment_id)
        for book, payout in payouts if payment else ():
            if payment and payout.truth in ALIVE and _other_content(book, payout, payment):
                yield Finding(payout.reference, f"{book.partner} pays otherwise than asked")
    for payment_id, lines in facts.debits_of.items():
        payment = facts.payment.get(payment_id)
        for book, line in lines if payment else ():
            asked = (-payment.amount_minor, payment.currency) if payment else ()
            if (line.amount_minor, line.currency) != asked:
                yield Finding(line.reference, f"{book.partner} debited {line.amount_minor}")


def _other_content(book: BankBook, payout: BankPayout, payment: Payment) -> bool:
    payee = payment.request.get("beneficiary") or {}
    told = [payout.payee.get(name) for name in ("kind", "name", "account")]
    asked = [payee.get("kind"), payee.get("name"), _masked(payee_account(payee) or "")]
    told += [payout.amount_minor, payout.currency]
    asked += [payment.amount_minor, payment.currency]
    kept = book.body_hashes.get(payout.reference)
    return told != asked or (kept is not None and kept != _order_hash(payment, payout.reference))


def payee_account(payee: Mapping[str, Any]) -> str | None:
    """Return the number that says where money goes."""
    if payee.get("kind") == "us_account":
        return f"{payee.get('routing_number')}/{payee.get('account_number')}"
    found = payee.get("iban") or payee.get("msisdn") or payee.get("account_number")
    return str(found) if found else None


def _masked(account: str) -> str:
    return account if len(account) <= 8 else f"{account[:4]}…{account[-4:]}"


def content_hash(request: Mapping[str, Any]) -> str:
    """Return the hash of a whole request: SHA-256 of its canonical JSON, absent fields left out."""
    return sha256(_canonical(_present(request)).encode())


def wire_body(payment: Payment, reference: str) -> bytes:
    """Return the body that the simulated bank's published API takes for a payment.

    Source: partners/simulator/bank/README.md.
    """
    order = {
        "reference": reference,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "beneficiary": _present(payment.request.get("beneficiary") or {}),
        "remittance": payment.request.get("reference"),
    }
    return _canonical(order).encode()


_PAYEE_FIELDS = ("kind", "name", "iban", "bic", "routing_number", "account_number", "msisdn")


def _order_hash(payment: Payment, reference: str) -> str:
    """Return the hash that the simulated bank keeps of an order: all fields, absent ones null."""
    order = json.loads(wire_body(payment, reference))
    order["beneficiary"] = {name: order["beneficiary"].get(name) for name in _PAYEE_FIELDS}
    return sha256(json.dumps(order, sort_keys=True, separators=(",", ":")).encode())


def _source(payment: Payment) -> object:
    return payment.request.get("account") or payment.request.get("source")


def _present(value: Any) -> Any:
    """Return a JSON value without the fields that are absent."""
    if isinstance(value, Mapping):
        return {name: _present(one) for name, one in value.items() if one is not None}
    return [_present(one) for one in value] if isinstance(value, list) else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(content: bytes) -> str:
    """Return a digest, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
