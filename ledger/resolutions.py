"""Resolutions: since when people are to decide what became of a payment, and who says what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bursar.actions import Outcome
from bursar.ids import person_of
from bursar.payments import PaymentState
from ledger.books import ApprovalRow, CaseRow, Payment

_RESOLVES = "resolve_"


def decision_of(outcome: Outcome) -> str:
    """Return the word that is kept of somebody who says so."""
    return f"{_RESOLVES}{outcome}"


def due_since(payment: Payment, cases: Sequence[CaseRow]) -> datetime | None:
    """Return since when a decision is due: in review, or accepted and with an open case.

    What was said before the payment came to where it stands was said of something else: that a
    payout never moved, before its partner accepted it. A case may be older than that.

    Args:
        payment: As the register has it.
        cases: Its open ones.

    Returns:
        The moment from which on words count; None: nobody is asked, and a word means nothing.
    """
    if payment.state is PaymentState.IN_REVIEW:
        return payment.updated_at
    if payment.state is PaymentState.SUBMITTED and cases:
        return max(payment.updated_at, min(case.opened_at for case in cases))
    return None


def changes_nothing(payment: Payment, outcome: Outcome) -> bool:
    """Tell whether a payment stands where an outcome would bring it."""
    return payment.state is PaymentState.SUBMITTED and outcome is Outcome.ACCEPTED


def newest_words(
    words: Iterable[ApprovalRow], since: datetime | None = None
) -> dict[str, ApprovalRow]:
    """Return each person's newest word on what became of a payment, by person.

    Args:
        words: What was said of one payment, oldest first.
        since: Words from before this moment were about something else.
    """
    return {
        person_of(word.principal): word
        for word in words
        if word.decision.startswith(_RESOLVES) and (since is None or word.at >= since)
    }
