"""Straight at Temporal: whatever is sent to a run, or started, wedges nothing and moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from bursar import Bursar, PaymentNotFound, PaymentState, Verdict, names
from bursar.client import PayoutHandle
from bursar.ids import new_payout_id, new_transfer_id
from tests.badinput.actions import ACTIONS, SIGNALS
from tests.badinput.corpus import refused
from tests.badinput.entry import Entry
from tests.house import House
from tests.payments import a_payout
from tests.task_failures import task_failures
from workflows.desk import NOTES_MAX

S = PaymentState
AT_ONCE = 10

UNDECODABLE = (
    Payload(),
    Payload(data=b"x"),
    Payload(metadata={"encoding": b"json/plain"}, data=b""),
    Payload(metadata={"encoding": b"json/plain"}, data=b"{"),
    Payload(metadata={"encoding": b"json/plain"}, data=b"\xff\xfe"),
    Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 100_000),
    Payload(metadata={"encoding": b"json/plain"}, data=b'{"by": "\\ud800"}'),
    Payload(metadata={"encoding": b"json/plain"}, data=b'{"by": ' + b"9" * 9_999 + b"}"),
    Payload(metadata={"encoding": b"json/plain"}, data=b"x" * 500_000),
    Payload(metadata={"encoding": b"json/protobuf"}, data=b"{}"),
    Payload(metadata={"encoding": b"binary/protobuf"}, data=b"\xff"),
    Payload(metadata={"encoding": b"binary/plain"}, data=b"\0\1"),
    Payload(metadata={"encoding": b"binary/null"}),
    Payload(metadata={"encoding": b"binary/encrypted"}, data=b"x" * 40),
    Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"?"}, data=b""),
    Payload(metadata={"encoding": b"no/such"}, data=b"{}"),
    Payload(metadata={"encoding": b"\xff"}, data=b"{}"),
)


async def waiting(house: House, bursar: Bursar) -> PayoutHandle:
    """Start a payout that waits for an approval."""
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=1_000_00))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    return payout


async def in_turns(calls: Iterable[Awaitable[Any]]) -> None:
    """Await calls, a few at a time."""
    left = iter(calls)

    async def clerk() -> None:
        for call in left:
            await call

    await asyncio.gather(*(clerk() for _ in range(AT_ONCE)))


async def failures_of(client: Client, workflow_id: str) -> list[str]:
    """Return why tasks of a run have failed."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return task_failures(history.events)


async def approved_and_settled(house: House, client: Client, payout: PayoutHandle) -> int:
    """Approve a payout, see it end right, and return how many notes it has."""
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED
    assert await failures_of(client, names.workflow_id(payout.id)) == []
    assert await house.bookings(payout.id) == (1, 1_000_00)
    view = await house.view(payout.id)
    return sum(entry.what == "note" for entry in view.timeline)


@pytest.mark.timeout(600)
async def test_no_unreadable_action_sent_as_a_signal_harms_a_run(
    house: House, bursar: Bursar, client: Client
) -> None:
    for part in (ACTIONS[:NOTES_MAX], ACTIONS[NOTES_MAX:]):
        payout = await waiting(house, bursar)
        handle = client.get_workflow_handle(names.workflow_id(payout.id))
        await in_turns(handle.signal(each.verb, args=[each.payload]) for each in part)
        assert await approved_and_settled(house, client, payout) == len(part)


@pytest.mark.timeout(600)
async def test_no_structure_sent_as_a_signal_harms_a_run(
    house: House, bursar: Bursar, client: Client
) -> None:
    payout = await waiting(house, bursar)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await in_turns(handle.signal(name, args=given) for name, given in SIGNALS)
    unheeded = sum(name != names.PARTNER_EVENT for name, _ in SIGNALS)
    assert await approved_and_settled(house, client, payout) == unheeded


async def test_no_undecodable_payload_harms_a_run(
    house: House, bursar: Bursar, client: Client
) -> None:
    payout = await waiting(house, bursar)

    async def send(name: str, payloads: list[Payload]) -> None:
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=names.workflow_id(payout.id)),
                signal_name=name,
                input=Payloads(payloads=payloads),
            )
        )

    signals = ("approve", "cancel", "partner_event", "no_such_signal")
    await in_turns(send(name, [bad]) for bad in UNDECODABLE for name in signals)
    await send("approve", list(UNDECODABLE))
    await approved_and_settled(house, client, payout)


async def test_a_flood_of_unreadable_signals_leaves_only_so_many_notes(
    house: House, bursar: Bursar, client: Client
) -> None:
    payout = await waiting(house, bursar)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await in_turns(handle.signal("cancel", number) for number in range(NOTES_MAX + 50))
    assert await approved_and_settled(house, client, payout) == NOTES_MAX


