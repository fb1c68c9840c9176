"""Reports: what a partner says of a payout, by what is true of the money."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class RejectionCode(StrEnum):
    """Why a partner definitely did not pay, in words shared by all partners."""

    ACCOUNT_INVALID = "account_invalid"
    ACCOUNT_CLOSED = "account_closed"
    NAME_MISMATCH = "name_mismatch"
    AMOUNT_LIMIT = "amount_limit"
    PARTNER_FUNDS = "partner_funds"
    NOT_SUPPORTED = "not_supported"
    COMPLIANCE = "compliance"
    CANCELLED = "cancelled"
    OTHER = "other"


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    evidence: str = ""
    """The partner's own words or the transport's error, cut short; never account numbers."""


class Accepted(_Report):
    """The partner has taken the payout and will execute it."""

    kind: Literal["accepted"] = "accepted"
    partner_ref: str


class Paid(_Report):
    """The partner says the payout is booked."""

    kind: Literal["paid"] = "paid"
    partner_ref: str
    value_on: date | None = None
    line_ref: str | None = None
    """The partner's name of the booked movement, the same in all it says of it; None: not told."""


class Rejected(_Report):
    """A definite no: this attempt has not moved money and never will."""

    kind: Literal["rejected"] = "rejected"
    code: RejectionCode
    partner_ref: str | None = None


class NotSent(_Report):
    """Definite: nothing left the machine."""

    kind: Literal["not_sent"] = "not_sent"


class Throttled(_Report):
    """The partner asks to slow down; whether it processed the call, its guarantees say."""

    kind: Literal["throttled"] = "throttled"
    retry_after_seconds: float | None = None


class NotFound(_Report):
    """The partner knows no such payout: a proof of absence only after its visibility lag."""

    kind: Literal["not_found"] = "not_found"


class Unknown(_Report):
    """Everything else: the money may or may not have moved. Never release on this."""

    kind: Literal["unknown"] = "unknown"
    differs: tuple[str, ...] = ()
    """Names of what the partner echoes otherwise than it was asked; never the values."""
    other_reference: str | None = None
    """The reference that it names instead of the attempt's own."""


Report = Annotated[
    Accepted | Paid | Rejected | NotSent | Throttled | NotFound | Unknown,
    Field(discriminator="kind"),
]
"""What a partner's answer means; the default is `Unknown`."""


class EventKind(StrEnum):
    """What a partner's event tells."""

    ACCEPTED = "accepted"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    CREDIT = "credit"
    """Money came in at our account with the partner."""
    UNRECOGNISED = "unrecognised"
    """Authentic, but of a kind or shape that the adapter does not know; kept, and never guessed."""


class PartnerEvent(BaseModel):
    """One authentic message from a partner, in our words; the raw bytes are kept beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partner: str
    event_id: str
    kind: EventKind
    reference: str | None = None
    """Our attempt key (po_…-1), or for a credit the account it is meant for."""
    partner_ref: str | None = None
    amount_minor: int | None = None
    """What this event tells of: the payment's amount, or for a return what has arrived."""
    currency: str | None = None
    code: RejectionCode | None = None
    detail: str = ""
    value_on: date | None = None
    occurred_at: AwareDatetime
    payee_account: str | None = None
    """The beneficiary's account as the partner echoes it, masked; None: not echoed."""
    payment_amount_minor: int | None = None
    """For a return: the whole payment's amount as the partner echoes it."""
    fee_minor: int | None = None
    """For a return: what the partner has kept of it, beside what has arrived."""
    line_ref: str | None = None
    """The partner's name of the booked movement, the same in all it says of it; None: not told."""
