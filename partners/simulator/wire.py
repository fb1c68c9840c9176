"""The simulated bank's messages: what we write to it, and what its own words mean to us.

Source: partners/simulator/bank/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from bursar.beneficiaries import masked
from bursar.money import AMOUNT_MINOR_MAX, AmountMinor
from bursar.reports import Accepted, NotFound, Paid, Rejected, RejectionCode, Unknown
from partners.evidence import printable, told
from partners.port import Attempt, Statement, StatementLine, StatementUnavailable
from partners.transport import Reply

REJECTIONS = {
    "account_invalid": RejectionCode.ACCOUNT_INVALID,
    "account_closed": RejectionCode.ACCOUNT_CLOSED,
    "name_mismatch": RejectionCode.NAME_MISMATCH,
    "amount_limit": RejectionCode.AMOUNT_LIMIT,
    "insufficient_funds": RejectionCode.PARTNER_FUNDS,
    "currency_not_supported": RejectionCode.NOT_SUPPORTED,
    "beneficiary_not_supported": RejectionCode.NOT_SUPPORTED,
    "compliance": RejectionCode.COMPLIANCE,
    "other": RejectionCode.OTHER,
}
"""Codes that the bank publishes as definite, in our words."""

CANCELLED = "cancelled"
NOT_FOUND = "payout_not_found"
PAYOUT_LINE = "payout"
REFERENCE_MAX = 140
"""Characters of a sender's free text that are kept."""

BankId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Also part of a path, so nothing that a path could be changed with."""
Words = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,64}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Minor = Annotated[int, Field(ge=-(10**18), le=10**18)]
"""A balance or a signed movement."""
FreeText = Annotated[str, Field(max_length=2_000)]
"""What a stranger wrote: anything at all, and the money that it came with is real."""
Part = Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)]


class _Said(BaseModel):
    """What the bank says: exact types; fields that we do not know are left alone."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Status(StrEnum):
    """A payout's status in the bank's words."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Payee(_Said):
    """The beneficiary as the bank echoes it, with the account masked."""

    kind: str
    name: str
    account: str


class Payout(_Said):
    """A payout as the bank tells it."""

    id: BankId
    reference: Words
    status: Status
    amount_minor: AmountMinor
    currency: Currency
    beneficiary: Payee
    code: Words | None
    returned_minor: Part | None = None
    fee_minor: Part | None = None
    value_on: date | None = None
    line_id: BankId | None = None


class Payouts(_Said):
    """The answer to a look-up by reference."""

    payouts: tuple[Payout, ...]


class Error(_Said):
    """Any refusal of the bank; a refused cancel also tells the payout."""

    code: Words
    message: str = ""
    payout: Payout | None = None


class Line(_Said):
    """A line of the bank's statement."""

    id: BankId
    booked_at: AwareDatetime
    value_on: date
    amount_minor: Minor
    currency: Currency
    reference: FreeText | None
    kind: Words


class DayOfCurrency(_Said):
    """A day of the account in one currency."""

    currency: Currency
    opening_minor: Minor
    closing_minor: Minor
    lines: tuple[Line, ...]


class Day(_Said):
    """The bank's statements of one day."""

    day: date
    statements: tuple[DayOfCurrency, ...]


class Credit(_Said):
    """Money that came in, as an event tells it."""

    credit_id: Words
    reference: FreeText
    amount_minor: AmountMinor
    currency: Currency
    value_on: date
    line_id: BankId | None = None


EVENTS_FROM_YEAR, EVENTS_TO_YEAR = 2000, 2199
"""Years that an event may be of; outside them a time in another zone may not exist in UTC."""


class Envelope(_Said):
    """An event before its content is looked at."""

    type: Words
    timestamp: AwareDatetime
    data: dict[str, Any]

    @field_validator("timestamp")
    @classmethod
    def _of_our_time(cls, value: datetime) -> datetime:
        if not EVENTS_FROM_YEAR <= value.year <= EVENTS_TO_YEAR:
            raise ValueError("no event of this bank is of that year")
        return value


Said = Accepted | Paid | Rejected | Unknown
Found = Said | NotFound
_Model = TypeVar("_Model", bound=BaseModel)


def read(model: type[_Model], body: bytes) -> _Model | None:
    """Return a message of the bank, or None where it is not one: never an exception."""
    try:
        return model.model_validate_json(body)
    except ValidationError:  # its text repeats the input, so nobody may see it
        return None


