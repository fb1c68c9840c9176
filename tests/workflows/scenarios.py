"""Every way a payment's run can go, for recording and replaying its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from bursar import Bursar, PaymentState, names
from bursar.gate import Scope, SwitchBody
from bursar.payments import FINAL
from bursar.reader import Reader
from tests.house import House
from tests.payments import a_payout, a_transfer

S = PaymentState
Scenario = Callable[[House, Bursar, Client], Awaitable[str]]
"""Runs one payment to its end and returns the id of its workflow."""

ONE_APPROVAL = 1_000_00


def _bank(marker: str) -> Scenario:
    """Return the scenario of a payout that the bank treats in some way."""

    async def scenario(house: House, bursar: Bursar, client: Client) -> str:
        payout = await bursar.pay_out(a_payout(f"[sim:{marker}]"))
        await payout.result()
        return names.workflow_id(payout.id)

    return scenario


async def approved(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    await payout.approve("ana")
    await payout.result()
    return names.workflow_id(payout.id)


async def approved_by_signal(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await handle.signal(names.APPROVE, args=[])
    await handle.signal(names.APPROVE, {"by": "ana"})
    await payout.result()
    return handle.id


async def denied(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    await payout.deny("ana", "not ours")
    await payout.result()
    return names.workflow_id(payout.id)


async def expired(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await payout.result()
    return names.workflow_id(payout.id)


async def scheduled(house: House, bursar: Bursar, client: Client) -> str:
    due = datetime.now(UTC) + timedelta(seconds=1)
    payout = await bursar.pay_out(a_payout(execute_at=due))
    await payout.result()
    return names.workflow_id(payout.id)


async def cancelled_while_scheduled(house: House, bursar: Bursar, client: Client) -> str:
    later = datetime.now(UTC) + timedelta(hours=1)
    payout = await bursar.pay_out(a_payout(execute_at=later))
    await house.reaches(payout.id, S.SCHEDULED)
    await payout.cancel("ana", "paid by card")
    await payout.result()
    return names.workflow_id(payout.id)


async def cancel_during_submit(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout("[sim:slow-accept]"))
    await house.reaches(payout.id, S.SUBMITTING)
    await payout.cancel("ana", "too late")
    await payout.result()
    return names.workflow_id(payout.id)


async def native_cancel_during_submit(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout("[sim:slow-accept]"))
    await house.reaches(payout.id, S.SUBMITTING)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await handle.cancel()
    await payout.result()
    return handle.id


async def native_cancel_while_scheduled(house: House, bursar: Bursar, client: Client) -> str:
    later = datetime.now(UTC) + timedelta(hours=1)
    payout = await bursar.pay_out(a_payout(execute_at=later))
    await house.reaches(payout.id, S.SCHEDULED)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await handle.cancel()
    await payout.result()
    return handle.id


async def cancelled_by_the_bank(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout("[sim:slow-paid]"))
    await house.reaches(payout.id, S.SUBMITTED)
    await payout.cancel("ana", "wrong payee")
    await payout.result()
    return names.workflow_id(payout.id)


async def refused(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout(amount_minor=10**13))
    await payout.result()
    return names.workflow_id(payout.id)


async def transferred(house: House, bursar: Bursar, client: Client) -> str:
    transfer = await bursar.transfer(a_transfer(source="acme", destination="bolt"))
    await transfer.result()
    return names.workflow_id(transfer.id)


async def transfer_refused(house: House, bursar: Bursar, client: Client) -> str:
    transfer = await bursar.transfer(a_transfer(source="acme", destination="nobody"))
    await transfer.result()
    return names.workflow_id(transfer.id)


async def returned(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout("[sim:paid-then-returned]"))
    await house.reaches(payout.id, S.RETURNED)
    return await _newest(client, names.RETURN_WORKFLOW)


async def told_late(house: House, bursar: Bursar, client: Client) -> str:
    payout = await bursar.pay_out(a_payout("[sim:failed-but-paid]"))
    await house.reaches(payout.id, *FINAL)
    await house.shows(payout.id, "case")
    return await _newest(client, names.LATE_EVENT_WORKFLOW)


async def deposited(house: House, bursar: Bursar, client: Client) -> str:
    return await _newest(client, names.DEPOSIT_WORKFLOW)


async def cancelled_while_held_back(house: House, bursar: Bursar, client: Client) -> str:
    async with house.reader() as reader, _paused(reader):
        payout = await bursar.pay_out(a_payout(currency="USD"))
        await house.shows(payout.id, "note")
        await payout.cancel("ana", "no more")
        await payout.result()
    return names.workflow_id(payout.id)


async def transfer_held_back(house: House, bursar: Bursar, client: Client) -> str:
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/USD", "main")])
        async with _paused(reader):
            transfer = await bursar.transfer(a_transfer(currency="USD"))
            await house.shows(transfer.id, "note")
    await transfer.result()
    return names.workflow_id(transfer.id)


@asynccontextmanager
async def _paused(reader: Reader) -> AsyncIterator[None]:
    """Let nothing leave in dollars for a while."""
    dollars = SwitchBody(scope=Scope.CURRENCY, name="USD", reason="a test")
    await reader.pause(dollars)
    try:
        yield
    finally:
        await reader.resume(dollars)


async def _newest(client: Client, kind: str) -> str:
    """Return the newest finished workflow of a kind; Temporal's index follows a little later."""
    found: list[str] = []

    async def is_there() -> bool:
        query = f"WorkflowType = '{kind}' AND ExecutionStatus = 'Completed'"
        found[:] = [run.id async for run in client.list_workflows(query, limit=1)]
        return bool(found)

    await House.until(is_there)
    return found[0]


SCENARIOS: dict[str, Scenario] = {
    "payout_settled": _bank("none"),
    "payout_told_before_the_reply": _bank("webhook-before-reply"),
    "payout_polled": _bank("webhook-lost"),
    "payout_rejected": _bank("reject"),
    "payout_throttled": _bank("throttle-then-ok"),
    "payout_unknown_then_found": _bank("reset-after-booking"),
    "payout_unknown_then_sent_again": _bank("500-without-booking"),
    "payout_failed_after_acceptance": _bank("accepted-then-failed"),
    "payout_told_five_times": _bank("webhook-doubled-new-ids"),
    "payout_approved": approved,
    "payout_approved_by_signal": approved_by_signal,
    "payout_denied": denied,
    "payout_expired": expired,
    "payout_scheduled": scheduled,
    "payout_cancelled_while_scheduled": cancelled_while_scheduled,
    "payout_cancel_during_submit": cancel_during_submit,
    "payout_native_cancel_during_submit": native_cancel_during_submit,
    "payout_native_cancel_while_scheduled": native_cancel_while_scheduled,
    "payout_cancelled_by_the_bank": cancelled_by_the_bank,
    "payout_cancelled_while_held_back": cancelled_while_held_back,
    "payout_refused": refused,
    "transfer_settled": transferred,
    "transfer_refused": transfer_refused,
    "transfer_held_back": transfer_held_back,
    "return_booked": returned,
    "late_event_judged": told_late,
    "deposit_booked": deposited,
}
