"""Rails over HTTP: how the gate stands, and what people stop, bound and take away."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends

from bursar.gate import CapBody, DisableBody, GateAnswer, GateOutcome, RailList, SwitchBody
from gateway.access import holder_of
from gateway.bodies import documented, json_body
from gateway.documents import RAILS, problems
from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from gateway.tokens import ADMIN, OPERATE, READ, Principal

router = APIRouter(prefix="/v1", tags=[RAILS])

BODIES = (SwitchBody, CapBody, DisableBody)

_Reader = Annotated[Principal, Depends(holder_of(READ))]
_Operator = Annotated[Principal, Depends(holder_of(OPERATE))]
_Admin = Annotated[Principal, Depends(holder_of(ADMIN))]
_Resources = Annotated[Resources, Depends(resources_of)]
_Switch = Annotated[SwitchBody, Depends(json_body(SwitchBody))]

_PROBLEMS = problems(400, 401, 403, 408, 413, 415, 422, 503)

_log = structlog.get_logger("gateway.rails")


@router.get("/rails", summary="Show the rails", responses=problems(401, 403, 503))
async def show_rails(by: _Reader, resources: _Resources) -> RailList:
    """Return each rail with what waits before it, and all pauses and caps in force."""
    return await resources.reader.rails()


@router.post(
    "/rails/pause",
    summary="Pause",
    responses=_PROBLEMS,
    openapi_extra=documented(SwitchBody),
)
async def pause(by: _Operator, body: _Switch, resources: _Resources) -> GateAnswer:
    """Stop handing over: once this has answered, no money leaves against it. Nothing is lost."""
    return _answer(await resources.books.pause(body, by.name), by, body)


@router.post(
    "/rails/resume",
    summary="Resume",
    responses=_PROBLEMS,
    openapi_extra=documented(SwitchBody),
)
async def resume(by: _Operator, body: _Switch, resources: _Resources) -> GateAnswer:
    """Lift a pause: one's own, or with the role admin anybody's."""
    outcome = await resources.books.resume(body, by.name, is_admin=ADMIN in by.roles)
    if outcome == "not_allowed":
        detail = "Somebody else has paused this: they lift it, or somebody with the role admin."
        raise Refused(403, detail, code="not_allowed")
    return _answer(outcome, by, body)


@router.post(
    "/limits",
    summary="Set a limit",
    responses=_PROBLEMS,
    openapi_extra=documented(CapBody),
)
async def set_limit(
    by: _Admin, body: Annotated[CapBody, Depends(json_body(CapBody))], resources: _Resources
) -> GateAnswer:
    """Set or replace the cap of a currency, narrowed to a partner or tenant; no bound ends it."""
    return _answer(await resources.books.set_cap(body, by.name), by, body)


@router.post(
    "/people/disable",
    summary="Disable a person",
    responses=_PROBLEMS,
    openapi_extra=documented(DisableBody),
)
async def disable_person(
    by: _Admin, body: Annotated[DisableBody, Depends(json_body(DisableBody))], resources: _Resources
) -> GateAnswer:
    """Make a person's words and tokens count no more, for ever and also words of before."""
    new = await resources.books.disable_person(body, by.name)
    return _answer(GateOutcome.DISABLED if new else GateOutcome.DISABLED_ALREADY, by, body)


def _answer(outcome: str, by: Principal, body: SwitchBody | CapBody | DisableBody) -> GateAnswer:
    if outcome == "unknown":
        raise Refused(422, "The books know nothing of that name; nothing was done.", field="name")
    _log.info("the gate was changed", by=by.name, outcome=outcome, **body.model_dump(mode="json"))
    return GateAnswer(outcome=GateOutcome(outcome))
