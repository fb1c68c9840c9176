"""What becomes of a payout after it was taken, told rightly or not."""

from __future__ import annotations

import pytest

from tests.bank.process import BankProcess, new_reference, order, until
from tests.bank.receiver import Receiver


@pytest.mark.parametrize(
    ("marker", "code"),
    [
        ("accepted-then-failed", "account_closed"),
        ("accepted-then-failed=name_mismatch", "name_mismatch"),
    ],
)
def test_an_accepted_payout_may_fail_and_is_never_booked(
    bank: BankProcess, shared_receiver: Receiver, marker: str, code: str
) -> None:
    reference = new_reference()
    assert bank.pay(order(reference, f"[sim:{marker}]")).json()["status"] == "pending"
    assert bank.wait_for_status(reference, "failed")["code"] == code
    shared_receiver.wait_for_types(reference, "payout.accepted", "payout.failed")
    assert bank.judged(reference)["booked"] is False


def test_a_slow_payment_can_be_seen_pending_and_is_paid_in_the_end(bank: BankProcess) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:slow-paid]"))
    payout = bank.find(reference)
    assert payout is not None
    assert payout["status"] == "pending"
    bank.wait_for_status(reference, "paid")


def test_a_status_is_rolled_back_and_told_again_while_the_money_stays_booked(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:status-rolled-back]"))
    bank.wait_for_status(reference, "paid")
    bank.wait_for_status(reference, "pending")
    assert bank.judged(reference)["booked"] is True
    bank.wait_for_status(reference, "paid")
    told = shared_receiver.wait_for(
        reference, lambda heard: [one.type for one in heard].count("payout.paid") == 2
    )
    assert "payout.pending" in [one.type for one in told]
    assert bank.judged(reference)["debits"] == 1


def test_a_status_may_stay_rolled_back_for_good(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:status-rolled-back-for-good]"))
    shared_receiver.wait_for_types(reference, "payout.paid", "payout.pending")
    payout = bank.wait_for_status(reference, "pending")
    assert bank.judged(reference)["booked"] is True
    reply = bank.http.post(f"/v1/payouts/{payout['id']}/cancel")
    assert reply.json()["code"] == "not_cancellable"


@pytest.mark.parametrize(
    ("marker", "fee_minor"), [("paid-then-returned", 0), ("paid-then-returned-less-fee", 12)]
)
def test_a_paid_payout_comes_back_days_later_with_a_credit_line(
    bank: BankProcess, shared_receiver: Receiver, marker: str, fee_minor: int
) -> None:
    reference = new_reference()
    bank.pay(order(reference, f"[sim:{marker}]"))
    told = shared_receiver.wait_for_types(reference, "payout.paid", "payout.returned")
    (returned,) = (one.body["data"] for one in told if one.type == "payout.returned")
    debit, back = bank.lines(reference)
    assert (debit["kind"], debit["amount_minor"]) == ("payout", -1250)
    assert (back["kind"], back["amount_minor"]) == ("payout_return", 1250 - fee_minor)
    assert returned == bank.find(reference)
    assert returned["status"] == "returned"
    assert returned["amount_minor"] == 1250
    assert (returned["returned_minor"], returned["fee_minor"]) == (1250 - fee_minor, fee_minor)
    assert returned["line_id"] == back["id"]
    paid_at, back_at = (
        min(one.at for one in told if one.type == word)
        for word in ("payout.paid", "payout.returned")
    )
    assert back_at - paid_at >= 0.25  # three days of 0.1 s, less what the delivery took


def test_a_payout_told_failed_is_told_paid_later_because_it_was_booked(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:failed-but-paid]"))
    bank.wait_for_status(reference, "failed")
    assert bank.judged(reference)["booked"] is True
    assert bank.wait_for_status(reference, "paid")["code"] is None
    told = shared_receiver.wait_for_types(reference, "payout.failed", "payout.paid")
    words = [one.type for one in told]
    assert words.index("payout.failed") < words.index("payout.paid")


def test_a_payout_told_paid_is_told_failed_later_and_the_money_is_gone(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:paid-but-told-failed]"))
    bank.wait_for_status(reference, "paid")
    bank.wait_for_status(reference, "failed")
    shared_receiver.wait_for_types(reference, "payout.paid", "payout.failed")
    until(lambda: not bank.state()["steps_pending"])
    judged = bank.judged(reference)
    assert (judged["booked"], judged["returned_minor"]) == (True, 0)


def test_faults_of_different_groups_go_together(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    markers = "[sim:500-after-booking] [sim:accepted-then-failed] [sim:webhook-lost]"
    assert bank.pay(order(reference, markers)).status_code == 500
    bank.wait_for_status(reference, "failed")
    assert bank.judged(reference)["misbehaviours"] == [
        "500-after-booking",
        "accepted-then-failed",
        "webhook-lost",
    ]
    assert shared_receiver.of(reference) == []
