"""Rows: what each source says, one plain tuple for each thing.

Amounts are minor units. In the books credits are positive and debits negative; in a bank's book
credits to our account are positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple


class Account(NamedTuple):
    """An account with its bounds and its cached balance."""

    id: int
    path: str
    kind: str
    currency: str
    tenant: str | None
    balance_currency: str | None
    side: int | None
    floor: int | None
    ceiling: int | None
    soft: bool | None
    posted: int | None
    held: int | None
    seq: int | None


class Transaction(NamedTuple):
    """One answered change: booked, or a refusal without entries."""

    id: int
    key: str
    digest: bytes
    kind: str
    outcome: str
    payment_id: str | None
    attempt_key: str | None
    evidence_id: str | None
    reverses: int | None
    effective_on: date
    booked_at: datetime
    actor: str
    reason: str | None
    xid: int


class Entry(NamedTuple):
    """What one transaction did to one account."""

    account_id: int
    seq: int
    transaction_id: int
    currency: str
    delta: int
    held: int
    posted_after: int
    held_after: int
    hold_id: int | None


class Hold(NamedTuple):
    """Money that was set aside by a transaction, and what became of it."""

    transaction_id: int
    account_id: int
    amount: int
    captured: int
    released: int
    returned: int


class Payment(NamedTuple):
    """A payment as the register has it."""

    id: str
    kind: str
    tenant: str
    account: str
    currency: str
    amount_minor: int
    fee_minor: int
    partner: str | None
    content_hash: str
    request: Mapping[str, Any]
    terms: Mapping[str, Any]
    created_by: str
    created_at: datetime
    state: str
    seq: int


class Transition(NamedTuple):
    """One move of a payment."""

    payment_id: str
    seq: int
    kind: str
    before: str | None
    after: str
    at: datetime
    actor: str
    reason: str | None
    evidence_id: str | None
    transaction_id: int
    xid: int
    """Of the database transaction that wrote the row, without its epoch."""


class Attempt(NamedTuple):
    """The claim of one try at a partner."""

    key: str
    payment_id: str
    ordinal: int
    partner: str
    wire_hash: str
    opened_at: datetime
    sent_at: datetime | None
    first_sent_at: datetime | None
    result: str | None


class Word(NamedTuple):
    """One answer of a partner."""

    attempt_key: str
    verb: str
    kind: str
    code: str | None
    evidence: str
    answered_at: datetime


class Event(NamedTuple):
    """One authentic message of a partner."""

    id: int
    partner: str
    event_id: str
    kind: str
    reference: str | None
    amount_minor: int | None
    currency: str | None
    detail: str
    payment_id: str | None
    received_at: datetime
    applied_at: datetime | None
    verdict: str | None
    set_aside_at: datetime | None
    """Since when it waits for a person, after it had failed again and again."""
    line_ref: str | None
    message_id: str | None
    """The sender's own name for the message it came in (header `webhook-id`); None: in none."""
    fee_minor: int | None = None
    """What the partner has kept of a return, beside what has arrived."""
    redrives: int = 0
    """How often people have brought it back after it was set aside."""
    code: str | None = None
    """Why the partner says no."""

    @property
    def movement(self) -> str:
        """What names the movement that it tells of: the same for all events of one movement."""
        return f"{self.partner}/{self.line_ref or self.event_id}"


class Approval(NamedTuple):
    """One person's word on a payment."""

    payment_id: str
    principal: str
    decision: str
    role: str
    content_hash: str
    rule_version: str
    reason: str | None
    at: datetime


class Disabled(NamedTuple):
    """A person whose approvals count for no claim since then."""

    principal: str
    at: datetime


class Pause(NamedTuple):
    """What people had stopped: everything, or one partner, currency or tenant."""

    scope: str
    name: str
    paused_at: datetime
    resumed_at: datetime | None


class Note(NamedTuple):
    """A remark on a payment's timeline."""

    payment_id: str
    key: str
    actor: str
    detail: str


class Case(NamedTuple):
    """Something that a person has to look at, or has looked at."""

    payment_id: str | None
    transaction_id: int
    kind: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None
    id: int = 0


class CaseWord(NamedTuple):
    """What one person said of a case."""

    case_id: int
    principal: str
    verb: str
    decision: str
    """For `resolve`: the account that its money goes to, or `none`."""
    evidence: str | None
    at: datetime


class Outgoing(NamedTuple):
    """An event of ours that waits to be published."""

    event_id: str
    payment_id: str
    seq: int
    tenant: str
    before: str | None
    after: str


class Archived(NamedTuple):
    """A file that entries have left the books for."""

    file: str
    sha256: str


class Guards(NamedTuple):
    """What the database's own catalogue says of the books' protection."""

    writable: tuple[tuple[str, str], ...]
    """(table, role) where a role that is no superuser may write past the functions."""
    frozen: tuple[str, ...]
    """Tables on which update, delete and truncate are refused by triggers that are on."""
    owners_with_login: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    """(table, column, …) of each unique index without a condition."""


class BankPayout(NamedTuple):
    """A payout as a bank has it, in truth and not as it tells."""

    id: int
    reference: str
    amount_minor: int
    currency: str
    payee: Mapping[str, Any]
    truth: str
    created_at: datetime


class BankLine(NamedTuple):
    """One booked movement on our account with a bank."""

    seq: int
    booked_at: datetime
    value_on: date
    amount_minor: int
    currency: str
    balance_minor: int
    reference: str
    kind: str


@dataclass(frozen=True)
class BankBook:
    """A bank's whole book."""

    partner: str
    payouts: Sequence[BankPayout]
    lines: Sequence[BankLine]
    balances: Mapping[str, int]
    calls: Mapping[str, int]
    """How often each reference was asked for."""
    body_hashes: Mapping[str, str]
    """What the bank has kept of each key's order: SHA-256 of its canonical JSON."""


class Told(NamedTuple):
    """One line of a client's log: what it asked, or what it was answered."""

    place: str
    """File and line, for a person who looks it up."""
    at: datetime
    op: str
    id: str
    kind: str
    phase: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]


class ApprovalRule(NamedTuple):
    """Payments that match need so many approvals; None matches everything."""

    number: int
    role: str
    kind: str | None
    currency: str | None
    partner: str | None
    amount_from_minor: int
    version: str
    """What names this rule's exact content on approvals."""


class FeeRule(NamedTuple):
    """What a payment costs: a fixed part in minor units, and a part of the amount."""

    kind: str
    currency: str | None
    fixed_minor: int
    rate_bps: int


@dataclass(frozen=True)
class Ruling:
    """A rules file: who must approve what, and what is charged."""

    approvals: Sequence[ApprovalRule]
    fees: Sequence[FeeRule]


@dataclass(frozen=True)
class Runs:
    """What Temporal knows of the payments' workflows, by payment id."""

    running: Mapping[str, datetime]
    """Since when a run is going on."""
    workflow_ids: Sequence[str] = ()
