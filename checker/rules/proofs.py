"""Proofs: a partner's yes or no is what it said of this very payment, and says just that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checker.facts import Facts, length
from checker.findings import Finding
from checker.rows import Attempt, Event, Payment, Transition, Word

EVENTS = {
    "submitted": frozenset({"accepted", "paid", "returned"}),
    "settled": frozenset({"paid", "returned"}),
    "returned": frozenset({"returned"}),
    "failed": frozenset({"failed"}),
    "cancelled": frozenset({"failed"}),
}
"""Kinds of a partner's events that prove a state; what came back has been accepted and paid."""

WORDS = {
    "submitted": frozenset({"accepted", "paid"}),
    "settled": frozenset({"paid"}),
    "failed": frozenset({"rejected"}),
    "cancelled": frozenset({"rejected"}),
}
"""Kinds of a partner's answers that prove a state."""

DECISIONS = {
    "submitted": frozenset({"resolve_accepted", "resolve_paid"}),
    "settled": frozenset({"resolve_paid"}),
    "failed": frozenset({"resolve_never_moved"}),
}
"""What people may have said for a state."""

VERBS = frozenset({"submit", "find", "cancel"})
"""What a partner is asked."""

NEVER_LEFT = frozenset({"not_sent", "throttled"})
"""Answers to a send that did nothing."""

MISSES_MIN = 2
"""How many look-ups have to miss before "not found" is believed."""

_REFUSALS = "|".join(
    (
        "account_invalid",
        "account_closed",
        "name_mismatch",
        "amount_limit",
        "insufficient_funds",
        "currency_not_supported",
        "beneficiary_not_supported",
        "compliance",
        "other",
    )
)
_SAYS = {
    "accepted": re.compile(r"[^:]+: pending"),
    "paid": re.compile(r"[^:]+: (paid|returned)(, .*)?|[^:]+: on the statement"),
    "rejected": re.compile(rf"422 ({_REFUSALS}):.*|[^:]+: (failed|cancelled)(, .*)?", re.DOTALL),
}
"""What is kept of an answer that means so, by what the bank's API publishes: final is a 422 with a
published code, or a payout that is told to have ended; whatever else we read so, we have misread.

Source: partners/simulator/bank/README.md, Answers.
"""


def proven(facts: Facts) -> Iterator[Finding]:
    """INV-10: a partner's yes or no has an event, an answer or a decision that says just that."""
    for move in facts.transitions:
        granted = (move.before, move.after) == ("submitted", "cancelled")
        if move.kind == "payout" and (granted or move.after in EVENTS.keys() - {"cancelled"}):
            lack = _lack_of_proof(facts, move)
            if lack:
                yield Finding(move.payment_id, f"{move.after}: {lack}")


def _lack_of_proof(facts: Facts, move: Transition) -> str | None:
    sort, _, name = (move.evidence_id or "").partition("/")
    payment = facts.payment.get(move.payment_id)
    if payment is None:
        return "it is not registered"
    if sort == "event":
        event = facts.event.get((payment.partner or "", name))
        proves = event is not None and _event_proves(event, payment, move)
    elif sort in VERBS:
        attempt = facts.attempt.get(name)
        proves = attempt is not None and _word_proves(facts, payment, attempt, sort, move)
    elif sort == "resolution":
        said = {word.decision for word in facts.approvals_of.get(payment.id, ())}
        proves = name == payment.id and bool(said & DECISIONS.get(move.after, frozenset()))
    else:
        return f"no evidence, or of no known sort: {move.evidence_id}"
    return None if proves else f"{move.evidence_id} is not on record, or does not say so"


def _event_proves(event: Event, payment: Payment, move: Transition) -> bool:
    says_so = event.kind in EVENTS[move.after] and event.received_at <= move.at
    granted = move.after != "cancelled" or event.code == "cancelled"
    return says_so and granted and is_about(event, payment)


def is_about(event: Event, payment: Payment) -> bool:
    """Tell whether an event is of this payment; what came back may be less than was paid."""
    amounts = (None, payment.amount_minor)
    return (
        event.payment_id == payment.id
        and event.partner == payment.partner
        and (event.kind == "returned" or event.amount_minor in amounts)
        and event.currency in (None, payment.currency)
    )


def _word_proves(
    facts: Facts, payment: Payment, attempt: Attempt, verb: str, move: Transition
) -> bool:
    if attempt.payment_id != payment.id:
        return False
    words = [
        word
        for word in facts.words_on.get(attempt.key, ())
        if word.verb == verb and word.answered_at <= move.at
    ]
    if any(_word_says(word, move.after) for word in words):
        return True
    if move.after != "failed" or move.before == "submitted":
        return False
    return _never_left(verb, words) or _is_absent(payment, attempt, words)


def _word_says(word: Word, state: str) -> bool:
    """Tell whether an answer proves a state: as we have read it, and by what is kept of it."""
    granted = state != "cancelled" or word.code == "cancelled"
    says = _SAYS.get(word.kind)
    read_so = word.kind in WORDS.get(state, ()) and granted
    return read_so and says is not None and says.fullmatch(word.evidence) is not None


def _never_left(verb: str, words: list[Word]) -> bool:
    """Tell whether every send until the move did nothing; of a lost try we may hear later."""
    return verb == "submit" and bool(words) and all(word.kind in NEVER_LEFT for word in words)


def _is_absent(payment: Payment, attempt: Attempt, words: list[Word]) -> bool:
    """Tell whether look-ups since the last send have proven that the partner has no payout."""
    promises = payment.terms.get("guarantees") or {}
    lag = length(promises.get("absence_after"))
    if not promises.get("finds_by_reference") or lag is None:
        return False
    sent_at = attempt.sent_at or attempt.opened_at
    misses = [
        word.answered_at
        for word in words
        if (word.verb, word.kind) == ("find", "not_found") and word.answered_at >= sent_at
    ]
    return len(misses) >= MISSES_MIN and misses[-1] - sent_at >= lag


def has_said_no(facts: Facts, payment: Payment) -> bool:
    """Tell whether a partner itself has definitely refused, and not only as we have read it.

    By an authentic event; or by an answer that its API calls final, of which people were told
    once the money had left all the same.
    """
    if any(
        event.kind == "failed" and is_about(event, payment)
        for event in facts.events_of.get(payment.id, ())
    ):
        return True
    final = any(
        _word_says(word, "failed")
        for attempt in facts.attempts_of.get(payment.id, ())
        for word in facts.words_on.get(attempt.key, ())
    )
    called = any(case.kind == "contradiction" for case in facts.cases_of.get(payment.id, ()))
    return final and called
