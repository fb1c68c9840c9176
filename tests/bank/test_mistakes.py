"""The bank's own mistakes: what it books beside what it was asked, and what it tells of that."""

from __future__ import annotations

import pytest

from tests.bank.process import BankProcess, new_reference, order
from tests.bank.receiver import Receiver

AMOUNT = 1250


def lines_of(bank: BankProcess, reference: str) -> list[tuple[str, int]]:
    return [
        (line["kind"], line["amount_minor"])
        for line in bank.lines()
        if line["reference"] == reference
    ]


@pytest.mark.parametrize(
    ("marker", "parts"),
    [
        ("partial-return", [625]),
        ("returned-in-two-parts", [625, 625]),
        ("returned-twice", [1250, 1250]),
    ],
)
def test_a_return_comes_in_parts_or_twice_and_each_event_tells_its_own_line(
    bank: BankProcess, shared_receiver: Receiver, marker: str, parts: list[int]
) -> None:
    reference = new_reference()
    bank.pay(order(reference, f"[sim:{marker}]"))
    told = shared_receiver.wait_for(
        reference,
        lambda heard: [one.type for one in heard].count("payout.returned") == len(parts),
    )
    returns = [one.body["data"] for one in told if one.type == "payout.returned"]
    assert [one["returned_minor"] for one in returns] == parts
    assert {one["fee_minor"] for one in returns} == {0}
    assert {one["amount_minor"] for one in returns} == {AMOUNT}
    assert len({one["line_id"] for one in returns}) == len(parts)
    assert lines_of(bank, reference) == [
        ("payout", -AMOUNT),
        *(("payout_return", part) for part in parts),
    ]
    assert bank.judged(reference)["returned_minor"] == sum(parts)


def test_a_payment_may_be_told_only_after_its_return(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:return-before-paid]"))
    told = shared_receiver.wait_for_types(reference, "payout.returned", "payout.paid")
    assert [one.type for one in told][-2:] == ["payout.returned", "payout.paid"]
    back, paid = (one.body["data"] for one in told[-2:])
    assert (paid["status"], paid["returned_minor"]) == ("paid", None)
    assert paid["line_id"] != back["line_id"]


def test_the_bank_may_pay_twice_by_itself_and_tells_both_debits(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    bank.pay(order(reference, "[sim:paid-twice]"))
    told = shared_receiver.wait_for(
        reference, lambda heard: [one.type for one in heard].count("payout.paid") == 2
    )
    lines = [one.body["data"]["line_id"] for one in told if one.type == "payout.paid"]
    assert len(set(lines)) == 2
    assert lines_of(bank, reference) == [("payout", -AMOUNT)] * 2
    judged = bank.judged(reference)
    assert (judged["payouts"], judged["debits"], judged["debited_minor"]) == (1, 2, 2 * AMOUNT)
    assert reference in bank.state()["doubled"]


def test_the_bank_may_debit_what_nobody_asked_for_and_tells_it(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    asked = bank.pay(order(reference, "[sim:phantom-debit]")).json()
    phantom = f"phantom_{asked['id'].removeprefix('bp_')}"
    told = shared_receiver.wait_for_types(phantom, "payout.paid")
    assert told[0].body["data"]["amount_minor"] == AMOUNT
    assert told[0].body["data"]["id"] != asked["id"]
    assert lines_of(bank, phantom) == [("payout", -AMOUNT)]
    assert lines_of(bank, reference) == [("payout", -AMOUNT)]


def test_another_payee_is_echoed_by_answer_and_webhook_while_the_look_up_tells_the_true_one(
    bank: BankProcess, shared_receiver: Receiver
) -> None:
    reference = new_reference()
    echoed = bank.pay(order(reference, "[sim:other-payee-echo]")).json()["beneficiary"]["account"]
    told = shared_receiver.wait_for_types(reference, "payout.accepted", "payout.paid")
    found = bank.wait_for_status(reference, "paid")
    assert {one.body["data"]["beneficiary"]["account"] for one in told} == {echoed}
    assert found["beneficiary"]["account"] != echoed


def test_the_names_of_another_payout_are_echoed_and_the_look_up_tells_the_true_ones(
    bank: BankProcess,
) -> None:
    other, reference = new_reference(), new_reference()
    first = bank.pay(order(other)).json()
    echoed = bank.pay(order(reference, "[sim:other-reference-echo]")).json()
    found = bank.find(reference)
    assert (echoed["id"], echoed["reference"]) == (first["id"], other)
    assert found is not None
    assert found["reference"] == reference
