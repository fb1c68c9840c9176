"""The published calls."""

from __future__ import annotations

import re
import time
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from partners.simulator.bank import book, payouts
from partners.simulator.bank.answers import answer
from partners.simulator.bank.logs import log
from partners.simulator.bank.reading import authorised, bank_of, idempotency_key, read
from partners.simulator.bank.wire import Json, PayoutOrder, Problem, payout_told

router = APIRouter(prefix="/v1", dependencies=[Depends(authorised)])
open_router = APIRouter()

_PAYOUT_ID = re.compile(r"bp_([0-9]{12})")


@open_router.get("/health")
async def health(request: Request) -> Json:
    """Tell that the bank runs and its file answers."""
    await bank_of(request).read(lambda tx: tx.execute("SELECT 1").fetchone())
    return {"status": "ok"}


@router.post("/payouts", status_code=201, response_model=None)
async def create_payout(request: Request) -> Response:
    """Take a payout."""
    bank = bank_of(request)
    key = idempotency_key(request)
    order = await read(request, PayoutOrder)
    desk = bank.desk()
    taken = await bank.write(lambda tx: desk.take(tx, key, order))
    log(
        "payout asked",
        reference=order.reference,
        status=taken.status,
        code=taken.body.get("code"),
        misbehaviour=taken.spoiled,
        replayed=taken.replayed,
    )
    return await answer(bank, request, taken)


@router.get("/payouts")
async def find_payouts(request: Request, reference: str) -> Json:
    """Return the payouts of a reference."""
    bank = bank_of(request)
    if not bank.settings.mode.finds_by_reference:
        raise Problem(403, "lookup_not_offered", "this bank does not find by reference")
    found = await bank.read(lambda tx: payouts.find(tx, time.time(), reference))
    if not found:
        raise Problem(404, "payout_not_found", "there is no payout with this reference")
    return {"payouts": found}


@router.get("/payouts/{name}")
async def get_payout(request: Request, name: str) -> Json:
    """Return one payout."""
    payout = _payout_number(name)
    return await bank_of(request).read(
        lambda tx: payout_told(payouts.visible(tx, time.time(), payout))
    )


@router.post("/payouts/{name}/cancel")
async def cancel_payout(request: Request, name: str) -> Json:
    """Cancel a payout that is not booked yet."""
    bank = bank_of(request)
    payout = _payout_number(name)
    told = await bank.write(lambda tx: payouts.cancel(tx, time.time(), bank.tuning, payout))
    log("payout cancelled", reference=told["reference"])
    return told


@router.get("/statements/{day}")
async def statement(request: Request, day: date, currency: str | None = None) -> Json:
    """Return a day's statements."""
    bank = bank_of(request)
    shown = bank.settings.mode.shows_references
    statements = await bank.read(
        lambda tx: book.statements(tx, day, currency, with_reference=shown)
    )
    return {"day": day.isoformat(), "statements": statements}


@router.get("/book")
async def lines(
    request: Request,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Json:
    """Return a page of the book."""
    bank = bank_of(request)
    shown = bank.settings.mode.shows_references
    page = await bank.read(lambda tx: book.lines_after(tx, after, limit + 1, with_reference=shown))
    more = len(page) > limit
    page = page[:limit]
    return {"lines": page, "next_after": page[-1]["seq"] if more else None}


@router.get("/balances")
async def balances(request: Request) -> Json:
    """Return each currency's balance."""
    return {"balances": await bank_of(request).read(book.balances)}


def _payout_number(name: str) -> int:
    found = _PAYOUT_ID.fullmatch(name)
    if found is None:
        raise Problem(404, "payout_not_found", "there is no such payout")
    return int(found.group(1))
