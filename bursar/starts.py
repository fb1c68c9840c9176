"""Starts: how a payment's run is started, by its backend or, when it was lost, by the sweeper."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from bursar import names
from bursar.payments import PaymentKind, PaymentState, PayoutRequest, TransferRequest, content_hash

SUMMARY_LENGTH_MAX = 200


async def start_run(
    client: Client,
    request: PayoutRequest | TransferRequest,
    *,
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
    signal: tuple[str, Any] | None = None,
) -> WorkflowHandle[Any, Any]:
    """Start the run of a payment.

    Args:
        client: With the plugin that every part of the house shares.
        request: What the payment is; its id makes the workflow's.
        reuse: Whether an id whose run has closed may be started again.
        signal: Name and argument of a signal that the run finds when it begins.

    Raises:
        WorkflowAlreadyStartedError: There is an open run of this id, or one that may not be
            repeated. With a signal, an open run gets that instead.
        RPCError: Temporal did not take it.
    """
    kind, summary = _described(request)
    # Temporal takes no signal together with a start that fails where there is a run already.
    policy = WorkflowIDConflictPolicy
    return await client.start_workflow(
        kind,
        request,
        id=names.workflow_id(request.id),
        task_queue=names.PAYMENTS_QUEUE,
        id_reuse_policy=reuse,
        id_conflict_policy=policy.USE_EXISTING if signal else policy.FAIL,
        memo={names.CONTENT_HASH_MEMO: content_hash(request)},
        search_attributes=_attributes(request),
        static_summary=summary[:SUMMARY_LENGTH_MAX],
        start_signal=signal[0] if signal else None,
        start_signal_args=[signal[1]] if signal else [],
    )


def _described(request: PayoutRequest | TransferRequest) -> tuple[str, str]:
    """Return the workflow's type, and what the Temporal UI calls the run."""
    if isinstance(request, PayoutRequest):
        return names.PAYOUT_WORKFLOW, f"payout {request.amount} from {request.account}"
    way = f"from {request.source} to {request.destination}"
    return names.TRANSFER_WORKFLOW, f"transfer {request.amount} {way}"


def _attributes(request: PayoutRequest | TransferRequest) -> TypedSearchAttributes:
    """Return what the payment is found by in Temporal's index; never a name or a number."""
    kind = PaymentKind.PAYOUT if isinstance(request, PayoutRequest) else PaymentKind.TRANSFER
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(names.PAYMENT_KIND, kind.value),
        SearchAttributePair(names.PAYMENT_STATE, PaymentState.RECEIVED.value),
        SearchAttributePair(names.CURRENCY, request.amount.currency),
        SearchAttributePair(names.AMOUNT_MINOR, request.amount.amount_minor),
        SearchAttributePair(names.TENANT, request.tenant),
        SearchAttributePair(names.NEEDS_OPS, False),
    ]
    if request.batch_id:
        pairs.append(SearchAttributePair(names.BATCH_ID, request.batch_id))
    if isinstance(request, PayoutRequest) and request.partner:
        pairs.append(SearchAttributePair(names.PARTNER, request.partner))
    return TypedSearchAttributes(pairs)
