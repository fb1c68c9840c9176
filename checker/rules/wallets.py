"""Wallets: what customers have is what their payments, deposits and people's decisions come to.

Predicted from what was asked, from where each payment stands, and from what banks and people have
said; compared with the entries for each wallet, and for what has moved it. What is charged is
predicted too: money that a wallet lacks is often there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Event, Payment, Transaction
from checker.rules import journal, suspense, terms
from checker.rules.holds import HOLDING
from checker.rules.proofs import is_about

JUDGED = ("wallet/", "fees/")

_TAKEN = frozenset({"submitted", "settled", "returned"})
"""States of a payout whose money and fee have been taken from the wallet."""


class Sum(NamedTuple):
    """What one payment, deposit or case does to one account."""

    subject: str
    path: str
    sort: str
    """posted or held."""


Sums = Counter[Sum]


def balances(facts: Facts) -> Iterator[Finding]:
    """INV-02: balances are the sums of their entries, and those of wallets what was asked for."""
    yield from journal.balances(facts)
    yield from as_asked(facts)


def as_asked(facts: Facts) -> Iterator[Finding]:
    """Compare each wallet with what each payment, deposit and decision calls for."""
    wanted, found = _wanted(facts), _found(facts)
    for one in sorted(wanted.keys() | found.keys()):
        if wanted[one] != found[one]:
            detail = f"{one.path} has {found[one]} {one.sort} by it, and not {wanted[one]}"
            yield Finding(one.subject, detail)


def _found(facts: Facts) -> Sums:
    found: Sums = Counter()
    for account in facts.accounts:
        for entry in facts.entries_on.get(account.id, ()) if _is_judged(account.path) else ():
            transaction = facts.transaction.get(entry.transaction_id)
            subject = _subject(facts, transaction) if transaction else "nothing booked"
            found[Sum(subject, account.path, "posted")] += entry.delta
            found[Sum(subject, account.path, "held")] += entry.held
    return found


def _subject(facts: Facts, transaction: Transaction) -> str:
    """Return what a transaction is about: a case, a payment, or a movement at a bank."""
    case = suspense.case_of(facts, transaction)
    if case is not None:
        return f"case/{case.id}"
    event = facts.evidence_of(transaction)
    if transaction.payment_id is None and event is not None:
        return event.movement
    return transaction.payment_id or transaction.key


def _wanted(facts: Facts) -> Sums:
    wanted: Sums = Counter()
    for payment in facts.payments:
        parts = (
            _of_payout(facts, payment) if payment.kind == "payout" else _of_transfer(facts, payment)
        )
        for path, sort, amount in parts:
            wanted[Sum(payment.id, path, sort)] += amount
    for event in _told_once(facts.events, "credit"):
        if _names_a_wallet(facts, event) and not _is_in_suspense(facts, event):
            wanted[Sum(event.movement, event.reference or "", "posted")] += event.amount_minor or 0
    for subject, path, amount in _of_cases(facts):
        wanted[Sum(subject, path, "posted")] += amount
    return wanted


Part = tuple[str, str, int]


def _of_payout(facts: Facts, payment: Payment) -> Iterator[Part]:
    fee = terms.fee_of(facts, payment)
    if payment.state in HOLDING:
        yield payment.account, "held", payment.amount_minor + fee
    if payment.state in _TAKEN:
        yield payment.account, "posted", _came_back(facts, payment) - payment.amount_minor - fee
        yield f"fees/payout/{payment.currency}", "posted", fee


def _of_transfer(facts: Facts, payment: Payment) -> Iterator[Part]:
    fee = terms.fee_of(facts, payment)
    if payment.state == "settled":
        yield payment.account, "posted", -payment.amount_minor - fee
        yield str(payment.request.get("destination")), "posted", payment.amount_minor
        yield f"fees/transfer/{payment.currency}", "posted", fee


def _came_back(facts: Facts, payment: Payment) -> int:
    """Return how much of a payout is its customer's again; the fee of ours is not."""
    if payment.state == "returned":
        return payment.amount_minor
    events = [e for e in facts.events_of.get(payment.id, ()) if is_about(e, payment)]
    return sum(
        event.amount_minor + (event.fee_minor or 0)
        for event in _told_once(events, "returned")
        if event.amount_minor and not _is_in_suspense(facts, event)
    )


def _told_once(events: Iterable[Event], kind: str) -> list[Event]:
    """Return applied events of a kind, for each movement the one that was stored first."""
    told: dict[str, Event] = {}
    for event in sorted(events, key=lambda event: event.id):
        if event.kind == kind and event.applied_at is not None:
            told.setdefault(event.movement, event)
    return list(told.values())


def _names_a_wallet(facts: Facts, event: Event) -> bool:
    wallet = facts.account_at.get(event.reference or "")
    if wallet is None or not wallet.path.startswith("wallet/"):
        return False
    return wallet.currency == event.currency


def _is_in_suspense(facts: Facts, event: Event) -> bool:
    """Tell whether money that came in waits for people who were called to it."""
    for transaction in facts.moved_by.get(event.movement, ()):
        for case in facts.cases_by.get(transaction.id, ()):
            if event.amount_minor in suspense.put_by(facts, case).values():
                return True
    return False


def _of_cases(facts: Facts) -> Iterator[Part]:
    """Return what cases give to wallets, each once: what they put in suspense, where two say."""
    given = set[int]()
    for transaction in facts.transactions:
        case = suspense.case_of(facts, transaction)
        if case is None or transaction.outcome != "booked" or case.id in given:
            continue
        given.add(case.id)
        agreed = suspense.decided(facts, case, transaction.booked_at)
        for path in agreed & suspense.targets(facts, transaction):
            if _is_judged(path):
                yield f"case/{case.id}", path, sum(suspense.put_by(facts, case).values())


def _is_judged(path: str) -> bool:
    return path.startswith(JUDGED)
