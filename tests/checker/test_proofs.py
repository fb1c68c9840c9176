"""Evidence proves a state only if it is this payment's, and says just that: INV-10, INV-23.

Facts made by hand, each of one payout and what its partner said of it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from checker.facts import Facts
from checker.rows import (
    Approval,
    Attempt,
    BankBook,
    BankLine,
    Case,
    Event,
    Payment,
    Told,
    Transition,
    Word,
)
from checker.rules import clients, partners, proofs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TERMS = {"guarantees": {"finds_by_reference": True, "absence_after": "PT30S"}}
RESETS = "connection reset by peer"


def payout(payment_id: str, state: str) -> Payment:
    return Payment(
        *(payment_id, "payout", "main", "wallet/acme/EUR", "EUR", 100, 0, "bank", "", {}, TERMS),
        *("maker", NOON, state, 1),
    )


def event(kind: str, **other: Any) -> Event:
    told = Event(
        *(1, "bank", "evt_1", kind, "po_a-1", 100, "EUR", "", "po_a", NOON, NOON, "", None),
        *(None, None),
    )
    return told._replace(**other)


SAID = {"accepted": "bp_7: pending", "paid": "bp_7: paid", "rejected": "bp_7: failed, other"}


def word(verb: str, kind: str, after: float = 0, evidence: str | None = None) -> Word:
    code = "other" if kind == "rejected" else None
    kept = SAID.get(kind, "") if evidence is None else evidence
    return Word("po_a-1", verb, kind, code, kept, NOON + timedelta(seconds=after))


def case(kind: str) -> Case:
    return Case("po_a", 7, kind, "", NOON, None, None, None)


def ended(state: str, evidence: str, *, before: str = "submitting", **rows: Any) -> Facts:
    """Return a payout that ended a minute after noon, and another one, by some evidence."""
    move = Transition(
        *("po_a", 3, "payout", before, state, NOON + timedelta(minutes=1), "partner:bank"),
        *(None, evidence, 7, 7),
    )
    attempts = [
        Attempt(f"{one}-1", one, 1, "bank", "", NOON, NOON, NOON, None) for one in ("po_a", "po_b")
    ]
    return Facts(
        now=NOON + timedelta(hours=1),
        payments=[payout("po_a", state), payout("po_b", "settled")],
        transitions=[move],
        attempts=attempts,
        **rows,
    )


def decided(decision: str) -> Approval:
    return Approval("po_a", "ana", decision, "resolve", "", "", "its letter", NOON)


def asked(state: str, *words: Word, evidence: str | None = None, **more: Any) -> Facts:
    return ended(state, evidence or f"{words[0].verb}/po_a-1", words=words, **more)


def told(state: str, one: Event, **more: Any) -> Facts:
    return ended(state, "event/evt_1", events=[one], **more)


def by_people(state: str, decision: str, name: str = "po_a") -> Facts:
    return ended(state, f"resolution/{name}", before="in_review", approvals=[decided(decision)])


PROVEN = {
    "an event": told("settled", event("paid")),
    "a return, which was paid before": told("settled", event("returned", amount_minor=90)),
    "an event without an amount": told("submitted", event("accepted", amount_minor=None)),
    "an answer": asked("submitted", word("submit", "accepted")),
    "a line on a statement": asked("settled", word("find", "paid", 0, "bl_7: on the statement")),
    "an event of a cancel": told(
        "cancelled", event("failed", code="cancelled"), before="submitted"
    ),
    "a no": asked("failed", word("find", "rejected")),
    "a cancel that was granted": asked(
        "cancelled", word("cancel", "rejected")._replace(code="cancelled"), before="submitted"
    ),
    "people": by_people("failed", "resolve_never_moved"),
    "nothing was ever sent": asked(
        "failed", word("submit", "not_sent"), word("submit", "throttled")
    ),
    "a lost try was noted only afterwards": asked(
        "failed", word("submit", "not_sent"), word("submit", "unknown", 90)
    ),
    "absence": asked("failed", word("find", "not_found", 5), word("find", "not_found", 35)),
}

UNPROVEN = {
    "an event of another kind": told("settled", event("accepted")),
    "an event that is not stored": ended("settled", "event/evt_1"),
    "an event of another payment": told("settled", event("paid", payment_id="po_b")),
    "an event of another partner": told("settled", event("paid", partner="other")),
    "an event with another amount": told("settled", event("paid", amount_minor=99)),
    "an event with another currency": told("settled", event("paid", currency="GBP")),
    "an event that came afterwards": told(
        "settled", event("paid", received_at=NOON + timedelta(minutes=2))
    ),
    "an answer that came afterwards": asked("failed", word("find", "rejected", 90)),
    "a yes for a no": told("failed", event("paid")),
    "paid for returned": told("returned", event("paid"), before="settled"),
    "unknown for a no": asked("failed", word("submit", "unknown")),
    "unknown for a yes": asked("submitted", word("submit", "unknown")),
    "not found for a yes": asked("settled", word("find", "not_found")),
    "accepted for paid": asked("settled", word("find", "accepted")),
    "an answer to another question": asked(
        "settled", word("submit", "paid"), evidence="find/po_a-1"
    ),
    "an answer about another payment": asked(
        "settled", word("find", "paid"), evidence="find/po_b-1"
    ),
    "an earlier try may have been": asked(
        "failed", word("submit", "unknown"), word("submit", "not_sent", 5)
    ),
    "one miss": asked("failed", word("find", "not_found", 35)),
    "misses before the lag": asked(
        "failed", word("find", "not_found", 5), word("find", "not_found", 25)
    ),
    "absence of what was accepted": asked(
        "failed",
        *(word("find", "not_found", 5), word("find", "not_found", 35)),
        before="submitted",
    ),
    "people who said otherwise": by_people("settled", "resolve_never_moved"),
    "people on another payment": by_people("failed", "resolve_never_moved", "po_b"),
    "a no that is no cancel": asked("cancelled", word("cancel", "rejected"), before="submitted"),
    "an event that is no cancel": told("cancelled", event("failed"), before="submitted"),
    "a reset that we have read as a no": asked(
        "failed", word("submit", "rejected", evidence="connection reset by peer")
    ),
    "a pending payout that we have read as paid": asked(
        "settled", word("find", "paid", evidence="bp_7: pending")
    ),
    "a server error that we have read as a yes": asked(
        "submitted", word("submit", "accepted", evidence="status 500: internal_error")
    ),
    "a cancel that nobody granted": asked(
        "cancelled", word("cancel", "unknown"), before="submitted"
    ),
    "nothing": ended("settled", ""),
}


@pytest.mark.parametrize("name", PROVEN)
def test_inv10_what_says_so_of_this_payment_proves_it(name: str) -> None:
    assert not list(proofs.proven(PROVEN[name]))


@pytest.mark.parametrize("name", UNPROVEN)
def test_inv10_what_says_something_else_proves_nothing(name: str) -> None:
    assert [found.where for found in proofs.proven(UNPROVEN[name])] == ["po_a"]


def paid_after_a_no(*words: Word, cases: tuple[str, ...] = (), **more: Any) -> Facts:
    """Return a failed payout that the bank's book has paid, and that a client was told of."""
    line = BankLine(1, NOON, date(2026, 1, 1), -100, "EUR", -100, "po_a-1", "payout")
    return ended(
        "failed",
        "submit/po_a-1",
        words=words,
        cases=[case(kind) for kind in cases],
        banks=[BankBook("bank", [], [line], {"EUR": -100}, {"po_a-1": 1}, {})],
        told=[Told("log:1", NOON, "result", "po_a", "payout", "answered", {}, OK)],
        **more,
    )


