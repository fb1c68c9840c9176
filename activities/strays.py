"""Strays: what a partner tells that fits no payment or account of ours; its money to suspense."""

from __future__ import annotations

from activities.conclusions import today
from activities.effect import check_not_refused
from bursar.reports import EventKind, PartnerEvent
from ledger import postings
from ledger.books import Books, StoredEvent
from ledger.changes import CaseOpened, Change, Leg, Move, Written
from ledger.evidence import LineKind, PartnerLine

MONEY_IN = frozenset({EventKind.RETURNED, EventKind.CREDIT})
"""Kinds of events after which there is more on our account than before."""


class Strays:
    """Books events by themselves: each movement once, whatever it is told by, with a case.

    What a movement is booked as is noted first. Where it is told of as something else later, by
    another event or after a crash, what was noted is booked, or nothing, and a person hears of it.
    """

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
        as_told = (_nobodys(event), stored.payment_id)
        line = (
            await self.noted(stored, _nobodys(event)) if _legs(event) else await self.known(event)
        )
        if line is None or (line.kind, line.payment_id) == as_told:
            await self.suspend(stored, kind, why)
        else:
            await self.follow(stored, line)

    async def noted(
        self, stored: StoredEvent, kind: LineKind, amount_minor: int | None = None
    ) -> PartnerLine:
        """Note what an event's movement is to be booked as; return what was noted of it first.

        `amount_minor` is what it covers of a payment, where that is not what has moved.
        """
        event = stored.event
        amount = amount_minor or event.amount_minor or 0
        return await self._books.note_line(
            event.partner, _name(event), stored.payment_id, kind, amount
        )

    async def known(self, event: PartnerEvent) -> PartnerLine | None:
        """Return what an event's movement was noted as, or None where it is new."""
        return await self._books.line(event.partner, _name(event))

    async def follow(self, stored: StoredEvent, line: PartnerLine, told: str | None = None) -> None:
        """Take account of an event that tells of a movement as something else than was noted.

        It is in the books as it was noted, or will be; in suspense it is from here on, in case
        that whoever noted it has died since. `told` is whose it is now, where of no payment.
        """
        if line.kind == _nobodys(stored.event) and _legs(stored.event):
            owned = stored.model_copy(update={"payment_id": line.payment_id})
            written = await self._write(owned, *_suspense(stored.event, None, "told otherwise"))
            check_not_refused(written)
            if not written.repeated:
                return
        owner = line.payment_id or "no payment"
        told = told or stored.payment_id or "no payment"
        detail = f"{line.line_ref} is noted as {line.kind} of {owner}, and told now of {told}"
        await self.write(stored, "mistold", (), CaseOpened(kind="mismatch", detail=detail))

    async def suspend(self, stored: StoredEvent, kind: str | None, why: str) -> None:
        """Book an event's money, which is noted, to suspense, with a case; see `book`."""
        check_not_refused(await self.write(stored, *_suspense(stored.event, kind, why)))

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
        written = await self._write(stored, kind, legs, case, moves)
        if written.repeated and not written.refusal:
            await self._books.set_event_aside(stored.row_id, "known: its movement is booked")
        return written

    async def _write(
        self,
        stored: StoredEvent,
        kind: str,
        legs: tuple[Leg, ...],
        case: CaseOpened | None = None,
        moves: tuple[Move, ...] = (),
    ) -> Written:
        event = stored.event
        owner = stored.payment_id or f"{kind}/{event.partner}"
        step = f"/{kind}" if stored.payment_id else ""
        return await self._books.write(
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


def _name(event: PartnerEvent) -> str:
    """Return the name of the movement that an event tells of; its own, where that is not told."""
    return event.line_ref or f"event:{event.event_id}"


def _nobodys(event: PartnerEvent) -> LineKind:
    """Return what an event's movement is where it is of no payment or account of ours."""
    return "phantom" if event.kind is EventKind.PAID else "suspense"


def _suspense(
    event: PartnerEvent, kind: str | None, why: str
) -> tuple[str, tuple[Leg, ...], CaseOpened]:
    """Return step, legs and case of an event that goes to a person."""
    legs = _legs(event)
    step = _nobodys(event) if legs else "unbooked"
    usual = "phantom_debit" if step == "phantom" else f"unowned_{event.kind}"
    return step, legs, CaseOpened(kind=kind or usual, detail=_text(event, why))


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
