"""Payments: what a backend asks for, the states that follow, and the moves between them."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bursar.beneficiaries import Beneficiary
from bursar.ids import Actor, PayoutId, Tenant, TransferId, WalletPath
from bursar.inputs import read
from bursar.money import Money
from bursar.texts import PlainContent, RemittanceText

Reference = Annotated[RemittanceText, Field(max_length=140)]
PartnerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$", strict=True)]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
MetadataValue = Annotated[PlainContent, Field(max_length=200)]

FROM_YEAR, TO_YEAR = 2000, 2199
"""Years that a payment may wait for; others are mistakes, and some do not exist in every zone."""
OFFSET_MAX = timedelta(hours=14)
"""The farthest that any place is from UTC. Source: IANA time zone database, Pacific/Kiritimati."""

_Day = TypeVar("_Day", date, datetime)


def _of_our_time(value: _Day) -> _Day:
    if not FROM_YEAR <= value.year <= TO_YEAR:
        raise PydanticCustomError(
            "time_invalid", f"must be of a year from {FROM_YEAR} to {TO_YEAR}"
        )
    return value


def _of_some_zone(value: datetime) -> datetime:
    offset = value.utcoffset()
    if offset is None or abs(offset) > OFFSET_MAX:
        raise PydanticCustomError("time_invalid", "is of a time zone that no place has")
    return value


def _a_day(value: Any) -> Any:
    if type(value) is date or (isinstance(value, str) and re.fullmatch(r"[0-9-]{10}", value)):
        return value
    raise PydanticCustomError("time_invalid", "must be a day, such as 2026-12-01")


def _a_moment(value: Any) -> Any:
    """Refuse 1764249400, as text too: the parser would take it for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(_DAY_AND_T, value)):
        return value
    raise PydanticCustomError("time_invalid", "must be a moment, such as 2026-12-01T09:30:00Z")


_DAY_AND_T = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]"

# Not strict, since the texts come to the parser as Python's; the validators before it are.
Day = Annotated[date, Field(strict=False), BeforeValidator(_a_day), AfterValidator(_of_our_time)]
Moment = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_a_moment),
    AfterValidator(_of_our_time),
    AfterValidator(_of_some_zone),
]


class PaymentState(StrEnum):
    """Where a payment stands, by what is true of the money."""

    RECEIVED = "received"
    """Request and content hash are stored; nothing is booked."""
    AWAITING_APPROVAL = "awaiting_approval"
    """Nothing is booked; the approval rule is frozen on the payment."""
    SCHEDULED = "scheduled"
    """Waits for its date."""
    RESERVED = "reserved"
    """The money is held in the books."""
    SUBMITTING = "submitting"
    """The attempt is committed; bytes may have left."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """The money may or may not have moved; the hold stays."""
    IN_REVIEW = "in_review"
    """Automatic resolution is spent; a person decides with evidence."""
    SUBMITTED = "submitted"
    """The partner has accepted; the hold is captured into transit."""
    SETTLED = "settled"
    """The partner says it is booked; for a transfer: both accounts are booked."""
    RETURNED = "returned"
    """The money came back after it was settled."""
    REFUSED = "refused"
    """Ours: no funds, no such account, a limit. Never moved."""
    DENIED = "denied"
    """An approver said no. Never moved."""
    EXPIRED = "expired"
    """No approval came in time. Never moved."""
    CANCELLED = "cancelled"
    """Cancelled before the money moved."""
    FAILED = "failed"
    """The partner's definite no. Never moved."""


FINAL = frozenset(
    {
        PaymentState.SETTLED,
        PaymentState.RETURNED,
        PaymentState.REFUSED,
        PaymentState.DENIED,
        PaymentState.EXPIRED,
        PaymentState.CANCELLED,
        PaymentState.FAILED,
    }
)
"""States in which nothing more is done, but for a return after `settled`."""

CANCELLABLE = frozenset(
    {
        PaymentState.RECEIVED,
        PaymentState.AWAITING_APPROVAL,
        PaymentState.SCHEDULED,
        PaymentState.RESERVED,
    }
)
"""States before the commit point: a cancel wins here."""

WORTH_A_LOOK = frozenset(
    {
        PaymentState.AWAITING_APPROVAL,
        PaymentState.SCHEDULED,
        PaymentState.OUTCOME_UNKNOWN,
        PaymentState.IN_REVIEW,
    }
)
"""States in which somebody would look or act, and a run may sleep until then: of the states before
the end only these go into Temporal's index."""

_S = PaymentState

