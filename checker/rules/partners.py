"""Partners: each payment once, as asked, and nothing that nobody asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from checker.facts import Facts, length, payment_of
from checker.findings import Finding
from checker.rows import Attempt, BankBook, BankLine, BankPayout, Payment
from checker.rules.content import ALIVE, sha256, wire_body
from checker.rules.proofs import MISSES_MIN, has_said_no

DEFINITE_NO = frozenset({"rejected", "not_sent", "throttled", "not_found", "never_moved"})
"""Answers after which an attempt cannot move money any more."""

CLOCKS_APART = timedelta(seconds=1)
"""How far a bank's clock may be from ours."""


def paid_once(facts: Facts) -> Iterator[Finding]:
    """INV-06: a bank has at most one payout for each payment of ours."""
    for payment_id, times in _doubled(facts):
        if not is_breach(facts, payment_id):
            yield Finding(payment_id, f"{times} payouts in the bank's book")


def breaches(facts: Facts) -> Iterator[Finding]:
    """Partner breach: what a partner did against every promise it made, or against its own word.

    Counted apart. A double is one where the bank was asked once, or where each promise that could
    have prevented it was broken: a key honoured within its lifetime, a look-up right after its
    lag. A partner that promises neither may be asked once only: more is ours.
    """
    for payment_id, times in _doubled(facts):
        if is_breach(facts, payment_id):
            yield Finding(payment_id, f"{times} payouts, against the partner's own promises")
    for payment in facts.payments:
        if lied_about(facts, payment):
            yield Finding(payment.id, f"paid by a partner that had said no: {payment.state}")
    for book, line in _nobodys(facts):
        if is_known_mistake(facts, book, line.reference):
            yield Finding(line.reference, f"{_line(book, line)}, under a name that we never sent")


def _doubled(facts: Facts) -> Iterator[tuple[str, int]]:
    for payment_id, payouts in facts.bank_payouts_of.items():
        alive = sum(payout.truth in ALIVE for _, payout in payouts)
        times = max(alive, len(facts.debits_of.get(payment_id, ())))
        if payment_id and times > 1:
            yield payment_id, times


def is_breach(facts: Facts, payment_id: str) -> bool:
    """Tell whether a payment was doubled by a partner against all that it had promised."""
    payouts = [(book, payout) for book, payout in facts.bank_payouts_of[payment_id]]
    alive = [(book, payout) for book, payout in payouts if payout.truth in ALIVE]
    references = {payout.reference for _, payout in alive}
    calls = sum(book.calls.get(ref, 0) for ref in references for book in _books(payouts))
    if calls <= len(references) and len(references) < max(len(alive), 2):
        return True  # it was asked once: the second one is its own doing
    payment = facts.payment.get(payment_id)
    promises = (payment.terms.get("guarantees") or {}) if payment else {}
    kept = [
        kept
        for kept in (
            _kept_key(promises, [payout for _, payout in alive]),
            _kept_look_up(facts, promises, [payout for _, payout in alive]),
        )
        if kept is not None
    ]
    return bool(kept) and not any(kept)


def _books(payouts: Iterable[tuple[BankBook, BankPayout]]) -> list[BankBook]:
    return list({book.partner: book for book, _ in payouts}.values())


def _kept_key(promises: Mapping[str, Any], payouts: list[BankPayout]) -> bool | None:
    """Tell whether a repeated key gave no second payout in its lifetime; None: not promised."""
    lifetime = length(promises.get("key_lifetime"))
    if lifetime is None:
        return None
    first = payouts[0]
    return all(
        other.reference != first.reference or other.created_at - first.created_at >= lifetime
        for other in payouts[1:]
    )


def _kept_look_up(
    facts: Facts, promises: Mapping[str, Any], payouts: list[BankPayout]
) -> bool | None:
    """Tell whether no look-up missed a payout after the lag; None: no proof was promised."""
    lag = length(promises.get("absence_after"))
    if not promises.get("finds_by_reference") or lag is None:
        return None
    first = payouts[0]
    return not any(
        word.verb == "find"
        and word.kind == "not_found"
        and word.answered_at > first.created_at + lag
        for word in facts.words_on.get(first.reference, ())
    )


def lied_about(facts: Facts, payment: Payment) -> bool:
    """Tell whether a partner's book has paid what the partner itself had definitely refused."""
    paid = payment.state == "failed" and payment.id in facts.debits_of
    return paid and has_said_no(facts, payment)


def claimed_first(facts: Facts) -> Iterator[Finding]:
    """INV-07: whatever a bank was asked for was claimed before, with the same content."""
    for book in facts.banks or ():
        yield from _unclaimed(facts, book)
    for attempt in facts.attempts:
        payment = facts.payment.get(attempt.payment_id)
        if payment is None or attempt.wire_hash != sha256(wire_body(payment, attempt.key)):
            yield Finding(attempt.key, "the claimed body is not the payment's")


def _unclaimed(facts: Facts, book: BankBook) -> Iterator[Finding]:
    for payout in book.payouts:
        attempt = facts.attempt.get(payout.reference)
        if attempt is not None:
            if attempt.opened_at > payout.created_at + CLOCKS_APART:
                yield Finding(payout.reference, "was claimed only after the bank had it")
        elif not is_known_mistake(facts, book, payout.reference):
            yield Finding(payout.reference, f"{book.partner} has it, and nobody claimed it")
    for reference in book.calls.keys() - facts.attempt.keys():
        yield Finding(reference, f"{book.partner} was asked, and nobody claimed it")


