"""Files of payouts, transfers and accounts: CSV or JSON Lines, read without any service."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from bursar.cli.faults import csv_field, spelled_out
from bursar.cli.lines import CsvRow, csv_rows, json_rows
from bursar.errors import Fault, InvalidRequest
from bursar.ids import Tenant, WalletPath
from bursar.inputs import fault, faults_of, json_field
from bursar.money import Money, minor_digits
from bursar.payments import PayoutRequest, TransferRequest

_T = TypeVar("_T")
_M = TypeVar("_M", bound=BaseModel)


class Form(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


_SHOWN_ID = re.compile(r"(po|tr)_[0-9A-Za-z_]{1,29}|wallet/[a-z0-9][a-z0-9-]{0,40}/[A-Z]{3}")

_FORMS = {".csv": Form.CSV, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL}


@dataclass(frozen=True)
class Line(Generic[_T]):
    """A line that is right, with what it asks for."""

    file: str
    number: int
    """Counted from 1; the header of a CSV file is line 1."""
    request: _T

    @property
    def where(self) -> str:
        """The line as editors and people name it: payouts.csv:12."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Refused:
    """A line that is wrong, with everything that is wrong with it."""

    file: str
    number: int
    id: str | None
    """The payment's id or the account's path as far as it can be read."""
    faults: tuple[Fault, ...]

    @property
    def where(self) -> str:
        """The line as editors and people name it: payouts.csv:12."""
        return f"{self.file}:{self.number}"

    def __str__(self) -> str:
        """Return the line and its faults: "payouts.csv:12: iban: is not a valid IBAN: …"."""
        return f"{self.where}: {'; '.join(map(str, self.faults))}"

    def as_json(self) -> dict[str, Any]:
        """Return the line and its faults for machines."""
        faults = [fault.as_json() for fault in self.faults]
        return {"line": self.number, "id": self.id, "faults": faults}


class AccountRequest(BaseModel):
    """An account to open, and the money that it starts with where a test stack funds it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    account: WalletPath
    tenant: Tenant = "main"
    funding: Money | None = None

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        currency = self.account.rpartition("/")[2]
        minor_digits(currency)
        if self.funding is not None and self.funding.currency != currency:
            raise PydanticCustomError(
                "currency_mismatch",
                f"account {self.account} does not hold {self.funding.currency}",
            )
        return self


@dataclass(frozen=True)
class _Kind(Generic[_M]):
    """What tells one kind of file from another."""

    model: type[_M]
    id_field: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    build: Callable[[dict[str, str]], tuple[dict[str, Any], list[Fault]]]
    """Turns the cells of a row into the JSON that the model reads, and names faults of money."""


def read_payouts(path: Path) -> tuple[list[Line[PayoutRequest]], list[Refused]]:
    """Read a file of payouts: the lines that are right, and those that are not.

    Raises:
        InvalidRequest: The file as a whole cannot be read: name, encoding, header.
    """
    return _read(path.name, content(path), form_of(path), _PAYOUTS)


def read_transfers(path: Path) -> tuple[list[Line[TransferRequest]], list[Refused]]:
    """Read a file of transfers: the lines that are right, and those that are not.

    Raises:
        InvalidRequest: The file as a whole cannot be read: name, encoding, header.
    """
    return _read(path.name, content(path), form_of(path), _TRANSFERS)


def read_accounts(path: Path) -> tuple[list[Line[AccountRequest]], list[Refused]]:
    """Read a file of accounts: the lines that are right, and those that are not.

    Raises:
        InvalidRequest: The file as a whole cannot be read: name, encoding, header.
    """
    return _read(path.name, content(path), form_of(path), _ACCOUNTS)


def payouts_in(
    raw: bytes, form: Form, *, name: str
) -> tuple[list[Line[PayoutRequest]], list[Refused]]:
    """Read payouts out of bytes, such as those of standard input; otherwise as `read_payouts`."""
    return _read(name, raw, form, _PAYOUTS)


def transfers_in(
    raw: bytes, form: Form, *, name: str
) -> tuple[list[Line[TransferRequest]], list[Refused]]:
    """Read transfers out of bytes, such as those of standard input."""
    return _read(name, raw, form, _TRANSFERS)


def accounts_in(
    raw: bytes, form: Form, *, name: str
) -> tuple[list[Line[AccountRequest]], list[Refused]]:
    """Read accounts out of bytes, such as those of standard input."""
    return _read(name, raw, form, _ACCOUNTS)


def form_of(path: Path) -> Form:
    """Return how a file is written, by its extension.

    Raises:
        InvalidRequest: The extension says nothing.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise InvalidRequest(f"{path.name}: write the file as .csv, or as .jsonl (JSON Lines)")
    return form


