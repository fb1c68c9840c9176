"""Payments: what a backend asks for, the states that follow, and the moves between them."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bursar.beneficiaries import Beneficiary, PrintableText
from bursar.ids import Actor, PayoutId, Tenant, TransferId, WalletPath
from bursar.money import Money

Reference = Annotated[PrintableText, Field(max_length=140)]
PartnerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$", strict=True)]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
MetadataValue = Annotated[str, Field(max_length=200)]


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
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    tenant: Tenant = "main"
    amount: Money
    reference: Reference
    created_by: Actor
    execute_on: date | None = None
    """The earliest day (UTC) on which to send; None means at once."""
    execute_at: AwareDatetime | None = None
    """The earliest moment at which to send; give this or `execute_on`, not both."""
    batch_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=20)] = {}

    @model_validator(mode="after")
    def _one_time_only(self) -> Self:
        if self.execute_on is not None and self.execute_at is not None:
            raise ValueError("give execute_on or execute_at, not both")
        return self


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
            raise ValueError(
                f"account {self.account} does not hold {self.amount.currency}; "
                "account and amount must have one currency"
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
            raise ValueError("source and destination are the same account")
        for path in (self.source, self.destination):
            if path.rpartition("/")[2] != self.amount.currency:
                raise ValueError(f"account {path} does not hold {self.amount.currency}")
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
