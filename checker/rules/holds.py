"""Holds and returns: set-aside money is given once, and no more comes back than went out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from checker.facts import FINAL, Facts
from checker.findings import Finding
from checker.rows import Entry, Hold, Payment, Transaction

HOLDING = frozenset({"reserved", "submitting", "outcome_unknown", "in_review"})
"""States of a payout in which its money is set aside, and nowhere else."""


def closed_once(facts: Facts) -> Iterator[Finding]:
    """INV-15: a hold ends when its payment does, once; what is open is what accounts say.

    And after each move of a payout as much was held, or in transit, as its state then asks for.
    """
    yield from _at_each_move(facts)
    open_on: dict[int, int] = defaultdict(int)
    for hold in facts.holds:
        left = _open(hold)
        open_on[hold.account_id] += left
        payment = _payment(facts, hold)
        if min(hold.captured, hold.released, hold.returned, left) < 0:
            yield Finding(_where(facts, hold), "gave more than it had")
        elif hold.returned > hold.captured:
            yield Finding(_where(facts, hold), "took back more than it gave")
        elif payment is not None and payment.state in FINAL and left:
            yield Finding(_where(facts, hold), f"{left} still held, payment is {payment.state}")
    for account in facts.accounts:
        if account.held != open_on.get(account.id, 0):
            yield Finding(account.path, f"{account.held} held, {open_on[account.id]} open in holds")


def _at_each_move(facts: Facts) -> Iterator[Finding]:
    """Follow each payout through its changes: what is set aside stays so until it is used."""
    transit = _transit(facts)
    changes: dict[str, list[Transaction]] = defaultdict(list)
    for transaction in facts.transactions:
        changes[transaction.payment_id or ""].append(transaction)
    for payment in facts.payments:
        if payment.kind != "payout":
            continue
        after = {move.transaction_id: move.after for move in facts.life_of.get(payment.id, ())}
        held = moving = 0
        for transaction in sorted(changes[payment.id]):
            entries = facts.entries_of.get(transaction.id, [])
            held += sum(entry.held for entry in entries)
            moving += sum(entry.delta for entry in entries if entry.account_id in transit)
            state = after.get(transaction.id)
            if state is not None and (held, moving) != _set_aside(payment, state):
                text = f"{held} held and {moving} in transit when it came to be {state}"
                yield Finding(payment.id, text)


def _set_aside(payment: Payment, state: str) -> tuple[int, int]:
    """Return how much is held, and how much is between a partner's yes and its debit."""
    wanted = payment.amount_minor + payment.fee_minor if state in HOLDING else 0
    return wanted, payment.amount_minor if state == "submitted" else 0


def orphans(facts: Facts) -> Iterator[Finding]:
    """Money that is held or in transit for no payment that should, or should be and is not."""
    held: dict[str, int] = defaultdict(int)
    for hold in facts.holds:
        payment = _payment(facts, hold)
        if _open(hold) and (payment is None or payment.state not in HOLDING):
            yield Finding(_where(facts, hold), f"{_open(hold)} held for nothing")
        elif payment is not None:
            held[payment.id] += _open(hold)
    for payment in facts.payments:
        wanted, _ = _set_aside(payment, payment.state)
        if payment.kind == "payout" and wanted and held[payment.id] != wanted:
            yield Finding(payment.id, f"{held[payment.id]} of {wanted} held in {payment.state}")
    yield from _in_transit(facts)


def _in_transit(facts: Facts) -> Iterator[Finding]:
    """Compare what is between a partner's yes and its debit with the payments that are there."""
    transit = _transit(facts)
    found: dict[str, int] = defaultdict(int)
    for entry in facts.entries:
        if entry.account_id in transit:
            made = facts.transaction.get(entry.transaction_id)
            found[(made.payment_id if made else None) or "nobody"] += entry.delta
    for payment in facts.payments:
        _, wanted = _set_aside(payment, payment.state)
        if (there := found.pop(payment.id, 0)) != wanted:
            yield Finding(payment.id, f"{there} in transit and not {wanted} in {payment.state}")
    yield from (Finding(of, f"{there} in transit") for of, there in found.items() if there)


def came_back(facts: Facts) -> Iterator[Finding]:
    """INV-16: returns are of a settled payout, name it, and sum to no more than was settled."""
    total: dict[str, int] = defaultdict(int)
    for transaction in facts.transactions:
        payment = facts.payment.get(transaction.payment_id or "")
        if transaction.kind != "return" or payment is None:
            continue
        entries = facts.entries_of.get(transaction.id, [])
        back = [e for e in entries if _path(facts, e) == payment.account]
        total[payment.id] += sum(entry.delta for entry in back)
        if any(entry.hold_id is None for entry in back):
            yield Finding(payment.id, "its return names no original")
    for payment_id, amount in total.items():
        if amount > facts.payment[payment_id].amount_minor:
            yield Finding(payment_id, f"{amount} came back, more than was settled")
    for move in facts.transitions:
        if move.after == "returned" and (move.before != "settled" or total[move.payment_id] <= 0):
            yield Finding(move.payment_id, "is returned without a return of money")


def _transit(facts: Facts) -> frozenset[int]:
    return frozenset(a.id for a in facts.accounts if a.path.startswith("transit/out/"))


def _path(facts: Facts, entry: Entry) -> str | None:
    account = facts.account.get(entry.account_id)
    return account.path if account else None


def _open(hold: Hold) -> int:
    return hold.amount - hold.captured - hold.released


def _payment(facts: Facts, hold: Hold) -> Payment | None:
    made = facts.transaction.get(hold.transaction_id)
    return facts.payment.get(made.payment_id or "") if made else None


def _where(facts: Facts, hold: Hold) -> str:
    made = facts.transaction.get(hold.transaction_id)
    return made.key if made else f"hold {hold.transaction_id}"
