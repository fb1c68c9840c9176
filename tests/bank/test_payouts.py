"""Taking, telling, refusing and cancelling payouts, as published."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bank.process import API_KEY, BankProcess, new_reference, order, until
from tests.bank.receiver import Receiver

US = {"kind": "us_account", "name": "Bo", "routing_number": "021000021", "account_number": "12345"}
WALLET = {"kind": "mobile_wallet", "name": "Wanjiru", "msisdn": "+254712345678"}


def test_a_payout_is_taken_then_paid_and_both_are_told(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference))
    assert reply.status_code == 201
    taken = reply.json()
    assert taken["status"] == "pending"
    assert taken["line_id"] is None
    assert taken["beneficiary"] == {"kind": "iban", "name": "Ana Díaz", "account": "ES91…1332"}

    paid = bank.wait_for_status(reference, "paid")
    (line,) = bank.lines(reference)
    assert (line["kind"], line["amount_minor"]) == ("payout", -1250)
    assert paid == {
        **taken,
        "status": "paid",
        "booked_at": line["booked_at"],
        "value_on": line["value_on"],
        "line_id": line["id"],
    }
    assert bank.http.get(f"/v1/payouts/{taken['id']}").json() == paid

    told = shared_receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    by_type = {one.type: one for one in told}
    assert by_type["payout.accepted"].body["data"] == taken
    assert by_type["payout.paid"].body["data"] == paid
    assert all(one.body["id"] == one.id for one in told)


@pytest.mark.parametrize(
    ("beneficiary", "currency", "account"),
    [(US, "USD", "0210…2345"), (WALLET, "KES", "+254…5678")],
)
def test_each_kind_of_beneficiary_is_paid_and_shown_masked(
    bank: BankProcess, beneficiary: dict[str, str], currency: str, account: str
) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference, beneficiary=beneficiary, currency=currency))
    assert reply.json()["beneficiary"]["account"] == account
    bank.wait_for_status(reference, "paid")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"currency": "CHF"}, "insufficient_funds"),
        ({"currency": "XXX"}, "currency_not_supported"),
        ({"beneficiary": {"kind": "paypal", "name": "Bo"}}, "beneficiary_not_supported"),
        ({"beneficiary": {"kind": "iban", "name": "Bo"}}, "account_invalid"),
        ({"amount_minor": 10**13}, "amount_limit"),
        ({"amount_minor": 10**12}, "insufficient_funds"),
    ],
)
def test_what_the_bank_cannot_pay_is_refused_for_good_and_never_booked(
    bank: BankProcess, facts: dict[str, Any], code: str
) -> None:
    reference = new_reference()
    reply = bank.pay(order(reference, **facts))
    assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert bank.find(reference) is None
    assert bank.judged(reference)["payouts"] == 0


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"amount_minor": 12.0}, "amount_minor"),
        ({"amount_minor": "12"}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"currency": "eur"}, "currency"),
        ({"fee": 1}, "fee"),
        ({"reference": "two words"}, "reference"),
        ({"remittance": "[sim:no-such-thing]"}, "marker"),
        ({"remittance": "[sim:reject=no_such_code]"}, "code"),
    ],
)
def test_a_body_of_another_shape_is_not_processed_and_names_its_fault(
    bank: BankProcess, facts: dict[str, Any], field: str
) -> None:
    reply = bank.pay({**order(new_reference()), **facts}, key="any")
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
    assert field in reply.json()["message"]


def test_broken_json_and_bodies_without_bound_are_refused(bank: BankProcess) -> None:
    headers = {"Idempotency-Key": "k"}
    for broken in (b"", b"{", b"[]", b"\xff", b"[" * 50_000):
        reply = bank.http.post("/v1/payouts", content=broken, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
    long = order(new_reference(), "x" * 70_000)
    assert bank.pay(long).json()["code"] == "body_too_large"


@pytest.mark.parametrize("key", [None, "", "two words", "x" * 65])
def test_a_payout_needs_a_usable_key(bank: BankProcess, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    reply = bank.http.post("/v1/payouts", json=order(new_reference()), headers=headers)
    assert reply.status_code == 400
    expected = "idempotency_key_missing" if key is None else "idempotency_key_invalid"
    assert reply.json()["code"] == expected


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", API_KEY])
def test_nothing_is_told_without_the_key_but_health(bank: BankProcess, given: str) -> None:
    for path in ("/v1/balances", "/v1/book", "/control/state", "/control/settings"):
        reply = bank.http.get(path, headers={"Authorization": given})
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthorized")
    assert bank.http.get("/health", headers={"Authorization": given}).status_code == 200


def test_unknown_paths_and_payouts_have_the_published_error(bank: BankProcess) -> None:
    assert bank.http.get("/v1/nothing").json()["code"] == "not_found"
    for name in ("bp_999999999999", "po_1", "bp_1"):
        reply = bank.http.get(f"/v1/payouts/{name}")
        assert (reply.status_code, reply.json()["code"]) == (404, "payout_not_found")


def test_a_payout_cancelled_while_pending_is_never_booked(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    payout = bank.pay(order(reference, "[sim:slow-paid]")).json()
    path = f"/v1/payouts/{payout['id']}/cancel"
    for _ in range(2):
        reply = bank.http.post(path)
        assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    shared_receiver.wait_for_types(reference, "payout.cancelled")
    until(lambda: not bank.state()["steps_pending"])
    assert bank.judged(reference)["booked"] is False
    assert shared_receiver.types(reference).count("payout.cancelled") == 1
    assert "payout.paid" not in shared_receiver.types(reference)


def test_a_paid_payout_cannot_be_cancelled_and_the_answer_shows_it(bank: BankProcess) -> None:
    reference = new_reference()
    payout = bank.pay(order(reference)).json()
    paid = bank.wait_for_status(reference, "paid")
    reply = bank.http.post(f"/v1/payouts/{payout['id']}/cancel")
    assert (reply.status_code, reply.json()["code"]) == (409, "not_cancellable")
    assert reply.json()["payout"] == paid


def test_pending_payouts_use_up_the_balance_before_they_are_booked(bank: BankProcess) -> None:
    bank.credit(new_reference("c"), "wallet/x/GBP", 2000, "GBP")
    first, second = new_reference(), new_reference()
    taken = bank.pay(order(first, "[sim:slow-paid]", currency="GBP")).json()
    refused = bank.pay(order(second, currency="GBP"))
    assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_funds")
    (balance,) = (
        one for one in bank.http.get("/v1/balances").json()["balances"] if one["currency"] == "GBP"
    )
    assert balance == {
        "currency": "GBP",
        "booked_minor": 2000,
        "pending_minor": 1250,
        "available_minor": 750,
    }
    bank.http.post(f"/v1/payouts/{taken['id']}/cancel")
    assert bank.pay(order(second, currency="GBP")).status_code == 201


def test_logs_are_one_json_object_a_line_and_hold_no_account_numbers(bank: BankProcess) -> None:
    bank.pay(order(new_reference()))
    text = bank.log.read_text()
    assert "payout asked" in text
    assert all(line.startswith("{") and line.endswith("}") for line in text.splitlines())
    for secret in ("ES9121000418450200051332", API_KEY, "whsec_", "0200051332"):
        assert secret not in text
