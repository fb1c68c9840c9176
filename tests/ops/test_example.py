"""The example: complete, valid where it should be, and judged so that nothing slips through."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from bursar.cli import files
from bursar.money import minor_digits
from bursar.payments import PaymentState
from bursar.views import BooksReport, Break
from ops.auditor import Lived, NostroLine
from ops.bank import BankLine
from ops.comparison import Comparison, compare
from ops.histories import Cost, actions_in
from ops.home import PEOPLE
from ops.program import ROOT
from ops.scenario import read_scenario, working_copy
from ops.summary import Summary, percentile

EXAMPLES = ROOT / "examples"
BANK_README = ROOT / "partners" / "simulator" / "bank" / "README.md"


def misbehaviours() -> set[str]:
    told = BANK_README.read_text().split("## Misbehaviour")[1].split("## Control")[0]
    rows = [line.split("|")[1] for line in told.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_payouts_are_many_and_of_every_kind() -> None:
    good, refused = files.read_payouts(EXAMPLES / "payouts.csv")
    assert len(good) >= 200
    currencies = {line.request.amount.currency for line in good}
    assert len(currencies) >= 5
    assert {minor_digits(currency) for currency in currencies} == {0, 2, 3}
    kinds = {line.request.beneficiary.kind for line in good}
    assert kinds == {"iban", "us_account", "mobile_wallet"}
    assert [(bad.id, bad.faults[0].field) for bad in refused] == [("po_invalid_iban", "iban")]


def test_each_misbehaviour_of_the_bank_is_met_by_a_payout() -> None:
    good, _ = files.read_payouts(EXAMPLES / "payouts.csv")
    met = {
        name.partition("=")[0]
        for line in good
        for name in re.findall(r"\[sim:([^\]]+)\]", line.request.reference)
    }
    assert len(misbehaviours()) > 30
    assert misbehaviours() <= met


def test_one_id_comes_twice_alike_and_one_twice_with_another_amount() -> None:
    with (EXAMPLES / "payouts.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    twice = [row for row in rows if row["id"] == "po_twice"]
    assert len(twice) == 2
    assert twice[0] == twice[1]
    conflict = [row for row in rows if row["id"] == "po_conflict"]
    assert len({row["amount"] for row in conflict}) == 2
    assert [i for i, n in Counter(row["id"] for row in rows).items() if n > 1] == [
        "po_twice",
        "po_conflict",
    ]


def test_the_transfers_are_valid_and_between_accounts_that_are_opened() -> None:
    transfers, bad_transfers = files.read_transfers(EXAMPLES / "transfers.csv")
    accounts, bad_accounts = files.read_accounts(EXAMPLES / "accounts.csv")
    assert len(transfers) >= 50
    assert not bad_transfers
    assert not bad_accounts
    opened = {line.request.account for line in accounts}
    assert {line.request.source for line in transfers} <= opened
    assert {line.request.destination for line in transfers} <= opened
    payouts, _ = files.read_payouts(EXAMPLES / "payouts.csv")
    assert {line.request.account for line in payouts} <= opened


def test_the_scenario_speaks_of_payments_and_people_that_exist() -> None:
    scenario = read_scenario(EXAMPLES / "scenario.toml")
    payouts, _ = files.read_payouts(EXAMPLES / "payouts.csv")
    transfers, _ = files.read_transfers(EXAMPLES / "transfers.csv")
    known = {line.request.id for line in payouts} | {line.request.id for line in transfers}
    assert {moment.payment for moment in scenario.time} <= known
    assert {act.payment for act in scenario.act} <= known
    assert {act.by for act in scenario.act} <= set(PEOPLE)


def test_the_moment_of_a_scheduled_payment_is_chosen_once(tmp_path: Path) -> None:
    scenario = read_scenario(EXAMPLES / "scenario.toml")
    before = datetime.now(UTC)
    copy = working_copy(EXAMPLES / "payouts.csv", tmp_path, scenario)
    good, _ = files.read_payouts(copy)
    at = {line.request.id: line.request.execute_at for line in good}["po_scheduled"]
    assert at is not None
    assert at > before
    content = copy.read_bytes()
    assert working_copy(EXAMPLES / "payouts.csv", tmp_path, scenario).read_bytes() == content
    originals, _ = files.read_payouts(EXAMPLES / "payouts.csv")
    assert [line.request for line in good if line.request.id != "po_scheduled"] == [
        line.request for line in originals if line.request.id != "po_scheduled"
    ]


OURS = [
    NostroLine("EUR", 1000, "wallet/acme/EUR", "deposit/1"),
    NostroLine("EUR", -300, "po_a", "po_a/settle/1"),
]
BANK = [
    BankLine("bl_1", "EUR", 1000, "wallet/acme/EUR"),
    BankLine("bl_2", "EUR", -300, "po_a"),
]


def test_two_books_that_say_the_same_agree() -> None:
    result = compare(OURS, BANK, {"EUR": 700})
    assert result.mismatches == 0
    assert [tie.agrees for tie in result.ties] == [True]


@pytest.mark.parametrize(
    ("ours", "bank", "balance"),
    [
        (OURS, [*BANK, BANK[1]], 400),  # the bank paid twice
        (OURS[:1], BANK, 700),  # a payout that we do not know of
        (OURS, BANK[:1], 1000),  # a payout that the bank never made
        (OURS, [BANK[0], BankLine("bl_2", "EUR", -300, "po_b")], 700),  # somebody else's payout
        (OURS, [BANK[0], BankLine("bl_2", "EUR", -301, "po_a")], 699),  # a cent more
        (OURS, [BANK[0], BankLine("bl_2", "USD", -300, "po_a")], 1000),  # another currency
        (OURS, BANK, 699),  # lines agree, but the bank's balance is another
        ([], [], 5),  # a balance out of nothing
    ],
)
def test_any_difference_between_the_books_is_found(
    ours: list[NostroLine], bank: list[BankLine], balance: int
) -> None:
    assert compare(ours, bank, {"EUR": balance}).mismatches > 0


def summary(
    *,
    comparison: Comparison | None = None,
    books: BooksReport | None = None,
    unfinished: dict[str, str] | None = None,
) -> Summary:
    return Summary(
        sums=[
            ("EUR", PaymentState.SETTLED, "payout", 2, 500),
            ("EUR", PaymentState.SETTLED, "transfer", 1, 100),
            ("JPY", PaymentState.FAILED, "payout", 1, 7),
        ],
        comparison=comparison or compare(OURS, BANK, {"EUR": 700}),
        books=books or report({"EUR": 0}),
        unfinished=unfinished or {},
        cases=[],
        lived=[Lived("po_a", 12.5), Lived("po_b", 13.0), Lived("tr_a", 10.1)],
        costs=[Cost("po_a", 10.0, 20, 6), Cost("po_b", 10.0, 18, 5), Cost("tr_a", 10.0, 8, 2)],
        seconds_total=3.14,
        ui_url="http://127.0.0.1",
    )


def report(trial_balance: dict[str, int], breaks: tuple[Break, ...] = ()) -> BooksReport:
    return BooksReport(
        checked_at=datetime.now(UTC), checks=("all",), breaks=breaks, trial_balance=trial_balance
    )


def test_the_summary_counts_and_sums() -> None:
    told = summary().as_json()
    assert told["payments_by_state"] == {"failed": 1, "settled": 3}
    assert told["sums_by_currency"] == {"EUR": {"settled": 600}, "JPY": {"failed": 7}}
    assert told["events_max"] == {"payout": 20, "transfer": 8}
    assert told["actions_max"] == 6
    assert told["latency_ms"] == {"p50": 2500.0, "p99": 3000.0}
    assert told["payouts_per_second"] == pytest.approx(0.7)


def test_the_run_is_good_only_when_nothing_is_wrong() -> None:
    assert summary().good
    assert not summary(comparison=compare(OURS, BANK[:1], {"EUR": 1000})).good
    assert not summary(books=report({"EUR": 0, "USD": 1})).good
    assert not summary(books=report({}, (Break(check="c", where="w", detail="d"),))).good
    assert not summary(unfinished={"po_a": "submitted"}).good


def test_percentiles_are_the_smallest_time_that_covers_the_share() -> None:
    times = [float(n) for n in range(1, 101)]
    assert percentile(times, 0.5) == 50.0
    assert percentile(times, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) is None


def test_actions_are_counted_as_they_are_billed() -> None:
    events = [
        HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
        *(_marker(4), _marker(4), _marker(9)),  # two local steps of one task, one of another
        _attempt(3),
        HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED),
        HistoryEvent(event_type=EventType.EVENT_TYPE_TIMER_FIRED),
        HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED),
    ]
    assert actions_in(events) == 1 + 2 + 3 + 1


def _marker(task: int) -> HistoryEvent:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_MARKER_RECORDED)
    event.marker_recorded_event_attributes.workflow_task_completed_event_id = task
    return event


def _attempt(number: int) -> HistoryEvent:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    event.activity_task_started_event_attributes.attempt = number
    return event