@pytest.mark.timeout(600)
async def test_an_update_of_the_wrong_shape_is_rejected_and_leaves_no_event(
    house: House, bursar: Bursar, client: Client
) -> None:
    payout = await waiting(house, bursar)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    before = (await handle.describe()).history_length
    wrong: list[str] = []
    unjudged: list[str] = []

    async def update(verb: str, given: list[Any]) -> None:
        try:
            await handle.execute_update(verb, args=given)
        except WorkflowUpdateFailedError as error:
            if "4111111111111111" in f"{error} {error.cause}":
                wrong.append(f"{verb} {given} is told back")
        except RPCError as error:  # the run was just taking a step: nothing was judged
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
            unjudged.append(verb)
        else:
            wrong.append(f"{verb} {given} was accepted")

    await in_turns(update(each.verb, [each.payload]) for each in ACTIONS[::3])
    await in_turns(
        update(name, given)
        for name, given in SIGNALS[::2]
        if name in ("approve", "deny", "Approve")
    )
    assert not wrong
    failures = await failures_of(client, names.workflow_id(payout.id))
    assert failures == []
    assert len(unjudged) < len(ACTIONS) / 10
    assert (await handle.describe()).history_length == before
    assert await approved_and_settled(house, client, payout) == 0


@pytest.mark.parametrize(
    "reason",
    ["", "\0", "card 4111111111111111", "a\u202eb", "\u3164", "x" * 5_000, "A" + "\u0301" * 99],
)
async def test_no_reason_of_temporals_own_cancel_stops_a_run(
    house: House, bursar: Bursar, client: Client, reason: str
) -> None:
    payout = await waiting(house, bursar)
    await client.get_workflow_handle(names.workflow_id(payout.id)).cancel(reason=reason)
    assert (await payout.result()).state is S.CANCELLED
    assert await failures_of(client, names.workflow_id(payout.id)) == []


STARTS: tuple[list[Any], ...] = (
    *([], [None], [1], [True], ["x"], [[]], [{}], [1, 2], [{}, {}], [None] * 9, [{"id": "po_1"}]),
    *(["x" * 10_000], [{"a": {"b": [{"c": None}]}}], [{"row_id": "x"}], [{"row_id": None}]),
)


@pytest.mark.timeout(600)
async def test_a_run_started_with_garbage_ends_with_the_reason_and_nothing_is_registered(
    house: House, client: Client
) -> None:
    async def start(workflow: str, workflow_id: str, given: list[Any]) -> None:
        handle = await client.start_workflow(
            workflow, args=given, id=workflow_id, task_queue=names.PAYMENTS_QUEUE
        )
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
        cause = raised.value.cause
        assert isinstance(cause, ApplicationError)
        assert cause.type == "InvalidRequest", (workflow, given)
        assert await failures_of(client, workflow_id) == []

    payouts = [new_payout_id() for _ in STARTS]
    transfers = [new_transfer_id() for _ in STARTS]
    await in_turns(
        start(workflow, workflow_id, given)
        for number, given in enumerate(STARTS)
        for workflow, workflow_id in (
            (names.PAYOUT_WORKFLOW, names.workflow_id(payouts[number])),
            (names.TRANSFER_WORKFLOW, names.workflow_id(transfers[number])),
            (names.DEPOSIT_WORKFLOW, f"deposit/garbage/{number}"),
            (names.RETURN_WORKFLOW, f"return/garbage/{number}"),
            (names.LATE_EVENT_WORKFLOW, f"late/garbage/{number}"),
        )
    )
    for payment_id in (*payouts, *transfers):
        with pytest.raises(PaymentNotFound):
            await house.view(payment_id)


@pytest.mark.timeout(600)
async def test_a_payout_started_past_the_client_is_refused_by_the_worker_just_the_same(
    house: House, client: Client
) -> None:
    wrong: dict[str, str] = {}

    async def start(entry: Entry) -> None:
        payment_id = new_payout_id()
        content = entry.document() | ({} if entry.place == "id" else {"id": payment_id})
        handle = await client.start_workflow(
            names.PAYOUT_WORKFLOW,
            content,
            id=names.workflow_id(payment_id),
            task_queue=names.PAYMENTS_QUEUE,
        )
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
        said = str(raised.value.cause)
        if f"[{entry.code}]" not in said or any(secret in said for secret in entry.hidden()):
            wrong[entry.key] = said
        with pytest.raises(PaymentNotFound):
            await house.view(payment_id)

    sample = [entry for entry in refused() if entry.code not in {"malformed_json"}][::12]
    assert len(sample) > 80
    await in_turns(start(entry) for entry in sample)
    assert not wrong
