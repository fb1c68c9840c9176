"""The register in memory: payments, attempts, events and cases, and the one way to write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bursar.errors import ContentConflict
from bursar.payments import PAYOUT_MOVES, TRANSFER_MOVES, PaymentKind, PaymentState
from ledger import batch
from ledger.books import ApprovalRow, AttemptRow, CaseRow, PartnerWord, Payment, StoredEvent
from ledger.changes import (
    AttemptClosed,
    AttemptOpened,
    AttemptReopened,
    Change,
    HeldBack,
    Leg,
    Move,
    Refusal,
    Registration,
    Written,
)
from ledger.evidence import PartnerLine
from ledger.memory_gate import BOOKS_TRANSFER, MemoryGate, gates_of, is_due
from ledger.memory_journal import Journal
from ledger.memory_people import lacks_deciders

if TYPE_CHECKING:
    from ledger.memory_evidence import MemoryCaseWord

Clock = Callable[[], datetime]

_MOVES = {PaymentKind.PAYOUT: PAYOUT_MOVES, PaymentKind.TRANSFER: TRANSFER_MOVES}
DEFINITE_NO = {"rejected", "not_sent", "throttled", "not_found", "never_moved"}


class MemoryTransaction(NamedTuple):
    """One answered change, with the moment and the first answer."""

    id: int
    change: Change
    digest: bytes
    refusal: Refusal | None
    at: datetime


class MemoryTransition(NamedTuple):
    """One move of a payment."""

    payment_id: str
    seq: int
    before: PaymentState | None
    after: PaymentState
    transaction: MemoryTransaction


def wall_clock() -> datetime:
    """Return the machine's own time."""
    return datetime.now(UTC)


