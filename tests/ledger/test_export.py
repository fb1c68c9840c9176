"""Programs that know nothing of ours read the export and come to our balances."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from bursar.errors import InvalidRequest
from bursar.money import decimal_text
from bursar.views import AccountView
from ledger import accounts, postings
from ledger.changes import Change
from ledger.export import ROWS_AT_ONCE, account_name
from ledger.reading import Reader
from tests.ledger.driving import ACME, BANK, DAY, Driver, driving, live_every_life

PROGRAMS = ("ledger", "hledger")


@pytest.fixture
async def driver(books_url: str) -> AsyncIterator[Driver]:
    async with driving(books_url) as driver:
        yield driver


@pytest.fixture
async def reader(auditor_url: str) -> AsyncIterator[Reader]:
    reader = Reader(auditor_url)
    yield reader
    await reader.aclose()


def run(program: str, journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an accounting program on an export, with no settings of the machine's owner."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    plain = ["--args-only"] if program == "ledger" else []
    return subprocess.run(
        [found, *plain, "-f", str(journal), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"LC_ALL": "C", "HOME": str(journal.parent)},
    )


def balances_by(program: str, journal: Path) -> dict[str, tuple[Decimal, str]]:
    """Return every account's balance that is not 0, as the program works it out."""
    arguments = {
        "ledger": ["--pedantic", "balance", "--flat", "--no-total"],
        "hledger": ["balance", "--strict", "--flat", "--no-total"],
    }
    done = run(program, journal, *arguments[program])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: (Decimal(amount), currency) for amount, currency, name in rows}


async def our_balances(reader: Reader) -> dict[str, tuple[Decimal, str]]:
    """Return every account's balance that is not 0, debits positive as these programs have it."""
    return {
        account_name(account.kind, account.path): (_as_debit(account), account.currency)
        for account in (await reader.accounts()).accounts
        if account.posted_minor
    }


def _as_debit(account: AccountView) -> Decimal:
    minor = -accounts.side(account.kind) * account.posted_minor
    return Decimal(decimal_text(minor, account.currency))


async def exported(reader: Reader, style: str, folder: Path) -> Path:
    journal = folder / f"books.{style}"
    with journal.open("w", encoding="ascii") as file:
        async for piece in reader.export(style):
            file.write(piece)
    return journal


@pytest.mark.parametrize("program", PROGRAMS)
async def test_another_program_comes_to_our_balances(
    program: str, driver: Driver, reader: Reader, tmp_path: Path
) -> None:
    await live_every_life(driver)
    journal = await exported(reader, program, tmp_path)
    theirs = balances_by(program, journal)
    assert theirs == await our_balances(reader)
    assert {currency for _, currency in theirs.values()} == {"EUR", "JPY", "KWD"}


@pytest.mark.parametrize("program", PROGRAMS)
async def test_another_program_refuses_an_export_with_a_balance_that_is_not_ours(
    program: str, driver: Driver, reader: Reader, tmp_path: Path
) -> None:
    journal = await exported(reader, program, tmp_path)
    text = journal.read_text()
    assert " = -2000.00 EUR" in text
    journal.write_text(text.replace(" = -2000.00 EUR", " = -2000.01 EUR"))
    done = run(program, journal, "balance")
    assert done.returncode != 0
    assert "assertion" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
async def test_text_of_partners_and_people_cannot_change_what_is_exported(
    program: str, driver: Driver, reader: Reader, tmp_path: Path
) -> None:
    tricks = [
        "evt) ; x",
        "evt\n2026-01-01 x\n    Assets:x  1 EUR",
        "[2026/99/99]",
        ":tag:",
        "a::b",
        "date:2026-99-99",
        "Zürich 東京",
        "= 5 EUR",
        "1,date:x",
        "|",
        "%28",
        "a  b\t1 EUR",
    ]
    for number, trick in enumerate(tricks, start=1):
        await driver.books.write(
            Change(
                key=f"deposit/{BANK}/{trick}",
                kind="deposit",
                actor=f"partner:{trick}",
                reason=trick,
                legs=postings.deposit(ACME, BANK, "EUR", amount_minor=number),
                effective_on=DAY,
                evidence_id=f"event/{trick}",
            )
        )
    journal = await exported(reader, program, tmp_path)
    assert balances_by(program, journal) == await our_balances(reader)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_empty_books_are_an_export_too(program: str, reader: Reader, tmp_path: Path) -> None:
    journal = await exported(reader, program, tmp_path)
    assert balances_by(program, journal) == {}


async def test_more_than_a_page_of_entries_is_exported_whole(
    driver: Driver, reader: Reader, admin_url: str, tmp_path: Path
) -> None:
    numbers = range(ROWS_AT_ONCE // 2 + 20)
    await asyncio.gather(*(driver.deposit(ACME, 1 + n, f"evt_page_{n}") for n in numbers))
    pieces = [piece async for piece in reader.export("ledger")]
    journal = tmp_path / "books.ledger"
    journal.write_text("".join(pieces))
    connection = await asyncpg.connect(admin_url)
    keys = [
        row["key"] for row in await connection.fetch("select key from transactions order by id")
    ]
    await connection.close()
    assert [
        line.split("(")[1].split(")")[0]
        for line in "".join(pieces).splitlines()
        if line.startswith("2026-03-02 (")
    ] == keys
    assert balances_by("ledger", journal) == await our_balances(reader)
    assert max(len(piece) for piece in pieces) < len("".join(pieces)) / 10


async def test_what_moves_no_money_is_a_comment(driver: Driver, reader: Reader) -> None:
    await driver.open_payout("po_1", amount_minor=10_00, fee_minor=5)
    await driver.void("po_1")
    await driver.open_payout("po_2", amount_minor=10**9)
    text = "".join([piece async for piece in reader.export("ledger")])
    assert "; 2026-03-02 (po_1/hold) hold held 10.05 EUR on wallet/acme/EUR\n" in text
    assert "; 2026-03-02 (po_1/void/1) void released 10.05 EUR on wallet/acme/EUR\n" in text
    assert "; 2026-03-02 (po_2/hold) hold was refused: insufficient_funds\n" in text


async def test_an_unknown_format_is_refused_before_anything_is_read(reader: Reader) -> None:
    with pytest.raises(InvalidRequest, match="ledger, hledger") as refused:
        reader.export("beancount")
    assert refused.value.field == "format"
