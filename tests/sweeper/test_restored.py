"""Restored books: nothing is sent until a person has compared, and then nothing twice (D4, H3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bursar import Bursar, PaymentState, names
from bursar.errors import NotAuthorised
from bursar.gate import Scope, SwitchBody
from bursar.ids import attempt_key
from bursar.reader import Reader
from tests.conftest import run_sql
from tests.faults.site import Site
from tests.payments import a_payout
from tests.sweeper.test_adoption import adopted
from tests.sweeper.test_calls import command

pytestmark = pytest.mark.faults

S = PaymentState
EVERYTHING = SwitchBody(scope=Scope.ALL, reason="test over")


class Restored:
    """Puts the books back to how they were at some moment, as an old backup does."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def keep(self) -> None:
        """Make the backup: a copy of the database; everything of ours has to be off it."""
        await self._sql("DROP DATABASE IF EXISTS backup WITH (FORCE)")
        await self._sql("CREATE DATABASE backup TEMPLATE books")

    async def put_back(self) -> None:
        """Replace the books by the backup."""
        await self._sql("DROP DATABASE books WITH (FORCE)", "CREATE DATABASE books TEMPLATE backup")

    async def _sql(self, *statements: str) -> None:
        await run_sql(self.site.postgres.admin_url, *statements)


@asynccontextmanager
async def off(site: Site) -> AsyncIterator[None]:
    """Stop what works on the books, and start it again in the end."""
    for name in ("worker", "gateway"):
        await site.stop(name)
    try:
        yield
    finally:
        await site.start("gateway")
        await site.start("worker")


@pytest.fixture(autouse=True)
async def sending_goes_on(site: Site) -> AsyncIterator[None]:
    """Whatever a test stops goes on afterwards."""
    yield
    async with site.house.reader() as reader:
        await reader.resume(EVERYTHING)


async def is_stopped(site: Site) -> bool:
    async with site.house.reader() as reader:
        return (await reader.no_send()).stopped


async def test_books_from_before_a_payout_stop_all_sending_and_ask_before_they_send(
    site: Site, bursar: Bursar
) -> None:
    """H3: paid after the backup; the restored register says `reserved`, and pays nothing again."""
    backup = Restored(site)
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(seconds=30))
    await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    async with off(site):
        await backup.keep()
    await site.house.reaches(request.id, S.SETTLED)
    await site.house.quiet()
    async with off(site):
        await backup.put_back()

    async with site.house.reader() as reader:
        told = await reader.no_send()  # the statement has shown it when the worker started
    assert (told.stopped, told.paused_by) == (True, "bursar:start-guard")
    assert attempt_key(request.id, 1) in [send.attempt_key for send in told.forgotten]

    other = a_payout()
    await bursar.pay_out(other)
    await site.house.reaches(other.id, S.RESERVED, S.SUBMITTING)
    await adopted(site, request.id)  # its run had ended
    await bursar.sweep()
    debits = await site.debits()
    assert (debits[other.id], debits[request.id]) == (0, 1)
    await a_person_lets_it_go_on(site, request.id)
    for each in (request, other):
        await site.house.reaches(each.id, S.SETTLED)
        assert (await site.debits())[each.id] == 1
    words = (await site.house.view(request.id)).words
    assert next(word.verb for word in words) == "find", "it asked before anything else"


async def a_person_lets_it_go_on(site: Site, payment_id: str) -> None:
    code, told = await command(site, "no-send", "show")
    assert (code, attempt_key(payment_id, 1) in told) == (0, True)
    code, told = await command(site, "no-send", "leave", "--reason", "compared, ticket 4711")
    assert (code, "Sending goes on" in told) == (0, True)


async def test_a_payout_that_its_partner_has_and_has_not_booked_is_asked_about_before_it_is_sent(
    site: Site, bursar: Bursar
) -> None:
    """Handed over after the backup, its run still open: no statement and no end of a run tells."""
    backup = Restored(site)
    request = a_payout("[sim:slow-paid]", execute_at=datetime.now(UTC) + timedelta(seconds=30))
    await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    async with off(site):
        await backup.keep()
    await site.house.reaches(request.id, S.SUBMITTED)
    site.freeze("bank")  # it is pending there, and stays so
    try:
        async with off(site):
            await backup.put_back()

        async def stopped() -> bool:
            return await is_stopped(site)

        await site.until("a sweep has stopped all sending", stopped)
        code, told = await command(site, "no-send", "leave", "--reason", "compared, ticket 4711")
        assert (code, "Sending goes on" in told) == (0, True)

        async def said() -> bool:
            return bool((await site.house.view(request.id)).words)

        await site.until("it was asked about, or sent", said)
    finally:
        site.thaw("bank")
    await site.house.reaches(request.id, S.SETTLED)
    assert next(word.verb for word in (await site.house.view(request.id)).words) == "find"
    assert (await site.debits())[request.id] == 1


