"""Views: what the gateway shows and the CLI prints. Amounts are minor units."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bursar.payments import PaymentKind, PaymentState


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PaymentSummary(_View):
    """A payment in a list."""

    id: str
    kind: PaymentKind
    tenant: str
    state: PaymentState
    code: str | None
    """Why, where the state alone does not say."""
    account: str
    partner: str | None
    amount_minor: int
    fee_minor: int
    currency: str
    reference: str
    created_by: str
    created_at: AwareDatetime
    updated_at: AwareDatetime


class TimelineEntry(_View):
    """One thing that happened to a payment: a transition, an approval, a note or an event."""

    at: AwareDatetime
    what: str
    """transition, approval, note, event or case."""
    text: str
    actor: str
    reason: str | None
    evidence_id: str | None


class AttemptView(_View):
    """One attempt at a partner."""

    ordinal: int
    key: str
    partner: str
    opened_at: AwareDatetime
    sent_at: AwareDatetime | None
    result: str | None
    partner_ref: str | None
    code: str | None


class WordView(_View):
    """One answer of a partner."""

    at: AwareDatetime
    attempt_key: str
    verb: str
    kind: str
    partner_ref: str | None
    code: str | None
    evidence: str


class EntryView(_View):
    """One entry in the books; credits positive, debits negative."""

    account: str
    currency: str
    delta_minor: int
    held_minor: int
    posted_after_minor: int
    held_after_minor: int


class PostingView(_View):
    """One change in the journal with its entries."""

    key: str
    kind: str
    refusal: str | None
    booked_at: AwareDatetime
    effective_on: str
    """The value date, YYYY-MM-DD."""
    actor: str
    reason: str | None
    evidence_id: str | None
    reverses: str | None
    entries: tuple[EntryView, ...]


class PaymentView(_View):
    """Everything that is known of one payment."""

    payment: PaymentSummary
    beneficiary: dict[str, Any] | None
    """The beneficiary with its account number masked; None for a transfer."""
    destination: str | None
    """The account that receives a transfer; None for a payout."""
    content_hash: str
    approvals_needed: int
    approvals_given: int
    execute_at: AwareDatetime | None
    cautions: tuple[str, ...] = ()
    """What an approver must know, such as letters that only look like others."""
    timeline: tuple[TimelineEntry, ...]
    attempts: tuple[AttemptView, ...]
    words: tuple[WordView, ...]
    postings: tuple[PostingView, ...]


class PaymentPage(_View):
    """A page of payments, newest first; `next_cursor` None on the last page."""

    payments: tuple[PaymentSummary, ...]
    next_cursor: str | None


class AccountView(_View):
    """An account with its balance, on its own side."""

    path: str
    kind: str
    tenant: str | None
    currency: str
    posted_minor: int
    held_minor: int
    available_minor: int
    floor_minor: int | None
    ceiling_minor: int | None
    closed: bool


class AccountList(_View):
    """All accounts that match, by path."""

    accounts: tuple[AccountView, ...]


class Break(_View):
    """One thing that is wrong in the books."""

    check: str
    """The name of the broken invariant."""
    where: str
    """Account, payment or key."""
    detail: str


class BooksReport(_View):
    """The result of all checks over the books, taken in one snapshot."""

    checked_at: AwareDatetime
    checks: tuple[str, ...]
    breaks: tuple[Break, ...]
    trial_balance: dict[str, int]
    """Sum over all accounts for each currency: always 0."""


class FaultView(_View):
    """One thing that is wrong with an input."""

    field: str | None
    code: str
    reason: str
    what_to_do: str


class Problem(_View):
    """An error over HTTP, as RFC 9457 problem+json."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """A stable word for machines, as in `bursar.errors`."""
    field: str | None = None
    what_to_do: str | None = None
    faults: tuple[FaultView, ...] = ()
    """Everything that is wrong with an input; `code` and `field` are those of the first."""