def phantoms(facts: Facts) -> Iterator[Finding]:
    """Money that a bank's book says has left for no payment of ours, and not by its own mistake."""
    for book, line in _nobodys(facts):
        if not is_known_mistake(facts, book, line.reference):
            yield Finding(line.reference, _line(book, line))


def _nobodys(facts: Facts) -> Iterator[tuple[BankBook, BankLine]]:
    """Return each debit of no payment of ours; a young one of a name that is not ours may wait."""
    for book in facts.banks or ():
        for line in book.lines:
            subject = payment_of(line.reference)
            may_wait = subject is None and line.booked_at > facts.settled_before
            if line.amount_minor < 0 and (subject or "") not in facts.payment and not may_wait:
                yield book, line


def is_known_mistake(facts: Facts, book: BankBook, reference: str) -> bool:
    """Tell whether a bank has debited by itself, and our books have it in suspense with a case.

    It was never asked under that name, which is none that we would give. What no case tells of
    is no mistake that we know of, but money that is gone.
    """
    if payment_of(reference) is not None or book.calls.get(reference):
        return False
    debits = Counter(
        (line.currency, line.amount_minor)
        for line in book.lines
        if line.reference == reference and line.amount_minor < 0
    )
    return bool(debits) and debits <= _in_suspense(facts, book.partner, reference)


def _in_suspense(facts: Facts, partner: str, reference: str) -> Counter[tuple[str, int]]:
    """Count what our books have in suspense by cases of no payment that name a reference."""
    found: Counter[tuple[str, int]] = Counter()
    for case in facts.cases:
        transaction = facts.transaction.get(case.transaction_id)
        if case.payment_id is not None or transaction is None:
            continue
        event_id = (transaction.evidence_id or "").removeprefix("event/")
        event = facts.event.get((partner, event_id))
        if event is None or event.reference != reference:
            continue
        for entry in facts.entries_of.get(transaction.id, ()):
            account = facts.account.get(entry.account_id)
            if account is not None and account.path.startswith("suspense/"):
                found[entry.currency, entry.delta] += 1
    return found


def _line(book: BankBook, line: BankLine) -> str:
    return f"{book.partner} line {line.seq}: {line.amount_minor}"


def attempts_in_turn(facts: Facts) -> Iterator[Finding]:
    """INV-08: one live attempt at most, and none sent anew without a proof of absence."""
    for payment_id, attempts in facts.attempts_of.items():
        live = [a.key for a in attempts if a.result not in DEFINITE_NO]
        if len(live) > 1 or any(a.key in live for a in attempts[:-1]):
            yield Finding(payment_id, f"live attempts: {', '.join(live)}")
        payment = facts.payment.get(payment_id)
        for repeat in _repeats(facts, attempts[-1]) if payment else ():
            lack = _lack_of_absence(facts, payment, attempts[-1], repeat)
            if lack:
                yield Finding(payment_id, f"was sent again {lack}")


class _Repeat(NamedTuple):
    """One repeated send: when it was at the earliest, when it was decided, and the send before."""

    sent_at: datetime
    decided_at: datetime
    sent_before_at: datetime


def _repeats(facts: Facts, attempt: Attempt) -> Iterator[_Repeat]:
    """Return each way back to sending that was used; a mark that was never set sent nothing."""
    life = facts.life_of.get(attempt.payment_id, [])
    back = [m.at for m in life if (m.before, m.after) == ("outcome_unknown", "submitting")]
    before = max(attempt.first_sent_at or attempt.opened_at, attempt.opened_at)
    for decided_at, next_at in pairwise(back):
        yield _Repeat(decided_at, decided_at, before)
        if _may_have_left(facts, attempt, decided_at, next_at):
            before = decided_at
    if back and attempt.sent_at is not None and attempt.sent_at >= back[-1]:
        yield _Repeat(attempt.sent_at, back[-1], before)


def _may_have_left(facts: Facts, attempt: Attempt, since: datetime, until: datetime) -> bool:
    return any(
        word.verb == "submit"
        and word.kind not in {"not_sent", "throttled"}
        and since <= word.answered_at <= until
        for word in facts.words_on.get(attempt.key, ())
    )


def _lack_of_absence(
    facts: Facts, payment: Payment | None, attempt: Attempt, repeat: _Repeat
) -> str | None:
    """Return why a repeated send was not safe by what the partner had promised."""
    promises = (payment.terms.get("guarantees") or {}) if payment else {}
    lifetime = length(promises.get("key_lifetime"))
    age = repeat.sent_at - (attempt.first_sent_at or attempt.opened_at)
    if lifetime is None or age > lifetime / 2 + CLOCKS_APART:
        return f"under a key of age {age} that may be forgotten"
    if not promises.get("finds_by_reference"):
        return None  # a key within its lifetime is a question too
    misses = [
        word.answered_at - repeat.sent_before_at
        for word in facts.words_on.get(attempt.key, ())
        if word.kind == "not_found"
        and repeat.sent_before_at <= word.answered_at <= repeat.decided_at
    ]
    lag = length(promises.get("absence_after"))
    if lag is None or len(misses) < MISSES_MIN or misses[-1] < lag:
        return f"after {len(misses)} look-ups that missed"
    return None
