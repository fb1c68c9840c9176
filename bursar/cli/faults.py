"""Faults: what a model found wrong with a line, in words for the person who wrote the line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bursar.cli.lines import Fault

FieldName: TypeAlias = Callable[[tuple[int | str, ...]], str | None]
"""Gives the name that a field has in the file: a column, or a path into JSON."""

_SHAPES = {
    "id": 'write "po_" for a payout or "tr_" for a transfer, then 1 to 29 letters, digits or "_"',
    "account": "write wallet/<owner>/<currency>, such as wallet/acme/EUR",
    "source": "write wallet/<owner>/<currency>, such as wallet/acme/EUR",
    "destination": "write wallet/<owner>/<currency>, such as wallet/acme/EUR",
    "tenant": 'write 1 to 31 lower case letters, digits or "-", a letter first',
    "partner": 'write 1 to 31 lower case letters, digits or "_", a letter first',
    "created_by": 'write a name of at most 80 letters, digits, spaces or "@._:+-"',
    "batch_id": 'write at most 60 letters, digits, "_", "." or "-"',
    "account_number": "write 4 to 17 digits",
}

_REASONS = {
    "missing": "is missing",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "must be one of iban, us_account, mobile_wallet",
    "greater_than": "must be more than 0",
    "less_than_equal": "is more than one payment may be: 10^15 minor units",
    "timezone_aware": "needs a time zone, such as 2026-12-01T09:30:00Z",
    "datetime_from_date_parsing": "must be a moment, such as 2026-12-01T09:30:00Z",
    "datetime_parsing": "must be a moment, such as 2026-12-01T09:30:00Z",
    "date_from_datetime_parsing": "must be a day, such as 2026-12-01",
    "date_from_datetime_inexact": "must be a day, such as 2026-12-01",
    "date_parsing": "must be a day, such as 2026-12-01",
}


def faults_of(error: ValidationError, field_name: FieldName) -> tuple[Fault, ...]:
    """Return every fault that a model found, each with the field's name in the file."""
    return tuple(
        Fault(field_name(fault["loc"]), _reason(fault)) for fault in error.errors(include_url=False)
    )


def json_field(loc: tuple[int | str, ...]) -> str | None:
    """Return where in a line's JSON a fault is: beneficiary.iban."""
    if loc == ("beneficiary",):
        return "beneficiary.kind"
    if loc[:1] == ("beneficiary",):
        loc = (loc[0], *loc[2:])  # the second part is the kind, which is no part of the JSON
    return ".".join(map(str, loc)) or None


def csv_field(loc: tuple[int | str, ...]) -> str | None:
    """Return in which column a fault is: beneficiary_name."""
    columns: Mapping[str, str] = {
        "beneficiary": "beneficiary_kind",
        "beneficiary.kind": "beneficiary_kind",
        "beneficiary.name": "beneficiary_name",
        "amount.amount_minor": "amount",
        "amount.currency": "currency",
    }
    path = json_field(loc)
    return columns.get(path, path.rpartition(".")[2]) if path else None


def _reason(fault: ErrorDetails) -> str:
    kind, field = fault["type"], str(fault["loc"][-1]) if fault["loc"] else ""
    if kind in _REASONS:
        return _REASONS[kind]
    if kind == "string_pattern_mismatch" and field in _SHAPES:
        return f"{shown(fault['input'])} does not have the right form: {_SHAPES[field]}"
    if kind == "extra_forbidden":
        return _out_of_place(fault)
    message = fault["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if kind != "value_error" else message


def _out_of_place(fault: ErrorDetails) -> str:
    loc = fault["loc"]
    if loc[0] == "beneficiary" and len(loc) > 2:
        return f"does not belong to a beneficiary of kind {loc[1]}; leave it empty"
    return "is no field of this; remove it"


def shown(value: Any) -> str:
    """Return a value from a file, short and printable."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…'"
