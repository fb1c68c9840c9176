"""The simulated bank's webhooks: whose they are, and what they tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from bursar.reports import EventKind, PartnerEvent, RejectionCode
from partners.evidence import printable, told
from partners.port import EventRefused
from partners.simulator import wire
from partners.simulator.wire import CANCELLED, REJECTIONS, Credit, Envelope, Payout, Status

KINDS = {
    "payout.accepted": EventKind.ACCEPTED,
    "payout.pending": EventKind.ACCEPTED,
    "payout.paid": EventKind.PAID,
    "payout.failed": EventKind.FAILED,
    "payout.cancelled": EventKind.FAILED,
    "payout.returned": EventKind.RETURNED,
}

STATUSES = {
    "payout.paid": Status.PAID,
    "payout.failed": Status.FAILED,
    "payout.cancelled": Status.CANCELLED,
    "payout.returned": Status.RETURNED,
}
"""The status that must stand in an event of these types, or else the event contradicts itself."""


def verify(raw: bytes, headers: Mapping[str, str], secrets: tuple[str, ...]) -> str:
    """Check an event's signature and age (± 300 s), and return its id.

    Raises:
        EventRefused: None of the secrets fits, it is too old or too new, or a header is malformed.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    event_id = lower.get("webhook-id", "")
    if not re.fullmatch(r"[\x21-\x7e]{1,100}", event_id):
        raise EventRefused("webhook-id is missing, or is not 1 to 100 printable characters")
    reason = "no secret"
    for secret in secrets:
        try:
            Webhook(secret).verify(raw, lower, json_parse=False)
        # Beside its own error the package lets out whatever its parsing meets: UnicodeDecodeError,
        # binascii.Error, and ValueError for a signature without a comma. All mean "not authentic".
        except Exception as error:
            reason = type(error).__name__
        else:
            return event_id
    raise EventRefused(f"the signature does not hold: {reason}")


def understand(partner: str, event_id: str, raw: bytes, signed_at: datetime) -> PartnerEvent:
    """Return what an authentic event tells; what is not understood is kept as that, not guessed.

    Args:
        partner: Our name of the partner.
        event_id: From the signed header.
        raw: The body as it came.
        signed_at: When the event was signed; stands in where the body tells no time.
    """
    envelope = wire.read(Envelope, raw)
    if envelope is None:
        return _unrecognised(partner, event_id, "the envelope cannot be read", signed_at)
    event: PartnerEvent | None = None
    if envelope.type == "credit.received":
        event = _credit(partner, event_id, envelope)
    elif envelope.type in KINDS:
        event = _payout(partner, event_id, envelope)
    if event is None:
        why = f"type {envelope.type} is unknown, or its data do not fit it"
        return _unrecognised(partner, event_id, why, envelope.timestamp)
    return event


def signed_at(headers: Mapping[str, str]) -> datetime:
    """Return the moment in a header that `verify` has let pass."""
    lower = {name.lower(): value for name, value in headers.items()}
    return datetime.fromtimestamp(float(lower["webhook-timestamp"]), tz=UTC)


def _credit(partner: str, event_id: str, envelope: Envelope) -> PartnerEvent | None:
    credit = wire.read(Credit, _json(envelope.data))
    if credit is None:
        return None
    return PartnerEvent(
        partner=partner,
        event_id=event_id,
        kind=EventKind.CREDIT,
        reference=printable(credit.reference, wire.REFERENCE_MAX),
        partner_ref=credit.credit_id,
        line_ref=credit.line_id,
        amount_minor=credit.amount_minor,
        currency=credit.currency,
        value_on=credit.value_on,
        occurred_at=envelope.timestamp,
        detail=envelope.type,
    )


def _payout(partner: str, event_id: str, envelope: Envelope) -> PartnerEvent | None:
    payout = wire.read(Payout, _json(envelope.data))
    if payout is None or STATUSES.get(envelope.type, payout.status) is not payout.status:
        return None
    arrived, detail = None, envelope.type
    if payout.status is Status.RETURNED:
        arrived = payout.returned_minor
        if not arrived or not _adds_up(payout):
            return None
        detail = f"{envelope.type}, {payout.fee_minor or 0} kept as fee"
    return PartnerEvent(
        partner=partner,
        event_id=event_id,
        kind=KINDS[envelope.type],
        reference=payout.reference,
        partner_ref=payout.id,
        amount_minor=payout.amount_minor if arrived is None else arrived,
        currency=payout.currency,
        payee_account=printable(payout.beneficiary.account, wire.REFERENCE_MAX),
        payment_amount_minor=payout.amount_minor,
        fee_minor=None if arrived is None else payout.fee_minor or 0,
        line_ref=payout.line_id if payout.status in (Status.PAID, Status.RETURNED) else None,
        code=_code(payout),
        value_on=payout.value_on,
        occurred_at=envelope.timestamp,
        detail=told(detail + (f", {payout.code}" if payout.code else "")),
    )


def _adds_up(payout: Payout) -> bool:
    """Tell whether a return is all or a part of its payout, and says what was kept of it.

    A part without a word on fees could be either less a fee or a part: nobody guesses which.
    """
    back, kept = payout.returned_minor or 0, payout.fee_minor
    if kept is None:
        return back == payout.amount_minor
    return back + kept <= payout.amount_minor


def _code(payout: Payout) -> RejectionCode | None:
    if payout.status in (Status.FAILED, Status.CANCELLED):
        return wire.rejection(payout)
    if payout.code == CANCELLED:
        return RejectionCode.CANCELLED
    return REJECTIONS.get(payout.code) if payout.code else None


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode()


def _unrecognised(partner: str, event_id: str, why: str, at: datetime) -> PartnerEvent:
    return PartnerEvent(
        partner=partner,
        event_id=event_id,
        kind=EventKind.UNRECOGNISED,
        occurred_at=at,
        detail=told(why),
    )
