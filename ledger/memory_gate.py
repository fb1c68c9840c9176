"""The gate in memory: pauses, caps and disabled people, judged one claim at a time.

The serial meaning of what `write_changes_v6` judges of whole batches before money may leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from bursar.gate import START_GUARD, Scope
from bursar.ids import person_of
from bursar.payments import PaymentState
from ledger.books import ApprovalRow, Payment
from ledger.changes import AttemptOpened, AttemptReopened, Change

OPENS, REOPENS, SUBMITS, BOOKS_TRANSFER = 1, 2, 4, 8
CLAIM, RESEND = OPENS | SUBMITS, REOPENS | SUBMITS


class MemoryPause(NamedTuple):
    """A pause; in force while nobody has lifted it."""

    scope: str
    name: str
    paused_by: str
    resumed_by: str | None = None
    resumed_at: datetime | None = None


class CapName(NamedTuple):
    """What a cap is about; partner and tenant narrow it."""

    currency: str
    partner: str | None
    tenant: str | None

    def covers(self, currency: str, partner: str, tenant: str) -> bool:
        """Tell whether a claim comes under this cap."""
        return (
            self.currency == currency
            and self.partner in (None, partner)
            and self.tenant in (None, tenant)
        )


@dataclass
class MemoryCap:
    """A cap in force, with what was claimed under it on each UTC day; minor units."""

    per_payment: int | None
    per_day: int | None
    used: dict[date, int] = field(default_factory=dict)

    def has_room(self, amount: int, day: date) -> bool:
        """Tell whether a claim fits."""
        if self.per_payment is not None and amount > self.per_payment:
            return False
        return self.per_day is None or self.used.get(day, 0) + amount <= self.per_day


@dataclass
class MemoryGate:
    """What people have stopped and bound."""

    pauses: list[MemoryPause] = field(default_factory=list)
    caps: dict[CapName, MemoryCap] = field(default_factory=dict)
    disabled: dict[str, datetime] = field(default_factory=dict)

    def open_pause(self, scope: str, name: str) -> MemoryPause | None:
        """Return the pause in force of that name, or None."""
        mine = (p for p in self.pauses if (p.scope, p.name) == (scope, name))
        return next((p for p in mine if p.resumed_by is None), None)

    def is_paused(self, partner: str | None, currency: str, tenant: str) -> bool:
        """Tell whether money of this kind may not leave."""
        names = {
            (Scope.ALL, ""),
            (Scope.PARTNER, partner),
            (Scope.CURRENCY, currency),
            (Scope.TENANT, tenant),
        }
        return any(p.resumed_by is None and (p.scope, p.name) in names for p in self.pauses)

    def doubted_until(self, payment: Payment) -> datetime | None:
        """Return when sending went on last in restored books that may have forgotten this one.

        None: it cannot have been sent before that.
        """
        lifted = [
            pause.resumed_at
            for pause in self.pauses
            if pause.scope == Scope.ALL and pause.paused_by == START_GUARD and pause.resumed_at
        ]
        last = max(lifted, default=None)
        return last if last is not None and last > sendable_from(payment) else None

    def is_doubted(self, payment: Payment) -> bool:
        """Tell whether all sending was stopped since this one's time, as books were restored."""
        stops = (p for p in self.pauses if (p.scope, p.paused_by) == (Scope.ALL, START_GUARD))
        return any(
            stop.resumed_at is None or stop.resumed_at > sendable_from(payment) for stop in stops
        )

    def is_disabled(self, name: str) -> bool:
        """Tell whether a person's words count no more, in whatever spelling."""
        return person_of(name) in map(person_of, self.disabled)

    def caps_of(self, payment: Payment, partner: str) -> list[MemoryCap]:
        """Return the caps that a claim of this payment comes under."""
        return [
            cap
            for name, cap in self.caps.items()
            if name.covers(payment.currency, partner, payment.tenant)
        ]

    def count(self, payment: Payment, partner: str, day: date) -> None:
        """Count a claim under each of its caps."""
        for cap in self.caps_of(payment, partner):
            cap.used[day] = cap.used.get(day, 0) + payment.amount_minor

    def lacks_approvals(
        self, terms: dict[str, Any], payment: Payment | None, words: Iterable[ApprovalRow]
    ) -> bool:
        """Tell whether fewer people have approved than terms ask for; nobody, if it is new."""
        rule = terms.get("approvals")
        if not isinstance(rule, dict) or rule.get("number") is None:
            return False
        given = self.approvals_given(payment, words) if payment else 0
        return given < int(rule["number"])

    def approvals_given(self, payment: Payment, words: Iterable[ApprovalRow]) -> int:
        """Return how many people's approvals count now, by the rule frozen on the payment."""
        rule = payment.terms.get("approvals") or {}
        until = _moment(payment.terms.get("approve_by"))
        mine = [word for word in words if word.payment_id == payment.id]
        denied = {person_of(word.principal) for word in mine if word.decision == "deny"}
        binds = (payment.content_hash, rule.get("role"), rule.get("version"))
        people = {
            person_of(word.principal)
            for word in mine
            if word.decision == "approve"
            and (word.content_hash, word.role, word.rule_version) == binds
            and (until is None or word.at <= until)
        }
        disabled = {person_of(name) for name in self.disabled}
        return len(people - denied - disabled - {person_of(payment.created_by)})


def gates_of(change: Change) -> int:
    """Return what a change is to the gate, in bits; 0: nothing.

    Raises:
        ValueError: It goes into submitting without the claim or the reopening of an attempt, or
            the other way round.
    """
    bits = 0
    if isinstance(change.attempt, AttemptOpened):
        bits |= OPENS
    if isinstance(change.attempt, AttemptReopened):
        bits |= REOPENS
    for move in change.moves:
        if move.after is PaymentState.SUBMITTING:
            bits |= SUBMITS
        if move.after is PaymentState.SETTLED and move.before not in (None, PaymentState.SUBMITTED):
            bits |= BOOKS_TRANSFER
    if bits not in (0, CLAIM, RESEND, BOOKS_TRANSFER):
        raise ValueError(
            f"{change.key}: a move into submitting goes with the claim or the reopening of an"
            " attempt, and only with one"
        )
    return bits


def is_due(terms: Mapping[str, Any], at: datetime) -> bool:
    """Tell whether the time has come that is frozen in a payment's terms."""
    execute_at = _moment(terms.get("execute_at"))
    return execute_at is None or execute_at <= at


def sendable_from(payment: Payment) -> datetime:
    """Return the earliest moment at which a payment can ever have been sent."""
    return max(payment.created_at, _moment(payment.terms.get("execute_at")) or payment.created_at)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
