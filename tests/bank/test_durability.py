"""Killed at any moment and started again, the bank goes on: nothing is lost, nothing doubled."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.bank.conftest import StartBank
from tests.bank.process import BankProcess, new_reference, order, until
from tests.bank.receiver import Receiver

pytestmark = pytest.mark.faults


def test_pending_steps_are_done_after_a_kill(start_bank: StartBank, receiver: Receiver) -> None:
    bank = start_bank(receiver.url, PAY_SECONDS="0.5")
    markers = {
        "": "paid",
        "[sim:accepted-then-failed]": "failed",
        "[sim:paid-then-returned]": "returned",
        "[sim:failed-but-paid]": "paid",
    }
    expected = {new_reference(): (marker, status) for marker, status in markers.items()}
    for reference, (marker, _) in expected.items():
        assert bank.pay(order(reference, marker)).json()["status"] == "pending"
    bank.kill()
    bank.start()
    until(lambda: not bank.state()["steps_pending"])
    for reference, (_, status) in expected.items():
        assert bank.judged(reference)["status"] == status
        receiver.wait_for_types(reference, "payout.accepted", f"payout.{status}")
    assert bank.state()["doubled"] == []


def test_undelivered_webhooks_are_delivered_after_a_kill(
    start_bank: StartBank, receiver: Receiver
) -> None:
    receiver.answer = lambda received: 503
    bank = start_bank(receiver.url)
    reference = new_reference()
    bank.pay(order(reference))
    refused = receiver.wait_for(
        reference, lambda heard: {one.type for one in heard} >= {"payout.accepted", "payout.paid"}
    )
    bank.kill()
    receiver.answer = lambda received: 200
    bank.start()
    taken = receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    assert {one.id for one in taken} == {one.id for one in refused}


def test_a_key_is_remembered_after_a_kill_in_the_middle_of_its_answer(
    start_bank: StartBank,
) -> None:
    bank = start_bank()
    reference = new_reference()
    body = order(reference, "[sim:timeout-after-booking]")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bank.pay, body)
        until(lambda: bank.lines(reference))
        bank.kill()
        with pytest.raises(httpx.HTTPError):
            call.result()
    bank.start()
    reply = bank.pay(body)
    assert (reply.status_code, reply.headers["Idempotent-Replayed"]) == (201, "true")
    assert bank.judged(reference)["debits"] == 1


def test_asked_to_stop_it_ends_well_though_answers_are_held(start_bank: StartBank) -> None:
    bank = start_bank()
    reference = new_reference()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bank.pay, order(reference, "[sim:timeout-after-booking]"))
        until(lambda: bank.lines(reference))
        assert bank.stop() == 0
        with pytest.raises(httpx.HTTPError):
            call.result()


def test_what_was_acknowledged_under_load_survives_each_kill(
    start_bank: StartBank, receiver: Receiver
) -> None:
    bank = start_bank(receiver.url)
    acknowledged: set[str] = set()
    for _ in range(3):
        acknowledged |= _acknowledged_until_killed(bank, enough=40)
        bank.start()
    state = bank.wait_until_idle()
    assert len(acknowledged) >= 120
    assert state["doubled"] == []
    for reference in acknowledged:
        told = state["references"][reference]
        assert (told["payouts"], told["debits"], told["status"]) == (1, 1, "paid")
        assert "payout.paid" in receiver.types(reference)
    balances = bank.http.get("/v1/balances").json()["balances"]
    booked = {one["currency"]: one["booked_minor"] for one in balances}
    assert booked == {"EUR": sum(line["amount_minor"] for line in bank.lines())}


def _acknowledged_until_killed(bank: BankProcess, enough: int) -> set[str]:
    """Pay from four threads, kill the bank in the middle, and return what it had acknowledged."""
    acknowledged: set[str] = set()
    killed = threading.Event()

    def client() -> None:
        while not killed.is_set():
            reference = new_reference()
            try:
                reply = bank.pay(order(reference))
            except (httpx.HTTPError, RuntimeError):  # cut off, or the client is closed by now
                return
            assert reply.status_code == 201
            acknowledged.add(reference)

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client) for _ in range(4)]
        until(lambda: len(acknowledged) >= enough)
        bank.kill()
        killed.set()
        for one in clients:
            one.result()
    return acknowledged
