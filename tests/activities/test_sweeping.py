"""A sweep deals with each payment by itself, and calls people to what would wait in silence."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, SignalWorkflowInput
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.sweeping import ALIKE_MAX, Pace, SweepActivities
from bursar import names
from bursar import temporal as connecting
from bursar.gate import START_GUARD, Scope, SwitchBody
from bursar.ids import attempt_key
from bursar.payments import PaymentState
from bursar.reports import EventKind
from bursar.sweeps import Found, RunsReport, Watermark
from ledger.changes import CaseOpened, Change
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ops.temporal import LocalTemporal
from tests.activities.telling import an_event, cases, fetch, store
from tests.gateway.recorder import END, WORKFLOWS
from tests.ledger.driving import Driver

S = PaymentState
LATE_AT_ONCE: dict[str, object] = {"policy": {"step_within": "PT0S"}}
EVERYTHING = SwitchBody(scope=Scope.ALL, reason="compared")
AT_ONCE = Pace(grace=timedelta())


def new_id() -> str:
    return f"po_{uuid.uuid4().hex[:26]}"


@pytest.fixture
async def sweeper(
    books: PostgresBooks, books_url: str, temporal: LocalTemporal
) -> AsyncIterator[SweepActivities]:
    client = await connecting.connect(temporal.address, temporal.client.namespace)
    async with Oversight.open(books_url) as oversight:
        yield SweepActivities(books, oversight, client, AT_ONCE)


@asynccontextmanager
async def a_run(client: Client, payment_id: str, shows: PaymentState) -> AsyncIterator[None]:
    """Have an open run of a payment that shows a state, and that nobody serves."""
    shown = TypedSearchAttributes([SearchAttributePair(names.PAYMENT_STATE, shows.value)])
    await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        id=names.workflow_id(payment_id),
        task_queue="nobody-serves-this",
        search_attributes=shown,
    )
    try:
        yield
    finally:  # whichever is its newest run by then
        await client.get_workflow_handle(names.workflow_id(payment_id)).terminate("test over")


async def look(sweeper: SweepActivities) -> RunsReport:
    report: RunsReport = await ActivityEnvironment().run(sweeper.look_at_runs, None)
    return report


async def call(sweeper: SweepActivities) -> Found:
    found: Found = await ActivityEnvironment().run(sweeper.call)
    return found


async def test_one_payment_that_cannot_be_looked_at_is_a_case_and_stops_no_other(
    sweeper: SweepActivities, driver: Driver, temporal: LocalTemporal, auditor_url: str
) -> None:
    """Its run has ended with what no release of ours has ever said."""
    odd, lost = new_id(), new_id()
    queue, client = f"odd-{odd}", temporal.client
    async with Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        run = await client.start_workflow(
            names.PAYOUT_WORKFLOW, id=names.workflow_id(odd), task_queue=queue
        )
        await run.signal(END)
        await run.result()
    for payment_id in (odd, lost):
        await driver.open_payout(payment_id)
    for _ in range(2):
        report = await look(sweeper)
        assert (report.looked_at, report.unreadable.names) == (2, (odd,))
    assert await cases(auditor_url) == [("unreadable", odd)]
    adopted = client.get_workflow_handle(names.workflow_id(lost))
    await adopted.terminate("test over")


async def test_an_open_run_that_is_further_than_the_register_stops_all_sending_once_d4(
    sweeper: SweepActivities,
    books: PostgresBooks,
    books_url: str,
    driver: Driver,
    temporal: LocalTemporal,
) -> None:
    """Handed over after the backup and pending at its partner: no statement tells of it yet."""
    pending, waiting = new_id(), new_id()
    await driver.open_payout(waiting)
    async with (
        Oversight.open(books_url) as oversight,
        a_run(temporal.client, waiting, S.RESERVED),
    ):
        await look(sweeper)
        assert not (await oversight.no_send()).stopped
        await driver.open_payout(pending)
        async with a_run(temporal.client, pending, S.SUBMITTED):
            assert (await look(sweeper)).renewed.names == (pending,)
            told = await oversight.no_send()
            assert (told.stopped, told.paused_by) == (True, START_GUARD)
            assert [send.attempt_key for send in told.forgotten] == [attempt_key(pending, 1)]
            await books.resume(EVERYTHING, "root", is_admin=True)
            assert (await look(sweeper)).renewed.number == 0
            assert not (await oversight.no_send()).stopped, "people have compared"


async def test_a_run_that_was_further_and_was_terminated_before_a_sweep_saw_it_stops_all_sending(
    sweeper: SweepActivities, books_url: str, driver: Driver, temporal: LocalTemporal
) -> None:
    """D4: by force, or by a worker of before; what it had shown is kept all the same."""
    lost = new_id()
    await driver.open_payout(lost)
    async with Oversight.open(books_url) as oversight:
        async with a_run(temporal.client, lost, S.OUTCOME_UNKNOWN):
            pass
        assert (await look(sweeper)).adopted.names == (lost,)
        told = await oversight.no_send()
    assert (told.stopped, told.paused_by) == (True, START_GUARD)
    assert [send.attempt_key for send in told.forgotten] == [attempt_key(lost, 1)]
    await temporal.client.get_workflow_handle(names.workflow_id(lost)).terminate("test over")


async def test_a_sweep_that_a_failover_has_overtaken_leaves_no_mark_that_hides_the_loss(
    sweeper: SweepActivities, books_url: str
) -> None:
    """D4: the books of its beginning were whole; those of its end have lost what it began with."""

    async def mark(before: Watermark | None) -> Watermark | None:
        seen: Watermark | None = await ActivityEnvironment().run(sweeper.mark, before)
        return seen

    newest = await mark(None)
    assert newest is not None
    assert await mark(newest) == newest
    async with Oversight.open(books_url) as oversight:
        assert not (await oversight.no_send()).stopped
        lost = Watermark(change_id=newest.change_id + 1, key="po_lost/hold")
        assert await mark(lost) is None
        assert "lost change" in ((await oversight.no_send()).reason or "")


class TakesNoMore(Interceptor, OutboundInterceptor):
    """Temporal as it answers once a run has had all the signals that it may have."""

    def __init__(self) -> None:
        """Stand before nothing yet."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Stand before the client's own calls."""
        self.next = next
        return self

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        """Refuse every signal."""
        raise RPCError("exceeded workflow execution limit", RPCStatusCode.INVALID_ARGUMENT, b"")


