"""A small honest life: a few payments with different ends, through real processes, made once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bursar import Bursar, BursarError, PaymentHandle, PaymentState
from bursar.actions import Answer
from bursar.payments import PayoutRequest, TransferRequest
from tests.house import SECOND_TOKEN, House
from tests.payments import a_payout, a_transfer

S = PaymentState
WALLETS = ("wallet/acme/EUR", "wallet/bolt/EUR", "wallet/acme/GBP")

PLAIN_ENDS = {
    "po_plain": "",
    "po_rejected": "[sim:reject]",
    "po_returned": "[sim:paid-then-returned-less-fee]",
    "po_resent": "[sim:reset-before-booking]",
    "po_found": "[sim:reset-after-booking]",
    "po_contradicted": "[sim:rejected-but-paid]",
    "po_beside_a_phantom": "[sim:phantom-debit]",
}
"""Payouts that need nobody, with what the bank does to them."""


@dataclass
class ClientLog:
    """What a client asked and was answered, as one that must know it later writes it down."""

    path: Path

    def add(self, op: str, payment_id: str, phase: str, **more: Any) -> None:
        entry = {"at": datetime.now(UTC).isoformat(), "op": op, "id": payment_id, "phase": phase}
        kind = "payout" if payment_id.startswith("po_") else "transfer"
        with self.path.open("a") as out:
            out.write(json.dumps({**entry, "kind": kind, **more}) + "\n")

    async def start(
        self, bursar: Bursar, request: PayoutRequest | TransferRequest
    ) -> PaymentHandle | None:
        content = request.model_dump(mode="json")
        self.add("start", request.id, "asked", request=content)
        try:
            handle: PaymentHandle
            if isinstance(request, PayoutRequest):
                handle = await bursar.pay_out(request)
            else:
                handle = await bursar.transfer(request)
        except BursarError as error:
            answer = {"ok": False, "error": type(error).__name__}
            self.add("start", request.id, "answered", request=content, answer=answer)
            return None
        answer = {"ok": True, "error": None, "existed": handle.existed}
        self.add("start", request.id, "answered", request=content, answer=answer)
        return handle

    async def result(self, handle: PaymentHandle) -> None:
        self.add("result", handle.id, "asked")
        state = (await handle.result()).state
        self.add("result", handle.id, "answered", answer={"ok": True, "state": state})

    async def act(self, op: str, payment_id: str, act: Awaitable[Answer]) -> None:
        self.add(op, payment_id, "asked")
        answer = {"ok": True, "verdict": (await act).verdict}
        self.add(op, payment_id, "answered", answer=answer)


async def live(house: House, log: ClientLog) -> None:
    """Live every life to its end, until the bank and the books have nothing more to do."""
    await house.fund(*WALLETS)
    bursar = await house.bursar()
    handles = [await log.start(bursar, request) for request in _needing_nobody()]
    assert await log.start(bursar, a_payout(payout_id="po_plain", amount_minor=99)) is None
    assert await log.start(bursar, a_payout(payout_id="po_plain")) is not None
    for payout_id, people in (("po_approved", ("ana", "ben")), ("po_denied", ())):
        handles.append(await _wait_for_people(house, log, bursar, payout_id, people))
    later = a_payout(payout_id="po_cancelled", execute_at=datetime.now(UTC) + timedelta(hours=1))
    handles.append(await _cancel(house, log, bursar, later))
    for handle in handles:
        assert handle is not None
        await log.result(handle)
    await house.reaches("po_returned", S.RETURNED)
    await house.shows("po_contradicted", "case")
    await house.quiet()
    await _resolve(house, "po_contradicted", WALLETS[0])


def _needing_nobody() -> Sequence[PayoutRequest | TransferRequest]:
    return [
        *(a_payout(marker, payout_id=payout_id) for payout_id, marker in PLAIN_ENDS.items()),
        a_payout(payout_id="po_refused", amount_minor=10**12),
        a_payout(payout_id="po_expired", currency="GBP", amount_minor=5_000_00),
        a_payout(payout_id="po_timed", execute_at=datetime.now(UTC) + timedelta(seconds=1)),
        a_transfer(transfer_id="tr_plain"),
    ]


async def _wait_for_people(
    house: House, log: ClientLog, bursar: Bursar, payout_id: str, approvers: Sequence[str]
) -> PaymentHandle:
    request = a_payout(payout_id=payout_id, currency="GBP", amount_minor=5_000_00)
    handle = await log.start(bursar, request)
    assert handle is not None
    await house.reaches(payout_id, S.AWAITING_APPROVAL)
    for name in approvers:
        await log.act("approve", payout_id, handle.approve(name))
    if not approvers:
        await log.act("deny", payout_id, handle.deny("ana", "not ours"))
    return handle


async def _cancel(
    house: House, log: ClientLog, bursar: Bursar, request: PayoutRequest
) -> PaymentHandle:
    handle = await log.start(bursar, request)
    assert handle is not None
    await house.reaches(request.id, S.SCHEDULED)
    await log.act("cancel", request.id, handle.cancel("ana", "paid by card"))
    return handle


async def _resolve(house: House, payment_id: str, to: str) -> None:
    """Have two people give what is in suspense for a payment to an account."""
    async with house.reader() as one, house.reader(SECOND_TOKEN) as other:
        for case in (await one.cases(payment_id=payment_id)).cases:
            for person in (one, other):
                await person.resolve_case(case.id, "both were delivered", to)


def copy_book(source: Path, target: Path) -> None:
    """Copy a bank's book as it is, its log included."""
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()
