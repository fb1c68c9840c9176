"""Strays: what a partner tells that fits no payment or account of ours; its money to suspense."""

from __future__ import annotations

from activities.conclusions import today
from activities.effect import check_not_refused
from bursar.reports import EventKind, PartnerEvent
from ledger import postings
from ledger.books import Books, StoredEvent
from ledger.changes import CaseOpened, Change, Leg, Move, Written

MONEY_IN = frozenset({EventKind.RETURNED, EventKind.CREDIT})
"""Kinds of events after which there is more on our account than before."""


class Strays:
    """Books events by themselves: each movement once, whatever it is told by, with a case."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def book(self, stored: StoredEvent, kind: str | None = None, why: str = "") -> None:
        """Give an event that fits nowhere to a person; its money waits in suspense.

        Args:
            stored: The event; nothing is done where it is taken account of already.
            kind: The case's kind; None: by the kind of the event.
            why: What does not fit.
        """
        event = stored.event
        if event.kind is EventKind.PAID and await self._is_known_debit(stored):
            return
        legs = _legs(event)
        step = "phantom" if event.kind is EventKind.PAID and legs else "suspense"
        kind = kind or ("phantom_debit" if step == "phantom" else f"unowned_{event.kind}")
        case = CaseOpened(kind=kind, detail=_text(event, why))
        check_not_refused(await self.write(stored, step, legs, case))

    async def write(
        self,
        stored: StoredEvent,
        kind: str,
        legs: tuple[Leg, ...],
        case: CaseOpened | None = None,
        moves: tuple[Move, ...] = (),
    ) -> Written:
        """Book an event by itself, keyed by the movement that it tells of.

        The same movement again, told by another event, is set aside: it is in the books.
        """
        event = stored.event
        owner = stored.payment_id or f"{kind}/{event.partner}"
        step = f"/{kind}" if stored.payment_id else ""
        written = await self._books.write(
            Change(
                key=f"{owner}{step}/{event.line_ref or event.event_id}",
                kind=kind,
                actor=f"partner:{event.partner}",
                payment_id=stored.payment_id,
                moves=moves,
                legs=legs,
                effective_on=event.value_on or today(),
                evidence_id=f"event/{event.event_id}",
                applies_events=(stored.row_id,),
                case=case,
            )
        )
        if written.repeated and not written.refusal:
            await self._books.set_event_aside(stored.row_id, "known: its movement is booked")
        return written

    async def _is_known_debit(self, stored: StoredEvent) -> bool:
        """Tell whether a debit under a reference that we never sent is one that we know of.

        Then no money is missing: only its name is wrong this time, and a person is told so.
        """
        event = stored.event
        line = event.line_ref and await self._books.line(event.partner, event.line_ref)
        if not line:
            return False
        case = CaseOpened(
            kind="mismatch", detail=f"{event.line_ref} is of {line.payment_id}, told otherwise now"
        )
        await self.write(stored, "mistold", (), case)
        return True


def _legs(event: PartnerEvent) -> tuple[Leg, ...]:
    """Return what an event has certainly moved at the partner, against suspense."""
    if event.amount_minor is None or event.currency is None:
        return ()
    money = (event.partner, event.currency)
    if event.kind in MONEY_IN:
        return postings.deposit_unowned(*money, amount_minor=event.amount_minor)
    if event.kind is EventKind.PAID:
        return postings.paid_after_failed(*money, amount_minor=event.amount_minor)
    return ()


def _text(event: PartnerEvent, why: str) -> str:
    named = event.partner_ref or event.event_id
    return f"{event.kind} {named}: {why or 'fits no payment or account of ours'}"
