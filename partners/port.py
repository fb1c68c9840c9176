"""The port: what every rail offers, and what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bursar.beneficiaries import Beneficiary
from bursar.money import Money
from bursar.reports import PartnerEvent, Report


class Environment(StrEnum):
    """Whether money is real. A process and all that it reaches have to be of one."""

    TEST = "test"
    LIVE = "live"


class Attempt(BaseModel):
    """One try to pay through one partner: everything that its wire body is made of."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Idempotency key and reference at the partner: po_…-1."""
    payment_id: str
    ordinal: int
    amount: Money
    beneficiary: Beneficiary
    reference: str
    """The remittance text for the beneficiary."""


class Guarantees(BaseModel):
    """What a partner promises, as far as a payout's safety depends on it; the workflow obeys."""

    model_config = ConfigDict(frozen=True)

    key_lifetime: timedelta | None
    """How long a repeated key gives the first result instead of a second payment; None: never."""
    replays_failures: bool
    """Whether a repeated key gives a stored failure for ever, so that re-sending cannot help."""
    finds_by_reference: bool
    """Whether `find` can look a payout up by our key."""
    absence_after: timedelta | None
    """How long after sending a "not found" proves absence; None: it never does."""
    throttled_is_not_processed: bool
    """Whether a throttled call is certainly not processed."""
    cancels_pending: bool
    """Whether an accepted payout can still be cancelled at the partner."""
    sends_events: bool
    """Whether the partner tells the outcome by itself; otherwise only polling finds it."""
    currencies: frozenset[str]
    beneficiaries: frozenset[str]
    """Kinds of beneficiary, such as "iban"."""
    rate_per_second: float
    """Calls a second that the partner allows over all workers."""

    def may_resend(self, age: timedelta) -> bool:
        """Tell whether the same key may be sent again this long after it was first sent.

        Half of the key's lifetime is the limit, so that a slow clock or call cannot outlive it.
        """
        return self.key_lifetime is not None and age < self.key_lifetime / 2


class StatementLine(BaseModel):
    """One booked movement on our account with a partner, as the partner tells it."""

    model_config = ConfigDict(frozen=True)

    line_id: str
    booked_at: AwareDatetime
    value_on: date
    amount_minor: int
    """Signed: credits to us positive, debits negative."""
    currency: str
    reference: str | None
    """Our attempt key, where the movement is one of our payouts or its return."""
    kind: str


class Statement(BaseModel):
    """A day of our account in one currency: opening + lines = closing."""

    model_config = ConfigDict(frozen=True)

    day: date
    currency: str
    opening_minor: int
    closing_minor: int
    lines: tuple[StatementLine, ...]


class EventRefused(Exception):
    """An incoming event is not authentic or not readable: nothing may be stored or changed."""


class StatementUnavailable(Exception):
    """The partner gave no statement that can be read: nothing is known of that day. Ask again."""


class Partner(Protocol):
    """A rail. Methods never raise for what the partner or network does: that is a `Report`."""

    name: str
    guarantees: Guarantees
    environment: Environment
    """What its address and credentials reach, as its own settings declare it."""

    def render(self, attempt: Attempt) -> bytes:
        """Return the body that `submit` sends: always the same bytes for the same attempt."""

    async def submit(self, attempt: Attempt) -> Report:
        """Send one attempt, once; no retries inside."""

    async def find(self, attempt: Attempt) -> Report:
        """Look an attempt up by our key; another amount, currency or payee is `Unknown`."""

    async def cancel(self, attempt: Attempt) -> Report:
        """Ask to cancel an accepted payout; `Rejected(cancelled)` means it will never be paid."""

    def read_event(self, raw: bytes, headers: Mapping[str, str]) -> tuple[PartnerEvent, ...]:
        """Verify and read an incoming message.

        Raises:
            EventRefused: The signature, its age or the envelope is wrong.
        """

    async def statement(self, day: date) -> tuple[Statement, ...]:
        """Return the statement of a day (UTC), one for each currency; today's may still grow.

        Raises:
            StatementUnavailable: No answer, or one that cannot be read or does not add up.
        """

    async def aclose(self) -> None:
        """Close connections."""
