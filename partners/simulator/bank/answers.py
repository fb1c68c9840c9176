"""Answers: how the true answer of a call reaches the client, or does not."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from partners.simulator.bank.bank import Bank
from partners.simulator.bank.events import with_another_payee
from partners.simulator.bank.payouts import Taken, failure_body, newest_other
from partners.simulator.bank.server import cut_off, gone

_PAGE = "<!doctype html><html><head><title>Payments</title></head><body>Welcome!</body></html>"

Spoiler = Callable[[Bank, Request, Taken], Awaitable[Response]]


async def answer(bank: Bank, request: Request, taken: Taken) -> Response:
    """Answer a call to create a payout, rightly or as its misbehaviour has it."""
    tuning = bank.tuning
    if taken.webhook == "webhook-before-reply" and taken.payout is not None:
        await bank.wait_for_webhooks(taken.payout, tuning.hold_seconds)
    slow = tuning.slow_seconds if taken.spoiled == "slow-accept" else 0.0
    await asyncio.sleep(tuning.answer_seconds + slow)
    spoiler = _SPOILERS.get(taken.spoiled or "", _truly)
    return await spoiler(bank, request, taken)


async def _truly(_bank: Bank, _request: Request, taken: Taken) -> Response:
    headers = {"Idempotent-Replayed": "true"} if taken.replayed else {}
    return JSONResponse(taken.body, taken.status, headers)


async def _reset(_bank: Bank, request: Request, _taken: Taken) -> Response:
    await cut_off(request)
    return Response(status_code=500)  # goes nowhere


async def _held(bank: Bank, request: Request, _taken: Taken) -> Response:
    await gone(request, bank.tuning.hold_seconds)
    return JSONResponse({"code": "timeout", "message": "it took too long"}, 504)


async def _failure_500(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return JSONResponse(failure_body(500), 500)


async def _key_in_use(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return JSONResponse(failure_body(409), 409)


async def _rejected(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return JSONResponse(failure_body(422), 422)


async def _throttled(_bank: Bank, _request: Request, taken: Taken) -> Response:
    headers = {"Retry-After": "1"}
    if taken.spoiled == "429-date":
        headers = {"Retry-After": formatdate(math.floor(time.time()) + 2, usegmt=True)}
    elif taken.spoiled == "429-absent":
        headers = {}
    body = {"code": "throttled", "message": "too many calls; this one was not processed"}
    return JSONResponse(body, 429, headers)


async def _empty_200(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return Response(status_code=200, media_type="application/json")


async def _html_200(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return HTMLResponse(_PAGE)


async def _truncated_200(_bank: Bank, _request: Request, taken: Taken) -> Response:
    whole = json.dumps(taken.body).encode()
    return Response(whole[: len(whole) // 2], 200, media_type="application/json")


async def _odd(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return JSONResponse({"results": [{"status": "see other"}]}, 207)


async def _empty_202(_bank: Bank, _request: Request, _taken: Taken) -> Response:
    return Response(status_code=202)


async def _other_amount(_bank: Bank, _request: Request, taken: Taken) -> Response:
    echoed = {**taken.body, "amount_minor": taken.body["amount_minor"] + 1}
    return JSONResponse(echoed, taken.status)


async def _other_payee(_bank: Bank, _request: Request, taken: Taken) -> Response:
    return JSONResponse(with_another_payee(taken.body), taken.status)


async def _other_reference(bank: Bank, _request: Request, taken: Taken) -> Response:
    """Answer with the names of another payout: the newest other one that the bank has."""
    body = taken.body
    other = await bank.read(lambda tx: newest_other(tx, body["reference"]))
    return JSONResponse({**body, **other}, taken.status)


_SPOILERS: dict[str, Spoiler] = {
    "reset-before-booking": _reset,
    "reset-after-booking": _reset,
    "timeout-before-booking": _held,
    "timeout-after-booking": _held,
    "500-after-booking": _failure_500,
    "500-without-booking": _failure_500,
    "409-on-the-key": _key_in_use,
    "409-without-booking": _key_in_use,
    "429-seconds": _throttled,
    "429-date": _throttled,
    "429-absent": _throttled,
    "throttle-then-ok": _throttled,
    "200-empty": _empty_200,
    "200-html": _html_200,
    "200-truncated": _truncated_200,
    "odd-2xx": _odd,
    "202-empty": _empty_202,
    "other-amount-echo": _other_amount,
    "other-payee-echo": _other_payee,
    "other-reference-echo": _other_reference,
    "rejected-but-paid": _rejected,
}
