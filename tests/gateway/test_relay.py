"""The relay: every stored event reaches a workflow, whatever is down, and none blocks the rest."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from bursar import names
from bursar.reports import EventKind, PartnerEvent
from gateway.engine import Engine, EngineSilent
from gateway.relay import Relay
from ledger.postgres import PostgresBooks
from ops.temporal import LocalTemporal
from tests.gateway.conftest import PACE, gateway_at
from tests.gateway.recorder import END
from tests.gateway.stand import (
    Gateway,
    credit,
    message,
    paid,
    payout_data,
    register_payout,
    signed,
    until,
)
from tests.links import Link

TOO_LONG_FOR_A_WORKFLOW_ID = "x" * 1_100


def new_event_id() -> str:
    return f"evt_{uuid.uuid4().hex}"


async def start_payout(client: Client, payment_id: str) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        names.PAYOUT_WORKFLOW, id=names.workflow_id(payment_id), task_queue=names.PAYMENTS_QUEUE
    )


async def deliver(gateway: Gateway, raw: bytes) -> str:
    """Deliver an authentic message and return its event id."""
    event_id = new_event_id()
    answer = await gateway.deliver(raw, signed(raw, event_id))
    assert answer.json() == {"stored": 1, "known": 0}
    return event_id


async def row_of(admin_url: str, event_id: str) -> asyncpg.Record:
    connection = await asyncpg.connect(admin_url)
    try:
        row: asyncpg.Record | None = await connection.fetchrow(
            "select * from partner_events where event_id = $1", event_id
        )
    finally:
        await connection.close()
    assert row is not None
    return row


async def taken(admin_url: str, event_id: str) -> bool:
    return (await row_of(admin_url, event_id))["taken_at"] is not None


@pytest.mark.parametrize("kind", ["paid", "accepted"])
async def test_an_event_of_a_running_payment_is_signalled_to_it_by_its_row(
    gateway: Gateway, recorders: Client, admin_url: str, kind: str
) -> None:
    """That it is accepted too: nothing was handed over yet, so a person has to hear of it."""
    payment_id = await register_payout(gateway.books)
    payout = await start_payout(recorders, payment_id)
    status = {"accepted": "pending"}.get(kind, kind)
    raw = message(f"payout.{kind}", payout_data(payment_id, status))
    event_id = await deliver(gateway, raw)
    await until(lambda: taken(admin_url, event_id))
    assert await payout.query("rows") == [(await row_of(admin_url, event_id))["id"]]
    await payout.signal(END)


async def test_fifty_copies_of_an_event_reach_the_payment_as_one(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    payout = await start_payout(recorders, payment_id)
    raw, event_id = paid(payment_id), new_event_id()
    headers = signed(raw, event_id)
    await asyncio.gather(*(gateway.deliver(raw, headers) for _ in range(50)))
    await until(lambda: taken(admin_url, event_id))
    last = await deliver(gateway, paid(payment_id))
    await until(lambda: taken(admin_url, last))
    ids = [(await row_of(admin_url, one))["id"] for one in (event_id, last)]
    assert await payout.query("rows") == ids
    await payout.signal(END)


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "never-started"])
async def test_an_event_of_a_payment_that_does_not_run_is_judged_by_a_workflow_of_its_own(
    gateway: Gateway, recorders: Client, admin_url: str, ended: bool
) -> None:
    payment_id = await register_payout(gateway.books)
    if ended:
        payout = await start_payout(recorders, payment_id)
        await payout.signal(END)
        await payout.result()
    event_id = await deliver(gateway, paid(payment_id))
    await until(lambda: taken(admin_url, event_id))
    late = recorders.get_workflow_handle(names.late_event_workflow_id("simulator", event_id))
    assert await late.result() == (await row_of(admin_url, event_id))["id"]


async def test_credits_returns_and_what_nobody_knows_start_their_own_workflows(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    returned = payout_data(payment_id, "returned", returned_minor=1250)
    expected = {
        names.deposit_workflow_id: credit("c-1"),
        names.return_workflow_id: message("payout.returned", returned),
        names.late_event_workflow_id: message("bank.holiday", {}),
    }
    for workflow_id_of, raw in expected.items():
        event_id = await deliver(gateway, raw)
        await until(lambda known=event_id: taken(admin_url, known))  # type: ignore[misc]
        workflow = recorders.get_workflow_handle(workflow_id_of("simulator", event_id))
        assert await workflow.result() == (await row_of(admin_url, event_id))["id"]


async def test_an_event_for_a_payment_that_we_do_not_know_is_judged_by_a_workflow_of_its_own(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    event_id = await deliver(gateway, paid("po_never_heard_of"))
    await until(lambda: taken(admin_url, event_id))
    late = recorders.get_workflow_handle(names.late_event_workflow_id("simulator", event_id))
    assert await late.result() == (await row_of(admin_url, event_id))["id"]


async def test_events_are_taken_in_while_temporal_is_down_and_delivered_once_it_is_up(
    books_url: str, admin_url: str, temporal: LocalTemporal, recorders: Client, tmp_path: Path
) -> None:
    async with (
        Link.to(temporal.address, mended=False) as line,
        gateway_at(books_url, line.address, tmp_path) as gateway,
    ):
        payment_id = await register_payout(gateway.books)
        payout = await start_payout(recorders, payment_id)
        events = [await deliver(gateway, paid(payment_id)) for _ in range(3)]

        async def lags() -> bool:
            health = (await gateway.http.get("/health/ready")).json()
            return bool(
                health["temporal"] == "down"
                and health["status"] == "degraded"
                and health["relay_waiting"] >= 1
                and health["relay_lag_seconds"] > 0
            )

        await until(lags)
        assert not await taken(admin_url, events[0])
        await line.mend()

        async def all_taken() -> bool:
            return all([await taken(admin_url, event_id) for event_id in events])

        await until(all_taken)
        rows = [(await row_of(admin_url, event_id))["id"] for event_id in events]
        assert set(await payout.query("rows")) == set(rows)

        async def well() -> bool:
            health = (await gateway.http.get("/health/ready")).json()
            return bool(health["status"] == "ready" and health["relay_waiting"] == 0)

        await until(well)
        await payout.signal(END)


async def test_events_flow_again_after_temporal_was_lost_in_between(
    books_url: str, admin_url: str, temporal: LocalTemporal, recorders: Client, tmp_path: Path
) -> None:
    async with (
        Link.to(temporal.address) as line,
        gateway_at(books_url, line.address, tmp_path) as gateway,
    ):
        for _ in range(2):
            before = await deliver(gateway, credit("c"))
            await until(lambda known=before: taken(admin_url, known))  # type: ignore[misc]
            await line.cut()
            event_id = await deliver(gateway, credit("c"))
            await until(lambda: gateway.resources.relay.health().temporal_down)
            assert not await taken(admin_url, event_id)
            await line.mend()
            await until(lambda known=event_id: taken(admin_url, known))  # type: ignore[misc]


async def test_the_relay_outlives_a_lost_database(
    books_url: str, admin_url: str, temporal: LocalTemporal, recorders: Client, tmp_path: Path
) -> None:
    async with (
        Link.to(books_url) as line,
        gateway_at(line.url(books_url), temporal.address, tmp_path) as gateway,
    ):
        await line.cut()
        await until(lambda: gateway.resources.relay.health().books_down)
        await line.mend()
        event_id = await deliver(gateway, credit("c-1"))
        await until(lambda: taken(admin_url, event_id))


async def expire_leases(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("update partner_events set leased_until = null")
    finally:
        await connection.close()


async def test_an_event_that_nothing_takes_is_set_aside_with_a_case_and_blocks_no_other_w7(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    await gateway.books.store_event(
        PartnerEvent(
            partner="simulator",
            event_id=TOO_LONG_FOR_A_WORKFLOW_ID,
            kind=EventKind.RETURNED,
            reference=f"{payment_id}-1",
            occurred_at=datetime.now(UTC),
        ),
        b"",
        {},
    )
    for _ in range(3):
        event_id = await deliver(gateway, credit("c"))
        await until(lambda known=event_id: taken(admin_url, known))  # type: ignore[misc]

    async def is_aside() -> bool:
        await expire_leases(admin_url)
        return gateway.resources.relay.health().set_aside == 1

    await until(is_aside)
    assert not await taken(admin_url, TOO_LONG_FOR_A_WORKFLOW_ID)
    view = await gateway.resources.reader.payment(payment_id)
    assert view is not None
    assert [case.kind for case in view.cases] == ["event_set_aside"]
    await expire_leases(admin_url)  # it stays aside, whichever gateway looks
    offered = await gateway.books.events_to_relay(10)
    assert TOO_LONG_FOR_A_WORKFLOW_ID not in [one.event.event_id for one in offered]
    event_id = await deliver(gateway, credit("c"))
    await until(lambda: taken(admin_url, event_id))


async def test_an_event_that_was_set_aside_is_listed_and_brought_back_by_a_person(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    event_id = await deliver(gateway, credit("c-1"))
    await until(lambda: taken(admin_url, event_id))
    row_id = (await row_of(admin_url, event_id))["id"]
    await gateway.books.add_event_failure(row_id, "a bug of the step", failures_max=1)
    listed = (await gateway.as_("reader", "GET", "/v1/events?set_aside=true")).json()
    assert [(one["id"], one["last_error"]) for one in listed["events"]] == [
        (row_id, "a bug of the step")
    ]
    refused = await gateway.as_("reader", "POST", "/v1/events/redrive", json={"all": True})
    assert refused.status_code == 403
    done = await gateway.as_("operator", "POST", "/v1/events/redrive", json={"ids": [row_id]})
    assert done.json() == {"ids": [row_id]}
    deposit = names.deposit_workflow_id("simulator", event_id)
    second = recorders.get_workflow_handle(f"{deposit}/1")  # an id is never used again

    async def runs_again() -> bool:
        try:
            return bool(await second.result() == row_id)
        except RPCError:
            return False

    await until(runs_again)
    again = await gateway.as_("operator", "POST", "/v1/events/redrive", json={"all": True})
    assert again.json() == {"ids": []}


async def test_an_event_that_was_handed_over_but_not_noted_is_taken_once(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    event_id = await deliver(gateway, credit("c-1"))
    await until(lambda: taken(admin_url, event_id))
    connection = await asyncpg.connect(admin_url)
    try:  # as if the gateway had been killed just before it noted that
        await connection.execute(
            "update partner_events set taken_at = null, leased_until = null where event_id = $1",
            event_id,
        )
    finally:
        await connection.close()
    gateway.resources.relay.nudge()
    await until(lambda: taken(admin_url, event_id))
    deposit = recorders.get_workflow_handle(names.deposit_workflow_id("simulator", event_id))
    assert await deposit.result() == (await row_of(admin_url, event_id))["id"]


async def test_an_event_whose_run_was_ended_by_force_is_given_a_new_one(
    gateway: Gateway, recorders: Client, admin_url: str
) -> None:
    event_id, raw = new_event_id(), credit("c-1")
    deposit = names.deposit_workflow_id("simulator", event_id)
    first = await recorders.start_workflow(
        names.DEPOSIT_WORKFLOW, {"row_id": 1}, id=deposit, task_queue="nobody-serves-this"
    )
    await first.terminate("somebody pressed the button")
    await gateway.deliver(raw, signed(raw, event_id))
    await until(lambda: taken(admin_url, event_id))
    second = recorders.get_workflow_handle(deposit)
    assert await second.result() == (await row_of(admin_url, event_id))["id"]


class Overloaded(Engine):
    """Temporal while it sheds load: it is there, and answers no start."""

    async def start(self, workflow: str, workflow_id: str, row_id: int, summary: str) -> None:
        self.asked = row_id
        raise EngineSilent("status RESOURCE_EXHAUSTED")


async def test_the_silence_of_temporal_is_no_fault_of_an_event(
    books_url: str, temporal: LocalTemporal, admin_url: str
) -> None:
    async with PostgresBooks.open(books_url) as books:
        engine = Overloaded(temporal.client)
        relaying = asyncio.create_task(Relay(books, engine, PACE).run())
        try:
            for n in range(PACE.failures_max + 1):
                event = PartnerEvent(
                    partner="simulator",
                    event_id=f"evt_{n}",
                    kind=EventKind.CREDIT,
                    occurred_at=datetime.now(UTC),
                )
                row_id = await books.store_event(event, b"", {})
                await expire_leases(admin_url)
                await until(lambda last=row_id: getattr(engine, "asked", 0) == last)  # type: ignore[misc]
            first = await row_of(admin_url, "evt_0")
            assert (first["failures"], first["set_aside_at"]) == (0, None)
        finally:
            relaying.cancel()
