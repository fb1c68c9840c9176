"""Cases over HTTP: what a person has to look at, whose it is, and how it is closed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bursar.beneficiaries import PrintableText
from bursar.errors import CaseNotFound
from bursar.ids import Actor, PaymentId
from bursar.views import CaseAnswer, CasePage, CaseView
from gateway.access import holder_of
from gateway.bodies import documented, json_body
from gateway.closing import Closing, closing_of
from gateway.documents import CASES, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import OPERATE, READ, Principal

router = APIRouter(prefix="/v1/cases", tags=[CASES])

TargetPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/-]{1,120}$")]


class CaseState(StrEnum):
    """Which cases a list shows."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


class AssignBody(BaseModel):
    """Give a case to somebody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Actor


class ResolveCaseBody(BaseModel):
    """Say how a case ends; who says so is the token's holder, never a field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: TargetPath | None = None
    """Where its money goes from suspense; left out where the case has moved none there.
    given-up: its event is set aside, and nothing will ever apply it."""
    evidence: Annotated[PrintableText, Field(min_length=3, max_length=300)]


BODIES = (AssignBody, ResolveCaseBody)


class CaseFilter(BaseModel):
    """Which cases a list shows; all that are given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: CaseState = CaseState.OPEN
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")] | None = None
    owner: Actor | None = None
    payment_id: PaymentId | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:=+/-]{1,200}$")] | None = None
    """`next_cursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


async def known_number(case_id: str) -> int:
    """Give a case's number out of the path, if it can be one at all."""
    if not (case_id.isascii() and case_id.isdigit() and len(case_id) <= 18):
        raise CaseNotFound(case_id[:20])
    return int(case_id)


_Reader = Annotated[Principal, Depends(holder_of(READ))]
_Operator = Annotated[Principal, Depends(holder_of(OPERATE))]
_CaseId = Annotated[int, Depends(known_number)]
_Resources = Annotated[Resources, Depends(resources_of)]
_Closing = Annotated[Closing, Depends(closing_of)]

_ACTING_PROBLEMS = problems(400, 401, 403, 404, 409, 413, 415, 422, 503)


@router.get("", summary="List cases", responses=problems(401, 403, 422, 503))
async def list_cases(
    by: _Reader, wanted: Annotated[CaseFilter, Query()], resources: _Resources
) -> CasePage:
    """Return cases, the oldest first, a page at a time; follow `next_cursor` to the end."""
    return await resources.reader.cases(**wanted.model_dump())


@router.get("/{case_id}", summary="Show a case", responses=problems(401, 403, 404, 503))
async def show_case(by: _Reader, case_id: _CaseId, resources: _Resources) -> CaseView:
    """Return one case with its money, what people said, and the ways to resolve it."""
    view = await resources.reader.case(case_id)
    if view is None:
        raise CaseNotFound(case_id)
    return view


@router.post(
    "/{case_id}/assign",
    summary="Assign a case",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(AssignBody),
)
async def assign_case(
    by: _Operator,
    case_id: _CaseId,
    body: Annotated[AssignBody, Depends(json_body(AssignBody))],
    closing: _Closing,
) -> CaseAnswer:
    """Give an open case to somebody; who did so is kept."""
    return await closing.assign(case_id, body.owner, by)


@router.post(
    "/{case_id}/resolve",
    summary="Resolve a case",
    responses=_ACTING_PROBLEMS,
    openapi_extra=documented(ResolveCaseBody),
)
async def resolve_case(
    by: _Operator,
    case_id: _CaseId,
    body: Annotated[ResolveCaseBody, Depends(json_body(ResolveCaseBody))],
    closing: _Closing,
) -> CaseAnswer:
    """Say how a case ends; where money leaves suspense, a second person has to say the same."""
    return await closing.resolve(case_id, by, body.to, body.evidence)
