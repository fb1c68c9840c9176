"""Names that histories and other services hold on to: never rename one, only add."""

from temporalio.common import SearchAttributeKey

PAYOUT_WORKFLOW = "Payout"
TRANSFER_WORKFLOW = "Transfer"
DEPOSIT_WORKFLOW = "Deposit"
RETURN_WORKFLOW = "Return"
LATE_EVENT_WORKFLOW = "LateEvent"
SWEEP_WORKFLOW = "Sweep"
CHECK_WORKFLOW = "CheckBooks"

SWEEP_SCHEDULE = "sweep"
"""The schedule that starts a sweep each minute; a sweep's workflow id is sweep-<time>."""
CHECK_SCHEDULE = "check-books"
CHECK_FULL_SCHEDULE = "check-books-full"
"""The schedules of the rounds of checks: each minute over what is new, each night over all."""

PAYMENTS_QUEUE = "payments"
"""Workflows and the steps on our own books."""

APPROVE = "approve"
DENY = "deny"
CANCEL = "cancel"
RESOLVE = "resolve"
PARTNER_EVENT = "partner_event"
CALL_OPS = "call_ops"
"""Signals; the first four are updates of the same name too."""

CONTENT_HASH_MEMO = "content_hash"

PAYMENT_KIND = SearchAttributeKey.for_keyword("PaymentKind")
PAYMENT_STATE = SearchAttributeKey.for_keyword("PaymentState")
PARTNER = SearchAttributeKey.for_keyword("Partner")
CURRENCY = SearchAttributeKey.for_keyword("Currency")
TENANT = SearchAttributeKey.for_keyword("Tenant")
BATCH_ID = SearchAttributeKey.for_keyword("BatchId")
AMOUNT_MINOR = SearchAttributeKey.for_int("AmountMinor")
NEEDS_OPS = SearchAttributeKey.for_bool("NeedsOps")
DEADLINE = SearchAttributeKey.for_datetime("Deadline")

SEARCH_ATTRIBUTES = {
    "PaymentKind": "Keyword",
    "PaymentState": "Keyword",
    "Partner": "Keyword",
    "Currency": "Keyword",
    "Tenant": "Keyword",
    "BatchId": "Keyword",
    "AmountMinor": "Int",
    "NeedsOps": "Bool",
    "Deadline": "Datetime",
}
"""Every search attribute with its type, as the Temporal namespace has to know them."""


def partner_queue(partner: str) -> str:
    """Return the task queue of one partner's calls: its own rate, concurrency and kill switch."""
    return f"partner-{partner}"


def workflow_id(payment_id: str) -> str:
    """Return the id of the workflow that runs a payment: payout/po_… or transfer/tr_…."""
    kind = "payout" if payment_id.startswith("po_") else "transfer"
    return f"{kind}/{payment_id}"


def deposit_workflow_id(partner: str, event_id: str) -> str:
    """Return the id of the workflow that books one incoming credit."""
    return f"deposit/{partner}/{event_id}"


def return_workflow_id(partner: str, event_id: str) -> str:
    """Return the id of the workflow that books money coming back after it was settled."""
    return f"return/{partner}/{event_id}"


def late_event_workflow_id(partner: str, event_id: str) -> str:
    """Return the id of the workflow that judges an event about a payment that has ended."""
    return f"late/{partner}/{event_id}"
