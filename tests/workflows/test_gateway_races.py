"""Two people act on one payment through the gateway at one moment: one wins, both hear the truth.

INV-17, INV-23: on real processes, what each was told is compared with the books and the bank.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bursar import Bursar, PaymentState
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.house import SECOND_TOKEN, TOKEN, House
from tests.payments import a_payout
from tests.workflows.conftest import funded_house
from tests.workflows.test_gate import PATIENT

S = PaymentState
ROUNDS = 12
ONE_APPROVAL = 1_000_00


@pytest.fixture(scope="module")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house in which approvals do not expire, however slow the machine is."""
    async with funded_house(postgres, template, temporal, rules=PATIENT) as house:
        yield house


async def _say(
    house: House, barrier: asyncio.Barrier, token: str, payment_id: str, verb: str, reason: str
) -> tuple[int, str]:
    """Act over a connection of one's own, which is open already; return status and verdict."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=house.gateway_url, headers=headers, trust_env=False, timeout=60
    ) as http:
        (await http.get("/health/live")).raise_for_status()
        await barrier.wait()
        path = f"/v1/payments/{payment_id}/{verb}"
        answer = await http.post(path, json={"reason": reason})
        while answer.status_code == 503:  # no answer in time: it says to repeat the call
            answer = await http.post(path, json={"reason": reason})
    body: dict[str, Any] = answer.json()
    return answer.status_code, str(body.get("verdict") or body.get("code"))


async def test_of_an_approval_and_a_cancel_at_once_one_wins_and_both_hear_what_is_so(
    house: House, bursar: Bursar
) -> None:
    for _ in range(ROUNDS):
        payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
        await house.reaches(payout.id, S.AWAITING_APPROVAL)
        barrier = asyncio.Barrier(2)
        approved, cancelled = await asyncio.gather(
            _say(house, barrier, SECOND_TOKEN, payout.id, "approve", "race"),
            _say(house, barrier, TOKEN, payout.id, "cancel", "race"),
        )
        state = (await payout.result()).state
        path = [e.text for e in (await house.view(payout.id)).timeline if e.what == "transition"]
        assert state in {S.SETTLED, S.CANCELLED}
        assert await house.bookings(payout.id) == (
            (1, ONE_APPROVAL) if state is S.SETTLED else (0, 0)
        )
        granted = (200, "cancelled")
        assert cancelled == granted if state is S.CANCELLED else cancelled[0] == 409, cancelled
        assert cancelled == granted or cancelled[1] in {"too_late", "already_final"}
        went_on = any("reserved" in step for step in path)
        assert approved == ((200, "approved") if went_on else (409, "already_final")), path
    await house.quiet()
    await house.agrees()
