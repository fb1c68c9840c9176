"""A modelled bank: a truth of its own, answers that may be lost or lie, events in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from bursar.reports import (
    Accepted,
    EventKind,
    NotFound,
    NotSent,
    Paid,
    PartnerEvent,
    Rejected,
    RejectionCode,
    Report,
    Throttled,
    Unknown,
)
from partners.port import Attempt, Environment, Guarantees, Statement
from partners.simulator.wire import render
from tests.model.dice import Dice
from tests.model.stage import PAUSE

NAME = "simulator"
LAG = timedelta(seconds=30)


@dataclass(frozen=True)
class Character:
    """What a bank promises and keeps; it keeps at least what it promises, but for its lies."""

    honours_keys: bool = True
    looks_up: bool = True
    sends_events: bool = True
    lies: bool = False
    """Whether it may refuse in words what it books."""

    def guarantees(self) -> Guarantees:
        """Return the promises, in the port's words."""
        return Guarantees(
            key_lifetime=timedelta(days=1) if self.honours_keys else None,
            replays_failures=False,
            finds_by_reference=self.looks_up,
            absence_after=LAG if self.looks_up else None,
            throttled_is_not_processed=True,
            cancels_pending=self.looks_up,
            sends_events=self.sends_events,
            currencies=frozenset({"EUR"}),
            beneficiaries=frozenset({"iban"}),
            rate_per_second=1000,
        )


@dataclass
class Booked:
    """A payout in the bank's book."""

    id: int
    attempt: Attempt
    created_at: datetime
    visible_at: datetime
    truth: str = "pending"
    returned_minor: int = 0


@dataclass
class Line:
    """A movement on our account, credits to us positive."""

    at: datetime
    amount_minor: int
    reference: str
    kind: str


