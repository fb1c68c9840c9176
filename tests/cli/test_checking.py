"""`send --check`: a file is judged without any service, and nothing is sent."""

from __future__ import annotations

from bursar.cli.codes import ExitCode
from tests.cli.conftest import Cli
from tests.cli.sample import GOOD, HEADER, good

BAD_IBAN = GOOD.replace("po_a1", "po_bad").replace("DE89370400440532013000", "DE00")


def test_a_good_file_passes_without_any_service(cli: Cli) -> None:
    file = cli.file("p.csv", f"{HEADER}\n{good('po_1')}\n{good('po_2', '1.00')}\n")
    ended = cli("payouts", "send", file, "--check")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert "would be sent" in ended.out
    assert "13.50" in ended.out
    assert "Nothing was sent" in ended.out


def test_a_bad_line_is_named_and_the_others_would_be_sent(cli: Cli) -> None:
    file = cli.file("p.csv", "\n".join([HEADER, good("po_1"), BAD_IBAN, good("po_1")]))
    ended = cli("payouts", "send", file, "--check")
    assert ended.code == ExitCode.INVALID
    line = next(line for line in ended.out.splitlines() if "p.csv:3" in line)
    assert "po_bad" in line
    assert "iban" in line
    assert "is not a valid IBAN" in line


def test_json_tells_every_line_and_nothing_else_is_on_standard_output(cli: Cli) -> None:
    lines = [HEADER, good("po_1"), BAD_IBAN, good("po_1"), good("po_1", "9.99")]
    ended = cli("payouts", "send", cli.file("p.csv", "\n".join(lines)), "--check", "--json")
    assert ended.code == ExitCode.CONFLICT
    told = ended.json
    assert told["counts"] == {"good": 1, "repeated": 1, "conflict": 1, "refused": 1}
    assert told["sums"] == {"EUR": {"payments": 1, "amount_minor": 1250}}
    assert [(one["line"], one["outcome"]) for one in told["lines"]] == [
        (2, "good"),
        (4, "repeated"),
        (5, "conflict"),
    ]
    assert told["refused"][0]["line"] == 3
    assert told["refused"][0]["faults"][0]["field"] == "iban"


def test_standard_input_is_read_when_its_form_is_told(cli: Cli) -> None:
    raw = f"{HEADER}\n{good('po_1')}\n".encode()
    ended = cli("payouts", "send", "-", "--format", "csv", "--check", "--json", stdin=raw)
    assert ended.json["counts"] == {"good": 1}
    unsaid = cli("payouts", "send", "-", "--check", stdin=raw)
    assert unsaid.code == ExitCode.INVALID
    assert "--format csv or jsonl" in unsaid.err


def test_a_file_of_nothing_but_its_header_is_fine_and_needs_no_service(cli: Cli) -> None:
    ended = cli("payouts", "send", cli.file("p.csv", HEADER))
    assert ended.code == ExitCode.OK
    assert "nothing to send" in ended.out


def test_transfers_and_accounts_are_checked_alike(cli: Cli) -> None:
    header = "id,source,destination,amount,currency,reference,created_by\n"
    file = cli.file("t.csv", f"{header}tr_1,wallet/a/EUR,wallet/a/EUR,1,EUR,r,me\n")
    ended = cli("transfers", "send", file, "--check")
    assert ended.code == ExitCode.INVALID
    assert "the same account" in ended.out
    file = cli.file("a.csv", "account,tenant\nwallet/a/EUR,main\nwallet/A/EUR,main\n")
    ended = cli("accounts", "open", file, "--check", "--json")
    assert ended.code == ExitCode.INVALID
    assert (ended.json["good"], ended.json["refused"][0]["line"]) == (1, 3)


def test_what_a_file_holds_never_reaches_the_terminal_as_a_command(cli: Cli) -> None:
    line = GOOD.replace("po_a1", "po_\x1b]0;owned\x07").replace("INV-1", "\x1b[31m[bold]")
    ended = cli("payouts", "send", cli.file("p.csv", f"{HEADER}\n{line}\n"), "--check")
    assert ended.code == ExitCode.INVALID
    assert "\x1b" not in ended.out + ended.err
    assert "\x07" not in ended.out + ended.err
