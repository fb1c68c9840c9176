"""Runs as Temporal shows them: what its index is asked, and what a run's description says."""

from __future__ import annotations

import json

from temporalio.client import WorkflowExecutionDescription
from temporalio.service import RPCStatusCode

from bursar import names
from bursar.payments import (
    WORTH_A_LOOK,
    PaymentKind,
    PaymentState,
    PayoutRequest,
    TransferRequest,
)
from ledger.books import Payment

TASK_FAILURES_MIN = 6
"""From so many failed tries of one workflow task on, a run counts as wedged."""
OPEN = (
    f"WorkflowType IN ('{names.PAYOUT_WORKFLOW}', '{names.TRANSFER_WORKFLOW}')"
    " AND ExecutionStatus = 'Running'"
)
NO_ANSWER = frozenset(
    {
        RPCStatusCode.ABORTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,
    }
)
"""With these Temporal says nothing of the run that was asked about."""
_STATE = names.PAYMENT_STATE.name
NOT_SHOWN = f"({_STATE} = '{PaymentState.RECEIVED}' OR {_STATE} IS NULL)"
WAITING = f"{_STATE} IN ({', '.join(f'{each.value!r}' for each in sorted(WORTH_A_LOOK))})"
"""Runs that wait for people, in Temporal's index."""


def is_wedged(run: WorkflowExecutionDescription) -> bool:
    """Tell whether a run's workflow task has failed, or run out of time, again and again."""
    return bool(run.raw_description.pending_workflow_task.attempt >= TASK_FAILURES_MIN)


def request_of(payment: Payment) -> PayoutRequest | TransferRequest:
    """Return the request that a payment was registered with.

    Raises:
        ValidationError: No request of today's form can be read from it.
    """
    model = PayoutRequest if payment.kind is PaymentKind.PAYOUT else TransferRequest
    return model.model_validate_json(json.dumps(payment.request))
