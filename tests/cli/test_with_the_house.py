"""The command against everything: real worker, gateway, bank, Temporal and books."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bursar.cli.codes import ExitCode
from bursar.ids import new_payout_id, new_transfer_id
from bursar.payments import PaymentState
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal, find_temporal
from tests.cli.conftest import Cli
from tests.cli.sample import HEADER
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.house import RULES, TOKEN, House, open_house

pytestmark = pytest.mark.end_to_end

BY_SIGNAL = Path(__file__).parents[2] / "docs" / "acting-by-signal.md"
PATIENT = RULES.replace("approval_expires_after = 3\n", "approval_expires_after = 300\n")
"""The house's rules, but approvals wait as long as a slow machine may need."""

LATER = (datetime.now(tz=UTC) + timedelta(days=2)).date().isoformat()


@pytest.fixture(scope="module")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house with two funded wallets."""
    database = temporal.unique("cli").replace("-", "_")
    await run_sql(postgres.admin_url, f"CREATE DATABASE {database} TEMPLATE {template}")
    directory = Path(tempfile.mkdtemp(prefix="bursar-cli-"))
    books_url = postgres.url(database, user=WRITER, password=LOGIN_PASSWORD)
    async with open_house(directory, temporal, books_url, rules=PATIENT) as house:
        await house.fund("wallet/acme/EUR", "wallet/acme/GBP", "wallet/borealis/EUR")
        yield house
    shutil.rmtree(directory)


@pytest.fixture
def at_home(cli: Cli, house: House) -> Cli:
    """The command in a directory from which it finds the house."""
    cli.connect(
        temporal_address=house.temporal_address,
        temporal_namespace=house.namespace,
        gateway_url=house.gateway_url,
        token=TOKEN,
    )
    return cli


def send(cli: Cli, currency: str, amount: str, *, on: str = "") -> str:
    """Send one payout by file and return its id."""
    made = new_payout_id()
    line = (
        f"{made},wallet/acme/{currency},{amount},{currency},iban,Ana Lopez,"
        f"DE89370400440532013000,,,,,INV-1,maker,{on},,,,"
    )
    ended = cli("payouts", "send", cli.file("one.csv", f"{HEADER}\n{line}\n"), "--json")
    assert ended.json["counts"] == {"started": 1}, ended
    return made


async def test_a_payout_is_sent_watched_shown_and_listed(at_home: Cli, house: House) -> None:
    paid = send(at_home, "EUR", "12.50")
    watched = at_home("watch", paid, "--timeout", "60")
    assert watched.code == ExitCode.OK, watched
    assert watched.out.splitlines()[-1] == f"{paid}  settled"
    shown = at_home("payouts", "show", paid)
    for expected in ("12.50 EUR", "settled", f"{paid}-1", "wallet/acme/EUR", "maker"):
        assert expected in shown.out
    listed = at_home("payouts", "list", "--state", "settled", "--json").json["payments"]
    assert paid in [payment["id"] for payment in listed]
    late = at_home("cancel", paid, "--by", "ana", "--reason", "too late")
    assert late.code == ExitCode.REFUSED


async def test_a_transfer_is_sent_and_the_books_still_balance(at_home: Cli) -> None:
    made = new_transfer_id()
    header = "id,source,destination,amount,currency,reference,created_by"
    line = f"{made},wallet/acme/EUR,wallet/borealis/EUR,3.00,EUR,INV-1,maker"
    sent = at_home("transfers", "send", at_home.file("t.csv", f"{header}\n{line}\n"))
    assert sent.code == ExitCode.OK
    assert at_home("watch", made, "--timeout", "60").code == ExitCode.OK
    assert "wallet/borealis/EUR" in at_home("transfers", "show", made).out
    checked = at_home("books", "check", "--json")
    assert (checked.code, checked.json["breaks"]) == (ExitCode.OK, [])
    assert made in at_home("books", "export", "--format", "ledger").out
    wallets = at_home("accounts", "--prefix", "wallet/borealis/", "--json").json["accounts"]
    assert [wallet["posted_minor"] for wallet in wallets] == [100_000_300]


async def test_another_person_approves_and_the_one_who_made_it_may_not(
    at_home: Cli, house: House
) -> None:
    made = send(at_home, "GBP", "1500.00")
    await house.reaches(made, PaymentState.AWAITING_APPROVAL)
    own = at_home("approve", made, "--by", "maker", "--json")
    assert (own.code, own.json["verdict"]) == (ExitCode.NOT_AUTHORISED, "not_allowed")
    other = at_home("approve", made, "--by", "ana", "--reason", "by telephone")
    assert other.code == ExitCode.OK, other
    await house.reaches(made, PaymentState.SETTLED)
    assert "by telephone" in at_home("payouts", "show", made).out


async def test_a_denied_payout_ends_and_watching_it_says_so(at_home: Cli, house: House) -> None:
    made = send(at_home, "GBP", "1600.00")
    await house.reaches(made, PaymentState.AWAITING_APPROVAL)
    assert at_home("deny", made, "--by", "ben", "--reason", "not ours").code == ExitCode.OK
    watched = at_home("watch", made, "--timeout", "60")
    assert watched.code == ExitCode.REFUSED
    assert watched.out.splitlines()[-1] == f"{made}  denied"
    again = at_home("deny", made, "--by", "ben", "--reason", "not ours", "--json")
    assert again.code == ExitCode.REFUSED


async def test_a_scheduled_payout_is_cancelled_by_the_holder_of_the_token(
    at_home: Cli, house: House
) -> None:
    made = send(at_home, "EUR", "5.00", on=LATER)
    await house.reaches(made, PaymentState.SCHEDULED)
    ended = at_home("cancel", made, "--reason", "paid by card", "--json")
    assert (ended.code, ended.json["verdict"]) == (ExitCode.OK, "cancelled")
    view = await house.reaches(made, PaymentState.CANCELLED)
    assert "ops" in {entry.actor for entry in view.timeline}


async def test_a_payment_that_nobody_started_is_not_found(at_home: Cli) -> None:
    for command in (["payouts", "show"], ["approve", "--by", "ana"], ["cancel", "--reason", "x"]):
        assert at_home(*command, new_payout_id()).code == ExitCode.NOT_FOUND


def documented(heading: str) -> dict[str, str]:
    """Return the commands under a heading of the page on signals, by what they do."""
    section = BY_SIGNAL.read_text().partition(f"## {heading}")[2].partition("\n## ")[0]
    lines = re.findall(r"^temporal workflow .*$", section, flags=re.MULTILINE)
    return {shlex.split(line)[shlex.split(line).index("--name") + 1]: line for line in lines}


def follow(line: str, payment_id: str, house: House) -> str:
    """Run a line of the page as a reader would, with another payment's id in it."""
    words = shlex.split(line.replace("po_invoice_0007", payment_id))
    ended = subprocess.run(
        [str(find_temporal()), *words[1:], "--output", "json"],
        env={
            "HOME": str(house.directory),
            "TEMPORAL_ADDRESS": house.temporal_address,
            "TEMPORAL_NAMESPACE": house.namespace,
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


@pytest.mark.parametrize(
    ("verb", "verdict", "state"),
    [
        ("approve", "approved", PaymentState.SETTLED),
        ("deny", "denied", PaymentState.DENIED),
        ("cancel", "cancelled", PaymentState.CANCELLED),
    ],
)
@pytest.mark.parametrize("way", ["signals", "updates"])
async def test_the_documented_lines_for_temporals_own_command_work_as_they_stand(
    at_home: Cli, house: House, way: str, verb: str, verdict: str, state: PaymentState
) -> None:
    made = send(at_home, "GBP", "1700.00")
    await house.reaches(made, PaymentState.AWAITING_APPROVAL)
    told = follow(documented(f"Copy and paste: {way}")[verb], made, house)
    if way == "updates":
        assert json.loads(told)["result"]["verdict"] == verdict
    view = await house.reaches(made, state)
    assert "ana" in {entry.actor for entry in view.timeline}


@pytest.mark.parametrize("way", ["signals", "updates"])
async def test_the_documented_resolution_is_understood(
    at_home: Cli, house: House, way: str
) -> None:
    made = send(at_home, "GBP", "1800.00")
    await house.reaches(made, PaymentState.AWAITING_APPROVAL)
    told = follow(documented(f"Copy and paste: {way}")["resolve"], made, house)
    if way == "updates":
        assert json.loads(told)["result"]["verdict"] == "not_waiting"
    else:
        view = await house.shows(made, "note")
        assert not any("unreadable" in entry.text for entry in view.timeline)
    assert at_home("deny", made, "--by", "ana", "--reason", "enough").code == ExitCode.OK
