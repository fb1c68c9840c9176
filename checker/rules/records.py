"""Records: events taken once and in, audit in one commit, tenants apart, secrets in their place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Event, Payment
from checker.rules.content import payee_account
from checker.rules.proofs import is_about

PAID_STATES = frozenset({"settled", "returned"})

OF_A_DEBIT = frozenset({"contradiction", "mismatch", "paid_twice", "phantom_debit"})
"""Kinds of cases that call people to a partner's "paid" which moves no payment."""

_WORD = re.compile(r"[0-9A-Z+/]{8,}")
_XID_BITS = (1 << 32) - 1


def events_once(facts: Facts) -> Iterator[Finding]:
    """INV-21: each event is stored once and taken account of, and a bank's "paid" is booked.

    One that is set aside waits for a person, whom a case of its own has called.
    """
    for (partner, event_id), count in Counter(
        (e.partner, e.event_id) for e in facts.events
    ).items():
        if count > 1:
            yield Finding(f"{partner}/{event_id}", f"is stored {count} times")
    yield from _stored_again(facts)
    for event in facts.events:
        if event.applied_at is None and not _may_wait(facts, event):
            yield Finding(f"{event.partner}/{event.event_id}", f"{event.kind} was never applied")
    for payment in facts.payments:
        if payment.state not in PAID_STATES and _is_told_paid(facts, payment):
            yield Finding(payment.id, f"an event says paid, and it is {payment.state}")
    guards = facts.guards
    if guards is not None and ("partner_events", "partner", "event_id") not in guards.unique:
        yield Finding("partner_events", "no unique index on partner and event id")


def _may_wait(facts: Facts, event: Event) -> bool:
    """Tell whether an event that was not applied is young, or a person was called to it."""
    if event.set_aside_at is None:
        return event.received_at > facts.settled_before
    opened_by = facts.transaction_at.get(f"event/{event.id}/set_aside/{event.redrives}")
    called = facts.cases_by.get(opened_by.id, ()) if opened_by else ()
    return any(case.kind == "event_set_aside" for case in called)


def _stored_again(facts: Facts) -> Iterator[Finding]:
    """Find what one message of a partner says once, and we have twice: its repeats are no news."""
    said = Counter(
        (e.partner, e.message_id, e.kind, e.reference, e.line_ref)
        for e in facts.events
        if e.message_id is not None
    )
    for (partner, message_id, *_), count in said.items():
        if count > 1:
            yield Finding(f"{partner}/{message_id}", f"one message is stored {count} times")


def _is_told_paid(facts: Facts, payment: Payment) -> bool:
    """Tell whether an applied event says paid, and fits, and nothing at all was done about it."""
    return any(
        event.kind == "paid"
        and event.applied_at is not None
        and is_about(event, payment)
        and not _has_called(facts, event, payment)
        for event in facts.events_of.get(payment.id, ())
    )


def _has_called(facts: Facts, event: Event, payment: Payment) -> bool:
    """Tell whether people were called to this "paid": by it, or to its money in suspense."""
    for case in facts.cases_of.get(payment.id, ()):
        opened_by = facts.transaction.get(case.transaction_id)
        if case.kind not in OF_A_DEBIT or opened_by is None:
            continue
        proof = facts.evidence_of(opened_by)
        if opened_by.kind == "paid_after_failed" or (proof and proof.movement == event.movement):
            return True
    return False


def outbox_tells_all(facts: Facts) -> Iterator[Finding]:
    """INV-22: each move of a payment is told once, and none is left out; none is published yet."""
    if facts.outbox is None:
        return
    waiting: dict[str, list[int]] = {}
    for row in facts.outbox:
        waiting.setdefault(row.payment_id, []).append(row.seq)
        life = facts.life_of.get(row.payment_id, [])
        move = life[row.seq - 1] if 0 < row.seq <= len(life) else None
        if move is None or (move.before, move.after) != (row.before, row.after):
            yield Finding(row.event_id, "tells of no such move")
        if row.event_id != f"{row.payment_id}/{row.seq}":
            yield Finding(row.event_id, "has not the id of its move")
    for payment_id, life in facts.life_of.items():
        told = sorted(waiting.get(payment_id, []))
        if told != [move.seq for move in life]:
            yield Finding(payment_id, f"tells of {told}, its moves end at {len(life)}")


