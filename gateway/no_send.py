"""No-send mode over HTTP: stop all sending, see what has to be compared, and let it go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from bursar.actions import Reason
from bursar.views import NoSend
from gateway.access import holder_of
from gateway.bodies import documented, json_body
from gateway.documents import NO_SEND, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import ADMIN, READ, Principal

router = APIRouter(prefix="/v1/no-send", tags=[NO_SEND])


class NoSendBody(BaseModel):
    """Why: kept for ever with the name of the token's holder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason


BODIES = (NoSendBody,)

_Reader = Annotated[Principal, Depends(holder_of(READ))]
_Admin = Annotated[Principal, Depends(holder_of(ADMIN))]
_Resources = Annotated[Resources, Depends(resources_of)]
_Body = Annotated[NoSendBody, Depends(json_body(NoSendBody))]

_SETTING_PROBLEMS = problems(400, 401, 403, 413, 415, 422, 503)


@router.get("", summary="Show whether sending is stopped", responses=problems(401, 403, 503))
async def show(by: _Reader, resources: _Resources) -> NoSend:
    """Return who stopped all sending and why, and the sends that the books had forgotten."""
    return await resources.stops.no_send()


@router.post(
    "/enter",
    summary="Stop all sending",
    responses=_SETTING_PROBLEMS,
    openapi_extra=documented(NoSendBody),
)
async def enter(by: _Admin, body: _Body, resources: _Resources) -> NoSend:
    """Let nothing leave for any partner until somebody lets it go on; a repeat changes nothing."""
    await resources.stops.enter_no_send(by.name, body.reason)
    return await resources.stops.no_send()


@router.post(
    "/leave",
    summary="Let sending go on",
    responses=_SETTING_PROBLEMS,
    openapi_extra=documented(NoSendBody),
)
async def leave(by: _Admin, body: _Body, resources: _Resources) -> NoSend:
    """Let sending go on, after comparing; what the books had forgotten asks its partner first."""
    await resources.stops.leave_no_send(by.name, body.reason)
    return await resources.stops.no_send()
