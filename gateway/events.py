"""Partner events in: authentic ones are stored before they are answered, others change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.requests import Request

from bursar.reports import EventKind, PartnerEvent
from gateway.bodies import EVENT_BYTES_MAX, read_body
from gateway.documents import EVENTS, problems
from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from partners.port import EventRefused, Partner

KEPT_HEADERS = frozenset(
    {"content-encoding", "content-type", "date", "digest", "user-agent", "x-request-id"}
)
KEPT_WORDS = ("event", "signature", "timestamp", "webhook")
HEADER_LENGTH_MAX = 1024

router = APIRouter(prefix="/v1/partners", tags=[EVENTS])
_log = structlog.get_logger("gateway.events")


class Stored(BaseModel):
    """What became of a partner's message."""

    model_config = ConfigDict(frozen=True)

    stored: int
    """Events that are new to us."""
    known: int
    """Events that we had already."""


@router.post(
    "/{partner}/events",
    summary="Take in a partner's events",
    responses=problems(401, 404, 408, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The partner's own message, signed as the partner signs.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_events(
    partner: str, request: Request, resources: Annotated[Resources, Depends(resources_of)]
) -> Stored:
    """Verify and store a message; each event once, however often it is sent.

    A 2xx means that everything in it is durable. On a 503 nothing is known: send it again.
    """
    adapter = resources.partners.get(partner)
    if adapter is None:
        raise Refused(404, "There is no such partner.", code="partner_not_found")
    raw = await read_body(request, EVENT_BYTES_MAX)
    events = _authentic(adapter, raw, request.headers)
    headers = _kept(request.headers)
    new = 0
    for event in events:
        row_id = await _store(resources, event, raw, headers)
        new += row_id is not None
    if new:
        resources.relay.nudge()
    return Stored(stored=new, known=len(events) - new)


def _authentic(adapter: Partner, raw: bytes, headers: Headers) -> tuple[PartnerEvent, ...]:
    try:
        return adapter.read_event(raw, headers)
    except EventRefused as error:
        _log.warning("an event was refused", partner=adapter.name)
        detail = "The message is not authentic, not fresh, or not readable; nothing was stored."
        raise Refused(401, detail, code="event_refused") from error


async def _store(
    resources: Resources, event: PartnerEvent, raw: bytes, headers: dict[str, str]
) -> int | None:
    try:
        row_id = await resources.books.store_event(event, raw, headers)
    except (ValueError, OverflowError) as error:  # authentic, but no column can hold what it says
        _log.error("an authentic event cannot be stored as it is read", partner=event.partner)
        row_id = await _store_unread(resources, event, raw, headers, error)
    _log.info("an event came in", partner=event.partner, kind=event.kind, row_id=row_id)
    return row_id


async def _store_unread(
    resources: Resources,
    event: PartnerEvent,
    raw: bytes,
    headers: dict[str, str],
    why: Exception,
) -> int | None:
    """Keep an authentic event's bytes without what was read from them; a person looks at it."""
    unread = PartnerEvent(
        partner=event.partner,
        event_id=event.event_id,
        kind=EventKind.UNRECOGNISED,
        detail=f"cannot be stored as it is read ({type(why).__name__}); see the raw bytes",
        occurred_at=datetime.now(UTC),
    )
    try:
        return await resources.books.store_event(unread, raw, headers)
    except (ValueError, OverflowError) as error:
        detail = "The event is authentic, and cannot be stored as it is."
        raise Refused(422, detail, code="event_unreadable") from error


def _kept(headers: Headers) -> dict[str, str]:
    """Return the headers that prove or explain a message, and no credentials."""
    return {
        name: value[:HEADER_LENGTH_MAX]
        for name, value in headers.items()
        if name in KEPT_HEADERS or any(word in name for word in KEPT_WORDS)
    }
