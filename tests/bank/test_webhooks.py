"""Webhooks: delivered until they are taken, and everything that may go wrong with them."""

from __future__ import annotations

import threading
from collections import Counter

from tests.bank.conftest import StartBank
from tests.bank.process import BankProcess, new_reference, order, until
from tests.bank.receiver import Received, Receiver


def test_a_webhook_comes_again_until_it_is_taken(start_bank: StartBank, receiver: Receiver) -> None:
    answers = iter([500, 404, 302, 429, 503, 200, 200, 200, 200])
    receiver.answer = lambda received: next(answers)
    bank = start_bank(receiver.url)
    told = receiver.wait_for_types("wallet/funds/EUR", "credit.received")
    assert [one.status for one in told] == [500, 404, 302, 429, 503, 200]
    assert len({one.id for one in told}) == 1
    assert bank.wait_until_idle()["webhooks"] == {"queued": 0, "delivered": 1, "given_up": 0}


def test_webhooks_wait_for_an_endpoint_that_is_down(
    start_bank: StartBank, receiver: Receiver
) -> None:
    port = receiver.port
    receiver.close()
    bank = start_bank(f"http://127.0.0.1:{port}/events")
    until(lambda: "ConnectError" in bank.log.read_text())
    risen = Receiver(port)
    try:
        risen.wait_for_types("wallet/funds/EUR", "credit.received")
    finally:
        bank.stop()
        risen.close()


def test_paused_webhooks_queue_and_come_after_the_pause(
    start_bank: StartBank, receiver: Receiver
) -> None:
    bank = start_bank(receiver.url, WEBHOOKS_PAUSED="true")
    reference = new_reference()
    bank.pay(order(reference))
    bank.wait_for_status(reference, "paid")
    assert bank.state()["webhooks"] == {"queued": 3, "delivered": 0, "given_up": 0}
    assert receiver.of(reference) == []
    bank.tune(webhooks_paused=False)
    receiver.wait_for_types(reference, "payout.accepted", "payout.paid")


def test_a_lost_webhook_never_comes_though_the_payout_is_paid(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:webhook-lost]"))
    bank.wait_for_status(reference, "paid")
    bank.wait_until_idle()
    assert shared_receiver.of(reference) == []


def test_a_late_webhook_comes_well_after_its_event(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    payout = bank.pay(order(reference, "[sim:webhook-late]")).json()
    paid = bank.wait_for_status(reference, "paid")
    assert shared_receiver.of(reference) == []
    told = shared_receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    assert {one.body["data"]["id"] for one in told} == {payout["id"]}
    assert paid["booked_at"] in [one.body["data"]["booked_at"] for one in told]


def test_a_doubled_webhook_comes_fifty_times_under_one_id(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:webhook-doubled]"))
    told = shared_receiver.wait_for(reference, lambda heard: len(heard) >= 100)
    bank.wait_until_idle()
    assert len(shared_receiver.of(reference)) == 100
    assert sorted(Counter(one.id for one in told).values()) == [50, 50]


def test_a_doubled_webhook_may_come_under_ids_of_its_own(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:webhook-doubled-new-ids]"))
    told = shared_receiver.wait_for(reference, lambda heard: len(heard) >= 10)
    assert len({one.id for one in told}) == 10
    assert Counter(one.type for one in told) == {"payout.accepted": 5, "payout.paid": 5}


def test_webhooks_out_of_order_tell_the_end_first(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:webhook-out-of-order]"))
    shared_receiver.wait_for_types(reference, "payout.pending")
    assert shared_receiver.types(reference) == ["payout.paid", "payout.accepted", "payout.pending"]
    payout = bank.find(reference)
    assert payout is not None
    assert payout["status"] == "paid"


def test_webhooks_out_of_order_tell_a_payout_as_it_was_when_it_was_paid(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:return-before-paid][sim:webhook-out-of-order]"))
    told = shared_receiver.wait_for_types(reference, "payout.returned", "payout.paid")
    status = {one.type: one.body["data"]["status"] for one in told}
    assert (status["payout.returned"], status["payout.paid"]) == ("returned", "paid")


def test_money_that_comes_back_may_be_told_as_a_credit_of_the_same_line_first(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:paid-then-returned][sim:webhook-credit-first]"))
    told = shared_receiver.wait_for_types(reference, "payout.returned")
    back, credit = told[-1].body["data"], told[-2].body["data"]
    assert [one.type for one in told[-2:]] == ["credit.received", "payout.returned"]
    assert credit["amount_minor"] == back["returned_minor"]
    same = ("reference", "currency", "value_on", "line_id")
    assert [credit[name] for name in same] == [back[name] for name in same]


def test_webhooks_may_be_taken_before_the_call_is_answered(
    start_bank: StartBank, receiver: Receiver
) -> None:
    bank = start_bank(receiver.url)
    reference = new_reference()
    answered = threading.Event()
    heard_before_answer: list[bool] = []

    def note(received: Received) -> int:
        if received.reference == reference:
            heard_before_answer.append(not answered.is_set())
        return 200

    receiver.answer = note
    reply = bank.pay(order(reference, "[sim:webhook-before-reply]"))
    answered.set()
    assert reply.status_code == 201
    assert heard_before_answer == [True, True]
    assert sorted(receiver.types(reference)) == ["payout.accepted", "payout.paid"]


def test_a_wrongly_signed_webhook_comes_again_rightly_signed(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:webhook-wrongly-signed]"))
    told = shared_receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    for word in ("payout.accepted", "payout.paid"):
        tries = [one.rightly_signed for one in told if one.type == word]
        assert tries == [False, True]


def test_a_forged_webhook_is_given_up_after_five_tries(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    given_up = bank.state()["webhooks"]["given_up"]
    bank.pay(order(reference, "[sim:webhook-forged]"))
    until(lambda: bank.state()["webhooks"]["given_up"] == given_up + 2)
    told = shared_receiver.of(reference)
    assert Counter(one.type for one in told) == {"payout.accepted": 5, "payout.paid": 5}
    assert not any(one.rightly_signed for one in told)
