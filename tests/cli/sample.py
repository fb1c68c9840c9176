"""Samples for the command line's tests: a payout with a full life, lines of files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bursar.payments import PaymentKind, PaymentState
from bursar.views import (
    AttemptView,
    BooksReport,
    EntryView,
    PaymentSummary,
    PaymentView,
    PostingView,
    TimelineEntry,
    WordView,
)

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

HEADER = (
    "id,account,amount,currency,beneficiary_kind,beneficiary_name,iban,bic,routing_number,"
    "account_number,msisdn,reference,created_by,execute_on,execute_at,partner,batch_id,tenant"
)
GOOD = "po_a1,wallet/acme/EUR,12.50,EUR,iban,Ana Lopez,DE89370400440532013000,,,,,INV-1,orders,,,,,"


def good(payment_id: str, amount: str = "12.50") -> str:
    """Return a good line of a file of payouts."""
    return GOOD.replace("po_a1", payment_id).replace("12.50", amount, 1)


def summary(payment_id: str, state: PaymentState = PaymentState.SETTLED) -> PaymentSummary:
    """Return a payment as lists show it."""
    return PaymentSummary(
        id=payment_id,
        kind=PaymentKind.TRANSFER if payment_id.startswith("tr_") else PaymentKind.PAYOUT,
        tenant="main",
        state=state,
        code=None,
        account="wallet/acme/EUR",
        partner="simulator",
        amount_minor=125000,
        fee_minor=125,
        currency="EUR",
        reference="Invoice 2026-0001",
        created_by="payroll",
        created_at=NOON,
        updated_at=NOON,
    )


def payout(payment_id: str, state: PaymentState = PaymentState.SETTLED) -> PaymentView:
    """Return a payout with everything that one can have."""
    return PaymentView(
        payment=summary(payment_id, state),
        beneficiary={"kind": "iban", "name": "Ana Lopez", "iban": "DE89…3000", "bic": None},
        destination=None,
        content_hash="0" * 64,
        approvals_needed=1,
        approvals_given=1,
        execute_at=None,
        timeline=(
            _entry(0, "transition", "received", "payroll", None),
            _entry(1, "approval", "approve", "ana", "as agreed by telephone"),
            _entry(2, "transition", "submitting → submitted", "worker", None),
        ),
        attempts=(_attempt(f"{payment_id}-1"),),
        words=(_word(f"{payment_id}-1"),),
        postings=(_posting(f"{payment_id}/hold"),),
    )


def _attempt(key: str) -> AttemptView:
    return AttemptView(
        ordinal=1,
        key=key,
        partner="simulator",
        opened_at=NOON,
        sent_at=NOON,
        result="accepted",
        partner_ref="SIM-77",
        code=None,
    )


def _word(key: str) -> WordView:
    return WordView(
        at=NOON,
        attempt_key=key,
        verb="submit",
        kind="accepted",
        partner_ref="SIM-77",
        code=None,
        evidence='202 {"status": "accepted"}\x1b[31m',
    )


def _posting(key: str) -> PostingView:
    return PostingView(
        key=key,
        kind="hold",
        refusal=None,
        booked_at=NOON,
        effective_on="2026-11-21",
        actor="worker",
        reason=None,
        evidence_id=None,
        reverses=None,
        entries=(_moved("wallet/acme/EUR", -125125), _moved("own/EUR", 125125)),
    )


def _entry(minutes: int, what: str, text: str, actor: str, reason: str | None) -> TimelineEntry:
    at = NOON + timedelta(minutes=minutes)
    return TimelineEntry(at=at, what=what, text=text, actor=actor, reason=reason, evidence_id=None)


def _moved(account: str, delta_minor: int) -> EntryView:
    return EntryView(
        account=account,
        currency="EUR",
        delta_minor=delta_minor,
        held_minor=0,
        posted_after_minor=delta_minor,
        held_after_minor=0,
    )


def sound_books() -> BooksReport:
    """Return a report of books in which nothing is wrong."""
    return BooksReport(
        checked_at=NOON, checks=("balanced", "floors"), breaks=(), trial_balance={"EUR": 0}
    )
