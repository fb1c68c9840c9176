"""Answers that go wrong: what a client sees, what the book holds, and what a repeat gives."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.bank.process import BankProcess, new_reference, order
from tests.bank.receiver import Receiver


def is_booked(bank: BankProcess, reference: str) -> bool:
    """Tell whether the debit of a reference is in the book right now."""
    return bool(bank.lines(reference))


def repeat_is_right(bank: BankProcess, reference: str, remittance: str) -> None:
    """Check that a repeat of the call gives the true answer, and that one payment was made."""
    reply = bank.pay(order(reference, remittance))
    assert reply.status_code == 201
    assert reply.json()["amount_minor"] == 1250
    bank.wait_for_status(reference, "paid")
    judged = bank.judged(reference)
    assert (judged["payouts"], judged["debits"]) == (1, 1)


@pytest.mark.parametrize(
    ("marker", "booked"), [("reset-before-booking", False), ("reset-after-booking", True)]
)
def test_a_reset_leaves_no_answer_and_books_only_where_it_says_so(
    bank: BankProcess, marker: str, booked: bool
) -> None:
    reference, remittance = new_reference(marker), f"[sim:{marker}]"
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        bank.pay(order(reference, remittance))
    assert is_booked(bank, reference) is booked
    repeat_is_right(bank, reference, remittance)


@pytest.mark.parametrize(
    ("marker", "booked"), [("timeout-before-booking", False), ("timeout-after-booking", True)]
)
def test_a_held_answer_outlasts_the_client_and_books_only_where_it_says_so(
    bank: BankProcess, marker: str, booked: bool
) -> None:
    reference, remittance = new_reference(marker), f"[sim:{marker}]"
    with pytest.raises(httpx.ReadTimeout):
        bank.pay(order(reference, remittance), timeout=0.5)
    assert is_booked(bank, reference) is booked
    repeat_is_right(bank, reference, remittance)


def test_a_held_answer_is_let_go_in_the_end(bank: BankProcess) -> None:
    reference = new_reference()
    hold = bank.tune(hold_seconds=0.1)["hold_seconds"]
    try:
        reply = bank.pay(order(reference, "[sim:timeout-after-booking]"))
    finally:
        bank.tune(hold_seconds=30)
    assert reply.status_code == 504
    assert reply.elapsed.total_seconds() >= hold


@pytest.mark.parametrize(
    ("marker", "status", "code", "booked"),
    [
        ("500-after-booking", 500, "internal_error", True),
        ("500-without-booking", 500, "internal_error", False),
        ("409-on-the-key", 409, "idempotency_key_in_use", True),
        ("409-without-booking", 409, "idempotency_key_in_use", False),
    ],
)
def test_an_error_says_nothing_of_the_money(
    bank: BankProcess, marker: str, status: int, code: str, booked: bool
) -> None:
    reference, remittance = new_reference(marker), f"[sim:{marker}]"
    reply = bank.pay(order(reference, remittance))
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert is_booked(bank, reference) is booked
    repeat_is_right(bank, reference, remittance)


@pytest.mark.parametrize(
    ("marker", "status", "content_type"),
    [
        ("200-empty", 200, "application/json"),
        ("200-html", 200, "text/html; charset=utf-8"),
        ("200-truncated", 200, "application/json"),
        ("odd-2xx", 207, "application/json"),
        ("202-empty", 202, None),
    ],
)
def test_a_success_without_a_payout_in_it_is_booked_all_the_same(
    bank: BankProcess, marker: str, status: int, content_type: str | None
) -> None:
    reference, remittance = new_reference(marker), f"[sim:{marker}]"
    reply = bank.pay(order(reference, remittance))
    assert reply.status_code == status
    assert reply.headers.get("content-type") == content_type
    try:
        assert "id" not in reply.json()
    except ValueError:
        assert status != 207
    assert is_booked(bank, reference)
    repeat_is_right(bank, reference, remittance)


@pytest.mark.parametrize(
    ("marker", "turned_away"),
    [("429-seconds", 1), ("429-date", 1), ("429-absent", 1), ("throttle-then-ok", 2)],
)
def test_a_throttled_call_is_not_processed_and_a_later_one_is(
    bank: BankProcess, marker: str, turned_away: int
) -> None:
    reference, remittance = new_reference(marker), f"[sim:{marker}]"
    for _ in range(turned_away):
        reply = bank.pay(order(reference, remittance))
        assert (reply.status_code, reply.json()["code"]) == (429, "throttled")
        retry_after = reply.headers.get("retry-after")
        if marker == "429-date":
            ahead = parsedate_to_datetime(retry_after).timestamp() - time.time()
            assert -1 < ahead <= 2
        else:
            assert retry_after == (None if marker == "429-absent" else "1")
        assert bank.judged(reference)["payouts"] == 0
    repeat_is_right(bank, reference, remittance)


@pytest.mark.parametrize(
    ("marker", "code"),
    [("reject", "account_invalid"), ("reject=account_closed", "account_closed")],
)
def test_a_rejection_is_definite_however_often_it_is_tried(
    bank: BankProcess, marker: str, code: str
) -> None:
    reference = new_reference("reject")
    for _ in range(2):
        reply = bank.pay(order(reference, f"[sim:{marker}]"))
        assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert bank.judged(reference)["payouts"] == 0


def test_a_marker_may_stand_in_the_name_of_the_beneficiary(bank: BankProcess) -> None:
    beneficiary = {**order("x")["beneficiary"], "name": "Bo [sim:reject=compliance]"}
    reply = bank.pay(order(new_reference(), beneficiary=beneficiary))
    assert reply.json()["code"] == "compliance"


def test_a_slow_answer_is_late_and_right(bank: BankProcess) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference, "[sim:slow-accept]"))
    assert reply.status_code == 201
    assert reply.elapsed.total_seconds() >= 0.3


def test_another_amount_is_echoed_but_the_asked_one_is_booked(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference, remittance = new_reference(), "[sim:other-amount-echo]"
    assert bank.pay(order(reference, remittance)).json()["amount_minor"] == 1251
    assert bank.wait_for_status(reference, "paid")["amount_minor"] == 1250
    told = shared_receiver.wait_for_types(reference, "payout.paid")
    assert {one.body["data"]["amount_minor"] for one in told} == {1250}
    assert bank.judged(reference)["debited_minor"] == 1250
    repeat_is_right(bank, reference, remittance)


def test_a_contradiction_rejects_and_pays(bank: BankProcess, shared_receiver: Receiver) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference, "[sim:rejected-but-paid]"))
    assert (reply.status_code, reply.json()["code"]) == (422, "account_invalid")
    assert is_booked(bank, reference)
    payout = bank.find(reference)
    assert payout is not None
    assert payout["status"] == "paid"
    shared_receiver.wait_for_types(reference, "payout.paid")
    assert shared_receiver.types(reference) == ["payout.paid"]


def test_a_booked_payout_is_not_found_for_a_while(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    asked_at = time.time()
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        bank.pay(order(reference, "[sim:not-found-for-a-while]"))
    assert is_booked(bank, reference)
    assert bank.find(reference) is None
    paid = bank.wait_for_status(reference, "paid")
    assert time.time() - asked_at >= 1.0
    assert bank.http.get(f"/v1/payouts/{paid['id']}").status_code == 200
    told = shared_receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    assert min(one.at for one in told) - asked_at >= 1.0
    repeat_is_right(bank, reference, "[sim:not-found-for-a-while]")


def test_hidden_payouts_may_be_answered_in_another_way(bank: BankProcess) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference, "[sim:not-found-for-a-while] [sim:500-after-booking]"))
    assert reply.status_code == 500
    assert is_booked(bank, reference)
    assert bank.find(reference) is None
