"""Lives: the moves of each payment, and that nothing waits in silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from checker.facts import FINAL, Facts, length, moment
from checker.findings import Finding
from checker.rows import Payment
from checker.rules import pauses

NEXT: dict[str, dict[str | None, frozenset[str]]] = {
    "payout": {
        None: frozenset({"received"}),
        "received": frozenset(
            {"awaiting_approval", "scheduled", "reserved", "refused", "cancelled"}
        ),
        "awaiting_approval": frozenset(
            {"scheduled", "reserved", "refused", "denied", "expired", "cancelled"}
        ),
        "scheduled": frozenset({"reserved", "refused", "cancelled"}),
        "reserved": frozenset({"submitting", "cancelled"}),
        "submitting": frozenset({"submitted", "outcome_unknown", "failed"}),
        "outcome_unknown": frozenset({"submitting", "submitted", "failed", "in_review"}),
        "in_review": frozenset({"submitted", "failed"}),
        "submitted": frozenset({"settled", "failed", "cancelled"}),
        "settled": frozenset({"returned"}),
    },
    "transfer": {
        None: frozenset({"received"}),
        "received": frozenset(
            {"awaiting_approval", "scheduled", "settled", "refused", "cancelled"}
        ),
        "awaiting_approval": frozenset(
            {"scheduled", "settled", "refused", "denied", "expired", "cancelled"}
        ),
        "scheduled": frozenset({"settled", "refused", "cancelled"}),
    },
}
"""Every move that may be, by kind and state. Source: docs/ARCHITECTURE.md, States."""

NEVER_MOVED = FINAL - {"settled", "returned"}
"""Final states that say that no money has left."""

DECIDERS_MIN = 2
"""How many people it takes to say what became of money."""

SLACK = timedelta(seconds=60)
"""What a state may take beyond what its payment's own policy allows."""


def moves(facts: Facts) -> Iterator[Finding]:
    """INV-12: only listed moves, each from where the last has ended; final states are final."""
    for payment_id, life in facts.life_of.items():
        payment = facts.payment.get(payment_id)
        if payment is None:
            yield Finding(payment_id, "moves and is not registered")
            continue
        before: str | None = None
        for place, move in enumerate(life, start=1):
            if move.seq != place or move.before != before:
                yield Finding(payment_id, f"move {move.seq} begins at {move.before}, not {before}")
            if move.after not in NEXT.get(payment.kind, {}).get(move.before, ()):
                yield Finding(payment_id, f"{move.before} → {move.after} is no move of a payment")
            before = move.after
        if payment.state != before:
            yield Finding(payment_id, f"is {payment.state}, and its last move led to {before}")


def waits(facts: Facts) -> Iterator[Finding]:
    """INV-13: what is not final is within its time, or waits for people who know of it."""
    called = {case.transaction_id for case in facts.cases}
    for move in facts.transitions:
        if move.after == "in_review" and move.transaction_id not in called:
            yield Finding(move.payment_id, "went to people, and nobody was called")
    for payment in facts.payments:
        if payment.state in FINAL or facts.has_open_case(payment.id):
            continue
        life = facts.life_of.get(payment.id)
        since = life[-1].at if life else payment.created_at
        until = _patience(facts, payment, since)
        paused_until = pauses.waits_until(facts, payment, since)
        if until is not None and paused_until is not None:
            until = max(until, paused_until)
        if until is None:
            yield Finding(payment.id, f"{payment.state} without an open case")
        elif facts.now > until + SLACK + facts.grace:
            yield Finding(payment.id, f"{payment.state} since {since}, should have ended {until}")


def _patience(facts: Facts, payment: Payment, since: datetime) -> datetime | None:
    """Return until when a state may last by the payment's own policy; None: not without a case."""
    terms = payment.terms
    policy = terms.get("policy") or {}

    def policy_length(name: str) -> timedelta:
        return length(policy.get(name)) or timedelta()

    call = policy_length("partner_call_timeout")
    match payment.state:
        case "awaiting_approval":
            return moment(terms.get("approve_by")) or since
        case "scheduled":
            return moment(terms.get("execute_at")) or since
        case "submitting":
            return since + policy_length("submit_for") + call
        case "outcome_unknown":
            ladder = [length(pause) or timedelta() for pause in policy.get("ask_again_after", ())]
            asked_for = max(sum(ladder, timedelta()), policy_length("ask_for"))
            return since + asked_for + max(ladder, default=timedelta()) + call
        case "submitted":
            return (
                _opened(facts, payment, since)
                + policy_length("overdue_after")
                + (2 * policy_length("poll_every") + call)
            )
        case "received" | "reserved":
            return since + call
        case _:
            return None


def _opened(facts: Facts, payment: Payment, since: datetime) -> datetime:
    attempts = facts.attempts_of.get(payment.id)
    return max(since, attempts[-1].sent_at or since) if attempts else since


def run_for_each(facts: Facts) -> Iterator[Finding]:
    """INV-14: a payment that is not final has a run that goes on, and no other has one."""
    if facts.runs is None:
        return
    for payment in facts.payments:
        life = facts.life_of.get(payment.id)
        moved_at = life[-1].at if life else payment.created_at
        is_running = payment.id in facts.runs.running
        if moved_at > facts.settled_before:
            continue
        if payment.state in FINAL and is_running:
            yield Finding(payment.id, f"is {payment.state}, and its run goes on")
        elif payment.state not in FINAL and not is_running:
            yield Finding(payment.id, f"is {payment.state}, and no run takes it further")
    for payment_id, started_at in facts.runs.running.items():
        if payment_id not in facts.payment and started_at <= facts.settled_before:
            yield Finding(payment_id, "runs and is not registered")
