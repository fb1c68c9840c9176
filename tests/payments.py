"""Requests that tests send; each with an id of its own."""

from __future__ import annotations

from datetime import datetime

from bursar import IbanAccount, Money, PayoutRequest, TransferRequest
from bursar.ids import new_payout_id, new_transfer_id

IBAN = "DE89370400440532013000"


def a_payout(
    marker: str = "",
    *,
    amount_minor: int = 12_50,
    currency: str = "EUR",
    payout_id: str | None = None,
    created_by: str = "maker",
    execute_at: datetime | None = None,
) -> PayoutRequest:
    """Return a payout whose remittance text tells the bank how to behave."""
    return PayoutRequest(
        id=payout_id or new_payout_id(),
        account=f"wallet/acme/{currency}",
        amount=Money(amount_minor=amount_minor, currency=currency),
        beneficiary=IbanAccount(name="Anna Müller", iban=IBAN),
        reference=f"Invoice 7 {marker}".strip(),
        created_by=created_by,
        execute_at=execute_at,
    )


def a_transfer(
    *,
    amount_minor: int = 10_00,
    source: str = "acme",
    destination: str = "bolt",
    currency: str = "EUR",
    transfer_id: str | None = None,
) -> TransferRequest:
    """Return a transfer between two wallets."""
    return TransferRequest(
        id=transfer_id or new_transfer_id(),
        source=f"wallet/{source}/{currency}",
        destination=f"wallet/{destination}/{currency}",
        amount=Money(amount_minor=amount_minor, currency=currency),
        reference="Rent",
        created_by="maker",
    )
