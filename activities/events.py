"""What partners tell by themselves: events about payments, returns, and money that comes in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from temporalio import activity

from activities.conclusions import Conclusion, Conclusions, Evidence
from activities.echoes import Mismatch, mismatch_of
from activities.returns import Returns
from activities.strays import Strays
from activities.terms import EventRow, Judged, Standing
from bursar.errors import LedgerBusy
from bursar.ids import WalletPath
from bursar.reports import Accepted, EventKind, Paid, PartnerEvent, Rejected, RejectionCode
from ledger import postings
from ledger.books import Books, Payment, StoredEvent
from ledger.poison import count_failure

T = TypeVar("T")

ABOUT_THE_PAYOUT = frozenset({EventKind.ACCEPTED, EventKind.PAID, EventKind.FAILED})
"""Kinds of events that move a payout on its way out."""


class EventMissing(RuntimeError):
    """A step was asked for an event that is not stored: a bug, so it waits."""


class EventActivities:
    """Takes account of stored events; in any order, any number of times, with the same end.

    An event that fails again and again is set aside for a person, and no other waits for it.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._conclusions = Conclusions(books)
        self._strays = Strays(books)
        self._returns = Returns(books, self._conclusions, self._strays)

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (self.apply_events, self.judge_late, self.book_deposit, self.book_return)

    @activity.defn(name="payout.apply_events")
    async def apply_events(self, payment_id: str) -> Standing:
        """Take account of every event of a payout that has not been taken account of yet."""
        events = await self._books.open_events(payment_id)
        now = Conclusion(await self._conclusions.payment(payment_id))
        failed: Exception | None = None
        for stored in events:
            if stored.event.kind not in ABOUT_THE_PAYOUT:
                continue  # returns and credits have runs of their own
            try:
                done = await self._safely(stored, self._apply(now.payment, stored))
            except (ConnectionError, LedgerBusy):
                raise  # that says nothing of the event
            except Exception as error:  # the others come first; then this one is tried again
                failed, done = error, None
            now = done or now._replace(payment=await self._conclusions.payment(payment_id))
        if failed is not None:
            raise failed
        return now.standing()

    @activity.defn(name="event.judge_late")
    async def judge_late(self, row: EventRow) -> Judged | None:
        """Take account of an event that no running payment waits for."""
        stored = await self._event(row)
        if stored.applied_at is not None:  # this step has run before, and only its answer was lost
            return None
        await self._safely(stored, self._judge(stored))
        return await self._judged(stored)

    @activity.defn(name="deposit.book")
    async def book_deposit(self, row: EventRow) -> Judged | None:
        """Book money that came in: for the account it names, or into suspense with a case."""
        stored = await self._event(row)
        if stored.applied_at is not None:
            return None
        owned = await self._safely(stored, self._deposit(stored))
        return None if owned else Judged(needs_ops=True)

    @activity.defn(name="return.book")
    async def book_return(self, row: EventRow) -> Judged | str | None:
        """Book money that came back; what is still open of the payment is settled first.

        The answer names the payment whose run may still wait for a last word; histories from
        before cases were told hold only its id.
        """
        stored = await self._event(row)
        if stored.applied_at is not None:
            return None
        waiting = await self._safely(stored, self._returns.book(stored))
        judged = await self._judged(stored)
        if waiting is None:
            return judged
        return Judged(tell=waiting, needs_ops=judged is not None)

    async def _safely(self, stored: StoredEvent, step: Awaitable[T]) -> T | None:
        """Await the step of one event; None when it has failed for the last time.

        Raises:
            Exception: Whatever it raised, to be tried again; counted, unless the books are down.
        """
        try:
            return await step
        except (ConnectionError, LedgerBusy):
            raise
        except Exception as error:
            activity.logger.exception("an event failed", extra={"row_id": stored.row_id})
            name = type(error).__name__  # its text may repeat what nobody should read in a case
            if not await count_failure(self._books, stored, name, actor="bursar"):
                raise
            return None

    async def _judged(self, stored: StoredEvent) -> Judged | None:
        """Return whether a person has to look at what came of an event."""
        if stored.payment_id is None:  # such an event always comes with a case
            return Judged(needs_ops=True)
        payment = await self._conclusions.payment(stored.payment_id)
        return Judged(needs_ops=True) if payment.open_cases else None

    async def _judge(self, stored: StoredEvent) -> None:
        if stored.payment_id is None or stored.event.kind is EventKind.UNRECOGNISED:
            await self._strays.book(stored)
        else:
            await self._apply(await self._conclusions.payment(stored.payment_id), stored)

    async def _deposit(self, stored: StoredEvent) -> bool:
        """Book a credit; tell whether it has found its owner."""
        event = stored.event
        owner = await self._owner(event)
        if owner is None or event.amount_minor is None or event.currency is None:
            await self._strays.book(stored)
            return False
        legs = postings.deposit(
            owner, event.partner, event.currency, amount_minor=event.amount_minor
        )
        line = await self._strays.noted(stored, "deposit")
        if line.kind != "deposit":
            await self._strays.follow(stored, line, told=owner)
            return False
        written = await self._strays.write(stored, "deposit", legs)
        if written.refusal:  # the account is closed
            await self._strays.suspend(stored, None, "its account takes nothing")
        return not written.refusal

    async def _apply(self, payment: Payment, stored: StoredEvent) -> Conclusion:
        """Take account of one event, if it fits what we asked for."""
        mismatch = mismatch_of(payment, stored)
        if mismatch is not None:
            return await self._quarantine(payment, stored, mismatch)
        word = _word(stored.event)
        if word is not None:
            return await self._conclusions.conclude(payment, word, _evidence(stored))
        await self._books.set_event_aside(stored.row_id, "says nothing new")
        return Conclusion(payment)

    async def _quarantine(
        self, payment: Payment, stored: StoredEvent, mismatch: Mismatch
    ) -> Conclusion:
        """Keep an event that does not fit from moving its payment.

        A debit under a reference that we never sent is real all the same: it goes to suspense.
        """
        if mismatch.unknown_reference and stored.event.kind is EventKind.PAID:
            await self._strays.book(stored)
        else:
            evidence = _evidence(stored)
            await self._conclusions.mismatch(
                payment, mismatch.text, evidence, mismatch.other_payment
            )
            await self._books.set_event_aside(stored.row_id, mismatch.text)
        return Conclusion(await self._conclusions.payment(payment.id))

    async def _owner(self, event: PartnerEvent) -> WalletPath | None:
        """Return the account that a credit names, if we have it in that currency; open or not."""
        if event.reference is None or not event.reference.startswith("wallet/"):
            return None
        account = await self._books.account(event.reference)
        fits = account is not None and account.currency == event.currency
        return event.reference if fits else None

    async def _event(self, row: EventRow) -> StoredEvent:
        stored = await self._books.event(row.row_id)
        if stored is None:
            raise EventMissing(f"event {row.row_id}")
        return stored


def _evidence(stored: StoredEvent) -> Evidence:
    event = stored.event
    return Evidence(
        actor=f"partner:{event.partner}",
        id=f"event/{event.event_id}",
        event_row=stored.row_id,
        value_on=event.value_on,
    )


def _word(event: PartnerEvent) -> Accepted | Paid | Rejected | None:
    """Return what an event says about its payout, or None if it says nothing definite."""
    match event.kind:
        case EventKind.ACCEPTED:
            return Accepted(partner_ref=event.partner_ref or "")
        case EventKind.PAID:
            return Paid(
                partner_ref=event.partner_ref or "",
                value_on=event.value_on,
                line_ref=event.line_ref,
            )
        case EventKind.FAILED:
            return Rejected(code=event.code or RejectionCode.OTHER, partner_ref=event.partner_ref)
        case EventKind.RETURNED | EventKind.CREDIT | EventKind.UNRECOGNISED:
            return None