class MemoryRegister:
    """Everything that a change writes, in plain dictionaries; `write` is the one way in."""

    def __init__(self, clock: Clock = wall_clock) -> None:
        """Begin with empty books.

        Args:
            clock: The one clock that decides; it must never go back.
        """
        self.journal = Journal()
        self.gate = MemoryGate()
        self.transactions: dict[str, MemoryTransaction] = {}
        self.transitions: list[MemoryTransition] = []
        self.payments: dict[str, Payment] = {}
        self.openings: dict[str, Registration] = {}
        self.attempts_by_key: dict[str, AttemptRow] = {}
        self.words_kept: list[PartnerWord] = []
        self.events: dict[int, StoredEvent] = {}
        self.verdicts: dict[int, str] = {}
        self.leases: dict[int, datetime] = {}
        self.set_aside: set[int] = set()
        self.lines_noted: dict[tuple[str, str], PartnerLine] = {}
        self.approvals_kept: list[ApprovalRow] = []
        self.notes: dict[tuple[str, str], tuple[str, str, str]] = {}
        self.cases: list[CaseRow] = []
        self.cases_opened_by: dict[int, MemoryTransaction] = {}
        self.case_owners: dict[int, str] = {}
        self.case_words: list[MemoryCaseWord] = []
        self.clock = clock

    async def write(self, change: Change) -> Written:
        """Write a change once; see the port."""
        batch.check(change)
        gates = gates_of(change)
        objection = self.journal.objection(change) or self._objection(change)
        if objection is not None:
            raise ValueError(f"{change.key}: {objection}")
        digest, known = change.digest(), self.transactions.get(change.key)
        if known is not None and known.digest == digest:
            return Written(
                key=change.key,
                refusal=known.refusal,
                state=self._state(change),
                repeated=True,
            )
        if known is not None or self._is_other_payment(change):
            raise ContentConflict(change.key)
        if self._is_stale(change):
            return Written(key=change.key, state=self._state(change), stale=True)
        held = self._held(change, gates)
        if held is not None:
            return Written(key=change.key, state=self._state(change), held=held)
        refusal = self.journal.refusal(change, self._was_refused) if change.legs else None
        moves = self._moves(change, refusal)
        self._check_moves(change, moves)
        if refusal is None:
            self._check_attempt(change)
        self._commit(change, digest, refusal, moves)
        return Written(key=change.key, refusal=refusal, state=self._state(change))

    def _objection(self, change: Change) -> str | None:
        """Return what a change names that the register does not have."""
        if change.key in self.transactions:
            return None
        if (
            change.payment_id is not None
            and change.opens is None
            and change.payment_id not in self.payments
        ):
            return f"there is no payment {change.payment_id}"
        if change.reverses is not None and change.reverses not in self.transactions:
            return f"there is no change {change.reverses} to reverse"
        if any(row_id not in self.events for row_id in change.applies_events):
            return "there is no such partner event"
        return None

    def _was_refused(self, key: str) -> bool:
        known = self.transactions.get(key)
        return known is not None and known.refusal is not None

    def _state(self, change: Change) -> PaymentState | None:
        payment = self.payments.get(change.payment_id or "")
        return payment.state if payment else None

    def _is_other_payment(self, change: Change) -> bool:
        there = self.payments.get(change.payment_id or "")
        return bool(there and change.opens and there.content_hash != change.opens.content_hash)

    def _is_stale(self, change: Change) -> bool:
        """Tell whether a payment is elsewhere, an event taken account of, or a fence too old.

        Or whether fewer people stand for what is done in their name than it takes.
        """
        if change.moves and self._state(change) is not change.moves[0].before:
            return True
        if lacks_deciders(self, change):
            return True
        if isinstance(change.attempt, AttemptClosed | AttemptReopened):
            row = self.attempts_by_key.get(change.attempt.key)
            if row is not None and change.attempt.fence not in (None, row.fence):
                return True
        return any(self.events[row_id].applied_at is not None for row_id in change.applies_events)

    def _held(self, change: Change, gates: int) -> HeldBack | None:
        """Return why money may not leave now.

        Raises:
            ValueError: It claims other content than the payment's, or not the next attempt.
        """
        if self._is_paused(change, gates):
            return HeldBack.PAUSED
        payment, claim = self.payments.get(change.payment_id or ""), change.attempt
        if gates == BOOKS_TRANSFER:
            return self._held_by_time_or_people(payment, change)
        if payment is None or not isinstance(claim, AttemptOpened):
            return None
        if claim.content_hash != payment.content_hash:
            raise ValueError(f"{change.key}: it claims other content than the payment has")
        last = max((a.ordinal for a in self.attempts_of(payment.id)), default=0)
        if claim.ordinal != last + 1:
            raise ValueError(f"{change.key}: attempt {claim.ordinal} is not the next one")
        return self._held_by_terms(payment, change, claim.partner)

    def _held_by_time_or_people(self, payment: Payment | None, change: Change) -> HeldBack | None:
        of = payment or change.opens
        if of is not None and not is_due(of.terms, self.clock()):
            return HeldBack.NOT_DUE
        return HeldBack.NOT_APPROVED if self._lacks_approvals(payment, change) else None

    def _held_by_terms(self, payment: Payment, change: Change, partner: str) -> HeldBack | None:
        held = self._held_by_time_or_people(payment, change)
        if held is not None:
            return held
        day = self.clock().astimezone(UTC).date()
        caps = self.gate.caps_of(payment, partner)
        fits = all(cap.has_room(payment.amount_minor, day) for cap in caps)
        return None if fits else HeldBack.OVER_LIMIT

    def _lacks_approvals(self, payment: Payment | None, change: Change) -> bool:
        of = payment or change.opens
        terms = of.terms if of is not None else {}
        return self.gate.lacks_approvals(terms, payment, self.approvals_kept)

    def _is_paused(self, change: Change, gates: int) -> bool:
        """Tell whether a claim, a resend or a transfer's booking is stopped."""
        payment = self.payments.get(change.payment_id or "")
        of = payment or change.opens
        if of is None or gates == 0:
            return False
        if gates == BOOKS_TRANSFER:
            return self.gate.is_paused(None, of.currency, of.tenant)
        partner = None
        if isinstance(change.attempt, AttemptOpened):
            partner = change.attempt.partner
        elif change.attempt is not None and change.attempt.key in self.attempts_by_key:
            partner = self.attempts_by_key[change.attempt.key].partner
        return (
            payment is not None
            and partner is not None
            and self.gate.is_paused(partner, of.currency, of.tenant)
        )

    def attempts_of(self, payment_id: str) -> list[AttemptRow]:
        """Return a payment's attempts in the order in which they were opened."""
        return [row for row in self.attempts_by_key.values() if row.payment_id == payment_id]

    def _moves(self, change: Change, refusal: Refusal | None) -> list[Move]:
        """Return the moves that come to pass: a refused change still enters the register."""
        if refusal is None:
            return list(change.moves)
        made = [move for move in change.moves if move.before is None]
        if change.if_refused is not None:
            first = change.moves[0] if change.moves else None
            entered = first.after if first and first.before is None else None
            before = entered or (first.before if first else self._state(change))
            made.append(Move(before=before, after=change.if_refused))
        return made

    def _check_moves(self, change: Change, moves: Sequence[Move]) -> None:
        kind = change.opens.kind if change.opens else None
        if kind is None and change.payment_id is not None:
            kind = self.payments[change.payment_id].kind
        for move in moves:
            after = _MOVES[kind].get(move.before, frozenset()) if kind and move.before else ()
            if move.after not in (after if move.before else {PaymentState.RECEIVED}):
                raise ValueError(
                    f"{change.key}: {kind} {move.before or ''}>{move.after} is no move"
                )

    def _check_attempt(self, change: Change) -> None:
        attempt = change.attempt
        if isinstance(attempt, AttemptOpened):
            mine = self.attempts_of(change.payment_id or "")
            taken = attempt.key in self.attempts_by_key
            if taken or any(
                a.ordinal == attempt.ordinal or a.result not in DEFINITE_NO for a in mine
            ):
                raise ValueError(f"{change.key}: the payment has a live attempt already")
        elif attempt is not None:
            known = self.attempts_by_key.get(attempt.key)
            if known is None or known.payment_id != change.payment_id:
                raise ValueError(f"{change.key}: its payment has no attempt {attempt.key}")

    def _commit(
        self, change: Change, digest: bytes, refusal: Refusal | None, moves: Sequence[Move]
    ) -> None:
        at = self.clock()
        written = MemoryTransaction(len(self.transactions) + 1, change, digest, refusal, at)
        self.transactions[change.key] = written
        if change.opens is not None:
            self._register(change, change.opens, at)
        for move in moves:
            self._move(written, move)
        if refusal is not None:
            return
        self.journal.book(written.id, change)
        self._keep_attempt(change, at)
        for row_id in change.applies_events:
            self.mark_applied(row_id, at)
        self._keep_cases(written)

    def _register(self, change: Change, opens: Registration, at: datetime) -> None:
        payment_id = change.payment_id or ""
        self.openings[payment_id] = opens
        self.payments[payment_id] = Payment(
            id=payment_id,
            kind=opens.kind,
            tenant=opens.tenant,
            state=PaymentState.RECEIVED,
            seq=0,
            content_hash=opens.content_hash,
            partner=opens.partner,
            currency=opens.currency,
            amount_minor=opens.amount_minor,
            fee_minor=opens.fee_minor,
            request=opens.request,
            terms=opens.terms,
            created_by=opens.created_by,
            created_at=at,
            updated_at=at,
        )

    def _move(self, written: MemoryTransaction, move: Move) -> None:
        payment = self.payments[written.change.payment_id or ""]
        seq = payment.seq + 1
        self.payments[payment.id] = payment.model_copy(
            update={"state": move.after, "seq": seq, "updated_at": written.at}
        )
        self.transitions.append(MemoryTransition(payment.id, seq, move.before, move.after, written))

    def _keep_attempt(self, change: Change, at: datetime) -> None:
        attempt = change.attempt
        if isinstance(attempt, AttemptOpened):
            self.attempts_by_key[attempt.key] = AttemptRow(
                payment_id=change.payment_id or "",
                ordinal=attempt.ordinal,
                key=attempt.key,
                partner=attempt.partner,
                wire_hash=attempt.wire_hash,
                opened_at=at,
                sent_at=None,
                fence=0,
                first_sent_at=None,
                result=None,
                partner_ref=None,
                code=None,
            )
            payment = self.payments[change.payment_id or ""]
            self.gate.count(payment, attempt.partner, at.astimezone(UTC).date())
        elif isinstance(attempt, AttemptClosed):
            ref = attempt.partner_ref or self.attempts_by_key[attempt.key].partner_ref
            self.change_attempt(
                attempt.key, result=attempt.result, code=attempt.code, partner_ref=ref
            )
        elif isinstance(attempt, AttemptReopened):
            fence = self.attempts_by_key[attempt.key].fence + 1
            self.change_attempt(attempt.key, sent_at=None, fence=fence)

    def change_attempt(self, key: str, **changed: object) -> None:
        """Change what is known of an attempt."""
        self.attempts_by_key[key] = self.attempts_by_key[key].model_copy(update=changed)

    def mark_applied(self, row_id: int, at: datetime) -> None:
        """Record that an event has been taken account of."""
        stored = self.events[row_id]
        self.events[row_id] = stored.model_copy(
            update={"applied_at": at, "taken_at": stored.taken_at or at}
        )

    def _keep_cases(self, written: MemoryTransaction) -> None:
        """Close a payment's cases and open new ones; money and events that wait keep theirs."""
        change = written.change
        closing = {
            "closed_at": written.at,
            "closed_by": change.actor,
            "resolution": change.reason,
        }
        for place, case in enumerate(self.cases):
            mine = case.payment_id == change.payment_id and case.closed_at is None
            is_free = change.key.startswith(f"case/{case.id}/") or not self.case_money(case.id)
            is_free &= case.kind != "event_waits" and not self.waits_for_its_event(case)
            if change.closes_cases and mine and is_free:
                self.cases[place] = case.model_copy(update=closing)
        if change.case is not None:
            case_id = len(self.cases) + 1
            self.cases_opened_by[case_id] = written
            self.cases.append(
                CaseRow(
                    id=case_id,
                    payment_id=change.payment_id,
                    kind=change.case.kind,
                    detail=change.case.detail,
                    opened_at=written.at,
                    opened_by=change.actor,
                    closed_at=None,
                    closed_by=None,
                    resolution=None,
                )
            )

    def waits_for_its_event(self, case: CaseRow) -> bool:
        """Tell whether a case is of an event that is set aside, so that nothing closes it yet."""
        if case.kind != "event_set_aside":
            return False
        aside = (e for n, e in self.events.items() if n in self.set_aside and not e.applied_at)
        keys = {f"event/{event.row_id}/set_aside/{event.redrives}" for event in aside}
        return self.cases_opened_by[case.id].change.key in keys

    def case_money(self, case_id: int) -> Leg | None:
        """Return what a case has put into suspense, and where; None: it moved no money there."""
        opened = self.cases_opened_by.get(case_id)
        legs = opened.change.legs if opened else ()
        there = (leg for leg in legs if leg.account.startswith("suspense/") and leg.delta)
        return next(there, None)
