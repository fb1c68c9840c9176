"""Entries of the corpus: one value in one place of a payout, and what has to come of it."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from bursar.payments import PayoutRequest

GONE = object()
"""Instead of a value: the field is left out."""

GOOD: dict[str, Any] = {
    "id": "po_badinput_1",
    "account": "wallet/acme/EUR",
    "amount": {"amount_minor": 1250, "currency": "EUR"},
    "beneficiary": {"kind": "iban", "name": "Ana Lopez", "iban": "DE89370400440532013000"},
    "reference": "Invoice 7",
    "created_by": "orders",
}
"""A payout with nothing wrong in it; every entry changes one thing of it."""


@dataclass(frozen=True)
class Entry:
    """One concrete input. `code` None: it is accepted."""

    family: str
    what: str
    place: str
    """Where the value goes: "beneficiary.name"."""
    value: Any
    code: str | None
    field: str | None = None
    """The field that the fault must name, where it is not the place."""

    @property
    def key(self) -> str:
        """What no two entries may have in common."""
        value = "(left out)" if self.value is GONE else repr(self.value)
        return f"{self.family} {self.place} {value}"

    def document(self) -> dict[str, Any]:
        """Return a whole payout with the value in its place."""
        made = copy.deepcopy(GOOD)
        here = made
        *path, last = self.place.split(".")
        for part in path:
            here = here.setdefault(part, {})
        if self.value is GONE:
            here.pop(last, None)
        else:
            here[last] = self.value
        if self.place == "amount.currency":
            made["account"] = f"wallet/acme/{self.value}"  # only the code itself is to be wrong
        return made

    def text(self) -> str:
        """Return the payout as one line of JSON."""
        return json.dumps(self.document())

    def hidden(self) -> tuple[str, ...]:
        """Return what may stand in no message: the value, where it could be a number or secret."""
        text = self.value if isinstance(self.value, str) else ""
        if self.place.startswith("execute_"):
            return ()  # our own examples of a time are much like the times that were sent
        return (text,) if sum(char.isdigit() for char in text) > 8 or len(text) > 30 else ()


def good_request() -> PayoutRequest:
    """Return the payout that every entry is made from."""
    return PayoutRequest.read(GOOD)
