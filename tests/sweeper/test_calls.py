"""Nothing is stuck in silence: what is late or cannot get on calls people (INV-13, T5)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client

from bursar import Bursar, PaymentState, names
from bursar.ids import new_payout_id
from bursar.sweeps import SweepReport
from bursar.views import CheckRounds
from ops.program import ROOT, environment
from tests.conftest import run_sql
from tests.faults.site import Site
from tests.house import TOKEN
from tests.payments import a_payout

pytestmark = pytest.mark.faults

S = PaymentState
CASES = "SELECT count(*) FROM cases WHERE payment_id = $1 AND kind = $2"


@pytest.fixture
async def no_partner_worker(site: Site) -> AsyncIterator[None]:
    """Nobody serves the partner's queue; afterwards somebody does again."""
    await site.house.swap_worker(names.PAYMENTS_QUEUE)
    yield
    await site.house.swap_worker()


async def command(site: Site, *arguments: str) -> tuple[int, str]:
    """Run `bursar` against the site; return its exit code and standard output."""
    options = [
        f"--temporal={site.house.temporal_address}",
        f"--namespace={site.house.namespace}",
        f"--gateway={site.house.gateway_url}",
        f"--token={TOKEN}",
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from bursar.cli.main import run; run()",
        *options,
        *arguments,
        cwd=ROOT,
        env=environment({}),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@pytest.mark.usefixtures("no_partner_worker")
async def test_a_payout_that_nobody_takes_is_listed_and_calls_people_once(
    site: Site, client: Client, bursar: Bursar
) -> None:
    request = a_payout()
    await bursar.pay_out(request)
    await site.house.reaches(request.id, S.RESERVED)
    shown = (await site.house.view(request.id)).payment
    assert (shown.next_action, shown.due_at) == (
        "it is handed to the partner",
        shown.updated_at + timedelta(seconds=3),
    )

    async def called() -> bool:
        return await site.number(CASES, request.id, "stuck") == 1

    async def shows_in_temporal() -> bool:
        run = await client.get_workflow_handle(names.workflow_id(request.id)).describe()
        return bool(run.typed_search_attributes.get(names.NEEDS_OPS))

    await site.until("a case is opened", called)
    await site.until("NeedsOps is raised", shows_in_temporal)
    code, told = await command(site, "payouts", "list", "--stuck", "--json")
    listed = [payment["id"] for payment in json.loads(told)["payments"]]
    assert (code, request.id in listed) == (0, True)
    code, told = await command(site, "sweep", "--json")
    report = SweepReport.model_validate_json(told)
    assert (code, report.stuck.number) == (0, 0)  # people have been called already
    assert report.runs.looked_at >= 1
    assert await called()

    await site.house.swap_worker()
    await site.house.reaches(request.id, S.SETTLED)
    assert await shows_in_temporal()  # its case is open until a person has closed it
    assert (await site.house.view(request.id)).payment.next_action is None
    code, told = await command(site, "payouts", "list", "--stuck", "--json")
    assert request.id not in told


@pytest.mark.usefixtures("no_partner_worker")
async def test_many_that_are_stuck_alike_are_one_case(site: Site, bursar: Bursar) -> None:
    requests = [a_payout() for _ in range(80)]  # enough that one sweep finds more than 20 of them
    await asyncio.gather(*map(bursar.pay_out, requests))
    ids = [request.id for request in requests]

    async def all_are_past_their_time() -> bool:
        query = "SELECT count(*) FROM payments_overdue WHERE id = any ($1)"
        return await site.number(query, ids) == len(ids)

    await site.until("all are past their time", all_are_past_their_time)
    for _ in range(2):
        await bursar.sweep()
    query = "SELECT count(*) FROM cases WHERE payment_id = any ($1)"
    assert await site.number(query, ids) < len(ids)


async def test_a_run_that_the_register_does_not_know_is_reported(
    site: Site, client: Client, bursar: Bursar
) -> None:
    """INV-14, the other direction: an open run whose payment was never registered."""
    lost = names.workflow_id(new_payout_id())
    handle = await client.start_workflow(
        names.PAYOUT_WORKFLOW, {}, id=lost, task_queue="nobody-serves-this"
    )

    async def is_reported() -> bool:
        return lost in (await bursar.sweep()).unregistered.names

    await site.until("the run is reported", is_reported)
    await handle.terminate("test over")


async def test_the_books_are_checked_by_themselves_and_what_breaks_calls_people_once(
    site: Site,
) -> None:
    async def rounds_after(number: int) -> bool:
        return await site.number("select coalesce(max(id), 0) from check_rounds") > number

    async def shift(by: int) -> None:
        database = site.house.books_url.rpartition("/")[2]
        admin = site.postgres.url(database, user="postgres", password=site.postgres.password)
        query = (
            "update balances set posted = posted + {} from accounts"
            " where id = account_id and path = 'own/EUR'"
        )
        await run_sql(admin, query.format(by))

    await site.until("rounds are on record", lambda: rounds_after(1))
    code, told = await command(site, "books", "rounds", "--json")
    rounds = CheckRounds.model_validate_json(told)
    assert (code, rounds.late) == (0, None)
    assert "since_last" in {each.scope for each in rounds.rounds}
    assert rounds.last_full is not None
    assert rounds.last_full is not None
    assert rounds.last_full.breaks == 0

    await shift(1)
    try:
        broken = await site.number("select max(id) from check_rounds")
        await site.until("more rounds have ended", lambda: rounds_after(broken + 2))
        assert (await command(site, "books", "rounds"))[0] == 1
        assert (await command(site, "books", "check", "--since-last"))[0] == 1
    finally:
        await shift(-1)
    cases = await site.rows("select detail from cases where kind = 'books_break'")
    assert [row["detail"] for row in cases] == ["trial_balance at EUR: the accounts sum to 1"]
