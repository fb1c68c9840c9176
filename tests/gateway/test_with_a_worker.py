"""The gateway with the real workflows behind it: a word through the gateway decides a payment."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bursar.beneficiaries import IbanAccount
from bursar.client import Bursar, PayoutHandle
from bursar.money import Money
from bursar.payments import PaymentState, PayoutRequest
from ledger.accounts import wallet_account
from ops.temporal import LocalTemporal
from tests.gateway.stand import Gateway, new_payout_id, until
from tests.gateway.test_process import environment

RULES = """
trust_signal_actors = false

[[approvals]]
number = 2
role = "approve-l1"
"""


@pytest.fixture
async def worker(books_url: str, temporal: LocalTemporal, tmp_path: Path) -> AsyncIterator[None]:
    """A worker process that believes nobody's name but those that the gateway has recorded."""
    place = tmp_path / "worker"
    place.mkdir()
    rules, ready = place / "rules.toml", place / "ready"
    rules.write_text(RULES)
    variables = environment(
        books_url,
        place,
        BURSAR_TEMPORAL_ADDRESS=temporal.address,
        BURSAR_TEMPORAL_NAMESPACE=temporal.namespace,
        BURSAR_RULES_FILE=str(rules),
        BURSAR_READY_FILE=str(ready),
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", env=variables, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await until(lambda: ready.exists() or process.returncode is not None, 60)
        assert process.returncode is None
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def send_payout(gateway: Gateway, temporal: LocalTemporal) -> PayoutHandle:
    """Send a payout out of an empty account and wait until it asks for approval."""
    await gateway.books.open_accounts([wallet_account("wallet/acme/EUR", "main")])
    bursar = await Bursar.connect(temporal.address, namespace=temporal.namespace)
    request = PayoutRequest(
        id=new_payout_id(),
        account="wallet/acme/EUR",
        amount=Money(amount_minor=1250, currency="EUR"),
        beneficiary=IbanAccount(name="Jane Roe", iban="DE89370400440532013000"),
        partner="simulator",
        reference="invoice 7",
        created_by="creator",
    )
    payout = await bursar.pay_out(request)

    async def waits() -> bool:
        payment = await gateway.books.payment(payout.id)
        return payment is not None and payment.state is PaymentState.AWAITING_APPROVAL

    await until(waits)
    return payout


@pytest.mark.usefixtures("worker")
async def test_two_people_approve_a_payout_through_the_gateway_and_then_it_goes_on(
    gateway: Gateway, temporal: LocalTemporal
) -> None:
    payout = await send_payout(gateway, temporal)
    path = f"/v1/payments/{payout.id}/approve"
    assert (await gateway.as_("creator", "POST", path, json={})).status_code == 403
    first = await gateway.as_("ana", "POST", path, json={"reason": "as agreed"})
    assert (first.status_code, first.json()["verdict"]) == (200, "recorded")
    again = await gateway.as_("ana", "POST", path, json={})
    assert again.json() == first.json()
    second = await gateway.as_("ben", "POST", path, json={})
    assert (second.status_code, second.json()["verdict"]) == (200, "approved")
    # Approved, it goes on to the books, which refuse it: the account is empty.
    assert (await payout.result()).state is PaymentState.REFUSED
    late = await gateway.as_(
        "creator", "POST", f"/v1/payments/{payout.id}/cancel", json={"reason": "x"}
    )
    assert (late.status_code, late.json()["code"]) == (409, "already_final")


@pytest.mark.usefixtures("worker")
async def test_one_no_and_one_cancel_end_a_payout(
    gateway: Gateway, temporal: LocalTemporal
) -> None:
    for by, verb, state in (
        ("ana", "deny", PaymentState.DENIED),
        ("operator", "cancel", PaymentState.CANCELLED),
    ):
        payout = await send_payout(gateway, temporal)
        path = f"/v1/payments/{payout.id}/{verb}"
        answer = await gateway.as_(by, "POST", path, json={"reason": "wrong payee"})
        assert (answer.status_code, answer.json()["verdict"]) == (200, state.value)
        assert (await payout.result()).state is state
        payment = await gateway.resources.reader.payment(payout.id)
        assert payment is not None
        last = [entry for entry in payment.timeline if entry.what == "transition"][-1]
        assert (last.actor, last.reason) == (by, "wrong payee")
