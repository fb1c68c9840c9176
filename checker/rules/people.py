"""People: nothing leaves without the approvals it needs, and no one decides alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from checker.facts import Facts, moment
from checker.findings import Finding
from checker.rows import Approval, Payment, Transition
from checker.rules import pauses, suspense, terms
from checker.rules.journal import FROZEN_TABLES
from checker.rules.lives import DECIDERS_MIN
from checker.rules.naming import person

MOVED_ON = frozenset({"reserved", "scheduled", "submitting", "settled"})
"""States that a payment which waits for approval reaches only with it."""


def approved(facts: Facts) -> Iterator[Finding]:
    """INV-18: whatever moved on had its approvals: distinct people, not its creator, in time,
    each for exactly this content and this version of the rule; and at the claim none of them
    was disabled.
    """  # noqa: D205  one sentence
    for payment in facts.payments:
        otherwise = terms.otherwise_than_ruled(facts, payment)
        if otherwise:
            yield Finding(payment.id, otherwise)
        need = payment.terms.get("approvals")
        moved_on = _moved_on(facts, payment)
        if not need or moved_on is None:
            continue
        people = set(_people(facts, payment, need, moved_on.at))
        if len(people) < need["number"]:
            yield Finding(payment.id, f"moved on with {len(people)} of {need['number']} approvals")
            continue
        claim = _claim(facts, payment)
        if claim is None:
            continue
        count = len(set(_people(facts, payment, need, claim.at)) - _void(facts, payment, claim.at))
        if count < need["number"]:
            yield Finding(payment.id, f"was claimed with {count} of {need['number']} approvals")


def _claim(facts: Facts, payment: Payment) -> Transition | None:
    for move in facts.life_of.get(payment.id, ()):
        if (move.before, move.after) == ("reserved", "submitting"):
            return move
    return None


def _void(facts: Facts, payment: Payment, at: datetime) -> set[str]:
    """Return whose approvals did not count any more: they were disabled, or have denied."""
    disabled = {person(one.principal) for one in facts.disabled if one.at < at}
    words = facts.approvals_of.get(payment.id, ())
    denied = {person(word.principal) for word in words if word.decision == "deny" and word.at < at}
    return disabled | denied


def _moved_on(facts: Facts, payment: Payment) -> Transition | None:
    for move in facts.life_of.get(payment.id, ()):
        if move.after in MOVED_ON:
            return move
    return None


def _people(
    facts: Facts, payment: Payment, need: dict[str, object], until: datetime
) -> Iterator[str]:
    approve_by = moment(payment.terms.get("approve_by"))
    for word in facts.approvals_of.get(payment.id, ()):
        binds = (word.content_hash, word.rule_version, word.role)
        if (
            word.decision == "approve"
            and person(word.principal) != person(payment.created_by)
            and binds == (payment.content_hash, need["version"], need["role"])
            and word.at <= (until if approve_by is None else min(until, approve_by))
        ):
            yield person(word.principal)


def one_way(facts: Facts) -> Iterator[Finding]:
    """INV-19: a claim is made by the database's own function, with its move, and in no pause."""
    claims = {
        (move.payment_id, move.at)
        for move in facts.transitions
        if move.before == "reserved" and move.after == "submitting"
    }
    for attempt in facts.attempts:
        if attempt.ordinal == 1 and (attempt.payment_id, attempt.opened_at) not in claims:
            yield Finding(attempt.key, "was opened without its payment's claim")
    for payment_id, _ in claims:
        if payment_id not in facts.attempts_of:
            yield Finding(payment_id, "was claimed without an attempt")
    yield from pauses.kept(facts)
    for table, role in facts.guards.writable if facts.guards else ():
        if table not in FROZEN_TABLES:
            yield Finding(table, f"{role} may write it past the functions")


def two_people(facts: Facts) -> Iterator[Finding]:
    """INV-20: what people decided about money has two of them, neither its creator, and why."""
    for move in facts.transitions:
        if not (move.evidence_id or "").startswith("resolution/"):
            continue
        payment = facts.payment.get(move.payment_id)
        words = [
            word
            for word in facts.approvals_of.get(move.payment_id, ())
            if word.decision.startswith("resolve_")
            and word.at <= move.at
            and payment is not None
            and person(word.principal) != person(payment.created_by)
        ]
        same = {
            d: {person(w.principal) for w in words if w.decision == d} for d in _decisions(words)
        }
        if max((len(people) for people in same.values()), default=0) < DECIDERS_MIN:
            yield Finding(move.payment_id, f"decided by fewer than {DECIDERS_MIN} people")
        if not move.reason and not any(word.reason for word in words):
            yield Finding(move.payment_id, "decided without a reason")
    yield from suspense.emptied(facts)


def _decisions(words: list[Approval]) -> set[str]:
    return {word.decision for word in words}