def content(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        InvalidRequest: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error


def _read(
    name: str, raw: bytes, form: Form, kind: _Kind[_M]
) -> tuple[list[Line[_M]], list[Refused]]:
    rows = _from_csv(name, raw, kind) if form is Form.CSV else _from_json(name, raw, kind)
    good: list[Line[_M]] = []
    bad: list[Refused] = []
    for row in rows:
        if isinstance(row, Refused):
            bad.append(row)
        else:
            good.append(row)
    return good, bad


def _from_csv(name: str, raw: bytes, kind: _Kind[_M]) -> Iterator[Line[_M] | Refused]:
    for row in csv_rows(name, raw, columns=kind.columns, required=kind.required):
        if row.faults:
            yield Refused(name, row.line, _id_in(row.cells, kind), row.faults)
        else:
            yield _from_row(name, row, kind)


def _from_row(name: str, row: CsvRow, kind: _Kind[_M]) -> Line[_M] | Refused:
    content, faults = kind.build(row.cells)
    try:
        request = kind.model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        known = {"amount", "currency", "funding"} if faults else set()
        faults += [fault for fault in faults_of(error, csv_field) if fault.field not in known]
    else:
        if not faults:
            return Line(name, row.line, request)
    order = {column: place for place, column in enumerate(kind.columns)}
    faults.sort(key=lambda fault: order.get(fault.field or "", len(order)))
    return Refused(name, row.line, _id_in(row.cells, kind), _told(faults))


def _from_json(name: str, raw: bytes, kind: _Kind[_M]) -> Iterator[Line[_M] | Refused]:
    for row in json_rows(name, raw):
        given = _id_in(row.content, kind)
        if row.faults:
            yield Refused(name, row.line, given, row.faults)
            continue
        try:
            yield Line(name, row.line, kind.model.model_validate_json(row.text))
        except ValidationError as error:
            yield Refused(name, row.line, given, _told(faults_of(error, json_field)))


def _id_in(content: dict[str, Any], kind: _Kind[_M]) -> str | None:
    given = content.get(kind.id_field)
    if not isinstance(given, str) or not _SHOWN_ID.fullmatch(given):
        return None  # whatever stands there is no id, and may be an account number
    return given


def _told(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(map(spelled_out, faults))


def _money(
    content: dict[str, Any], field: str, text: str | None, currency: str | None
) -> list[Fault]:
    """Read an amount and its currency into `content`; return what is wrong with them."""
    if currency is None:
        return [fault("missing", "currency", "is missing")]
    if text is None:
        return [fault("missing", field, "is missing")]
    try:
        money = Money.parse(text, currency)
    except ValidationError as error:
        return list(faults_of(error, lambda _: field))
    except PydanticCustomError as error:
        where = "currency" if error.type == "currency_invalid" else field
        return [fault(error.type, where, error.message())]
    content[field] = money.model_dump()
    return []


_PLAIN = ("id", "tenant", "reference", "created_by", "execute_on", "execute_at", "batch_id")
_BENEFICIARY = {
    "beneficiary_kind": "kind",
    "beneficiary_name": "name",
    "iban": "iban",
    "bic": "bic",
    "routing_number": "routing_number",
    "account_number": "account_number",
    "msisdn": "msisdn",
}


def _payout(cells: dict[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    plain = (*_PLAIN, "account", "partner")
    content: dict[str, Any] = {name: cells[name] for name in plain if name in cells}
    content["beneficiary"] = {
        field: cells[column] for column, field in _BENEFICIARY.items() if column in cells
    }
    return content, _money(content, "amount", cells.get("amount"), cells.get("currency"))


def _transfer(cells: dict[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    plain = (*_PLAIN, "source", "destination")
    content: dict[str, Any] = {name: cells[name] for name in plain if name in cells}
    return content, _money(content, "amount", cells.get("amount"), cells.get("currency"))


def _account(cells: dict[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    content: dict[str, Any] = {k: cells[k] for k in ("account", "tenant") if k in cells}
    if "funding" not in cells:
        return content, []
    currency = cells.get("account", "").rpartition("/")[2]
    faults = _money(content, "funding", cells["funding"], currency)
    return content, [fault for fault in faults if fault.field == "funding"]


_PAYOUTS = _Kind(
    model=PayoutRequest,
    id_field="id",
    columns=(
        *("id", "account", "amount", "currency", "beneficiary_kind", "beneficiary_name", "iban"),
        *("bic", "routing_number", "account_number", "msisdn", "reference", "created_by"),
        *("execute_on", "execute_at", "partner", "batch_id", "tenant"),
    ),
    required=(
        *("id", "account", "amount", "currency", "beneficiary_kind", "beneficiary_name"),
        *("reference", "created_by"),
    ),
    build=_payout,
)

_TRANSFERS = _Kind(
    model=TransferRequest,
    id_field="id",
    columns=(
        *("id", "source", "destination", "amount", "currency", "reference", "created_by"),
        *("execute_on", "execute_at", "batch_id", "tenant"),
    ),
    required=("id", "source", "destination", "amount", "currency", "reference", "created_by"),
    build=_transfer,
)

_ACCOUNTS = _Kind(
    model=AccountRequest,
    id_field="account",
    columns=("account", "tenant", "funding"),
    required=("account",),
    build=_account,
)
