"""Bursar: durable money movement. All that a backend needs, on one page."""

from bursar.actions import Answer, Outcome, Resolve, Verdict
from bursar.beneficiaries import Beneficiary, IbanAccount, MobileWallet, UsAccount
from bursar.client import Bursar, PaymentHandle, PayoutHandle, TransferHandle
from bursar.errors import (
    ActionRefused,
    BursarError,
    InvalidRequest,
    NotAuthorised,
    PaymentConflict,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.ids import new_payout_id, new_transfer_id
from bursar.money import Money
from bursar.payments import (
    PaymentKind,
    PaymentResult,
    PaymentState,
    PayoutRequest,
    TransferRequest,
)

__all__ = [
    "ActionRefused",
    "Answer",
    "Beneficiary",
    "Bursar",
    "BursarError",
    "IbanAccount",
    "InvalidRequest",
    "MobileWallet",
    "Money",
    "NotAuthorised",
    "Outcome",
    "PaymentConflict",
    "PaymentHandle",
    "PaymentKind",
    "PaymentNotFound",
    "PaymentResult",
    "PaymentState",
    "PayoutHandle",
    "PayoutRequest",
    "Resolve",
    "ServiceUnavailable",
    "TransferHandle",
    "TransferRequest",
    "UsAccount",
    "Verdict",
    "new_payout_id",
    "new_transfer_id",
]
