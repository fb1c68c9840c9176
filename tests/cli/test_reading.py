"""Looking, against a gateway: what is printed, what --json holds, and which code it ends with."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from bursar.actions import Answer, Verdict
from bursar.cli.codes import ExitCode, code_of, code_of_answer
from bursar.errors import ActionRefused
from bursar.payments import PaymentState
from bursar.views import AccountList, BooksReport, Break, PaymentPage, PaymentView
from tests.cli import sample
from tests.cli.conftest import BURSAR, Cli
from tests.cli.small_gateway import JOURNAL, SmallGateway, empty_account


def test_show_tells_everything_of_a_payout(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    ended = connected("payouts", "show", "po_1")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for expected in (
        "settled",
        "1,250.00 EUR",
        "fee of 1.25",
        "DE89…3000",
        "as agreed by telephone",
        "ana",
        "po_1-1",
        "SIM-77",
        '202 {"status": "accepted"}',
        "-1,251.25 EUR",
        "wallet/acme/EUR",
    ):
        assert expected in ended.out
    assert "\x1b" not in ended.out  # the partner's words hold one


def test_show_names_the_file_that_has_what_is_archived(
    connected: Cli, gateway: SmallGateway
) -> None:
    view = sample.payout("po_1")
    gone = {"entries": (), "archived_in": "entries-0001.jsonl.gz"}
    postings = tuple(posting.model_copy(update=gone) for posting in view.postings)
    gateway.payments["po_1"] = view.model_copy(update={"postings": postings})
    told = connected("payouts", "show", "po_1").out
    assert "archived in entries-0001.jsonl.gz" in told
    assert "-1,251.25 EUR" not in told


def test_show_as_json_is_the_gateways_view(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    ended = connected("payouts", "show", "po_1", "--json")
    assert PaymentView.model_validate(ended.json) == sample.payout("po_1")


def test_a_list_says_how_to_see_its_next_page(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments = {f"po_{n}": sample.payout(f"po_{n}") for n in range(5)}
    command = ["payouts", "list", "--state", "settled", "--limit", "2"]
    seen = []
    for _ in range(3):
        ended = connected(*command)
        assert ended.code == ExitCode.OK
        seen += [word for word in ended.out.split() if word.startswith("po_")]
        command = ended.out.partition("More: bursar ")[2].split()
    assert seen == ["po_0", "po_1", "po_2", "po_3", "po_4"]
    assert command == []


def test_lists_keep_payouts_and_transfers_apart(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments = {"po_1": sample.payout("po_1"), "tr_1": sample.payout("tr_1")}
    for command, expected in (("payouts", "po_1"), ("transfers", "tr_1")):
        page = PaymentPage.model_validate(connected(command, "list", "--json").json)
        assert [payment.id for payment in page.payments] == [expected]
    assert "No payouts match." in connected("payouts", "list", "--account", "wallet/b/EUR").out


def test_accounts_are_listed_with_and_without_the_word(
    connected: Cli, gateway: SmallGateway
) -> None:
    for path in ("wallet/a/EUR", "wallet/b/JPY"):
        gateway.accounts[path] = empty_account(path)
    for command in (["accounts"], ["accounts", "list"]):
        found = AccountList.model_validate(connected(*command, "--json").json)
        assert [account.path for account in found.accounts] == ["wallet/a/EUR", "wallet/b/JPY"]
        assert "wallet/a" not in connected(*command, "--prefix", "wallet/b/").out


def test_accounts_are_opened_out_of_a_file(connected: Cli, gateway: SmallGateway) -> None:
    file = connected.file("a.csv", "account,tenant\nwallet/a/EUR,acme\nwallet/b/JPY,\nbad,\n")
    ended = connected("accounts", "open", file)
    assert ended.code == ExitCode.INVALID
    assert "a.csv:4: account" in ended.out
    assert {path: one.tenant for path, one in gateway.accounts.items()} == {
        "wallet/a/EUR": "acme",
        "wallet/b/JPY": "main",
    }


def test_sound_books_end_with_0_and_broken_ones_with_1(
    connected: Cli, gateway: SmallGateway
) -> None:
    gateway.report = sample.sound_books()
    ended = connected("books", "check")
    assert ended.code == ExitCode.OK
    assert "2 checks, 0 breaks" in ended.out

    found = Break(check="floors", where="wallet/acme/EUR", detail="below its floor")
    gateway.report = gateway.report.model_copy(update={"breaks": (found,)})
    ended = connected("books", "check")
    assert ended.code == ExitCode.REFUSED
    assert "below its floor" in ended.out
    ended = connected("books", "check", "--json")
    assert (ended.code, BooksReport.model_validate(ended.json)) == (1, gateway.report)


def test_a_trial_balance_that_is_not_zero_ends_with_1(
    connected: Cli, gateway: SmallGateway
) -> None:
    report = sample.sound_books()
    gateway.report = report.model_copy(update={"trial_balance": {"EUR": 1}})
    assert connected("books", "check").code == ExitCode.REFUSED


def test_the_export_goes_out_whole_or_into_a_file(connected: Cli) -> None:
    assert connected("books", "export").out == JOURNAL
    ended = connected("books", "export", "--format", "hledger", "--output", "x.journal", "--json")
    assert ended.json == {"format": "hledger", "bytes": len(JOURNAL), "output": "x.journal"}
    assert [path.name for path in sorted(connected.directory.iterdir())] == [
        ".bursar",
        "x.journal",
    ]
    assert (connected.directory / "x.journal").read_text() == JOURNAL


def test_a_place_that_cannot_be_written_is_said_without_a_traceback(connected: Cli) -> None:
    ended = connected("books", "export", "--output", "no/such/folder/x")
    assert ended.code == ExitCode.INVALID
    assert "cannot be written: No such file" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("state", "code"), [(PaymentState.SUBMITTED, 0), (PaymentState.FAILED, 1)])
def test_watch_shows_what_happens_and_ends_with_the_payment(
    connected: Cli, gateway: SmallGateway, state: PaymentState, code: int
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1", state)
    ended = connected("watch", "po_1")
    assert ended.code == code
    assert "as agreed by telephone" in ended.out
    assert ended.out.splitlines()[-1] == f"po_1  {'failed' if code else 'settled'}"

    gateway.payments["po_2"] = sample.payout("po_2", state)
    told = [json.loads(line) for line in connected("watch", "po_2", "--json").out.splitlines()]
    assert [one.get("what") for one in told[:3]] == ["transition", "approval", "transition"]
    assert told[-1]["end"]["id"] == "po_2"


def test_watch_waits_out_a_short_absence_of_the_gateway(
    connected: Cli, gateway: SmallGateway
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1", PaymentState.SUBMITTED)
    gateway.cut = {2, 3}
    ended = connected("watch", "po_1")
    assert ended.code == ExitCode.OK
    assert len(gateway.asked) == 4


def test_ctrl_c_ends_watching_quietly_with_130(connected: Cli, gateway: SmallGateway) -> None:
    gateway.still = True
    gateway.payments["po_1"] = sample.payout("po_1", PaymentState.SUBMITTED)
    with subprocess.Popen(
        [BURSAR, "watch", "po_1"],
        cwd=connected.directory,
        env=connected.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline()  # the first thing that happened: it watches now
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (ExitCode.INTERRUPTED, b"error: stopped\n")


def test_watching_ends_with_6_when_its_time_is_over(connected: Cli, gateway: SmallGateway) -> None:
    gateway.still = True
    gateway.payments["po_1"] = sample.payout("po_1", PaymentState.SUBMITTED)
    ended = connected("watch", "po_1", "--timeout", "0.5")
    assert ended.code == ExitCode.UNAVAILABLE
    assert "has not ended within 0.5 s; it goes on by itself" in ended.err


def test_an_action_without_a_name_goes_through_the_gateway(
    connected: Cli, gateway: SmallGateway
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    ended = connected("approve", "po_1", "--reason", "fine", "--json")
    assert (ended.code, ended.json) == (
        0,
        {"id": "po_1", "verdict": "approved", "detail": "1 of 1"},
    )
    assert gateway.asked == [("POST", "/v1/payments/po_1/approve", {"reason": "fine"})]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.RECORDED, ExitCode.OK),
        (Verdict.APPROVED, ExitCode.OK),
        (Verdict.DENIED, ExitCode.OK),
        (Verdict.CANCELLED, ExitCode.OK),
        (Verdict.RESOLVED, ExitCode.OK),
        (Verdict.TOO_LATE, ExitCode.REFUSED),
        (Verdict.ALREADY_FINAL, ExitCode.REFUSED),
        (Verdict.NOT_WAITING, ExitCode.REFUSED),
        (Verdict.NOT_ALLOWED, ExitCode.NOT_AUTHORISED),
    ],
)
def test_the_answer_to_an_action_decides_the_code(verdict: Verdict, code: ExitCode) -> None:
    assert code_of_answer(Answer(verdict=verdict)) is code
    refused = ActionRefused("it was refused", code=verdict)
    assert code is ExitCode.OK or code_of(refused) is code


def test_an_action_that_came_too_late_says_so(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    gateway.answer = '{"verdict": "too_late", "detail": "so it is"}'
    ended = connected("cancel", "po_1", "--reason", "no longer wanted")
    assert ended.code == ExitCode.REFUSED
    assert "too late" in ended.out
    assert "so it is" in ended.out


@pytest.mark.parametrize(
    ("command", "code"), [("exit-codes", 0), ("payouts send nothing.csv --check", 2)]
)
def test_a_reader_that_is_gone_changes_no_exit_code(
    connected: Cli, command: str, code: int
) -> None:
    script = f"set -o pipefail; '{BURSAR}' {command} 2> /dev/null | true"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=connected.directory,
        env=connected.environment,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code


def test_a_reader_that_closes_early_is_no_error(connected: Cli, gateway: SmallGateway) -> None:
    gateway.payments = {f"po_{n}": sample.payout(f"po_{n}") for n in range(200)}
    script = f"set -o pipefail; '{BURSAR}' payouts list --limit 200 | head -1"
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=connected.directory,
        env=connected.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