def audited(facts: Facts) -> Iterator[Finding]:
    """INV-24: each move, posting and case is of one database transaction that says who and why."""
    for move in facts.transitions:
        audit = facts.transaction.get(move.transaction_id)
        if audit is None or audit.payment_id != move.payment_id:
            yield Finding(f"{move.payment_id}/{move.seq}", "has no record of its own")
        elif (move.at, move.actor) != (audit.booked_at, audit.actor):
            yield Finding(f"{move.payment_id}/{move.seq}", "its record tells another time or actor")
        elif move.xid != audit.xid & _XID_BITS:
            yield Finding(f"{move.payment_id}/{move.seq}", "was written in another commit")
    for transaction in facts.transactions:
        if not transaction.actor.strip():
            yield Finding(transaction.key, "names no actor")
    yield from _audited_cases(facts)


def _audited_cases(facts: Facts) -> Iterator[Finding]:
    for case in facts.cases:
        if case.transaction_id not in facts.transaction:
            yield Finding(case.payment_id or case.kind, "its case has no record")
        if case.closed_at is not None and not (case.closed_by and case.resolution):
            yield Finding(case.payment_id or case.kind, "was closed without a name or a reason")


def tenants_apart(facts: Facts) -> Iterator[Finding]:
    """INV-29: a payment touches accounts of its own tenant only, and its events say whose it is."""
    paths = {account.path: account.tenant for account in facts.accounts}
    for payment in facts.payments:
        ends = (payment.account, payment.request.get("destination"))
        strangers = [e for e in ends if e in paths and paths[e] != payment.tenant]
        if strangers and payment.state != "refused":
            yield Finding(payment.id, f"of {payment.tenant} touches {', '.join(strangers)}")
    for transaction in facts.transactions:
        owner = facts.payment.get(transaction.payment_id or "")
        for entry in facts.entries_of.get(transaction.id, ()) if owner else ():
            account = facts.account.get(entry.account_id)
            if account and owner and account.tenant not in (None, owner.tenant):
                yield Finding(transaction.key, f"of {owner.tenant} moves {account.path}")
    for row in facts.outbox or ():
        told_of = facts.payment.get(row.payment_id)
        if told_of is not None and row.tenant != told_of.tenant:
            yield Finding(row.event_id, f"is told to {row.tenant}")


def secrets_in_place(facts: Facts) -> Iterator[Finding]:
    """INV-30: no payee's account number stands anywhere but in its request."""
    numbers = {
        number
        for payment in facts.payments
        if (number := payee_account(payment.request.get("beneficiary") or {}))
    }
    numbers |= {part for number in numbers for part in number.split("/") if len(part) >= 8}
    for where, text in _texts(facts):
        if text and any(word in numbers for word in _WORD.findall(text)):
            yield Finding(where, "an account number in clear")


def _texts(facts: Facts) -> Iterator[tuple[str, str | None]]:
    """Return every free text that the books and Temporal's ids keep, with its place."""
    yield from ((row.key, row.reason) for row in facts.transactions)
    yield from ((f"{move.payment_id}/{move.seq}", move.reason) for move in facts.transitions)
    yield from ((word.attempt_key, word.evidence) for word in facts.words)
    yield from ((f"{e.partner}/{e.event_id}", f"{e.detail} {e.verdict}") for e in facts.events)
    yield from ((note.key, note.detail) for note in facts.notes)
    yield from ((c.payment_id or c.kind, f"{c.detail} {c.resolution}") for c in facts.cases)
    yield from ((approval.payment_id, approval.reason) for approval in facts.approvals)
    yield from ((one, one) for one in (facts.runs.workflow_ids if facts.runs else ()))
