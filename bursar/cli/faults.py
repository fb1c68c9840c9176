"""Faults in a file's lines: the columns' names, and words for the person who wrote the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bursar.errors import Fault
from bursar.inputs import json_field

_COLUMNS: Mapping[str, str] = {
    "beneficiary": "beneficiary_kind",
    "beneficiary.kind": "beneficiary_kind",
    "beneficiary.name": "beneficiary_name",
    "amount.amount_minor": "amount",
    "amount.currency": "currency",
}


def csv_field(loc: tuple[int | str, ...]) -> str | None:
    """Return in which column a fault is: beneficiary_name."""
    path = json_field(loc)
    return _COLUMNS.get(path, path.rpartition(".")[2]) if path else None


def spelled_out(fault: Fault) -> Fault:
    """Return a fault whose reason also says what to write, where it only says that it is wrong."""
    if not fault.reason.endswith("does not have the right form"):
        return fault
    to_do = fault.what_to_do[:1].lower() + fault.what_to_do[1:].removesuffix(".")
    return replace(fault, reason=f"{fault.reason}: {to_do}")