PAYOUT_MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    _S.RECEIVED: frozenset(
        {_S.AWAITING_APPROVAL, _S.SCHEDULED, _S.RESERVED, _S.REFUSED, _S.CANCELLED}
    ),
    _S.AWAITING_APPROVAL: frozenset(
        {_S.SCHEDULED, _S.RESERVED, _S.REFUSED, _S.DENIED, _S.EXPIRED, _S.CANCELLED}
    ),
    _S.SCHEDULED: frozenset({_S.RESERVED, _S.REFUSED, _S.CANCELLED}),
    _S.RESERVED: frozenset({_S.SUBMITTING, _S.CANCELLED}),
    _S.SUBMITTING: frozenset({_S.SUBMITTED, _S.OUTCOME_UNKNOWN, _S.FAILED}),
    _S.OUTCOME_UNKNOWN: frozenset({_S.SUBMITTING, _S.SUBMITTED, _S.FAILED, _S.IN_REVIEW}),
    _S.IN_REVIEW: frozenset({_S.SUBMITTED, _S.FAILED}),
    _S.SUBMITTED: frozenset({_S.SETTLED, _S.FAILED, _S.CANCELLED}),
    _S.SETTLED: frozenset({_S.RETURNED}),
}
"""Every allowed move of a payout; the database holds the same table."""

TRANSFER_MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    _S.RECEIVED: frozenset(
        {_S.AWAITING_APPROVAL, _S.SCHEDULED, _S.SETTLED, _S.REFUSED, _S.CANCELLED}
    ),
    _S.AWAITING_APPROVAL: frozenset(
        {_S.SCHEDULED, _S.SETTLED, _S.REFUSED, _S.DENIED, _S.EXPIRED, _S.CANCELLED}
    ),
    _S.SCHEDULED: frozenset({_S.SETTLED, _S.REFUSED, _S.CANCELLED}),
}
"""Every allowed move of a transfer between two accounts of ours."""


class PaymentKind(StrEnum):
    """What kind of payment an id stands for."""

    PAYOUT = "payout"
    TRANSFER = "transfer"


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    tenant: Tenant = "main"
    amount: Money
    reference: Reference
    created_by: Actor
    execute_on: Day | None = None
    """The earliest day (UTC) on which to send; None means at once."""
    execute_at: Moment | None = None
    """The earliest moment at which to send; give this or `execute_on`, not both."""
    batch_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=20)] = {}

    @model_validator(mode="after")
    def _one_time_only(self) -> Self:
        if self.execute_on is not None and self.execute_at is not None:
            raise PydanticCustomError("times_conflict", "give execute_on or execute_at, not both")
        return self

    @classmethod
    def read(cls, content: Any) -> Self:
        """Read a request out of JSON (text or bytes) or out of plain data such as a dict.

        Raises:
            InvalidRequest: Something is wrong with it; `faults` tells everything, by field.
        """
        return read(cls, content)


class PayoutRequest(_Request):
    """Money from one of our accounts to somebody outside, once; the caller makes the id."""

    id: PayoutId
    account: WalletPath
    beneficiary: Beneficiary
    partner: PartnerName | None = None
    """The partner to use; None leaves the choice to the installation."""

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if self.account.rpartition("/")[2] != self.amount.currency:
            raise PydanticCustomError(
                "currency_mismatch",
                f"account {self.account} does not hold {self.amount.currency}; "
                "account and amount must have one currency",
            )
        return self


class TransferRequest(_Request):
    """Money between two of our accounts of one currency, once; the caller makes the id."""

    id: TransferId
    source: WalletPath
    destination: WalletPath

    @model_validator(mode="after")
    def _two_accounts_one_currency(self) -> Self:
        if self.source == self.destination:
            raise PydanticCustomError("same_account", "source and destination are the same account")
        for path in (self.source, self.destination):
            if path.rpartition("/")[2] != self.amount.currency:
                raise PydanticCustomError(
                    "currency_mismatch", f"account {path} does not hold {self.amount.currency}"
                )
        return self


def content_hash(request: PayoutRequest | TransferRequest) -> str:
    """Return the SHA-256 (64 hex digits) of a request's whole content, in canonical JSON.

    What is absent is left out, so a field that a later release adds as optional changes no hash.
    """
    return stored_content_hash(request.model_dump(mode="json"))


def stored_content_hash(stored: object) -> str:
    """Return the content hash of a request as it was stored, whatever this release can read."""
    plain = _without_absent(stored)
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _without_absent(stored: object) -> object:
    if isinstance(stored, dict):
        return {key: _without_absent(each) for key, each in stored.items() if each is not None}
    return [_without_absent(each) for each in stored] if isinstance(stored, list) else stored


class PaymentResult(BaseModel):
    """How a payment's workflow ended."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: PaymentState
    code: str | None = None
    """Why, where the state alone does not say: a refusal or rejection code."""
    partner_ref: str | None = None