@dataclass
class ModelBank:
    """`partners.port.Partner`, in memory; it calls nobody, and its events wait to be delivered."""

    dice: Dice
    clock: Callable[[], datetime]
    character: Character
    called: Callable[[], None]
    """Told when a call has arrived: the bytes have left."""
    name: str = NAME
    environment: Environment = Environment.TEST
    payouts: list[Booked] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    waiting: list[PartnerEvent] = field(default_factory=list)
    events_told: int = 0
    is_calm: bool = False
    """Whether it does nothing wrong any more."""

    def __post_init__(self) -> None:
        self.guarantees = self.character.guarantees()

    def render(self, attempt: Attempt) -> bytes:
        """Return the body that `submit` sends."""
        return render(attempt)

    async def submit(self, attempt: Attempt) -> Report:
        """Take a payout, once for each key where keys are honoured, and answer as it may."""
        await PAUSE
        self.called()
        report = self._submitted(attempt)
        await PAUSE
        return report

    def _submitted(self, attempt: Attempt) -> Report:
        fault = 0 if self.is_calm else self.dice.below(16)
        if fault == 13:
            return NotSent(evidence="refused")
        self.calls[attempt.key] = self.calls.get(attempt.key, 0) + 1
        known = self._known(attempt) if self.character.honours_keys else None
        if known is None and fault == 12:
            return Throttled(retry_after_seconds=1.0)
        if fault in (10, 11):
            return Unknown(evidence="cut off before it was booked")
        if known is None and fault == 9:
            return Rejected(code=RejectionCode.ACCOUNT_INVALID, evidence="422 account_invalid: no")
        booked = known or self._book(attempt, fault)
        if fault in (6, 7, 8):
            return Unknown(evidence="cut off after it was booked")
        if known is None and fault == 15 and self.character.lies:
            return Rejected(code=RejectionCode.OTHER, evidence="422 other: no")
        return self._told(booked)

    def _known(self, attempt: Attempt) -> Booked | None:
        return next((one for one in self.payouts if one.attempt.key == attempt.key), None)

    def _book(self, attempt: Attempt, fault: int) -> Booked:
        now = self.clock()
        hidden = LAG * 0.9 if fault == 8 else timedelta()
        booked = Booked(len(self.payouts) + 1, attempt, now, now + hidden)
        self.payouts.append(booked)
        self._tell(booked, EventKind.ACCEPTED)
        if fault in (5, 7):
            self._pay(booked)
        return booked

    def _told(self, booked: Booked) -> Report:
        ref = f"bp_{booked.id}"
        said = f"{ref}: {booked.truth}"
        match booked.truth:
            case "pending":
                return Accepted(partner_ref=ref, evidence=said)
            case "failed" | "cancelled":
                code = "cancelled" if booked.truth == "cancelled" else "account_closed"
                return Rejected(code=RejectionCode(code), partner_ref=ref, evidence=said)
            case _:
                return Paid(partner_ref=ref, evidence=said)

    async def find(self, attempt: Attempt) -> Report:
        """Look a payout up, where this bank lets one."""
        await PAUSE
        report = self._found(attempt)
        await PAUSE
        return report

    def _found(self, attempt: Attempt) -> Report:
        if not self.character.looks_up or (not self.is_calm and self.dice.one_in(6)):
            return Unknown(evidence="no answer")
        known = self._known(attempt)
        if known is None or known.visible_at > self.clock():
            return NotFound()
        return self._told(known)

    async def cancel(self, attempt: Attempt) -> Report:
        """Cancel what is not booked yet."""
        await PAUSE
        known = self._known(attempt)
        if known is None or (not self.is_calm and self.dice.one_in(4)):
            report: Report = Unknown(evidence="no answer")
        else:
            if known.truth == "pending":
                known.truth = "cancelled"
                self._tell(known, EventKind.FAILED)
            report = self._told(known)
        await PAUSE
        return report

    def read_event(self, raw: bytes, headers: Mapping[str, str]) -> tuple[PartnerEvent, ...]:
        """Events are handed over as they are: nothing is signed here."""
        raise NotImplementedError

    async def statement(self, day: date) -> tuple[Statement, ...]:
        """No step asks for statements yet."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""

    def credit(self, amount_minor: int, wallet: str) -> PartnerEvent:
        """Book money that comes in, and return the event that tells of it."""
        self.lines.append(Line(self.clock(), amount_minor, wallet, "credit"))
        return self._event(EventKind.CREDIT, wallet, amount_minor)

    def go_on(self) -> bool:
        """Do what is next for some payout; False where nothing is left to do."""
        pending = [one for one in self.payouts if one.truth == "pending"]
        if pending:
            booked = pending[self.dice.below(len(pending))]
            if self.dice.one_in(4):
                booked.truth = "failed"
                self._tell(booked, EventKind.FAILED)
            else:
                self._pay(booked)
            return True
        paid = [one for one in self.payouts if one.truth == "paid"]
        if paid and self.dice.one_in(3):
            self._give_back(paid[0])
            return True
        return False

    def has_pending(self) -> bool:
        """Tell whether some payout has no end yet."""
        return any(one.truth == "pending" for one in self.payouts)

    def _pay(self, booked: Booked) -> None:
        booked.truth = "paid"
        amount = booked.attempt.amount.amount_minor
        self.lines.append(Line(self.clock(), -amount, booked.attempt.key, "payout"))
        self._tell(booked, EventKind.PAID)

    def _give_back(self, booked: Booked) -> None:
        booked.truth = "returned"
        booked.returned_minor = booked.attempt.amount.amount_minor - self.dice.below(3)
        line = Line(self.clock(), booked.returned_minor, booked.attempt.key, "payout_return")
        self.lines.append(line)
        self.waiting.append(
            self._event(EventKind.RETURNED, booked.attempt.key, booked.returned_minor, booked.id)
        )  # the one event that nobody can find by asking: it is never lost

    def _tell(self, booked: Booked, kind: EventKind) -> None:
        """Queue an event, lose it, or queue it again under a new id."""
        fate = 0 if self.is_calm else self.dice.below(8)
        nobody_asks = self.character.lies or not self.character.looks_up
        if not self.character.sends_events or (fate == 7 and not nobody_asks):
            return
        amount = booked.attempt.amount.amount_minor
        for _ in range(2 if fate == 6 else 1):
            self.waiting.append(self._event(kind, booked.attempt.key, amount, booked.id))

    def _event(
        self, kind: EventKind, reference: str, amount_minor: int, number: int = 0
    ) -> PartnerEvent:
        self.events_told += 1
        facts: dict[str, Any] = {"code": RejectionCode.OTHER} if kind is EventKind.FAILED else {}
        return PartnerEvent(
            partner=self.name,
            event_id=f"evt_{self.events_told}",
            kind=kind,
            reference=reference,
            partner_ref=f"bp_{number}",
            amount_minor=amount_minor,
            currency="EUR",
            occurred_at=self.clock(),
            **facts,
        )
