"""People stop money within a second, under load, and let it go on; nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from temporalio.client import Client

from bursar import Bursar, PaymentState, Verdict, names, temporal
from bursar.gate import CapBody, DisableBody, RailList, Scope, SwitchBody
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.house import RULES, House
from tests.payments import a_payout, a_transfer
from tests.workflows.conftest import funded_house

S = PaymentState
EVENTS_MAX = 24
"""Of a payout that was held back: no more than one that was not, and a cancel or a late webhook."""

LOOPS_FROM = 100
"""More events than a few people's wishes cost, each about 6: somebody turns round and round."""

PATIENT = RULES.replace("approval_expires_after = 3\n", "approval_expires_after = 300\n").replace(
    "people = [\n",
    "people = [\n"
    + "".join(
        f'    {{ name = "{name}", roles = ["approve-l1"] }},\n'
        for name in ("vic", "leaver-1", "leaver-2", "leaver-3", "leaver-4")
    ),
)


def switch(scope: Scope, name: str = "") -> SwitchBody:
    return SwitchBody(scope=scope, name=name, reason="a test", on_behalf_of="ana")


EUR, USD, GBP = (switch(Scope.CURRENCY, code) for code in ("EUR", "USD", "GBP"))
ALL = switch(Scope.ALL)


@pytest.fixture(scope="module")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house of this module's own, since it is stopped and bounded here."""
    async with funded_house(postgres, template, temporal, rules=PATIENT) as house:
        yield house


@pytest.fixture
async def books(house: House) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(house.books_url)
    try:
        yield connection
    finally:
        await connection.close()


async def pause(house: House, body: SwitchBody) -> None:
    async with house.reader() as reader:
        await reader.pause(body)


async def resume(house: House, body: SwitchBody) -> None:
    async with house.reader() as reader:
        await reader.resume(body)


async def gate(house: House) -> RailList:
    async with house.reader() as reader:
        return await reader.rails()


async def events_of(house: House, payment_id: str) -> int:
    client: Client = await temporal.connect(house.temporal_address, house.namespace)
    handle = client.get_workflow_handle(names.workflow_id(payment_id))
    return len((await handle.fetch_history()).events)


async def calls_people(house: House, payment_id: str) -> None:
    """Wait until Temporal's index shows that a payment needs somebody."""
    client: Client = await temporal.connect(house.temporal_address, house.namespace)
    handle = client.get_workflow_handle(names.workflow_id(payment_id))

    async def needs_ops() -> bool:
        return (await handle.describe()).typed_search_attributes.get(names.NEEDS_OPS) is True

    await house.until(needs_ops)


async def test_a_pause_under_load_lets_nothing_leave_until_the_resumption_and_then_all_settles(
    house: House, bursar: Bursar, books: asyncpg.Connection
) -> None:
    requests = [a_payout() for _ in range(40)]
    sending = asyncio.gather(*(bursar.pay_out(request) for request in requests))

    async def some_have_left() -> bool:
        return bool(await books.fetchval("select count(*) from attempts") > 0)

    await house.until(some_have_left)
    await pause(house, EUR)
    left = "select (count(*), max(sent_at))::text from attempts"
    at_the_pause = await books.fetchval(left)
    claimed = await books.fetchval("select count(*) from attempts")
    payouts = await sending

    async def the_rest_is_held_back() -> bool:
        (rail,) = (await gate(house)).rails
        return (rail.held_back, rail.waiting) == (len(requests) - claimed,) * 2

    await house.until(the_rest_is_held_back)
    assert await books.fetchval(left) == at_the_pause
    assert [each.paused_for for each in (await gate(house)).pauses] == ["ana"]
    await resume(house, EUR)
    results = await asyncio.gather(*(payout.result() for payout in payouts))
    assert {result.state for result in results} == {S.SETTLED}
    assert max([await events_of(house, each.id) for each in requests[-5:]]) <= EVENTS_MAX
    await house.quiet()
    await house.agrees()


async def test_a_cancel_wins_while_a_payout_is_held_back(house: House, bursar: Bursar) -> None:
    await pause(house, USD)
    payout = await bursar.pay_out(a_payout(currency="USD"))
    view = await house.shows(payout.id, "note")
    assert view.payment.state is S.RESERVED
    assert [e.text for e in view.timeline if e.what == "note"] == ["held_back: paused"]
    assert (await payout.cancel("ana", "no more")).verdict is Verdict.CANCELLED
    assert (await payout.result()).state is S.CANCELLED
    view = await house.view(payout.id)
    assert view.attempts == ()
    assert await house.bookings(payout.id) == (0, 0)
    await resume(house, USD)
    await house.agrees()


async def test_a_native_cancel_wins_while_a_payout_is_held_back(
    house: House, bursar: Bursar
) -> None:
    await pause(house, USD)
    payout = await bursar.pay_out(a_payout(currency="USD"))
    await house.shows(payout.id, "note")
    client = await temporal.connect(house.temporal_address, house.namespace)
    await client.get_workflow_handle(names.workflow_id(payout.id)).cancel()
    await house.reaches(payout.id, S.CANCELLED)
    await resume(house, USD)


async def test_an_approver_who_is_disabled_before_the_claim_lets_nothing_leave_a6(
    house: House, bursar: Bursar
) -> None:
    await pause(house, GBP)
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=1_000_00))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("ben")).verdict is Verdict.APPROVED
    await house.shows(payout.id, "note")
    async with house.reader() as reader:
        await reader.disable_person(DisableBody(name="ben", reason="left"))
    await resume(house, GBP)
    view = await house.shows(payout.id, "case")
    assert (view.payment.state, view.payment.code) == (S.RESERVED, "not_approved")
    await calls_people(house, payout.id)
    assert (view.approvals_needed, view.approvals_given) == (1, 0)
    assert (await payout.cancel("ana", "send it anew")).verdict is Verdict.CANCELLED
    assert (await payout.result()).state is S.CANCELLED
    assert await house.bookings(payout.id) == (0, 0)


