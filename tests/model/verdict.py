"""The verdict: a finished life as the checker's facts, judged by the checker's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from checker import rows
from checker.facts import Facts
from checker.rulebook import APART, FIGURES, INVARIANTS
from ledger.memory import MemoryBooks
from ledger.memory_register import MemoryTransaction
from tests.model.bank import ModelBank

_JUDGES = {rule.judge: rule for rule in (*FIGURES, *INVARIANTS) if "runs" not in rule.needs}
"""Each rule once, though some are counted under two names: then as an invariant."""


def judged(facts: Facts) -> list[str]:
    """Return every violation, in the checker's words."""
    return [
        f"{rule.name} {finding.where}: {finding.detail}"
        for judge, rule in _JUDGES.items()
        for finding in judge(facts)
    ]


def breaches(facts: Facts) -> list[str]:
    """Return what the bank did against its own promises."""
    return [f"{found.where}: {found.detail}" for rule in APART for found in rule.judge(facts)]


def facts_of(
    books: MemoryBooks, bank: ModelBank, told: Sequence[rows.Told], now: datetime
) -> Facts:
    """Return what the checker would read of these books and of this bank."""
    ids = {key: one.id for key, one in books.transactions.items()}
    return Facts(
        now=now,
        accounts=_accounts(books),
        transactions=[_transaction(one, ids) for one in books.transactions.values()],
        entries=_entries(books),
        holds=_holds(books),
        payments=_payments(books),
        transitions=_transitions(books),
        attempts=_attempts(books),
        words=[
            rows.Word(w.attempt_key, w.verb, w.kind, w.code, w.evidence, w.answered_at or now)
            for w in books.words_kept
        ],
        events=_events(books),
        approvals=_approvals(books),
        disabled=[rows.Disabled(name, at) for name, at in books.gate.disabled.items()],
        cases=_cases(books),
        banks=[_bank(bank)],
        told=told,
    )


def _holds(books: MemoryBooks) -> list[rows.Hold]:
    return [
        rows.Hold(
            hold.transaction_id,
            books.journal.accounts[hold.account].id,
            hold.amount,
            hold.captured,
            hold.released,
            hold.returned,
        )
        for hold in books.journal.holds.values()
    ]


def _attempts(books: MemoryBooks) -> list[rows.Attempt]:
    return [
        rows.Attempt(
            a.key,
            a.payment_id,
            a.ordinal,
            a.partner,
            a.wire_hash,
            a.opened_at,
            a.sent_at,
            a.first_sent_at,
            a.result,
        )
        for a in books.attempts_by_key.values()
    ]


def _approvals(books: MemoryBooks) -> list[rows.Approval]:
    return [
        rows.Approval(
            a.payment_id,
            a.principal,
            a.decision,
            a.role,
            a.content_hash,
            a.rule_version,
            a.reason,
            a.at,
        )
        for a in books.approvals_kept
    ]


def _accounts(books: MemoryBooks) -> list[rows.Account]:
    return [
        rows.Account(
            id=account.id,
            path=path,
            kind=account.opened.kind,
            currency=account.opened.currency,
            tenant=account.opened.tenant,
            balance_currency=account.opened.currency,
            side=account.side,
            floor=account.opened.floor_minor,
            ceiling=account.opened.ceiling_minor,
            soft=account.opened.soft,
            posted=account.posted,
            held=account.held,
            seq=len(account.entries),
        )
        for path, account in books.journal.accounts.items()
    ]


def _transaction(one: MemoryTransaction, ids: dict[str, int]) -> rows.Transaction:
    change = one.change
    return rows.Transaction(
        id=one.id,
        key=change.key,
        digest=one.digest,
        kind=change.kind,
        outcome=one.refusal.value if one.refusal else "booked",
        payment_id=change.payment_id,
        attempt_key=change.attempt.key if change.attempt else None,
        evidence_id=change.evidence_id,
        reverses=ids.get(change.reverses or ""),
        effective_on=change.effective_on,
        booked_at=one.at,
        actor=change.actor,
        reason=change.reason,
        xid=one.id,
    )


def _entries(books: MemoryBooks) -> list[rows.Entry]:
    return [
        rows.Entry(
            account.id,
            e.seq,
            e.transaction_id,
            account.opened.currency,
            e.delta,
            e.held,
            e.posted_after,
            e.held_after,
            e.hold_id,
        )
        for account in books.journal.accounts.values()
        for e in account.entries
    ]


def _payments(books: MemoryBooks) -> list[rows.Payment]:
    return [
        rows.Payment(
            p.id,
            p.kind.value,
            p.tenant,
            books.openings[p.id].account,
            p.currency,
            p.amount_minor,
            p.fee_minor,
            p.partner,
            p.content_hash,
            p.request,
            p.terms,
            p.created_by,
            p.created_at,
            p.state.value,
            p.seq,
        )
        for p in books.payments.values()
    ]


def _transitions(books: MemoryBooks) -> list[rows.Transition]:
    return [
        rows.Transition(
            payment_id=move.payment_id,
            seq=move.seq,
            kind=books.payments[move.payment_id].kind.value,
            before=move.before.value if move.before else None,
            after=move.after.value,
            at=move.transaction.at,
            actor=move.transaction.change.actor,
            reason=move.transaction.change.reason,
            evidence_id=move.transaction.change.evidence_id,
            transaction_id=move.transaction.id,
            xid=move.transaction.id,
        )
        for move in books.transitions
    ]


def _events(books: MemoryBooks) -> list[rows.Event]:
    return [
        rows.Event(
            row.row_id,
            row.event.partner,
            row.event.event_id,
            row.event.kind.value,
            row.event.reference,
            row.event.amount_minor,
            row.event.currency,
            row.event.detail,
            row.payment_id,
            row.received_at,
            row.applied_at,
            books.verdicts.get(row.row_id),
            row.received_at if row.row_id in books.set_aside else None,
            row.event.line_ref,
            None,
        )
        for row in books.events.values()
    ]


def _cases(books: MemoryBooks) -> list[rows.Case]:
    return [
        rows.Case(
            case.payment_id,
            books.cases_opened_by[case.id].id,
            case.kind,
            case.detail,
            case.opened_at,
            case.closed_at,
            case.closed_by,
            case.resolution,
        )
        for case in books.cases
    ]


def _bank(bank: ModelBank) -> rows.BankBook:
    balance, lines = 0, []
    for seq, line in enumerate(bank.lines, start=1):
        balance += line.amount_minor
        row = rows.BankLine(
            seq,
            line.at,
            line.at.date(),
            line.amount_minor,
            "EUR",
            balance,
            line.reference,
            line.kind,
        )
        lines.append(row)
    return rows.BankBook(
        partner=bank.name,
        payouts=[
            rows.BankPayout(
                one.id,
                one.attempt.key,
                one.attempt.amount.amount_minor,
                "EUR",
                _payee(one.attempt.beneficiary.model_dump()),
                one.truth,
                one.created_at,
            )
            for one in bank.payouts
        ],
        lines=lines,
        balances={"EUR": balance},
        calls=bank.calls,
        body_hashes={},
    )


def _payee(payee: dict[str, Any]) -> dict[str, Any]:
    iban = payee["iban"]
    return {"kind": "iban", "name": payee["name"], "account": f"{iban[:4]}…{iban[-4:]}"}