async def test_a_payout_that_was_cancelled_after_the_backup_is_not_paid_by_the_restored_books(
    site: Site, bursar: Bursar
) -> None:
    backup = Restored(site)
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30))
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    async with off(site):
        await backup.keep()
    await payout.cancel("ana", "paid by card")
    await payout.result()
    async with off(site):
        await backup.put_back()
    await site.house.reaches(request.id, S.CANCELLED)
    assert await is_stopped(site)
    assert (await site.debits())[request.id] == 0


async def test_a_payout_whose_caller_was_told_that_it_failed_is_not_paid_by_the_restored_books(
    site: Site, bursar: Bursar
) -> None:
    backup = Restored(site)
    soon = datetime.now(UTC) + timedelta(seconds=25)
    request = a_payout("[sim:reject]", execute_at=soon)
    payout = await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    async with off(site):
        await backup.keep()
    assert (await payout.result()).state is S.FAILED
    async with off(site):
        await backup.put_back()
    await site.house.reaches(request.id, S.CANCELLED)
    assert await is_stopped(site)
    assert (await site.debits())[request.id] == 0


async def test_a_sweep_sees_that_the_books_have_lost_what_an_earlier_one_saw(
    site: Site, bursar: Bursar
) -> None:
    """A failover with a loss, under workers that run on: no statement and no run shows it (D4)."""
    async with off(site):
        await Restored(site).keep()
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30))
    await bursar.pay_out(request)
    await site.house.reaches(request.id, S.SCHEDULED)
    newest = await site.number("SELECT max(id) FROM transactions")
    schedule = (await site.temporal.connect()).get_schedule_handle(names.SWEEP_SCHEDULE)

    async def a_sweep_has_seen_it() -> bool:
        begun = (await schedule.describe()).info.recent_actions
        if not begun:  # the schedule is new
            return False
        action = begun[-1].action
        handle = site.temporal.client.get_workflow_handle(getattr(action, "workflow_id"))  # noqa: B009
        mark = (await handle.result())["watermark"]
        return bool(mark and mark["change_id"] >= newest)

    await site.until("a sweep has seen the newest change", a_sweep_has_seen_it)
    site.freeze("worker")
    try:
        await Restored(site).put_back()
    finally:
        site.thaw("worker")

    async def stopped() -> bool:
        return await is_stopped(site)

    await site.until("a sweep has stopped all sending", stopped)
    async with site.house.reader() as reader:
        assert "lost change" in ((await reader.no_send()).reason or "")
    lost = names.workflow_id(request.id)
    assert lost in (await bursar.sweep()).unregistered.names, "its payment came after the backup"
    await site.temporal.client.get_workflow_handle(lost).terminate("test over")


async def test_sending_is_let_go_on_by_an_administrator_only(site: Site) -> None:
    async with Reader(site.house.gateway_url, "no-token-of-anybody") as stranger:
        with pytest.raises(NotAuthorised):
            await stranger.resume(EVERYTHING)
    code, _ = await command(site, "pause", "--all", "--reason", "the bank calls")
    assert (code, await is_stopped(site)) == (0, True)
    code, told = await command(site, "no-send", "show")
    assert "ops" in told
    assert "the bank calls" in told


async def test_while_nothing_may_be_sent_waiting_payouts_are_not_counted_as_stuck(
    site: Site, bursar: Bursar
) -> None:
    await command(site, "pause", "--all", "--reason", "the bank calls")
    request = a_payout()
    await bursar.pay_out(request)
    await site.house.reaches(request.id, S.RESERVED, S.SUBMITTING)
    late = "SELECT count(*) FROM payments WHERE id = $1 AND updated_at < now() - interval '4 s'"

    async def past_its_time() -> bool:
        return await site.number(late, request.id) == 1

    await site.until("it is past its time", past_its_time)
    assert request.id not in (await bursar.sweep()).stuck.names
    await command(site, "no-send", "leave", "--reason", "all is well")
    await site.house.reaches(request.id, S.SETTLED)
    assert (await site.debits())[request.id] == 1
