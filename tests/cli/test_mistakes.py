"""Mistakes and absences: one clear line, the documented code, and never a traceback."""

from __future__ import annotations

import pytest

from bursar.cli.codes import ExitCode
from ops.ports import free_port
from tests.cli import sample
from tests.cli.conftest import Cli, Ended
from tests.cli.sample import HEADER, good
from tests.cli.small_gateway import SmallGateway

NOBODY = "http://127.0.0.1:1"


def assert_clear(ended: Ended, code: ExitCode, message: str) -> None:
    """Assert that a command ended with a code and a message for people, and no traceback."""
    assert ended.code == code, ended.err
    told = " ".join(ended.err.replace("│", " ").split())  # without the frame and its line breaks
    assert message in told, ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("payouts show pay-1", "is no payment id"),
        ("payouts show ../etc", "is no payment id"),
        ("payouts show tr_1", "tr_1 is a transfer; use `bursar transfers show tr_1`"),
        ("transfers show po_1", "po_1 is a payout"),
        ("payouts list --state gone", "'in_review'"),
        ("payouts list --limit 0", "--limit"),
        ("payouts send", "Missing argument"),
        ("payouts send none.csv", "No such file"),
        ("payouts send p.xlsx --check", "cannot be read"),
        ("payouts sendd", "No such command 'sendd'"),
        ("cancel po_1 --by ana", "Missing option '--reason'"),
        ("cancel po_1 --by ana --reason=", "--reason: must not be empty"),
        ("cancel po_1 --by ! --reason why", "--by:"),
        ("resolve po_1 --outcome maybe --evidence x --confirmed-by b", "never_moved"),
        ("resolve po_1 --outcome paid --evidence x --by a --confirmed-by b", "--evidence:"),
        ("resolve po_1 --outcome paid --evidence ticket --confirmed-by b", "go together"),
        ("watch po_1 --gateway http://x", "No such option: --gateway"),
        ("--gateway x:1 accounts", "must begin with http"),
        ("accounts", "nothing says where the gateway is: run `make run`"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(
    cli: Cli, command: str, message: str
) -> None:
    assert_clear(cli.here(*command.split()), ExitCode.INVALID, message)


@pytest.mark.parametrize(
    "command",
    [
        "payouts show po_1",
        "transfers list",
        "books export",
        "watch po_1",
        "approve po_1",
    ],
)
def test_a_gateway_that_is_not_there_ends_with_6_and_what_to_do(cli: Cli, command: str) -> None:
    ended = cli("--gateway", NOBODY, *command.split())
    assert_clear(ended, ExitCode.UNAVAILABLE, f"the gateway does not answer at {NOBODY}")
    assert "make run" in ended.err


@pytest.mark.parametrize(
    "command", ["payouts send p.csv", "approve po_1 --by ana", "cancel tr_1 --by a --reason b"]
)
def test_a_temporal_that_is_not_there_ends_with_6_and_what_to_do(cli: Cli, command: str) -> None:
    cli.file("p.csv", f"{HEADER}\n{good('po_1')}\n")
    address = f"127.0.0.1:{free_port()}"
    ended = cli("--temporal", address, *command.split())
    assert_clear(ended, ExitCode.UNAVAILABLE, f"Temporal does not answer at {address}")
    assert "repeat the same command: money never moves twice" in ended.err


def test_errors_are_json_too_where_json_is_asked_for(connected: Cli, gateway: SmallGateway) -> None:
    for command, code, word in (
        ("payouts show po_1 --json", 4, "payment_not_found"),
        ("payouts show nonsense --json", 2, "id_invalid"),
        ("payouts list --limit many --json", 2, "usage"),
        ("--token wrong payouts list --json", 5, "not_authorised"),
        (f"--gateway {NOBODY} accounts --json", 6, "service_unavailable"),
    ):
        ended = connected(*command.split())
        assert ended.code == code
        assert (ended.json["error"]["code"], ended.json["error"]["exit_code"]) == (word, code)


def test_a_payment_that_is_not_there_ends_with_4(connected: Cli) -> None:
    assert_clear(connected("payouts", "show", "po_1"), ExitCode.NOT_FOUND, "no payment po_1")
    assert_clear(connected("approve", "po_1"), ExitCode.NOT_FOUND, "no payment po_1")


def test_options_win_over_the_environment_and_that_over_the_file(
    cli: Cli, gateway: SmallGateway
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    cli.connect(gateway_url=NOBODY, token="wrong")
    show = ["payouts", "show", "po_1"]
    assert cli(*show).code == ExitCode.UNAVAILABLE
    assert cli(*show, env={"BURSAR_GATEWAY_URL": gateway.url}).code == ExitCode.NOT_AUTHORISED
    right = {"BURSAR_GATEWAY_URL": gateway.url, "BURSAR_TOKEN": gateway.token}
    assert cli(*show, env=right).code == ExitCode.OK
    assert cli("--token", "wrong", *show, env=right).code == ExitCode.NOT_AUTHORISED
    assert cli("--gateway", NOBODY, *show, env=right).code == ExitCode.UNAVAILABLE


def test_a_token_may_come_as_a_secret_file(cli: Cli, gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    (cli.directory / "secrets").mkdir()
    cli.file("secrets/bursar_token", gateway.token)
    places = {"BURSAR_GATEWAY_URL": gateway.url, "BURSAR_SECRETS_DIR": "secrets"}
    assert cli("payouts", "show", "po_1", env=places).code == ExitCode.OK
    places["BURSAR_SECRETS_DIR"] = "elsewhere"
    assert cli("payouts", "show", "po_1", env=places).code == ExitCode.NOT_AUTHORISED


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 7}', '{"gateway_url": {}}'])
def test_a_connection_file_that_cannot_be_read_is_named(cli: Cli, content: str) -> None:
    (cli.directory / ".bursar").mkdir()
    cli.file(".bursar/connection.json", content)
    ended = cli.here("payouts", "list")
    assert_clear(ended, ExitCode.INVALID, ".bursar/connection.json")


def test_a_proxy_in_the_environment_does_not_hide_the_local_gateway(
    connected: Cli, gateway: SmallGateway
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    proxied = {"HTTP_PROXY": NOBODY, "http_proxy": NOBODY, "ALL_PROXY": NOBODY}
    assert connected("payouts", "show", "po_1", env=proxied).code == ExitCode.OK


def test_a_plain_ascii_terminal_does_not_break_the_output(
    connected: Cli, gateway: SmallGateway
) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    ended = connected(
        "payouts", "show", "po_1", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert (ended.code, ended.err) == (ExitCode.OK, "")
