"""The books as the rest of the house sees them; another engine may stand behind this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bursar.gate import CapBody, DisableBody, SwitchBody
from bursar.payments import PaymentKind, PaymentState
from bursar.reports import PartnerEvent
from ledger.changes import Change, Written
from ledger.evidence import Evidence


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class Account(_Row):
    """An account with its balance; amounts on its own side (a wallet's money is positive)."""

    path: str
    tenant: str | None
    kind: str
    currency: str
    posted_minor: int
    held_minor: int
    available_minor: int
    floor_minor: int | None
    ceiling_minor: int | None
    closed: bool


class AttemptRow(_Row):
    """One attempt: what was claimed, when, and what is known of it."""

    payment_id: str
    ordinal: int
    key: str
    partner: str
    wire_hash: str
    opened_at: AwareDatetime
    sent_at: AwareDatetime | None
    """Since when bytes may have left; None: not since it was opened or reopened."""
    fence: int
    """Raised by each permission to send and each reopening; older ones are void."""
    first_sent_at: AwareDatetime | None
    """When bytes may have left for the first time; this is never taken back."""
    result: str | None
    partner_ref: str | None
    code: str | None


class Payment(_Row):
    """A payment as the register has it."""

    id: str
    kind: PaymentKind
    tenant: str
    state: PaymentState
    seq: int
    """How many transitions it has made so far; the number of the last one."""
    content_hash: str
    partner: str | None
    currency: str
    amount_minor: int
    fee_minor: int
    request: dict[str, Any]
    terms: dict[str, Any]
    created_by: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    open_cases: int = 0
    """How many of its cases nobody has closed yet."""
    attempts: tuple[AttemptRow, ...] = ()
    """Oldest first; read in the same moment."""


class Unsendable(StrEnum):
    """Why an attempt may not be sent now."""

    SENT = "sent"
    """An earlier permission may be in use: ask the partner first."""
    TOLD = "told"
    """Its partner has told of it before it was sent for the first time: ask the partner first."""
    ENDED = "ended"
    """The payment or the attempt is past sending."""
    PAUSED = "paused"
    """Somebody has stopped the rail, the currency, the tenant, or everything."""


class Permit(_Row):
    """The answer to whether bytes may leave now."""

    fence: int | None
    """The permission's number, given to one caller only; None: `refusal` says why not."""
    refusal: Unsendable | None


class PartnerWord(_Row):
    """One answer of a partner, kept for ever."""

    attempt_key: str
    verb: str
    """submit, find or cancel."""
    kind: str
    """The report's kind."""
    partner_ref: str | None = None
    code: str | None = None
    evidence: str = ""
    answered_at: AwareDatetime | None = None
    """Given by the database when it is stored."""


class StoredEvent(_Row):
    """A partner's event as stored, with its row id and what became of it."""

    row_id: int
    event: PartnerEvent
    payment_id: str | None
    received_at: AwareDatetime
    taken_at: AwareDatetime | None
    """When a workflow has taken notice of it."""
    applied_at: AwareDatetime | None
    """When it has been taken account of in the books or set aside with a note."""
    failures: int = 0
    """How often it failed in a row, in the relay or in its step on the books."""
    redrives: int = 0
    """How often a person has brought it back after it had been set aside."""
    named_payment: str | None = None
    """The payment whose attempt its partner calls by the event's `partner_ref`, if any; read with
    the event where one is asked for, or a payment's open ones."""


class ApprovalRow(_Row):
    """One person's word on a payment; see `Books.add_approval` for when it is kept again."""

    payment_id: str
    principal: str
    decision: str
    """A lower-case word of up to 40 characters: approve, deny, resolve_paid, …"""
    role: str
    content_hash: str
    rule_version: str
    reason: str | None
    channel: str
    """How it came: update, signal or gateway."""
    at: AwareDatetime


class CaseRow(_Row):
    """Something about a payment that a person has to look at."""

    id: int
    payment_id: str | None
    kind: str
    detail: str
    opened_at: AwareDatetime
    opened_by: str
    closed_at: AwareDatetime | None
    closed_by: str | None
    resolution: str | None


class AccountToOpen(_Row):
    """An account to open; again with the same content it is no change, with other a conflict."""

    path: str
    kind: str
    currency: str
    tenant: str | None = None
    floor_minor: int | None = None
    ceiling_minor: int | None = None
    soft: bool = False


class Books(Evidence, Protocol):
    """Journal and register. Every method is safe to repeat.

    All methods raise `ConnectionError` when the database does not answer: nothing is known then
    of what the call did, and a repeat is safe.
    """

    async def write(self, change: Change) -> Written:
        """Write a change once; returns when the commit that carries it is durable.

        Raises:
            ContentConflict: The key is known with other content.
            LedgerBusy: The queue is full; nothing was written.
            ValueError: The change is malformed: unknown account, unbalanced, a forbidden move.
        """

    async def open_accounts(self, accounts: Sequence[AccountToOpen]) -> None:
        """Open accounts that do not exist yet.

        Raises:
            ContentConflict: An account exists with another kind, currency, tenant or bounds.
        """

    async def account(self, path: str) -> Account | None:
        """Return one account with its balance, or None."""

    async def payment(self, payment_id: str) -> Payment | None:
        """Return a payment with its attempts, as it stands now, or None."""

    async def attempts(self, payment_id: str) -> list[AttemptRow]:
        """Return a payment's attempts, oldest first."""

    async def mark_sent(self, attempt_key: str) -> Permit:
        """Record that bytes may leave from now on, unless they may not.

        Only the caller that gets a fence may send, and only once. Committed before it returns, so
        that a repeat of a crashed call knows to ask first. No permission is given once a pause
        has returned, or the payment has moved on. What may have been sent before books that were
        restored had their sending let go on is `sent`, until its partner has said something of it.
        """

    async def may_have_left(self, payment_id: str) -> bool:
        """Tell whether a payout that is not claimed here may be at its partner all the same.

        Its time has come, and something tells of a send that these books have forgotten, or its
        partner has told that it accepted or paid it, or all sending was stopped since its time,
        as the books were restored. `mark_sent` refuses its first send for the same reasons.
        """

    async def told_by(self, payment_id: str) -> str | None:
        """Return the partner that was the first to tell that it has a payment; None: none has.

        It may be another than the one that the payment goes to.
        """

    async def cancel_wished(self, payment_id: str) -> bool:
        """Tell whether somebody's wish to cancel was kept that came too late (`cancel_too_late`).

        Whatever becomes of the run that has taken it.
        """

    async def mark_unsent(self, attempt_key: str, fence: int) -> bool:
        """Record that certainly nothing left after all, so that the next try may send.

        Takes back only the permission with this fence; False where it is the newest no more,
        since who says "not sent" late must not take back a newer one.
        """

    async def add_word(self, word: PartnerWord) -> None:
        """Keep a partner's answer."""

    async def words(self, payment_id: str) -> list[PartnerWord]:
        """Return every answer to a payment's attempts, oldest first."""

    async def add_note(
        self, payment_id: str, *, key: str, actor: str, kind: str, detail: str
    ) -> None:
        """Put a remark on a payment's timeline, once per key: a wish, or what came unreadable."""

    async def store_event(
        self, event: PartnerEvent, raw: bytes, headers: dict[str, str]
    ) -> int | None:
        """Store an authentic event with its raw bytes; None if it was there already."""

    async def events_to_relay(self, limit: int) -> list[StoredEvent]:
        """Return events that no workflow has taken notice of, oldest first, leased for a while.

        One that was taken and is not applied long after is offered again: a workflow notices a
        row once, and one that is lost with Temporal's database would never apply it.
        """

    async def mark_taken(self, row_id: int) -> None:
        """Record that a workflow has taken notice of an event."""

    async def event(self, row_id: int) -> StoredEvent | None:
        """Return one stored event, with the payment that its partner's name is of."""

    async def open_events(self, payment_id: str) -> list[StoredEvent]:
        """Return a payment's events that are not applied yet, in order of occurrence.

        Each with the payment that its partner's name is of.
        """

    async def set_event_aside(self, row_id: int, verdict: str) -> None:
        """Record that an event needs no change, and why: repeated, stale."""

    async def add_approval(self, approval: ApprovalRow, due_since: datetime | None = None) -> bool:
        """Keep a person's word on a payment; False if the same word is there already.

        A person may say several different words: approve, and deny later, each once. What became
        of the payment (resolve_…) is kept again where its person has said something else since,
        or has said it before `due_since`, that is, when another decision was due.
        """

    async def approvals(self, payment_id: str) -> list[ApprovalRow]:
        """Return what people said of a payment, oldest first."""

    async def approvals_given(self, payment_id: str) -> int:
        """Return how many people's approvals count now, by the rule frozen on the payment.

        The claim counts in the same way: people with the rule's role, not the creator, for this
        content and this version of the rule, in time, who have neither denied nor been disabled.
        """

    async def waiting(self, partner: str | None) -> int:
        """Return how many of a partner's payouts are held in the books and not handed over.

        None: how many transfers wait for their date or for the gate.
        """

    async def pause(self, body: SwitchBody, by: str) -> str:
        """Stop handing over; once this returns, no money leaves against it.

        Returns paused, paused_already, or unknown where the books know nothing of that name.
        """

    async def resume(self, body: SwitchBody, by: str, *, is_admin: bool) -> str:
        """Lift a pause of one's own, or as an administrator any.

        Returns resumed, paused_still (the start guard's pause of everything had taken the place of
        somebody else's, which is in force again), not_paused, not_allowed or unknown.
        """

    async def set_cap(self, body: CapBody, by: str) -> str:
        """Set, replace or end a cap; returns set, ended, not_set or unknown."""

    async def disable_person(self, body: DisableBody, by: str) -> bool:
        """Make a person's approvals count no more; False if they do not count already."""

    async def is_disabled(self, name: str) -> bool:
        """Tell whether a person's words count no more, in whatever spelling."""

    async def open_cases(self, payment_id: str) -> list[CaseRow]:
        """Return a payment's cases that nobody has closed yet, oldest first."""

    async def now(self) -> datetime:
        """Return the database's clock: the one clock that decides."""
