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
    next_action: str | None = None
    """What happens next; None once the payment has ended."""
    due_at: AwareDatetime | None = None
    """By when that is due; past it the payment is stuck."""


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
    archived_in: str | None = None
    """The file that has its entries, where the books hold them no more."""


class CaseWordView(_View):
    """What a person has said of a case."""

    at: AwareDatetime
    principal: str
    verb: str
    """assign or resolve."""
    decision: str
    """The new owner; or where the money is to go, `none` for nowhere."""
    evidence: str | None


class CaseView(_View):
    """Something that a person has to look at, or had to."""

    id: int
    kind: str
    payment_id: str | None
    tenant: str | None
    amount_minor: int | None
    """What is at stake: the money in suspense, else the payment's amount."""
    currency: str | None
    suspense: str | None
    """The account on which its money waits; None: it has moved none there."""
    owner: str | None
    opened_at: AwareDatetime
    age_seconds: int
    """How long it has been, or was, open."""
    opened_by: str
    detail: str
    posting: str
    """The key of the change that opened it."""
    original: str | None
    """The key of the payment's own settlement, where there is one."""
    partner_breach: bool
    closed_at: AwareDatetime | None
    closed_by: str | None
    resolution: str | None
    says: str
    ways: tuple[str, ...]
    """Suggested ways to resolve it."""
    words: tuple[CaseWordView, ...] = ()
    """What people said of it; only where one case is shown."""


class CasePage(_View):
    """A page of cases, the oldest first; `next_cursor` None on the last page."""

    cases: tuple[CaseView, ...]
    next_cursor: str | None


class CaseAnswer(_View):
    """What came of a word on a case."""

    id: int
    verdict: str
    """assigned, recorded (a second person has to say the same) or resolved."""
    detail: str


class EventView(_View):
    """A stored event of a partner, with what became of it."""

    id: int
    partner: str
    event_id: str
    kind: str
    payment_id: str | None
    reference: str | None
    amount_minor: int | None
    currency: str | None
    received_at: AwareDatetime
    applied_at: AwareDatetime | None
    verdict: str | None
    failures: int
    last_error: str | None
    set_aside_at: AwareDatetime | None
    redrives: int


class EventPage(_View):
    """A page of events, the newest first; `next_cursor` None on the last page."""

    events: tuple[EventView, ...]
    next_cursor: str | None


class Redriven(_View):
    """Which events were brought back to the relay."""

    ids: tuple[int, ...]


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
    returned_minor: int = 0
    """How much of the amount has come back, what the partner kept of it included."""
    cases: tuple[CaseView, ...] = ()


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
    scope: str = "full"
    """full, or since_last: only what is new since the last round on record was looked at."""
    transactions: int | None = None
    """How many transactions were new; None where all were looked at."""


class CheckRound(_View):
    """A round of checks that is on record."""

    id: int
    scope: str
    """full, or since_last."""
    seen_at: AwareDatetime
    """The moment that it has looked at."""
    covers_until: AwareDatetime
    """What was booked before this has been looked at; earlier than `seen_at` where some transaction
    was open for long."""
    ended_at: AwareDatetime
    transactions: int
    """How many were new since the round before."""
    checks: int
    breaks: int
    first_breaks: tuple[Break, ...]
    """A hundred of them at most."""


class CheckRounds(_View):
    """The rounds of checks on record, the newest first, and whether one is overdue."""

    rounds: tuple[CheckRound, ...]
    last_full: CheckRound | None
    late: str | None
    """What is overdue; None: nothing."""


class ForgottenSend(_View):
    """A send that the books do not know of, and something outside of them does."""

    attempt_key: str
    partner: str
    evidence: str
    """Where it was seen, such as a line of the partner's statement."""
    sent_at: AwareDatetime
    found_at: AwareDatetime
    state: PaymentState | None
    """Where the payment stands in the register; None: it has no such payment."""


class NoSend(_View):
    """Whether all sending is stopped, by whom and why, and what has to be compared."""

    stopped: bool
    paused_at: AwareDatetime | None = None
    paused_by: str | None = None
    reason: str | None = None
    forgotten: tuple[ForgottenSend, ...] = ()


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
