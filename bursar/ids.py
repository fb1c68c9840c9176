"""Identifiers: the one id of a payment, and every other id derived from it."""

from __future__ import annotations

import secrets
import time
import unicodedata
from typing import Annotated

from pydantic import StringConstraints

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

PayoutId = Annotated[str, StringConstraints(pattern=r"^po_[0-9A-Za-z_]{1,29}$", strict=True)]
"""A payout's id: "po_" and up to 29 letters, digits or "_"; with its attempt ≤ 35 characters."""

TransferId = Annotated[str, StringConstraints(pattern=r"^tr_[0-9A-Za-z_]{1,29}$", strict=True)]
"""A transfer's id: "tr_" and up to 29 letters, digits or "_"."""

PaymentId = Annotated[str, StringConstraints(pattern=r"^(po|tr)_[0-9A-Za-z_]{1,29}$", strict=True)]

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$", strict=True)]
"""Whose money it is, where one installation serves several; lower case, digits and "-"."""

WalletPath = Annotated[
    str, StringConstraints(pattern=r"^wallet/[a-z0-9][a-z0-9-]{0,40}/[A-Z]{3}$", strict=True)
]
"""A customer's account in the books: wallet/<owner>/<currency>, such as wallet/acme/EUR."""

Actor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 @._:+-]{0,79}$")]
"""Who acted: a person's or a service's name, such as "ana@acme" or "service:orders"."""


def person_of(name: str) -> str:
    """Return what a name is compared by where people are counted: "Ana" and "ana " are one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def new_payout_id() -> str:
    """Return a new payout id; save it with your own record before you send the payout."""
    return "po_" + _time_ordered()


def new_transfer_id() -> str:
    """Return a new transfer id; save it with your own record before you send the transfer."""
    return "tr_" + _time_ordered()


def _time_ordered() -> str:
    """Return 26 characters: 48 bits of milliseconds, then 80 random bits, so ids sort by age."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def attempt_key(payment_id: str, ordinal: int) -> str:
    """Return the idempotency key and reference that a partner sees for one attempt: po_…-1."""
    return f"{payment_id}-{ordinal}"


def payment_of(key: str) -> str:
    """Return the payment's id inside an attempt's key: po_…-1 → po_…."""
    return key.rpartition("-")[0] or key
