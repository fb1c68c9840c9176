"""What a repeated key means, in each mode of the bank."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.bank.conftest import StartBank
from tests.bank.process import BankProcess, new_reference, order


def test_a_repeated_key_gives_the_first_answer_and_no_second_payout(bank: BankProcess) -> None:
    reference = new_reference()
    body = order(reference)
    first = bank.pay(body)
    assert "Idempotent-Replayed" not in first.headers
    bank.wait_for_status(reference, "paid")
    again = bank.pay(dict(reversed(body.items())))  # the same JSON value in other bytes
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert bank.judged(reference)["payouts"] == 1


@pytest.mark.parametrize("facts", [{"amount_minor": 1251}, {"currency": "USD"}])
def test_a_key_with_another_body_is_a_conflict_and_not_processed(
    bank: BankProcess, facts: dict[str, object]
) -> None:
    reference = new_reference()
    bank.pay(order(reference))
    reply = bank.pay({**order(reference), **facts})
    assert (reply.status_code, reply.json()["code"]) == (409, "idempotency_key_conflict")
    bank.wait_for_status(reference, "paid")
    assert bank.judged(reference)["debited_minor"] == 1250


def test_twenty_calls_at_once_with_one_key_make_one_payout(bank: BankProcess) -> None:
    reference = new_reference()
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(bank.pay, [order(reference)] * 20))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.json()["id"] for reply in replies}) == 1
    judged = bank.judged(reference)
    assert (judged["payouts"], judged["requests"]) == (1, 20)


def test_a_refusal_is_processed_anew_where_failures_are_not_stored(bank: BankProcess) -> None:
    reference = new_reference()
    body = order(reference, currency="SEK")
    assert bank.pay(body).json()["code"] == "insufficient_funds"
    bank.credit(new_reference("c"), "wallet/x/SEK", 5000, "SEK")
    assert bank.pay(body).status_code == 201


def test_stored_failures_are_replayed_for_ever_where_the_bank_says_so(
    start_bank: StartBank,
) -> None:
    bank = start_bank(REPLAYS_FAILURES="true")
    for marker, status, payouts in [
        ("500-without-booking", 500, 0),
        ("500-after-booking", 500, 1),
        ("409-on-the-key", 409, 1),
        ("reject", 422, 0),
    ]:
        reference = new_reference()
        body = order(reference, f"[sim:{marker}]")
        first, again = bank.pay(body), bank.pay(body)
        assert (first.status_code, again.status_code) == (status, status)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert bank.judged(reference)["payouts"] == payouts


def test_a_key_that_has_outlived_its_lifetime_pays_again(start_bank: StartBank) -> None:
    bank = start_bank(KEY_LIFETIME_SECONDS="0.000001")
    reference = new_reference()
    for _ in range(2):
        assert bank.pay(order(reference)).status_code == 201
    state = bank.wait_until_steps_are_done()
    assert state["doubled"] == [reference]
    assert state["references"][reference]["debits"] == 2


@pytest.mark.parametrize(
    ("mode", "honours_keys", "finds", "shows_references"),
    [
        ("keys_and_lookup", True, True, True),
        ("lookup_only", False, True, True),
        ("statement_only", False, False, True),
        ("neither", False, False, False),
    ],
)
def test_each_mode_keeps_exactly_its_published_promises(
    start_bank: StartBank, mode: str, honours_keys: bool, finds: bool, shows_references: bool
) -> None:
    bank = start_bank(MODE=mode)
    reference = new_reference()
    ids = {bank.pay(order(reference)).json()["id"] for _ in range(2)}
    assert len(ids) == (1 if honours_keys else 2)
    bank.wait_until_steps_are_done()
    reply = bank.http.get("/v1/payouts", params={"reference": reference})
    if finds:
        assert {one["id"] for one in reply.json()["payouts"]} == ids
    else:
        assert (reply.status_code, reply.json()["code"]) == (403, "lookup_not_offered")
    payout_lines = [line for line in bank.lines() if line["kind"] == "payout"]
    assert len(payout_lines) == len(ids)
    assert {line["reference"] for line in payout_lines} == {reference if shows_references else None}
