"""The books over HTTP: all checks, and the export that another program can check."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import Field

from bursar.views import BooksReport, CheckRounds
from gateway.access import holder_of
from gateway.documents import BOOKS, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import READ, Principal

router = APIRouter(prefix="/v1/books", tags=[BOOKS])


class ExportFormat(StrEnum):
    """Formats of plain-text accounting."""

    LEDGER = "ledger"
    HLEDGER = "hledger"


_Reader = Annotated[Principal, Depends(holder_of(READ))]
_Resources = Annotated[Resources, Depends(resources_of)]


@router.get("/check", summary="Check the books", responses=problems(401, 403, 422, 503))
async def check_books(by: _Reader, resources: _Resources, since_last: bool = False) -> BooksReport:
    """Run every check over one snapshot of the books and name each break.

    With `since_last` only over what is new since the last round on record, within seconds.
    """
    return await resources.reader.check(since_last=since_last)


@router.get("/rounds", summary="List rounds of checks", responses=problems(401, 403, 422, 503))
async def list_rounds(
    by: _Reader, resources: _Resources, limit: Annotated[int, Field(ge=1, le=200)] = 10
) -> CheckRounds:
    """Return the newest rounds of checks on record, and whether one is overdue."""
    return await resources.reader.check_rounds(limit)


@router.get(
    "/export",
    summary="Export the journal",
    response_class=PlainTextResponse,
    responses=problems(401, 403, 422, 503),
)
async def export_books(
    by: _Reader, resources: _Resources, format: ExportFormat = ExportFormat.LEDGER
) -> StreamingResponse:
    """Return the journal of one snapshot as plain-text accounting."""
    pieces = resources.reader.export(format.value)
    first = await anext(pieces, "")  # before the 200 goes out: the database may be down
    return StreamingResponse(_from(first, pieces), media_type="text/plain; charset=utf-8")


async def _from(first: str, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in pieces:
        yield piece