def render(attempt: Attempt) -> bytes:
    """Return the body of the call that creates a payout; the same bytes for the same attempt."""
    message = {
        "reference": attempt.key,
        "amount_minor": attempt.amount.amount_minor,
        "currency": attempt.amount.currency,
        "beneficiary": attempt.beneficiary.model_dump(mode="json", exclude_none=True),
        "remittance": attempt.reference,
    }
    return json.dumps(
        message, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def differences(payout: Payout, attempt: Attempt) -> tuple[str, ...]:
    """Return the names of what the bank echoes otherwise than it was asked; never the values."""
    payee = attempt.beneficiary
    pairs = {
        "reference": (payout.reference, attempt.key),
        "amount_minor": (payout.amount_minor, attempt.amount.amount_minor),
        "currency": (payout.currency, attempt.amount.currency),
        "beneficiary.kind": (payout.beneficiary.kind, payee.kind),
        "beneficiary.name": (payout.beneficiary.name, payee.name),
        "beneficiary.account": (payout.beneficiary.account, masked(payee.account())),
    }
    return tuple(name for name, (echoed, asked) in pairs.items() if echoed != asked)


def meaning(payout: Payout, attempt: Attempt) -> Said:
    """Return what the bank's word on a payout means for the attempt that asked for it.

    A returned payout was paid: what came back is told by its own event and statement line.
    """
    if wrong := differences(payout, attempt):
        return Unknown(
            evidence=f"{payout.id}: echoed otherwise than asked: {', '.join(wrong)}",
            differs=wrong,
            other_reference=payout.reference if "reference" in wrong else None,
        )
    evidence = told(f"{payout.id}: {payout.status}" + (f", {payout.code}" if payout.code else ""))
    match payout.status:
        case Status.PENDING:
            return Accepted(partner_ref=payout.id, evidence=evidence)
        case Status.PAID | Status.RETURNED:
            return Paid(
                partner_ref=payout.id,
                value_on=payout.value_on,
                line_ref=debit_line(payout),
                evidence=evidence,
            )
        case Status.FAILED | Status.CANCELLED:
            return Rejected(code=rejection(payout), partner_ref=payout.id, evidence=evidence)


def debit_line(payout: Payout) -> str | None:
    """Return the line that debited a payout; once it came back, the bank names the credit's."""
    return payout.line_id if payout.status is Status.PAID else None


def answered(reply: Reply, payout: Payout | None, attempt: Attempt) -> Said:
    """Return what a reply means that should hold a payout."""
    return unclear(reply, attempt) if payout is None else meaning(payout, attempt)


def found(payouts: Sequence[Payout], attempt: Attempt) -> Found:
    """Return what a look-up means; payouts that were never booked hide no other one.

    Two that were or may be booked are a payment made twice, which nobody may call by one name.
    """
    if not payouts:
        return NotFound(evidence="an empty list")
    live = [one for one in payouts if one.status not in (Status.FAILED, Status.CANCELLED)]
    if len(live) > 1:
        named = told(f"{len(live)} payouts: {', '.join(one.id for one in live)}")
        return Unknown(evidence=named, differs=("payouts",))
    return meaning((live or payouts)[-1], attempt)


def on_statement(lines: Sequence[StatementLine], attempt: Attempt) -> Paid | Unknown:
    """Return what the debits under our reference mean; that there is none proves nothing."""
    if len(lines) != 1:
        return Unknown(evidence=f"{len(lines)} debits on the statements of these two days")
    line = lines[0]
    asked = (-attempt.amount.amount_minor, attempt.amount.currency)
    if (line.amount_minor, line.currency) != asked:
        return Unknown(evidence=f"{line.line_id}: amount or currency is not what was asked")
    evidence = f"{line.line_id}: on the statement"
    return Paid(
        partner_ref=line.line_id,
        value_on=line.value_on,
        line_ref=line.line_id,
        evidence=evidence,
    )


def statement(day: date, told_of: DayOfCurrency) -> Statement:
    """Return a statement in our words.

    Raises:
        StatementUnavailable: A line is of another currency, or the statement does not add up.
    """
    total = sum(line.amount_minor for line in told_of.lines)
    if told_of.opening_minor + total != told_of.closing_minor:
        raise StatementUnavailable(f"{day} {told_of.currency}: opening + lines is not closing")
    if any(line.currency != told_of.currency for line in told_of.lines):
        raise StatementUnavailable(f"{day} {told_of.currency}: a line is of another currency")
    return Statement(
        day=day,
        currency=told_of.currency,
        opening_minor=told_of.opening_minor,
        closing_minor=told_of.closing_minor,
        lines=tuple(_line(line) for line in told_of.lines),
    )


def _line(line: Line) -> StatementLine:
    words = None if line.reference is None else printable(line.reference, REFERENCE_MAX)
    return StatementLine(
        line_id=line.id,
        booked_at=line.booked_at,
        value_on=line.value_on,
        amount_minor=line.amount_minor,
        currency=line.currency,
        reference=words,
        kind=line.kind,
    )


def rejection(payout: Payout) -> RejectionCode:
    """Return why a payout failed; that it failed is definite even where the reason is new."""
    if payout.status is Status.CANCELLED or payout.code == CANCELLED:
        return RejectionCode.CANCELLED
    return REJECTIONS.get(payout.code or "", RejectionCode.OTHER)


def refusal(reply: Reply, attempt: Attempt) -> Said:
    """Return what a 422 means: definite for the published codes, and for no other."""
    error = read(Error, reply.body)
    if error is None or error.code not in REJECTIONS:
        return unclear(reply, attempt)
    evidence = told(f"422 {error.code}: {error.message}", secrets_of(attempt))
    return Rejected(code=REJECTIONS[error.code], evidence=evidence)


def unclear(reply: Reply, attempt: Attempt) -> Unknown:
    """Return the report on an answer that says nothing certain of the money."""
    start = reply.body[:2_000].decode("utf-8", errors="replace") or "(no body)"
    return Unknown(evidence=told(f"status {reply.status}: {start}", secrets_of(attempt)))


def secrets_of(attempt: Attempt) -> tuple[str, ...]:
    """Return what an answer may repeat of the beneficiary, and evidence may not."""
    account = attempt.beneficiary.account()
    return (account, *account.split("/"), attempt.beneficiary.name)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long a Retry-After asks to wait, given as seconds or as a date; None: unsaid."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,6}", value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    # The partner's own clock, where it tells it: ours may differ by more than it asks for.
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
