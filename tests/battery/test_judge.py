"""The judge: a violation never passes, and what is no violation is none."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from tests.battery import report
from tests.battery.case import Findings
from tests.battery.evidence import read_bank
from tests.battery.judge import judge
from tests.battery.passing import passed
from tests.battery.specimen import BOOKED_AT, REQUEST, a_case, bank_file, figures_of


def test_a_payout_that_was_paid_once_is_no_violation(tmp_path: Path) -> None:
    assert not judge(a_case(read_bank("keyed", bank_file(tmp_path, debits=1)))).any


def test_a_booking_that_the_bank_has_twice_fails_the_run(tmp_path: Path) -> None:
    findings = judge(a_case(read_bank("keyed", bank_file(tmp_path, debits=2))))
    assert findings.figures()["doubled"] == 1
    assert findings.figures()["unmatched_movement"] == 1
    assert not passed(figures_of(findings))


def test_how_long_a_contradiction_went_unseen_is_taken_from_the_banks_own_book(
    tmp_path: Path,
) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=2)))
    assert report.times_to_detect(case) == []
    for kind, seconds in (("paid_twice", 7.5), ("contradiction", 2.0), ("outcome_unknown", 90.0)):
        opened_at = BOOKED_AT + timedelta(seconds=seconds)
        case.all_cases.append({"payment_id": "po_1", "kind": kind, "opened_at": opened_at})
    assert report.times_to_detect(case) == [7.5, 2.0]
    phantom = dataclasses.replace(case.lines()["po_1"][0], reference="phantom_000000000007")
    case.banks["keyed"].lines.append(phantom)
    case.strays_found.append(("keyed", phantom.reference, BOOKED_AT + timedelta(seconds=400)))
    assert report.times_to_detect(case) == [7.5, 2.0, 400.0]


def test_a_settled_payout_that_the_bank_has_never_paid_fails_the_run(tmp_path: Path) -> None:
    findings = judge(a_case(read_bank("keyed", bank_file(tmp_path, debits=0))))
    assert findings.figures()["lost"] == 1
    assert findings.figures()["misled_client"] == 1
    assert not passed(figures_of(findings))


def test_a_client_that_was_told_of_a_cancel_and_was_paid_fails_the_run(tmp_path: Path) -> None:
    bank = read_bank("keyed", bank_file(tmp_path, debits=1))
    findings = judge(a_case(bank, state="cancelled", told="cancelled"))
    assert findings.figures()["misled_client"] == 1


def test_who_was_told_approved_of_a_payment_that_then_expired_was_misled(tmp_path: Path) -> None:
    case = a_case(
        read_bank("keyed", bank_file(tmp_path, debits=0)), state="expired", told="expired"
    )
    case.nostro.clear()
    assert not judge(case).any
    case.told["po_1"].verdicts.append("recorded")
    assert not judge(case).any
    case.told["po_1"].verdicts.append("approved")
    assert judge(case).figures()["misled_client"] == 1


def test_a_payout_whose_money_has_all_come_back_is_returned_and_one_of_which_half_did_is_not(
    tmp_path: Path,
) -> None:
    bank = read_bank("keyed", bank_file(tmp_path, debits=1))
    back = dataclasses.replace(bank.lines[0], kind="payout_return", amount_minor=1240)
    bank.lines.append(back)
    case = a_case(bank)
    case.nostro["po_1", "EUR"] = -10
    assert not judge(case).any
    bank.payouts[0] = dataclasses.replace(bank.payouts[0], kept_minor=10)
    assert judge(case).figures() == {**Findings().figures(), "unmatched_movement": 1}
    case.payments["po_1"]["state"] = "returned"
    assert not judge(case).any
    bank.payouts[0] = dataclasses.replace(bank.payouts[0], kept_minor=0)
    assert judge(case).figures() == {**Findings().figures(), "unmatched_movement": 1}


def test_a_no_that_was_paid_is_explained_only_by_a_bank_that_contradicts_itself(
    tmp_path: Path,
) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=1)), state="failed", told="failed")
    case.all_cases.append({"payment_id": "po_1", "kind": "contradiction"})
    assert judge(case).figures()["misled_client"] == 1
    case.banks["keyed"].tries["po_1-1"] = ("failed-but-paid",)
    assert not judge(dataclasses.replace(case)).any


def test_a_debit_that_nobody_asked_for_fails_the_run_unless_it_is_in_suspense_with_a_case(
    tmp_path: Path,
) -> None:
    bank = read_bank("keyed", bank_file(tmp_path, debits=1))
    phantom = dataclasses.replace(bank.lines[0], reference="phantom_000000000007")
    bank.lines.append(phantom)
    case = a_case(bank)
    assert judge(case).figures() == {**Findings().figures(), "phantom": 1}
    case.strays["keyed", "phantom_000000000007", "EUR", -1250] += 1
    assert not judge(case).any
    bank.lines.append(phantom)
    assert judge(case).figures()["phantom"] == 1, "one case is for one debit"


def test_who_is_told_too_late_before_anything_was_handed_over_was_misled(tmp_path: Path) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=1)))
    told = case.told["po_1"]
    told.verdicts.append("too_late")
    told.too_late_at.append(BOOKED_AT + timedelta(seconds=1))
    assert not judge(case).any
    told.too_late_at.append(BOOKED_AT - timedelta(seconds=1))
    assert judge(case).figures()["misled_client"] == 1


def test_an_approval_by_as_many_as_it_takes_may_not_expire(tmp_path: Path) -> None:
    case = a_case(
        read_bank("keyed", bank_file(tmp_path, debits=0)), state="expired", told="expired"
    )
    case.nostro.clear()
    amount = {"amount_minor": 3_000_00, "currency": "GBP"}
    told = case.told["po_1"] = dataclasses.replace(
        case.told["po_1"], request={**REQUEST, "amount": amount}
    )
    assert judge(case).figures()["unexpected_end"] == 0
    told.heard["approve"].add("ana")
    assert judge(case).figures()["unexpected_end"] == 1


@pytest.mark.parametrize("kind", ["mismatch", "unowned_credit", "unowned_returned"])
def test_a_return_that_was_told_as_a_credit_first_may_be_in_suspense_with_a_case(
    tmp_path: Path, kind: str
) -> None:
    bank = read_bank("keyed", bank_file(tmp_path, debits=1))
    bank.lines.append(dataclasses.replace(bank.lines[0], kind="payout_return", amount_minor=1250))
    case = a_case(bank)
    case.nostro["po_1", "EUR"] = 0
    case.all_cases.append({"payment_id": "po_1", "kind": kind})
    assert judge(case).figures()["unmatched_movement"] == 1
    bank.tries["po_1-1"] = ("webhook-credit-first",)
    case = dataclasses.replace(case)  # which forgets what it has read of the banks
    assert judge(case).figures()["unmatched_movement"] == 0
    case.all_cases.clear()
    assert judge(case).figures()["unmatched_movement"] == 1


def test_an_event_that_failed_too_often_is_explained_only_where_it_was_ordered_to(
    tmp_path: Path,
) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=1)))
    aside = {"payment_id": "po_1", "kind": "event_set_aside"}
    case.all_cases.append({**aside, "detail": "event 7 fails again and again: Swallowed"})
    assert judge(case).figures()["needless_case"] == 0
    case.all_cases.append({**aside, "detail": "event 8 fails again and again: KeyError"})
    assert judge(case).figures()["needless_case"] == 1


def test_what_is_found_twice_counts_once_and_what_has_the_same_words_counts_each_time() -> None:
    first, again = Findings(), Findings()
    for found in (first, again):
        for text in ("po_1", "40 of 40 failed", "40 of 40 failed"):
            found.add("unexpected_end", text)
    again.add("unexpected_end", "po_2")
    first.join(again)
    assert first.figures()["unexpected_end"] == 4


def test_a_bank_through_which_nothing_is_paid_though_nothing_stands_in_the_way_is_no_end(
    tmp_path: Path,
) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=0)), state="failed", told="failed")
    case.payments["po_1"]["partner"] = "blind"
    for number in range(2, 41):
        case.payments[f"po_{number}"] = {**case.payments["po_1"], "id": f"po_{number}"}
        case.told[f"po_{number}"] = case.told["po_1"]
    assert judge(case).figures()["unexpected_end"] == 40


def test_a_transfer_that_was_moved_before_enough_people_had_approved_is_a_bypass(
    tmp_path: Path,
) -> None:
    case = a_case(read_bank("keyed", bank_file(tmp_path, debits=0)))
    case.nostro.clear()
    case.attempts.clear()
    case.payments["po_1"] |= {"kind": "transfer", "currency": "GBP", "amount_minor": 3_000_00}
    case.told["po_1"].kind = "transfer"
    case.transferred["po_1"] = BOOKED_AT
    assert judge(case).figures()["approval_bypass"] == 1
    word = {"principal": "ana", "at": BOOKED_AT, "content_hash": "h"}
    case.approvals["po_1"] = [word]
    assert judge(case).figures()["approval_bypass"] == 0
    case.approvals["po_1"] = [{**word, "at": BOOKED_AT + timedelta(seconds=1)}]
    assert judge(case).figures()["approval_bypass"] == 1
