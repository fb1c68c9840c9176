"""Rounds of checks: what comes in is looked at once, whenever it commits and whatever crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.checking import CASES_MAX, CheckActivities
from activities.sweeping import Pace, SweepActivities
from bursar.views import CheckRound
from ledger.oversight import Oversight
from ledger.reading import Reader
from ledger.rounds import Round, what_is_late
from tests.ledger.corruptions import ONE_SIDED, one_sided
from tests.ledger.driving import ACME, Driver, driving

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RECORD = (
    "record_check_round_v1(bigint, bigint, bigint, bigint, bigint, jsonb, timestamptz, timestamptz)"
)
BREAKS = "select id, detail, closed_at from cases where kind = 'books_break' order by id"


class Watch(NamedTuple):
    """Everything that a worker has for its rounds, and a superuser beside it."""

    driver: Driver
    reader: Reader
    oversight: Oversight
    owner: asyncpg.Connection

    async def round(self, *, full: bool = False) -> Round:
        """Run a round and put it on record."""
        done = await self.reader.check_round(full=full)
        await self.oversight.record_round(done)
        return done

    async def plant(self, *statements: str) -> None:
        """Write past every function, trigger and grant, and commit."""
        async with self.owner.transaction():
            await self.owner.execute("set local session_replication_role = replica")
            for statement in statements:
                await self.owner.execute(statement)

    async def worker_round(self, *, full: bool = False) -> CheckRound:
        """Run the step of the worker that does all of it."""
        checks = CheckActivities(self.driver.books, self.oversight, self.reader)
        kept: CheckRound = await ActivityEnvironment().run(checks.check, full)
        return kept


@pytest.fixture
async def watch(books_url: str, owner: asyncpg.Connection) -> AsyncIterator[Watch]:
    reader = Reader(books_url)
    async with driving(books_url) as driver, Oversight.open(books_url) as oversight:
        yield Watch(driver, reader, oversight, owner)
    await reader.aclose()


def broken(done: Round) -> set[tuple[str, str]]:
    return {(found.check, found.where) for found in done.report.breaks}


PLANTED = {("transactions_balance", ONE_SIDED[0].key), ("transactions_balance", ONE_SIDED[1].key)}
PLANT = (*one_sided(ONE_SIDED[0]), *one_sided(ONE_SIDED[1]))


async def test_the_first_round_is_a_full_one_and_the_next_looks_at_what_is_new(
    watch: Watch,
) -> None:
    first = await watch.round()
    assert (first.report.scope, first.report.transactions) == ("full", None)
    await watch.driver.settle_whole_payout("po_1")
    second = await watch.round()
    assert (second.report.scope, second.report.transactions) == ("since_last", 4)
    third = await watch.round()
    assert third.report.transactions == 0
    assert broken(first) | broken(second) | broken(third) == set()


async def test_what_breaks_the_books_is_found_by_the_next_round_once_and_by_the_full_one(
    watch: Watch,
) -> None:
    await watch.round()
    await watch.plant(*PLANT)
    assert broken(await watch.round()) == PLANTED
    assert broken(await watch.round()) == set()
    assert broken(await watch.round(full=True)) == PLANTED
    rounds = await watch.reader.check_rounds(2)
    assert [(each.scope, each.breaks) for each in rounds.rounds] == [("full", 2), ("since_last", 0)]
    assert {(found.check, found.where) for found in rounds.rounds[0].first_breaks} == PLANTED


async def test_a_transaction_that_commits_after_newer_ones_were_checked_is_not_passed_over(
    watch: Watch, admin_url: str
) -> None:
    await watch.round()
    late = await asyncpg.connect(admin_url)
    transaction = late.transaction()
    await transaction.start()
    await late.execute("set local session_replication_role = replica")
    for statement in PLANT:
        await late.execute(statement)
    before = await watch.driver.books.now()
    await watch.driver.settle_whole_payout("po_1")
    meanwhile = await watch.round()
    assert meanwhile.report.transactions == 0, "nothing is safe behind what may still commit"
    assert meanwhile.horizon.covers_until < await watch.driver.books.now()
    assert meanwhile.horizon.covers_until >= before
    await transaction.commit()
    await late.close()
    after = await watch.round()
    assert after.report.transactions == 4 + len(ONE_SIDED)
    assert broken(after) == PLANTED


async def test_a_round_that_is_not_put_on_record_is_repeated_and_its_case_is_one(
    watch: Watch,
) -> None:
    """A crash between the checks and the mark loses no break, and calls nobody twice."""
    await watch.worker_round()
    await watch.plant(*PLANT)
    await watch.owner.execute(f"revoke execute on function {RECORD} from bursar_writer")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await watch.worker_round()
    opened = await watch.owner.fetch(BREAKS)
    assert len(opened) == len(PLANTED)
    await watch.owner.execute(f"grant execute on function {RECORD} to bursar_writer")

    again = await watch.worker_round()
    assert (again.scope, again.breaks) == ("since_last", len(PLANTED))
    assert (await watch.worker_round()).breaks == 0
    assert (await watch.worker_round(full=True)).breaks == len(PLANTED)
    assert await watch.owner.fetch(BREAKS) == opened


async def test_a_break_that_is_still_there_when_its_case_is_closed_gets_another(
    watch: Watch,
) -> None:
    await watch.plant(*PLANT)
    await watch.worker_round()
    case_id = (await watch.owner.fetch(BREAKS))[0]["id"]
    await watch.owner.execute(
        "update cases set closed_at = now(), closed_by = 'ana', resolution = '' where id = $1",
        case_id,
    )
    await watch.worker_round(full=True)
    assert len(await watch.owner.fetch(BREAKS)) == len(PLANTED) + 1


async def test_what_is_broken_everywhere_calls_people_only_so_often(watch: Watch) -> None:
    await watch.worker_round()
    await watch.plant(
        "insert into outbox (event_id, payment_id, seq, tenant, kind, after, at)"
        " select 'po_x/' || n, 'po_x', n, 'main', 'payout', 'received', now()"
        " from generate_series(1, 50) n",
    )
    for _ in range(2):
        assert (await watch.worker_round(full=True)).breaks == 50
        cases = await watch.owner.fetch(BREAKS)
        assert len(cases) == CASES_MAX
        assert "there may be more" in cases[-1]["detail"]


async def test_a_mark_of_another_server_counts_for_nothing(watch: Watch) -> None:
    """After a logical restore xids begin anew: below the old mark nothing would ever be checked."""
    await watch.round()
    await watch.plant("update check_rounds set cluster = 1, safe_until = safe_until + 1000000")
    await watch.plant(*PLANT)
    first = await watch.round()
    assert first.report.scope == "full"
    assert broken(first) == PLANTED
    assert (await watch.round()).report.scope == "since_last"


async def test_no_round_that_would_leave_something_out_is_put_on_record(watch: Watch) -> None:
    await watch.round()
    await watch.driver.deposit(ACME, 1_00, "evt_9")
    sound = await watch.reader.check_round(full=False)
    at = sound.horizon
    for horizon in (
        at._replace(safe_until=at.safe_until + 1_000_000),
        at._replace(safe_from=at.safe_until, safe_until=at.safe_until),
    ):
        with pytest.raises(ValueError, match=r"that xid is not safe yet|nothing has been checked"):
            await watch.oversight.record_round(sound._replace(horizon=horizon))
    assert (await watch.oversight.record_round(sound)).transactions == 1


async def test_a_reader_runs_a_round_and_sees_those_on_record_and_records_none(
    watch: Watch, auditor_url: str
) -> None:
    await watch.round()
    reader = Reader(auditor_url)
    assert (await reader.check(since_last=True)).scope == "since_last"
    assert (await reader.check_rounds()).late is None
    await reader.aclose()
    async with Oversight.open(auditor_url) as oversight:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await oversight.record_round(await watch.reader.check_round(full=False))


@pytest.mark.parametrize(
    ("covered", "full", "late"),
    [
        (timedelta(minutes=14), timedelta(hours=25), None),
        (timedelta(minutes=16), timedelta(0), "booked after 2026-11-27 11:44:00 UTC has not been"),
        (timedelta(0), timedelta(hours=27), "in full at 2026-11-26 09:00:00 UTC, and not since"),
        (timedelta(0), None, "never been checked in full"),
        (None, None, "never been checked"),
    ],
)
def test_what_has_not_been_checked_for_too_long_is_told(
    covered: timedelta | None, full: timedelta | None, late: str | None
) -> None:
    told = what_is_late(
        NOW,
        NOW - covered if covered is not None else None,
        NOW - full if full is not None else None,
    )
    assert told is None if late is None else late in (told or "")


async def test_a_sweep_calls_people_once_where_the_books_have_not_been_checked(
    watch: Watch,
) -> None:
    async def cases() -> list[str]:
        found = await watch.owner.fetch("select detail from cases where kind = 'checks_late'")
        return [row["detail"] for row in found]

    async def sweep(pace: Pace) -> None:
        nobody = cast(Client, None)  # no payment waits, so nobody is asked about its run
        sweeps = SweepActivities(watch.driver.books, watch.oversight, nobody, pace)
        await ActivityEnvironment().run(sweeps.call)

    at_once = Pace(check_grace=timedelta())
    await watch.round()
    await sweep(at_once)
    assert await cases() == []
    await watch.plant("update check_rounds set covers_until = now() - interval '16 minutes'")
    await sweep(Pace())  # of a worker that has just started
    assert await cases() == []
    for _ in range(2):
        await sweep(at_once)
    (told,) = await cases()
    assert "has not been checked" in told
