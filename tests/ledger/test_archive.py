"""Archive: what has ended long ago leaves the books for files, and nothing is lost or different."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from bursar.errors import ContentConflict
from bursar.views import PaymentView
from ledger.archive import main
from ledger.archive_file import Contents, Damaged, Period
from ledger.archiving import Archive, Refused
from ledger.changes import Refusal
from ledger.oversight import Oversight
from ledger.reading import Reader
from tests.ledger.driving import ACME, ZENITH, Driver, driving, live_every_life
from tests.ledger.steps import breaks, until
from tests.ledger.test_export import PROGRAMS, balances_by, our_balances
from tests.ledger.test_periods import WIDTH, go_to, parts

ROOT = Path(__file__).parents[2]
NO_AGE = timedelta()
START_SECONDS_MAX = 100.0
WAITS_FOR = """
select exists (select from pg_locks join pg_stat_activity using (pid)
                where application_name = 'bursar archive' and datname = current_database()
                  and relation = $1::text::regclass and not granted)
"""
NOTHING_LEFT = """
select not exists (select from pg_stat_activity where application_name = 'bursar archive'
                    and datname = current_database())
"""


@pytest.fixture
async def driver(books_url: str, owner: asyncpg.Connection) -> AsyncIterator[Driver]:
    """Drives books whose first period is over, with payments that have all ended."""
    async with driving(books_url) as driver:
        await driver.settle_whole_payout("po_settled")
        await driver.settle_whole_payout("po_returned", amount_minor=20_00, fee_minor=0)
        await driver.give_back("po_returned", kept_minor=1_00)
        await driver.open_payout("po_voided")
        await driver.void("po_voided")
        await driver.open_payout("po_refused", amount_minor=10**9)
        await driver.open_transfer("tr_booked", fee_minor=25)
        await driver.open_payout("po_straddling")
        await driver.claim("po_straddling")
        await driver.capture("po_straddling")
        await go_to(owner, WIDTH)
        await driver.settle("po_straddling")
        yield driver


async def view(url: str, payment_id: str) -> PaymentView:
    reader = Reader(url)
    try:
        found = await reader.payment(payment_id)
    finally:
        await reader.aclose()
    assert found is not None
    return found


async def first(archive: Archive) -> Period:
    return (await archive.periods())[0]


async def archived(admin_url: str, directory: Path) -> Contents:
    """Archive the first period."""
    async with Archive.open(admin_url) as archive:
        period = await first(archive)
        await archive.close(period)
        return await archive.take_out(period, await archive.export(period, directory))


async def test_a_period_leaves_while_money_moves_and_the_books_go_on_from_it(
    driver: Driver, admin_url: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    ids = ("po_settled", "po_returned", "po_voided", "po_straddling", "tr_booked")
    before = {payment_id: await view(admin_url, payment_id) for payment_id in ids}
    enough = asyncio.Event()

    async def pay(name: str) -> int:
        number = 0
        while not enough.is_set():
            number += 1
            await driver.deposit(ACME, 3, f"{name}_{number}")
        return number

    payers = [asyncio.create_task(pay(name)) for name in "abcd"]
    async with Archive.open(admin_url) as archive:
        period = await first(archive)
        assert await archive.kept_by(period, NO_AGE) + await archive.broken() == []
    contents = await archived(admin_url, tmp_path)
    enough.set()
    paid = sum([await payer for payer in payers])

    assert await breaks(admin_url) == []
    assert contents.entries > 20
    assert await parts(owner) == {"entries_2": 2 + 2 * paid}
    for payment_id, was in before.items():
        now = await view(admin_url, payment_id)
        assert [p.key for p in now.postings] == [p.key for p in was.postings]
        assert now.returned_minor == was.returned_minor
        gone = [p.archived_in for p in now.postings if not p.entries]
        assert set(gone) == {period.file_name}
        assert (now.timeline, now.attempts) == (was.timeline, was.attempts)


async def test_a_key_of_archived_books_has_its_first_answer_and_no_other_content(
    driver: Driver, admin_url: str, tmp_path: Path
) -> None:
    await archived(admin_url, tmp_path)
    async with Archive.open(admin_url) as archive:
        await archive.drop(await first(archive), tmp_path)
    again = await driver.open_payout("po_settled")
    assert (again.repeated, again.refusal) == (True, None)
    refused = await driver.open_payout("po_refused", amount_minor=10**9)
    assert (refused.repeated, refused.refusal) == (True, Refusal.FUNDS)
    with pytest.raises(ContentConflict):
        await driver.open_payout("po_settled", amount_minor=100_01)
    assert await breaks(admin_url) == []


async def test_a_closing_balance_that_was_altered_is_found_by_the_checks(
    driver: Driver, admin_url: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await archived(admin_url, tmp_path)
    await driver.deposit(ACME, 3, "evt_after")
    await owner.execute("set session_replication_role = replica")
    await owner.execute(
        "update closings c set posted = posted + 1 from accounts a"
        " where a.id = c.account_id and a.path = $1",
        ACME,
    )
    found = await breaks(admin_url)
    assert len(found) == 2
    assert all(ACME in each for each in found)
    assert "balances_equal_entries" in found[0]
    assert "running_balances" in found[1]


async def test_a_round_over_what_is_new_goes_on_from_the_archive(
    driver: Driver, books_url: str, admin_url: str, tmp_path: Path
) -> None:
    reader = Reader(books_url)
    async with Oversight.open(books_url) as oversight:
        await oversight.record_round(await reader.check_round(full=True))
        await archived(admin_url, tmp_path)
        await driver.give_back("po_straddling")
        await driver.settle_whole_payout("po_after")
        report = (await reader.check_round(full=False)).report
    await reader.aclose()
    assert (report.scope, report.transactions, report.breaks) == ("since_last", 5, ())


async def test_what_comes_back_after_the_archive_is_booked_and_counted(
    driver: Driver, admin_url: str, tmp_path: Path
) -> None:
    await archived(admin_url, tmp_path)
    await driver.give_back("po_settled")
    assert (await view(admin_url, "po_settled")).returned_minor == 100_00
    assert await breaks(admin_url) == []


async def test_the_export_begins_with_what_was_carried_forward(
    driver: Driver, admin_url: str, tmp_path: Path
) -> None:
    await archived(admin_url, tmp_path)
    reader = Reader(admin_url)
    for program in PROGRAMS:
        journal = "".join([piece async for piece in reader.export(program)])
        assert "; before: entries-0001-1-9999999.jsonl.gz" in journal
        assert "* carried forward\n" in journal
        assert "(po_straddling/settle/1)" in journal
        assert "po_returned" not in journal
        file = tmp_path / f"journal.{program}"
        file.write_text(journal)
        assert balances_by(program, file) == await our_balances(reader)
    await reader.aclose()


def start(admin_url: str, directory: Path) -> subprocess.Popen[str]:
    """Start the command as an operator does."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    command = ["run", str(directory), "--older-than", "0"]
    return subprocess.Popen(
        [sys.executable, "-m", "ledger.archive", *command],
        cwd=ROOT,
        env=plain | {"BURSAR_DATABASE_ADMIN_URL": admin_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def killed(run: subprocess.Popen[str], owner: asyncpg.Connection) -> None:
    """End a run as a crash would, and wait until the server knows."""
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=START_SECONDS_MAX)
    await until(lambda: owner.fetchval(NOTHING_LEFT))


async def kill_at(
    locks: dict[str, str],
    stoppers: list[asyncpg.Connection],
    owner: asyncpg.Connection,
    admin_url: str,
    directory: Path,
) -> None:
    """Start a run, let it come to each lock in turn, and kill it as it waits for the last one."""
    run = None
    for stopper, (table, mode) in zip(stoppers, locks.items(), strict=False):
        await stopper.execute(f"begin; lock table only {table} in {mode} mode")
        if run is not None:
            await stoppers[0].execute("rollback")
        run = run or start(admin_url, directory)
        await until(partial(owner.fetchval, WAITS_FOR, table))
    assert run is not None
    await killed(run, owner)
    for stopper in stoppers:
        await stopper.execute("rollback")


async def test_a_run_that_is_killed_at_any_step_is_run_again_and_nothing_is_lost(
    driver: Driver,
    admin_url: str,
    owner: asyncpg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = await owner.fetchval("select count(*) from entries")
    stoppers = [await asyncpg.connect(admin_url) for _ in range(2)]
    for locks in (
        {"entries_1": "row exclusive", "accounts": "access exclusive"},  # to close it; to read it
        {"entries": "access share"},  # to take it out
    ):
        await kill_at(locks, stoppers, owner, admin_url, tmp_path)
        assert await owner.fetchval("select count(*) from entries") == entries
        assert await breaks(admin_url) == []
    for stopper in stoppers:
        await stopper.close()
    monkeypatch.setenv("BURSAR_DATABASE_ADMIN_URL", admin_url)
    file = "entries-0001-1-9999999.jsonl.gz"
    for command, says in (
        (["run", str(tmp_path), "--older-than", "0"], "period 1: 19 transactions"),
        (["run", str(tmp_path), "--older-than", "0"], "period 2: stays: it goes on"),
        (["verify", str(tmp_path / file)], "as it was archived, to the last byte"),
        (["drop", str(tmp_path)], "period 1: its table is dropped"),
        (["show"], f"in {file}; its table is dropped\nperiod 2: transactions 10,000,000 to"),
    ):
        assert await asyncio.to_thread(main, command) == 0
        assert says in capsys.readouterr().out
    assert os.listdir(tmp_path) == [file]
    assert await breaks(admin_url) == []


async def test_a_file_that_was_altered_by_one_byte_is_refused_before_and_after(
    driver: Driver, admin_url: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with Archive.open(admin_url) as archive:
        period = await first(archive)
        await archive.close(period)
        path = await archive.export(period, tmp_path)
        whole = path.read_bytes()
        for place in (4, len(whole) // 2, len(whole) - 5):  # the header's time, content, the end
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            if place > 4:  # the books know only content until they have noted the seal
                with pytest.raises((Damaged, Refused)):
                    await archive.take_out(period, path)
        path.write_bytes(whole)
        await archive.take_out(period, path)
        path.write_bytes(whole[:4] + bytes([whole[4] ^ 1]) + whole[5:])
        with pytest.raises(Damaged, match="archived was"):
            await archive.verify(path)
        with pytest.raises(Damaged, match="archived was"):
            await archive.drop(await first(archive), tmp_path)
        path.write_bytes(whole)
        assert (await archive.verify(path)).period == 1
    assert await owner.fetchval("select count(*) from entries_1") > 0
    assert await breaks(admin_url) == []


async def test_books_that_differ_from_the_file_keep_their_period(
    driver: Driver, admin_url: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with Archive.open(admin_url) as archive:
        period = await first(archive)
        path = await archive.export(period, tmp_path)
        await driver.deposit(ZENITH, 1, "evt_later")
        await go_to(owner, WIDTH - 5)
        await driver.deposit(ZENITH, 1, "evt_in_time")
        await archive.close(period)
        with pytest.raises(Refused, match="not what the books hold"):
            await archive.take_out(period, path)


async def test_what_comes_late_to_a_closed_period_is_booked_in_the_next_one(
    books_url: str, admin_url: str, owner: asyncpg.Connection
) -> None:
    async with driving(books_url) as driver:
        before = await parts(owner)
        async with Archive.open(admin_url) as archive:
            await archive.close(await first(archive))
        await go_to(owner, WIDTH - 2)
        await driver.deposit(ZENITH, 1, "evt_late")
    assert await parts(owner) == before | {"entries_2": 2}
    assert await breaks(admin_url) == []


async def test_a_period_stays_while_anything_in_it_has_not_ended_and_says_what(
    books_url: str, admin_url: str, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    async with driving(books_url) as driver:
        await live_every_life(driver)
    async with Archive.open(admin_url) as archive:
        (young,) = await archive.kept_by(await first(archive), NO_AGE)
        assert young.startswith("it goes on: its last transaction is 9,999,")
        await go_to(owner, WIDTH)
        async with driving(books_url) as driver:
            await driver.deposit(ACME, 1, "evt_new")
        why = await archive.kept_by(await first(archive), timedelta(days=1))
    assert [reason.partition(":")[0] for reason in why] == [
        f"its last transaction is of {await owner.fetchval('select now()::date')}, too young",
        "7 payments have not ended",
        "5 holds are open",
        "2 cases are open",
    ]
    assert "po_accepted, po_claimed, po_held, po_review, po_unknown, …" in why[1]
    done = await asyncio.to_thread(
        start(admin_url, tmp_path).communicate, timeout=START_SECONDS_MAX
    )
    assert done == (f"period 1: stays: {'; '.join(why[1:])}\n", "")
    assert os.listdir(tmp_path) == []
