"""Stored events over HTTP: what partners told, what was set aside, and how it is brought back."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bursar.ids import PaymentId
from bursar.payments import PartnerName
from bursar.views import EventPage, Redriven
from gateway.access import holder_of
from gateway.bodies import documented, json_body
from gateway.documents import STORED_EVENTS, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import OPERATE, READ, Principal

router = APIRouter(prefix="/v1/events", tags=[STORED_EVENTS])

EventNumber = Annotated[int, Field(ge=1, lt=10**18)]


class RedriveBody(BaseModel):
    """Bring events back that were set aside: some by their ids, or all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ids: Annotated[list[EventNumber], Field(min_length=1, max_length=1000)] | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.ids is None) != self.all:
            raise ValueError("give ids, or all: true")
        return self


BODIES = (RedriveBody,)


class EventFilter(BaseModel):
    """Which events a list shows; all that are given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set_aside: bool = False
    partner: PartnerName | None = None
    payment_id: PaymentId | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:=+/-]{1,200}$")] | None = None
    """`next_cursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


_Resources = Annotated[Resources, Depends(resources_of)]


@router.get("", summary="List stored events", responses=problems(401, 403, 422, 503))
async def list_events(
    by: Annotated[Principal, Depends(holder_of(READ))],
    wanted: Annotated[EventFilter, Query()],
    resources: _Resources,
) -> EventPage:
    """Return events, the newest first; with `set_aside` only those that wait for a person."""
    return await resources.reader.events(**wanted.model_dump())


@router.post(
    "/redrive",
    summary="Bring events back",
    responses=problems(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=documented(RedriveBody),
)
async def redrive_events(
    by: Annotated[Principal, Depends(holder_of(OPERATE))],
    body: Annotated[RedriveBody, Depends(json_body(RedriveBody))],
    resources: _Resources,
) -> Redriven:
    """Offer events that were set aside again; each still counts once, so a repeat is safe."""
    ids = await resources.books.redrive_events(body.ids, by.name)
    resources.relay.nudge()
    return Redriven(ids=tuple(ids))
