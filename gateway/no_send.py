"""No-send mode over HTTP: whether all sending is stopped, and what has to be compared first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from bursar.views import NoSend
from gateway.access import holder_of
from gateway.documents import RAILS, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import READ, Principal

router = APIRouter(prefix="/v1/no-send", tags=[RAILS])


@router.get("", summary="Show no-send mode", responses=problems(401, 403, 503))
async def show(
    by: Annotated[Principal, Depends(holder_of(READ))],
    resources: Annotated[Resources, Depends(resources_of)],
) -> NoSend:
    """Return who stopped all sending and why, and the sends that the books had forgotten.

    It ends as any pause does: `/v1/rails/resume` with the scope `all`.
    """
    return await resources.stops.no_send()
