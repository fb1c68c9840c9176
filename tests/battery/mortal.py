"""Mortal parts: the ports that a worker or a gateway works with, each able to end its process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
from temporalio import activity

from bursar.payments import PaymentState
from bursar.reports import PartnerEvent, Report
from gateway.engine import Engine
from ledger.books import ApprovalRow, Books, PartnerWord
from ledger.changes import AttemptOpened, Change, Written
from partners.port import Attempt, Partner
from tests.battery.orders import Fate, die

S = PaymentState
ENDS = frozenset({S.SUBMITTED, S.SETTLED, S.FAILED, S.CANCELLED, S.OUTCOME_UNKNOWN})


class MortalBooks:
    """The books; the process may end before or after a write."""

    def __init__(self, inner: Books, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def write(self, change: Change) -> Written:
        holds = any(leg.held > 0 for leg in change.legs)
        if holds:
            self._fate.meet("K4")
        written = await self._inner.write(change)
        points = ["K5"] if holds else []
        if isinstance(change.attempt, AttemptOpened):
            self._fate.meet("K7", chance=0.5)
        points += _points_after(change)
        self._fate.meet(*points)
        return written

    async def add_word(self, word: PartnerWord) -> None:
        await self._inner.add_word(word)
        if word.verb == "submit":
            self._fate.meet("K10")

    async def add_approval(self, approval: ApprovalRow, due_since: datetime | None = None) -> bool:
        added = await self._inner.add_approval(approval, due_since)
        self._fate.meet("K6")
        return added

    async def store_event(
        self, event: PartnerEvent, raw: bytes, headers: dict[str, str]
    ) -> int | None:
        row_id = await self._inner.store_event(event, raw, headers)
        self._fate.meet("K12")
        return row_id

    async def mark_taken(self, row_id: int) -> None:
        self._fate.meet("K13", chance=0.5)
        await self._inner.mark_taken(row_id)


def _points_after(change: Change) -> list[str]:
    """Return the crash points right after a change is committed."""
    after = {move.after for move in change.moves}
    if S.RETURNED in after:
        return ["K16"]
    if not after & ENDS or not activity.in_activity():
        return []
    return ["K14"] if activity.info().is_local else ["K11"]


class MortalPartner:
    """A rail; the process may end with an answer in its hands."""

    def __init__(self, inner: Partner, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, attempt: Attempt) -> Report:
        report = await self._inner.submit(attempt)
        self._fate.meet("K10", chance=0.5)
        return report


class MortalNetwork(httpx.AsyncBaseTransport):
    """What carries requests to a bank; the process may end before, in the middle of, or after."""

    def __init__(self, fate: Fate, inner: httpx.AsyncBaseTransport) -> None:
        self._fate = fate
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == "/v1/payouts":
            self._fate.meet("K7", chance=0.5)
            for point, part in (("K8", 0.5), ("K9", 1.0)):
                how = self._fate.order(point)
                if how is not None:
                    await send_raw(request, part)
                    die(how, point)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def send_raw(request: httpx.Request, part: float) -> None:
    """Send a part of a request's body over a connection of its own, and read no answer."""
    body = request.content
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    try:
        _, writer = await asyncio.open_connection(request.url.host, request.url.port)
        writer.write(head + body[: int(len(body) * part)])
        await writer.drain()
        await asyncio.sleep(0.05)  # until it has left this machine's buffers
        writer.close()
    except ConnectionError:
        return  # the bank, or the line to it, is down: then nothing leaves


class MortalEngine:
    """Temporal, as the gateway has it; the process may end before it tells a workflow."""

    def __init__(self, inner: Engine, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def signal_event(self, payment_id: str, row_id: int) -> None:
        self._fate.meet("K13", chance=0.5)
        await self._inner.signal_event(payment_id, row_id)

    async def start(self, workflow: str, workflow_id: str, row_id: int, summary: str) -> None:
        self._fate.meet("K13", chance=0.5)
        await self._inner.start(workflow, workflow_id, row_id, summary)


def mortal_partners(partners: Mapping[str, Partner], fate: Fate) -> dict[str, Any]:
    """Return the rails, each able to end the process."""
    return {name: MortalPartner(partner, fate) for name, partner in partners.items()}
