"""The books in memory: a second engine behind the same port, for simulations without I/O.

One change at a time, as the database answers them; nothing is durable, and nothing is shared
between processes. The port's contract suite runs over this and over Postgres.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bursar.errors import ContentConflict
from bursar.ids import payment_of
from bursar.payments import PaymentKind, PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger.accounts import side
from ledger.books import (
    Account,
    AccountToOpen,
    ApprovalRow,
    AttemptRow,
    CaseRow,
    PartnerWord,
    Payment,
    Permit,
    StoredEvent,
    Unsendable,
)
from ledger.memory_acts import MemoryActs
from ledger.memory_evidence import MemoryEvidence
from ledger.memory_gate import sendable_from
from ledger.memory_journal import MemoryAccount
from ledger.memory_register import DEFINITE_NO

RELAY_LEASE = timedelta(seconds=15)


class MemoryBooks(MemoryActs, MemoryEvidence):
    """`ledger.books.Books` without a database; its clock decides every moment."""

    async def open_accounts(self, accounts: Sequence[AccountToOpen]) -> None:
        """Open accounts that do not exist yet; see the port."""
        for wanted in accounts:
            there = self.journal.accounts.get(wanted.path)
            if there is None:
                number = len(self.journal.accounts) + 1
                opened = MemoryAccount(number, wanted, side(wanted.kind))
                self.journal.accounts[wanted.path] = opened
            elif there.opened != wanted:
                raise ContentConflict(wanted.path)

    async def account(self, path: str) -> Account | None:
        """Return one account with its balance, or None."""
        found = self.journal.accounts.get(path)
        if found is None:
            return None
        return Account(
            path=path,
            tenant=found.opened.tenant,
            kind=found.opened.kind,
            currency=found.opened.currency,
            posted_minor=found.side * found.posted,
            held_minor=found.held,
            available_minor=found.side * found.posted - found.held,
            floor_minor=found.opened.floor_minor,
            ceiling_minor=found.opened.ceiling_minor,
            closed=found.closed,
        )

    async def payment(self, payment_id: str) -> Payment | None:
        """Return a payment with its attempts, as it stands now, or None."""
        payment = self.payments.get(payment_id)
        if payment is None:
            return None
        open_cases, attempts = await self.open_cases(payment_id), await self.attempts(payment_id)
        return payment.model_copy(
            update={"open_cases": len(open_cases), "attempts": tuple(attempts)}
        )

    async def attempts(self, payment_id: str) -> list[AttemptRow]:
        """Return a payment's attempts, oldest first."""
        return sorted(self.attempts_of(payment_id), key=lambda row: row.ordinal)

    async def mark_sent(self, attempt_key: str) -> Permit:
        """Record that bytes may leave from now on, unless they may not; see the port."""
        row = self._attempt(attempt_key)
        refusal = self._unsendable(row)
        if refusal is not None:
            return Permit(fence=None, refusal=refusal)
        now = self.clock()
        first = row.first_sent_at or now
        oldest = min(first, sendable_from(self.payments[row.payment_id]))
        told = self._told(row.payment_id) if row.first_sent_at is None else None
        if told is not None:
            self.change_attempt(
                attempt_key, sent_at=now, first_sent_at=min(oldest, told.received_at)
            )
            return Permit(fence=None, refusal=Unsendable.TOLD)
        if self._is_doubted(row):
            self.change_attempt(attempt_key, sent_at=now, first_sent_at=oldest)
            return Permit(fence=None, refusal=Unsendable.SENT)
        fence = row.fence + 1
        self.change_attempt(attempt_key, sent_at=now, first_sent_at=first, fence=fence)
        return Permit(fence=fence, refusal=None)

    async def may_have_left(self, payment_id: str) -> bool:
        """Tell whether a payout that is not claimed here may be at its partner all the same."""
        payment = self.payments.get(payment_id)
        if payment is None or payment.kind is not PaymentKind.PAYOUT:
            return False
        known = self._told(payment_id) is not None or self.gate.is_doubted(payment)
        return known and sendable_from(payment) <= self.clock()

    async def cancel_wished(self, payment_id: str) -> bool:
        """Tell whether somebody's wish to cancel came too late."""
        mine = (note for (of, _), note in self.notes.items() if of == payment_id)
        return any(kind == "cancel_too_late" for _, kind, _ in mine)

    async def told_by(self, payment_id: str) -> str | None:
        """Return the partner that was the first to tell that it has a payment, or None."""
        told = self._told(payment_id)
        return told.event.partner if told else None

    def _told(self, payment_id: str) -> StoredEvent | None:
        """Return the first event by which a partner has told that it has a payment, or None."""
        kinds = {EventKind.ACCEPTED, EventKind.PAID}
        mine = (row for row in self.events.values() if row.payment_id == payment_id)
        told = (row for row in mine if row.event.kind in kinds)
        return min(told, key=lambda row: (row.received_at, row.row_id), default=None)

    def _is_doubted(self, row: AttemptRow) -> bool:
        """Tell whether restored books may have forgotten a send that nobody has asked about."""
        since = self.gate.doubted_until(self.payments[row.payment_id])
        answers = (w.answered_at for w in self.words_kept if w.attempt_key == row.key)
        return since is not None and not any(at is not None and at > since for at in answers)

    def _unsendable(self, row: AttemptRow) -> Unsendable | None:
        payment = self.payments[row.payment_id]
        if payment.state is not PaymentState.SUBMITTING or row.result in DEFINITE_NO:
            return Unsendable.ENDED
        if row.sent_at is not None:
            return Unsendable.SENT
        paused = self.gate.is_paused(row.partner, payment.currency, payment.tenant)
        return Unsendable.PAUSED if paused else None

    async def mark_unsent(self, attempt_key: str, fence: int) -> bool:
        """Record that certainly nothing left after all, if that permission is the newest."""
        row = self._attempt(attempt_key)
        if row.fence != fence or row.sent_at is None:
            return False
        self.change_attempt(attempt_key, sent_at=None)
        return True

    def _attempt(self, key: str) -> AttemptRow:
        if key not in self.attempts_by_key:
            raise ValueError(f"{key}: there is no such attempt")
        return self.attempts_by_key[key]

    async def add_word(self, word: PartnerWord) -> None:
        """Keep a partner's answer."""
        self._attempt(word.attempt_key)
        self.words_kept.append(word.model_copy(update={"answered_at": self.clock()}))

    async def words(self, payment_id: str) -> list[PartnerWord]:
        """Return every answer to a payment's attempts, oldest first."""
        mine = {row.key for row in await self.attempts(payment_id)}
        return [word for word in self.words_kept if word.attempt_key in mine]

    async def add_note(
        self, payment_id: str, *, key: str, actor: str, kind: str, detail: str
    ) -> None:
        """Put a remark on a payment's timeline, once per key."""
        self.notes.setdefault((payment_id, key), (actor, kind, detail))

    async def store_event(
        self, event: PartnerEvent, raw: bytes, headers: dict[str, str]
    ) -> int | None:
        """Store an authentic event; None if it was there already. The raw bytes are not kept."""
        name = (event.partner, event.event_id)
        if any((row.event.partner, row.event.event_id) == name for row in self.events.values()):
            return None
        row_id = len(self.events) + 1
        meant = payment_of(event.reference) if event.reference is not None else None
        self.events[row_id] = StoredEvent(
            row_id=row_id,
            event=event,
            payment_id=meant if meant in self.payments else None,
            received_at=self.clock(),
            taken_at=None,
            applied_at=None,
        )
        return row_id

    async def events_to_relay(self, limit: int) -> list[StoredEvent]:
        """Return events that no workflow has taken notice of, oldest first, leased for a while."""
        now = self.clock()
        waiting = [
            row
            for row_id, row in self.events.items()
            if row.applied_at is None
            and row_id not in self.set_aside
            and self.leases.get(row_id, now) <= now
        ][:limit]
        self.leases.update({row.row_id: now + RELAY_LEASE for row in waiting})
        return waiting

    async def mark_taken(self, row_id: int) -> None:
        """Record that a workflow has taken notice of an event."""
        stored, now = self.events[row_id], self.clock()
        self.events[row_id] = stored.model_copy(update={"taken_at": stored.taken_at or now})
        self.leases[row_id] = now + max(timedelta(minutes=5), now - stored.received_at)

    async def event(self, row_id: int) -> StoredEvent | None:
        """Return one stored event, with the payment that its partner's name is of."""
        stored = self.events.get(row_id)
        return None if stored is None else await self._named(stored)

    async def open_events(self, payment_id: str) -> list[StoredEvent]:
        """Return a payment's events that are not applied yet, in order of occurrence."""
        mine = [
            row
            for row in self.events.values()
            if row.payment_id == payment_id
            and row.applied_at is None
            and row.row_id not in self.set_aside
        ]
        mine.sort(key=lambda row: (row.event.occurred_at, row.row_id))
        return [await self._named(row) for row in mine]

    async def _named(self, stored: StoredEvent) -> StoredEvent:
        partner, ref = stored.event.partner, stored.event.partner_ref
        named = await self.payment_with_partner_ref(partner, ref) if ref is not None else None
        return stored.model_copy(update={"named_payment": named})

    async def set_event_aside(self, row_id: int, verdict: str) -> None:
        """Record that an event needs no change, and why."""
        if self.events[row_id].applied_at is None:
            self.mark_applied(row_id, self.clock())
            self.verdicts[row_id] = verdict

    async def add_approval(self, approval: ApprovalRow, due_since: datetime | None = None) -> bool:
        """Keep a person's word on a payment; False if the same word is there already."""
        resolves = approval.decision.startswith("resolve_")
        own = [
            word
            for word in await self.approvals(approval.payment_id)
            if word.principal == approval.principal
            and (
                word.decision == approval.decision
                or (resolves and word.decision.startswith("resolve_"))
            )
        ]
        again = bool(own) and own[-1].decision == approval.decision
        if again and (not resolves or due_since is None or own[-1].at >= due_since):
            return False
        self.approvals_kept.append(approval)
        return True

    async def approvals(self, payment_id: str) -> list[ApprovalRow]:
        """Return what people said of a payment, oldest first."""
        mine = [row for row in self.approvals_kept if row.payment_id == payment_id]
        return sorted(mine, key=lambda row: (row.at, row.principal, row.decision))

    async def open_cases(self, payment_id: str) -> list[CaseRow]:
        """Return a payment's cases that nobody has closed yet, oldest first."""
        return [c for c in self.cases if c.payment_id == payment_id and c.closed_at is None]

    async def now(self) -> datetime:
        """Return the clock that decides."""
        return self.clock()