async def test_a_run_that_takes_no_more_signals_is_a_case_and_fails_no_sweep(
    books: PostgresBooks,
    books_url: str,
    driver: Driver,
    temporal: LocalTemporal,
    auditor_url: str,
) -> None:
    """T5: its payment has ended, and it is told so each minute; at 10,000 signals it is full."""
    ended = new_id()
    await driver.open_payout(ended)
    await driver.void(ended, S.RESERVED, S.CANCELLED)
    config = temporal.client.config() | {"interceptors": [TakesNoMore()]}
    async with (
        Oversight.open(books_url) as oversight,
        a_run(temporal.client, ended, S.OUTCOME_UNKNOWN),
    ):
        sweeper = SweepActivities(books, oversight, Client(**config), AT_ONCE)
        while not await cases(auditor_url):  # until Temporal's index has the run
            await ActivityEnvironment().run(sweeper.look_at_index, False)
        await ActivityEnvironment().run(sweeper.look_at_index, False)
    assert await cases(auditor_url) == [("wedged", ended)]


async def test_a_case_from_before_a_crowd_was_late_does_not_silence_it(
    sweeper: SweepActivities, books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    old, *crowd = [new_id() for _ in range(ALIKE_MAX + 3)]
    await driver.open_payout(old, amount_minor=100, terms=LATE_AT_ONCE)
    await books.write(
        Change(
            key=f"{old}/case/stuck",
            kind="case",
            actor="bursar:sweeper",
            payment_id=old,
            effective_on=(await books.now()).date(),
            case=CaseOpened(kind="stuck", detail="an old story"),
        )
    )
    for payment_id in crowd:
        await driver.open_payout(payment_id, amount_minor=100, terms=LATE_AT_ONCE)
    for _ in range(2):
        assert (await call(sweeper)).number > ALIKE_MAX
    assert await cases(auditor_url) == sorted([("stuck", old), ("stuck", crowd[0])])


async def test_an_event_that_was_taken_and_never_booked_is_a_case(
    sweeper: SweepActivities, books: PostgresBooks, admin_url: str, auditor_url: str
) -> None:
    row = await store(books, an_event(EventKind.CREDIT, "evt_1", reference="nobody"))
    await books.mark_taken(row.row_id)
    await call(sweeper)
    assert await cases(auditor_url) == []
    await fetch(admin_url, "update partner_events set taken_at = now() - interval '16 minutes'")
    for _ in range(2):
        await call(sweeper)
        assert await cases(auditor_url) == [("event_waits", None)]


async def test_an_event_that_no_workflow_ever_takes_is_a_case_w7(
    sweeper: SweepActivities, books: PostgresBooks, admin_url: str, auditor_url: str
) -> None:
    """W7: Temporal is well, and gives no answer for its run, which is no failure of the event."""
    await store(books, an_event(EventKind.CREDIT, "evt_1", reference="nobody"))
    await books.events_to_relay(10)
    await call(sweeper)
    assert await cases(auditor_url) == []
    await came_long_ago(admin_url)
    for _ in range(2):
        await call(sweeper)
        assert await cases(auditor_url) == [("event_waits", None)]


@pytest.mark.parametrize("of_a_payment", [True, False])
async def test_an_event_whose_case_was_closed_too_early_calls_again_an_hour_later_w7(
    sweeper: SweepActivities,
    books: PostgresBooks,
    driver: Driver,
    admin_url: str,
    auditor_url: str,
    *,
    of_a_payment: bool,
) -> None:
    """W7: people close it on their word alone, and nothing else tells of a credit or a return."""
    payment_id, event = None, an_event(EventKind.CREDIT, "evt_1", reference="nobody")
    if of_a_payment:
        payment_id = new_id()
        await driver.open_payout(payment_id)
        await driver.claim(payment_id)
        event = an_event(EventKind.RETURNED, "evt_1", payment_id)
    row = await store(books, event)
    await came_long_ago(admin_url)
    open_now, numbers = [("event_waits", payment_id)], []
    await books.write(as_the_release_before_calls(row.row_id, payment_id))
    for _ in range(3):
        for _ in range(2):
            await call(sweeper)
            assert await cases(auditor_url) == open_now
        ((number,),) = await fetch(auditor_url, "select id from cases where closed_at is null")
        numbers.append(number)
        await books.add_case_word(number, "ana", "none", "seen")
        assert await books.close_case(
            number, by="ana", decision="none", resolution="seen", posting=None
        )
        await call(sweeper)
        assert await cases(auditor_url) == [], "closing buys an hour"
        await fetch(admin_url, "update cases set closed_at = closed_at - interval '61 minutes'")
    assert len(set(numbers)) == len(numbers)


def as_the_release_before_calls(row_id: int, payment_id: str | None) -> Change:
    return Change(
        key=f"event/{row_id}/waits/0",
        kind="case",
        actor="bursar:sweeper",
        payment_id=payment_id,
        effective_on=datetime.now(UTC).date(),
        case=CaseOpened(kind="event_waits", detail="an event waits"),
    )


async def test_an_acceptance_that_waits_for_the_answer_to_our_own_call_calls_nobody(
    sweeper: SweepActivities, books: PostgresBooks, driver: Driver, admin_url: str, auditor_url: str
) -> None:
    """The relay leaves it in the table on purpose, for as long as the hand-over is tried."""
    payment_id = new_id()
    await driver.open_payout(payment_id)
    await driver.claim(payment_id)
    row = await store(books, an_event(EventKind.ACCEPTED, "evt_1", payment_id))
    await books.events_to_relay(10)
    await books.mark_taken(row.row_id)
    await came_long_ago(admin_url)
    await fetch(admin_url, "update partner_events set taken_at = received_at")
    await call(sweeper)
    assert await cases(auditor_url) == []
    await driver.lose_track(payment_id)
    await call(sweeper)
    assert await cases(auditor_url) == [("event_waits", payment_id)]


async def came_long_ago(admin_url: str) -> None:
    """Make every event one that came 16 minutes ago, which only a replica's session may."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(
            "update partner_events set received_at = now() - interval '16 minutes'"
        )
    finally:
        await connection.close()
