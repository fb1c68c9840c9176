"""The control calls: what a test or a demonstration tells the bank to do, and its judge's view."""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from partners.simulator.bank import book
from partners.simulator.bank.events import tell_credit
from partners.simulator.bank.logs import log
from partners.simulator.bank.misbehaviour import Quirks
from partners.simulator.bank.reading import authorised, bank_of, read
from partners.simulator.bank.store import Tx
from partners.simulator.bank.wire import CreditOrder, Json, Problem

router = APIRouter(prefix="/control", dependencies=[Depends(authorised)])


class _Change(BaseModel):
    """Some of the control settings, checked together with the others."""

    model_config = ConfigDict(extra="allow")


@router.post("/credits", response_model=None)
async def credit(request: Request) -> Response:
    """Let money come in."""
    bank = bank_of(request)
    order = await read(request, CreditOrder)
    if order.currency not in bank.settings.currencies:
        raise Problem(422, "currency_not_supported", f"no account in {order.currency}")

    def job(tx: Tx) -> tuple[Json, bool]:
        now = time.time()
        line, new = book.credit(tx, now, order)
        if new:
            told = {"credit_id": order.credit_id, "line_id": line["id"]}
            for name in ("reference", "amount_minor", "currency", "booked_at", "value_on"):
                told[name] = line[name]
            tell_credit(tx, now, bank.tuning, told)
        return line, new

    line, new = await bank.write(job)
    log("credit asked", credit_id=order.credit_id, new=new)
    return JSONResponse(line, 201 if new else 200)


@router.get("/settings")
async def settings(request: Request) -> Json:
    """Return the control settings in force."""
    return bank_of(request).tuning.model_dump()


@router.post("/settings")
async def change_settings(request: Request) -> Json:
    """Change some control settings; the others stay."""
    bank = bank_of(request)
    change = (await read(request, _Change)).model_dump()
    try:
        tuning = await bank.tune(change)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(400, "invalid_request", f"{where}: {first['msg']}") from None
    log("settings changed", **change)
    return tuning.model_dump()


@router.get("/state")
async def state(request: Request, reference: str | None = None) -> Json:
    """Return what the bank did, by its own file."""
    return await bank_of(request).read(lambda tx: _state(tx, reference))


def _state(tx: Tx, reference: str | None) -> Json:
    statuses = tx.execute("SELECT told, count(*) AS n FROM payouts GROUP BY told").fetchall()
    doubled = tx.execute(
        "SELECT reference FROM lines WHERE kind = 'payout' GROUP BY reference HAVING count(*) > 1"
    ).fetchall()
    rows = tx.execute("SELECT currency, booked_minor FROM balances ORDER BY currency").fetchall()
    return {
        "payouts": sum(row["n"] for row in statuses),
        "payouts_by_status": {row["told"]: row["n"] for row in statuses},
        "lines": _one(tx, "SELECT count(*) FROM lines"),
        "requests": _one(tx, "SELECT coalesce(sum(count), 0) FROM tries"),
        "steps_pending": _one(tx, "SELECT count(*) FROM steps"),
        "webhooks": {
            word: _one(tx, "SELECT count(*) FROM deliveries WHERE state = ?", word)
            for word in ("queued", "delivered", "given_up")
        },
        "doubled": [row["reference"] for row in doubled],
        "balances": {row["currency"]: row["booked_minor"] for row in rows},
        "references": {row["reference"]: _told(row) for row in _references(tx, reference)},
    }


def _references(tx: Tx, reference: str | None) -> list[Any]:
    """Return what was asked and what was booked for each reference, or for one."""
    return tx.execute(
        "WITH p AS (SELECT reference, count(*) AS payouts, max(id), currency, told"  # of the newest
        "   FROM payouts GROUP BY reference),"
        " l AS (SELECT reference, sum(kind = 'payout') AS debits,"
        "   sum(iif(kind = 'payout', -amount_minor, 0)) AS debited,"
        "   sum(iif(kind = 'payout', 0, amount_minor)) AS returned"
        "   FROM lines WHERE kind <> 'credit' GROUP BY reference)"
        " SELECT t.reference, t.count, t.quirks, p.payouts, p.currency, p.told,"
        "   l.debits, l.debited, l.returned"
        " FROM tries t LEFT JOIN p ON p.reference = t.reference"
        " LEFT JOIN l ON l.reference = t.reference"
        " WHERE :reference IS NULL OR t.reference = :reference ORDER BY t.reference",
        {"reference": reference},
    ).fetchall()


def _told(row: Any) -> Json:
    quirks = Quirks.model_validate(json.loads(row["quirks"]))
    return {
        "payouts": row["payouts"] or 0,
        "debits": row["debits"] or 0,
        "debited_minor": row["debited"] or 0,
        "returned_minor": row["returned"] or 0,
        "currency": row["currency"],
        "status": row["told"],
        "booked": bool(row["debits"]),
        "requests": row["count"],
        "misbehaviours": quirks.names(),
    }


def _one(tx: Tx, query: str, *values: str) -> int:
    return int(tx.execute(query, values).fetchone()[0])
