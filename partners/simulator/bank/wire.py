"""What goes over the wire: requests as the bank reads them, errors and objects as it tells them."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from partners.simulator.bank.misbehaviour import marked

ReferenceText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
CurrencyText = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
AmountMinor = Annotated[int, Field(gt=0, le=10**15)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=140)]

Json = dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Beneficiary(_Body):
    """Who is to be paid: which numbers are needed depends on the kind."""

    kind: ShortText
    name: ShortText
    iban: ShortText | None = None
    bic: ShortText | None = None
    routing_number: ShortText | None = None
    account_number: ShortText | None = None
    msisdn: ShortText | None = None

    def account(self) -> str | None:
        """Return the account in one text; None where a number of its kind is missing."""
        match self.kind:
            case "iban":
                return self.iban
            case "us_account" if self.routing_number and self.account_number:
                return f"{self.routing_number}/{self.account_number}"
            case "mobile_wallet":
                return self.msisdn
            case _:
                return None

    def told(self) -> Json:
        """Return the beneficiary as the bank shows it, with the account masked."""
        return {"kind": self.kind, "name": self.name, "account": masked(self.account() or "")}


class PayoutOrder(_Body):
    """A payout as the customer asks for it."""

    reference: ReferenceText
    amount_minor: AmountMinor
    currency: CurrencyText
    beneficiary: Beneficiary
    remittance: Annotated[str, StringConstraints(max_length=140)] = ""

    @model_validator(mode="after")
    def _markers_are_known(self) -> Self:
        marked(self.remittance, self.beneficiary.name)
        return self


class CreditOrder(_Body):
    """Money that comes in, as the control endpoint makes it up."""

    credit_id: ReferenceText
    amount_minor: AmountMinor
    currency: CurrencyText
    reference: ShortText


class Problem(Exception):
    """A call is answered with an error."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"code": code, "message": message, **more}


def masked(account: str) -> str:
    """Return an account number that is safe to show."""
    return account if len(account) <= 8 else f"{account[:4]}…{account[-4:]}"


def stamp(now: float) -> str:
    """Return a moment (seconds since 1970) as the bank writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line_name(seq: int | None) -> str | None:
    """Return a book line's published id."""
    return None if seq is None else f"bl_{seq:012d}"


def payout_name(payout: int) -> str:
    """Return a payout's published id."""
    return f"bp_{payout:012d}"


def payout_told(row: sqlite3.Row) -> Json:
    """Return a payout as the bank tells it, true or not."""
    return {
        "id": payout_name(row["id"]),
        "reference": row["reference"],
        "status": row["told"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        "beneficiary": json.loads(row["beneficiary"]),
        "code": row["code"],
        "returned_minor": row["returned_minor"],
        "fee_minor": row["fee_minor"],
        "created_at": row["created_at"],
        "booked_at": row["booked_at"],
        "value_on": row["value_on"],
        "line_id": line_name(row["line"]),
    }


def line_told(row: sqlite3.Row, *, with_reference: bool) -> Json:
    """Return a book line; a bank may leave out the customer's reference, but not a credit's."""
    shown = with_reference or row["kind"] == "credit"
    return {
        "id": line_name(row["seq"]),
        "seq": row["seq"],
        "booked_at": row["booked_at"],
        "value_on": row["value_on"],
        "amount_minor": row["amount_minor"],
        "currency": row["currency"],
        "reference": row["reference"] if shown else None,
        "kind": row["kind"],
        "balance_minor": row["balance_minor"],
    }