OK = {"ok": True, "state": "failed"}
REFUSED = word("submit", "rejected", evidence="422 account_invalid: the payout is refused")
FOUND = word("find", "rejected", evidence="bp_7: failed, account_closed")
LOST = word("submit", "rejected", evidence=RESETS)

LIES = {
    "an event": paid_after_a_no(events=[event("failed")]),
    "a refusal": paid_after_a_no(REFUSED, cases=("contradiction",)),
    "a look-up": paid_after_a_no(FOUND, cases=("contradiction",)),
}
MISREAD = {
    "a reset": paid_after_a_no(LOST, cases=("contradiction",)),
    "a server error": paid_after_a_no(
        LOST._replace(evidence="status 500: internal_error"), cases=("contradiction",)
    ),
    "a code that nobody publishes": paid_after_a_no(
        LOST._replace(evidence="422 try_later: no"), cases=("contradiction",)
    ),
    "a payout that is told as pending": paid_after_a_no(
        FOUND._replace(evidence="bp_7: pending"), cases=("contradiction",)
    ),
    "a refusal of which nobody was told when it was paid": paid_after_a_no(
        REFUSED, cases=("overdue",)
    ),
    "an event about another payment": paid_after_a_no(
        events=[event("failed", payment_id="po_b")], cases=("contradiction",)
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_inv23_a_bank_that_said_no_and_paid_has_lied_and_not_we(name: str) -> None:
    facts = LIES[name]
    assert partners.lied_about(facts, facts.payment["po_a"])
    assert not list(clients.told_the_truth(facts))


@pytest.mark.parametrize("name", MISREAD)
def test_inv23_what_we_have_misread_as_a_no_is_no_lie_of_the_banks(name: str) -> None:
    facts = MISREAD[name]
    assert not partners.lied_about(facts, facts.payment["po_a"])
    assert [found.where for found in clients.told_the_truth(facts)] == ["po_a"]
