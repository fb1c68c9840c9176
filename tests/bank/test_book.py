"""The bank's own book: credits once, statements that tie out, lines that stay."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.bank.conftest import StartBank
from tests.bank.process import FUNDS_MINOR, BankProcess, new_reference, order
from tests.bank.receiver import Receiver


def today() -> date:
    """Return the day (UTC) of the bank."""
    return datetime.now(UTC).date()


def test_a_credit_is_booked_once_and_told(bank: BankProcess, shared_receiver: Receiver) -> None:
    credit_id, reference = new_reference("c"), "wallet/once/EUR"
    first = bank.credit(credit_id, reference, 5000)
    again = bank.credit(credit_id, reference, 5000)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    line = first.json()
    (told,) = shared_receiver.wait_for_types(reference, "credit.received")
    assert told.body["data"] == {
        "credit_id": credit_id,
        "reference": reference,
        "amount_minor": 5000,
        "currency": "EUR",
        "booked_at": line["booked_at"],
        "value_on": line["value_on"],
        "line_id": line["id"],
    }
    bank.wait_until_idle()
    assert len(shared_receiver.of(reference)) == 1
    assert bank.lines(reference) == [line]


@pytest.mark.parametrize(
    ("reference", "amount_minor", "currency"),
    [("wallet/b/EUR", 1, "EUR"), ("wallet/a/EUR", 2, "EUR"), ("wallet/a/EUR", 1, "USD")],
)
def test_a_credit_id_with_other_content_is_a_conflict(
    bank: BankProcess, reference: str, amount_minor: int, currency: str
) -> None:
    credit_id = new_reference("c")
    bank.credit(credit_id, "wallet/a/EUR", 1)
    reply = bank.credit(credit_id, reference, amount_minor, currency)
    assert (reply.status_code, reply.json()["code"]) == (409, "credit_conflict")


def test_statements_tie_out_with_lines_and_balances(start_bank: StartBank) -> None:
    bank = start_bank()
    bank.fund("USD")
    for marker in ("", "[sim:paid-then-returned-less-fee]", "[sim:accepted-then-failed]"):
        bank.pay(order(new_reference(), marker))
    bank.wait_until_steps_are_done()
    day = today()
    statements = bank.http.get(f"/v1/statements/{day}").json()["statements"]
    assert [one["currency"] for one in statements] == ["EUR", "USD"]
    for one in statements:
        assert one["opening_minor"] == 0  # the account is new today
        moved = sum(line["amount_minor"] for line in one["lines"])
        assert one["opening_minor"] + moved == one["closing_minor"]
        assert one["lines"][-1]["balance_minor"] == one["closing_minor"]
    euro, dollar = statements
    assert euro["closing_minor"] == FUNDS_MINOR - 2 * 1250 + 1250 - 12
    assert bank.state()["balances"] == {
        "EUR": euro["closing_minor"],
        "USD": dollar["closing_minor"],
    }
    tomorrow = bank.http.get(
        f"/v1/statements/{day + timedelta(days=1)}", params={"currency": "EUR"}
    ).json()
    assert tomorrow["statements"] == [
        {
            "currency": "EUR",
            "opening_minor": euro["closing_minor"],
            "closing_minor": euro["closing_minor"],
            "lines": [],
        }
    ]


def test_a_statement_of_a_currency_without_lines_is_all_zeros(bank: BankProcess) -> None:
    reply = bank.http.get(f"/v1/statements/{today()}", params={"currency": "TND"})
    (statement,) = reply.json()["statements"]
    assert statement == {"currency": "TND", "opening_minor": 0, "closing_minor": 0, "lines": []}
    assert bank.http.get("/v1/statements/tomorrow").json()["code"] == "invalid_request"


def test_the_book_is_read_page_by_page_without_gap_or_repeat(bank: BankProcess) -> None:
    for _ in range(5):
        bank.credit(new_reference("c"), "wallet/pages/EUR", 1)
    seqs: list[int] = []
    after: int | None = 0
    while after is not None:
        page = bank.http.get("/v1/book", params={"after": after, "limit": 2}).json()
        assert len(page["lines"]) <= 2
        seqs += [line["seq"] for line in page["lines"]]
        after = page["next_after"]
    assert seqs == list(range(1, bank.state()["lines"] + 1))
    assert bank.http.get("/v1/book", params={"limit": 1001}).status_code == 400


def test_the_file_itself_refuses_to_change_or_lose_a_line(start_bank: StartBank) -> None:
    bank = start_bank()
    bank.stop()
    connection = sqlite3.connect(bank.directory / "bank.sqlite")
    try:
        for statement in ("UPDATE lines SET amount_minor = 1", "DELETE FROM lines"):
            with pytest.raises(sqlite3.IntegrityError, match="a booked line never"):
                connection.execute(statement)
    finally:
        connection.close()


def test_control_settings_are_checked_together_and_kept(start_bank: StartBank) -> None:
    bank = start_bank()
    bank.tune(pay_seconds=7.5, mix={"slow-accept": 1.0})
    told = bank.tune(mix={"reject": 0.25})
    assert (told["pay_seconds"], told["mix"]) == (7.5, {"reject": 0.25})
    for wrong in (
        {"mix": {"no-such-thing": 0.1}},
        {"mix": {"reject": 0.7, "slow-accept": 0.7}},
        {"mix": {"reject": -0.1}},
        {"pay_seconds": -1},
        {"no_such_setting": 1},
    ):
        reply = bank.http.post("/control/settings", json=wrong)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
    bank.kill()
    bank.set(PAY_SECONDS="3", SLOW_SECONDS="2.5")
    bank.start()
    kept = bank.http.get("/control/settings").json()
    assert kept == {**told, "slow_seconds": 2.5}  # what control has changed wins, the rest is new
