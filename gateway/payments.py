"""Payments over HTTP: the register to read, and what people do to a payment."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bursar.actions import Answer, Approve, Cancel, Deny, Outcome, Reason, Resolve
from bursar.errors import PaymentNotFound
from bursar.ids import Tenant
from bursar.payments import PartnerName, PaymentKind, PaymentState
from bursar.texts import PrintableText
from bursar.views import PaymentPage, PaymentView
from gateway.access import approver, holder_of
from gateway.acting import Acting, acting_of
from gateway.bodies import documented, json_body
from gateway.documents import PAYMENTS, problems
from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from gateway.tokens import OPERATE, READ, Principal

PAYMENT_ID = re.compile(r"(po|tr)_[0-9A-Za-z_]{1,29}")

AccountPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/.-]{1,120}$")]
ContentHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

router = APIRouter(prefix="/v1/payments", tags=[PAYMENTS])


class _Body(BaseModel):
    """An action as its caller sends it: who acts is the token's holder, never a field."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ApproveBody(_Body):
    """Approve a payment; with `content_hash`, only as the payment was when it was looked at."""

    content_hash: ContentHash | None = None
    reason: Reason | None = None


class DenyBody(_Body):
    """Deny a payment."""

    reason: Reason


class CancelBody(_Body):
    """Cancel a payment."""

    reason: Reason


class ResolveBody(_Body):
    """Say what became of a payment in review."""

    outcome: Outcome
    evidence: Annotated[PrintableText, Field(min_length=3, max_length=300)]
    partner_ref: Annotated[PrintableText, Field(max_length=80)] | None = None


BODIES = (ApproveBody, DenyBody, CancelBody, ResolveBody)


class PaymentFilter(BaseModel):
    """Which payments a list shows; all that are given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: PaymentState | None = None
    kind: PaymentKind | None = None
    tenant: Tenant | None = None
    account: AccountPath | None = None
    """The account that pays."""
    partner: PartnerName | None = None
    batch_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None
    stuck: bool | None = None
    """True: past the time by which their next action was due."""
    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:=+/-]{1,200}$")] | None = None
    """`next_cursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


async def known_id(payment_id: str) -> str:
    """Give a payment's id out of the path, if it can be one at all."""
    if not PAYMENT_ID.fullmatch(payment_id):
        raise Refused(404, "There is no such payment.", code=PaymentNotFound.code)
    return payment_id


_Reader = Annotated[Principal, Depends(holder_of(READ))]
_Operator = Annotated[Principal, Depends(holder_of(OPERATE))]
_Approver = Annotated[Principal, Depends(approver)]
_PaymentId = Annotated[str, Depends(known_id)]
_Resources = Annotated[Resources, Depends(resources_of)]
_Acting = Annotated[Acting, Depends(acting_of)]

_ACTING_PROBLEMS = problems(400, 401, 403, 404, 409, 413, 415, 422, 503)


@router.get("", summary="List payments", responses=problems(401, 403, 422, 503))
async def list_payments(
    by: _Reader, wanted: Annotated[PaymentFilter, Query()], resources: _Resources
) -> PaymentPage:
    """Return payments, newest first, a page at a time; follow `next_cursor` to the end."""
    return await resources.reader.payments(**wanted.model_dump())


@router.get("/{payment_id}", summary="Show a payment", responses=problems(401, 403, 404, 503))
async def show_payment(by: _Reader, payment_id: _PaymentId, resources: _Resources) -> PaymentView:
    """Return everything that is known of one payment: timeline, attempts, words, postings."""
    view = await resources.reader.payment(payment_id)
    if view is None:
        raise PaymentNotFound(payment_id)
    return view


@router.post(
    "/{payment_id}/approve",
    summary="Approve a payment",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(ApproveBody),
)
async def approve(
    by: _Approver,
    payment_id: _PaymentId,
    body: Annotated[ApproveBody, Depends(json_body(ApproveBody))],
    acting: _Acting,
) -> Answer:
    """Record the caller's approval of the payment's content, and tell its workflow."""
    payment = await acting.payment(payment_id, body.content_hash)
    action = Approve(by=by.name, content_hash=payment.content_hash, reason=body.reason)
    await acting.record_word(by, payment, action)
    return await acting.act(payment, action)


@router.post(
    "/{payment_id}/deny",
    summary="Deny a payment",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(DenyBody),
)
async def deny(
    by: _Approver,
    payment_id: _PaymentId,
    body: Annotated[DenyBody, Depends(json_body(DenyBody))],
    acting: _Acting,
) -> Answer:
    """Record the caller's no to the payment's content, and tell its workflow."""
    payment = await acting.payment(payment_id)
    action = Deny(by=by.name, reason=body.reason)
    await acting.record_word(by, payment, action)
    return await acting.act(payment, action)


@router.post(
    "/{payment_id}/cancel",
    summary="Cancel a payment",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(CancelBody),
)
async def cancel(
    by: _Operator,
    payment_id: _PaymentId,
    body: Annotated[CancelBody, Depends(json_body(CancelBody))],
    acting: _Acting,
) -> Answer:
    """Cancel the payment, if it is before its commit point."""
    payment = await acting.payment(payment_id)
    action = Cancel(by=by.name, reason=body.reason)
    return await acting.act(payment, action)


@router.post(
    "/{payment_id}/resolve",
    summary="Resolve a payment in review",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(ResolveBody),
)
async def resolve(
    by: _Operator,
    payment_id: _PaymentId,
    body: Annotated[ResolveBody, Depends(json_body(ResolveBody))],
    acting: _Acting,
) -> Answer:
    """Say what became of a payment in review; it is decided once two people say the same."""
    payment = await acting.payment(payment_id)
    action = Resolve(by=by.name, **body.model_dump())
    await acting.record_decision(by, payment, action)
    return await acting.act(payment, action)