async def test_a_payout_over_a_limit_waits_with_a_case_and_goes_on_when_the_limit_is_raised(
    house: House, bursar: Bursar
) -> None:
    cap = CapBody(currency="KES", partner="simulator", per_day_minor=15_00, reason="a test")
    async with house.reader() as reader:
        await reader.set_limit(cap)
        first = await bursar.pay_out(a_payout(currency="KES", amount_minor=10_00))
        assert (await first.result()).state is S.SETTLED
        second = await bursar.pay_out(a_payout(currency="KES", amount_minor=10_00))
        view = await house.shows(second.id, "case")
        assert view.payment.state is S.RESERVED
        await calls_people(house, second.id)
        (shown,) = (await reader.rails()).caps
        assert (shown.per_day_minor, shown.claimed_today_minor) == (15_00, 10_00)
        await reader.set_limit(cap.model_copy(update={"per_day_minor": 20_00}))
        assert (await second.result()).state is S.SETTLED
        await reader.set_limit(cap.model_copy(update={"per_day_minor": None}))
    await house.agrees()


async def test_a_paused_transfer_waits_may_be_cancelled_and_is_booked_after_the_resumption(
    house: House, bursar: Bursar
) -> None:
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/EUR", "main")])
    await pause(house, ALL)
    going, gone = await bursar.transfer(a_transfer()), await bursar.transfer(a_transfer())
    for each in (going, gone):
        view = await house.shows(each.id, "note")
        assert view.payment.state is S.SCHEDULED
    assert (await gate(house)).transfers_waiting == 2
    assert (await gone.cancel("ana", "no more")).verdict is Verdict.CANCELLED
    assert (await gone.result()).state is S.CANCELLED
    await resume(house, ALL)
    assert (await going.result()).state is S.SETTLED
    assert await events_of(house, going.id) <= EVENTS_MAX
    await house.agrees()


async def disable(house: House, name: str) -> None:
    async with house.reader() as reader:
        await reader.disable_person(DisableBody(name=name, reason="left"))


async def test_a_payout_whose_approval_counts_no_more_takes_another_one_while_it_is_held_back(
    house: House, bursar: Bursar
) -> None:
    """A6, and its way out: nobody has to cancel it and send it anew."""
    await pause(house, GBP)
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=1_000_00))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("leaver-1")).verdict is Verdict.APPROVED
    await house.shows(payout.id, "note")
    assert (await payout.approve("ana")).verdict is Verdict.NOT_WAITING, "it has what it needs"
    await disable(house, "leaver-1")
    await resume(house, GBP)
    await house.shows(payout.id, "case")
    assert (await payout.deny("vic", "not ours")).verdict is Verdict.NOT_WAITING
    for nobody in ("maker", "leaver-1", "stranger"):
        answer = await payout.approve(nobody)
        assert answer.verdict in {Verdict.NOT_ALLOWED, Verdict.RECORDED}, answer
        assert (await house.view(payout.id)).payment.state is S.RESERVED
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED
    assert await house.bookings(payout.id) == (1, 1_000_00)
    assert await events_of(house, payout.id) <= LOOPS_FROM
    await house.agrees()


async def test_a_scheduled_payout_whose_approval_counts_no_more_at_its_date_is_held_back_once(
    house: House, bursar: Bursar
) -> None:
    """It neither goes nor turns round and round: it is a case, and goes on once approved anew."""
    due = datetime.now(UTC) + timedelta(seconds=10)
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=1_000_00, execute_at=due))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("leaver-2")).verdict is Verdict.APPROVED
    await house.reaches(payout.id, S.SCHEDULED)
    await disable(house, "leaver-2")
    await house.shows(payout.id, "case")
    assert await house.bookings(payout.id) == (0, 0)
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED
    assert await events_of(house, payout.id) <= LOOPS_FROM


async def test_a_scheduled_payout_is_approved_anew_before_its_date_and_goes_at_its_date(
    house: House, bursar: Bursar
) -> None:
    due = datetime.now(UTC) + timedelta(seconds=10)
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=1_000_00, execute_at=due))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("leaver-3")).verdict is Verdict.APPROVED
    await house.reaches(payout.id, S.SCHEDULED)
    await disable(house, "leaver-3")
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED
    view = await house.view(payout.id)
    assert view.cases == ()
    assert all(attempt.opened_at >= due for attempt in view.attempts)


async def test_a_scheduled_transfer_whose_approval_counts_no_more_waits_for_another_one(
    house: House, bursar: Bursar
) -> None:
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/GBP", "main")])
    due = datetime.now(UTC) + timedelta(seconds=10)
    request = a_transfer(currency="GBP", amount_minor=1_000_00)
    transfer = await bursar.transfer(request.model_copy(update={"execute_at": due}))
    await house.reaches(transfer.id, S.AWAITING_APPROVAL)
    assert (await transfer.approve("leaver-4")).verdict is Verdict.APPROVED
    await house.reaches(transfer.id, S.SCHEDULED)
    await disable(house, "leaver-4")
    view = await house.shows(transfer.id, "case")
    assert view.payment.state is S.SCHEDULED
    await calls_people(house, transfer.id)
    assert (await transfer.approve("ana")).verdict is Verdict.APPROVED
    assert (await transfer.result()).state is S.SETTLED
    assert await events_of(house, transfer.id) <= LOOPS_FROM
    await house.agrees()
