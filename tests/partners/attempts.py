"""Attempts to pay made-up beneficiaries."""

from __future__ import annotations

from bursar.beneficiaries import Beneficiary, IbanAccount, MobileWallet, UsAccount
from bursar.ids import attempt_key, new_payout_id
from bursar.money import Money
from partners.port import Attempt

ANA = IbanAccount(name="Ana Díaz", iban="ES9121000418450200051332", bic="CAIXESBB")
JOE = UsAccount(name="Joe Brown", routing_number="021000021", account_number="123456789")
AKINYI = MobileWallet(name="Akinyi Otieno", msisdn="+254712345678")


def an_attempt(
    amount_minor: int = 1250,
    currency: str = "EUR",
    *,
    payee: Beneficiary = ANA,
    reference: str = "Invoice 7",
) -> Attempt:
    """Return the first attempt of a new payment."""
    payment_id = new_payout_id()
    return Attempt(
        key=attempt_key(payment_id, 1),
        payment_id=payment_id,
        ordinal=1,
        amount=Money(amount_minor=amount_minor, currency=currency),
        beneficiary=payee,
        reference=reference,
    )
