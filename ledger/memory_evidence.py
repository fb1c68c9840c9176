"""What partners did and what people found out, in memory: `ledger.evidence.Evidence`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bursar.ids import person_of
from ledger.books import CaseRow
from ledger.evidence import GIVEN_UP, CaseFile, GivingUp, LineKind, PartnerLine
from ledger.memory_people import DECIDERS_MIN, case_deciders
from ledger.memory_register import MemoryRegister


class MemoryCaseWord(NamedTuple):
    """What a person has decided on a case."""

    case_id: int
    principal: str
    decision: str
    evidence: str


class MemoryEvidence(MemoryRegister):
    """Movements, failed events and cases. What a failure was, and who redrives, is not kept."""

    async def note_line(
        self, partner: str, line_ref: str, payment_id: str | None, kind: LineKind, amount_minor: int
    ) -> PartnerLine:
        """Note a movement, and return how it was judged the first time."""
        payment = self.payments.get(payment_id or "")
        if payment is None and payment_id is not None:
            raise ValueError(f"{payment_id}: there is no such payment")
        asked = payment.amount_minor if payment and kind in {"paid", "returned"} else 0
        before = [
            line
            for line in self.lines_noted.values()
            if payment and (line.payment_id, line.kind) == (payment_id, kind)
        ]
        total = sum(line.amount_minor for line in before if line.fits) + amount_minor
        line = PartnerLine(
            partner=partner,
            line_ref=line_ref,
            payment_id=payment_id,
            kind=kind,
            amount_minor=amount_minor,
            ordinal=len(before) + 1,
            fits=kind == "deposit" or total <= asked,
            completes=total == asked,
        )
        return self.lines_noted.setdefault((partner, line_ref), line)

    async def line(self, partner: str, line_ref: str) -> PartnerLine | None:
        """Return a movement that was noted before, or None."""
        return self.lines_noted.get((partner, line_ref))

    async def payment_with_partner_ref(self, partner: str, partner_ref: str) -> str | None:
        """Return the payment whose attempt a partner calls by this name, or None."""
        named = (
            row.payment_id
            for row in self.attempts_by_key.values()  # In the order in which they were opened.
            if (row.partner, row.partner_ref) == (partner, partner_ref)
        )
        return next(named, None)

    async def add_event_failure(self, row_id: int, error: str, failures_max: int) -> bool:
        """Count that an event failed; True once it is set aside for a person."""
        stored = self.events.get(row_id)
        if stored is None or stored.applied_at is not None:
            return False
        failures = stored.failures + 1
        self.events[row_id] = stored.model_copy(update={"failures": failures})
        if failures >= failures_max:
            self.set_aside.add(row_id)
        return row_id in self.set_aside

    async def events_set_aside(self) -> int:
        """Return how many events wait for a person to bring them back."""
        return len(self._to_redrive(None))

    async def redrive_events(self, row_ids: Sequence[int] | None, by: str) -> list[int]:
        """Offer events that were set aside to the relay again, or all of them (None)."""
        found = self._to_redrive(row_ids)
        for row_id in found:
            stored = self.events[row_id]
            brought = {"failures": 0, "redrives": stored.redrives + 1}
            self.events[row_id] = stored.model_copy(update=brought)
            self.set_aside.discard(row_id)
            self.leases.pop(row_id, None)
        return found

    def _to_redrive(self, row_ids: Sequence[int] | None) -> list[int]:
        return sorted(
            row_id
            for row_id in self.set_aside
            if self.events[row_id].applied_at is None and (row_ids is None or row_id in row_ids)
        )

    async def case(self, case_id: int) -> CaseFile | None:
        """Return a case, or None."""
        row = self._case(case_id)
        if row is None:
            return None
        money = self.case_money(case_id)
        payment = self.payments.get(row.payment_id or "")
        return CaseFile(
            id=row.id,
            payment_id=row.payment_id,
            kind=row.kind,
            owner=self.case_owners.get(case_id),
            closed_at=row.closed_at,
            created_by=payment.created_by if payment else None,
            account=money.account if money else None,
            currency=money.currency if money else None,
            delta=money.delta if money else 0,
        )

    async def assign_case(self, case_id: int, owner: str, by: str) -> bool:
        """Give a case to somebody; False where it is closed or not there."""
        row = self._case(case_id)
        if row is None or row.closed_at is not None:
            return False
        self.case_owners[case_id] = owner
        return True

    async def add_case_word(
        self, case_id: int, principal: str, decision: str, evidence: str
    ) -> list[str]:
        """Keep what a person decides on a case; return everybody who says the same now."""
        who = person_of(principal)
        own = [w for w in self.case_words if w.case_id == case_id and person_of(w.principal) == who]
        if not own or own[-1].decision != decision:
            self.case_words.append(MemoryCaseWord(case_id, principal, decision, evidence))
        return case_deciders(self, case_id, decision)

    async def case_postings(self, case_id: int) -> list[tuple[str, bool]]:
        """Return each posting that a case's resolution tried: its key, and whether it booked."""
        return [
            (key, one.refusal is None)
            for key, one in self.transactions.items()
            if key.startswith(f"case/{case_id}/")
        ]

    async def give_up_event(self, case_id: int, by: str, evidence: str) -> GivingUp:
        """Set the event of a case aside for good, by the word of two people."""
        keys = {f"event/{n}/set_aside/{self.events[n].redrives}": n for n in self.set_aside}
        opened = self.cases_opened_by.get(case_id)
        row_id = keys.get(opened.change.key) if opened else None
        if row_id is None:
            return "gone"
        given_up = self.verdicts.get(row_id, "").startswith("given up")
        if self.events[row_id].applied_at is not None and not given_up:
            return "gone"
        if len(case_deciders(self, case_id, GIVEN_UP)) < DECIDERS_MIN:
            return "few"
        if not given_up:
            self.mark_applied(row_id, self.clock())
            self.verdicts[row_id] = f"given up by {by}: {evidence}"
        return "given_up"

    async def close_case(
        self, case_id: int, *, by: str, decision: str, resolution: str, posting: str | None
    ) -> bool:
        """Close a case by the word of people; False where it was closed before."""
        people = len(case_deciders(self, case_id, decision))
        if self.case_money(case_id) is not None:
            if (posting, True) not in await self.case_postings(case_id) or people < 2:
                raise ValueError(
                    f"case {case_id}: its money is in suspense: it needs the posting that takes"
                    " it out, and two people"
                )
        elif people < 1:
            raise ValueError(f"case {case_id}: nobody has said so")
        row = self._case(case_id)
        if row is None or row.closed_at is not None or self.waits_for_its_event(row):
            return False
        closing = {"closed_at": self.clock(), "closed_by": by, "resolution": resolution}
        self.cases[case_id - 1] = row.model_copy(update=closing)
        return True

    def _case(self, case_id: int) -> CaseRow | None:
        return self.cases[case_id - 1] if 0 < case_id <= len(self.cases) else None
