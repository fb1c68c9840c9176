"""Health: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from gateway.documents import HEALTH, problems
from gateway.problems import Refused
from gateway.resources import Resources, resources_of

DATABASE_SECONDS_MAX = 3.0

router = APIRouter(prefix="/health", tags=[HEALTH])


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The process can take events in; `degraded` says that Temporal cannot be reached."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ready", "degraded"]
    database: Literal["up"] = "up"
    temporal: Literal["up", "down"]
    relay_lag_seconds: float
    """Age of the oldest event that the relay holds and no workflow has taken yet."""
    relay_waiting: int
    relay_set_aside: int
    """Events that no workflow takes although Temporal is up: each needs a person."""


@router.get("/live", summary="Tell whether the process lives", responses=problems())
async def live() -> Alive:
    """Answer, and look at nothing else."""
    return Alive()


@router.get("/ready", summary="Tell whether the process can work", responses=problems(503))
async def ready(resources: Annotated[Resources, Depends(resources_of)]) -> Ready:
    """Look at the database, at Temporal and at the relay.

    Without Temporal this stays a 200 and `degraded`: events must still come in and be stored.
    Without the database it is a 503.
    """
    temporal, database = await asyncio.gather(resources.engine.answers(), _database_up(resources))
    if not database:
        raise Refused(503, "The database does not answer.", code="not_ready")
    relay = resources.relay.health()
    return Ready(
        status="ready" if temporal else "degraded",
        temporal="up" if temporal else "down",
        relay_lag_seconds=relay.lag_seconds,
        relay_waiting=relay.waiting,
        relay_set_aside=relay.set_aside,
    )


async def _database_up(resources: Resources) -> bool:
    try:
        async with asyncio.timeout(DATABASE_SECONDS_MAX):
            await resources.books.now()
    except (ConnectionError, TimeoutError):
        return False
    return True
