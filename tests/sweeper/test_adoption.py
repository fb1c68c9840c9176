"""Payments whose run is gone, or ended by force, get a new one: INV-14, T3, T7."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus

from bursar import Bursar, PaymentState, PayoutRequest, names
from bursar.payments import content_hash
from ledger.changes import Change, Move
from ledger.postgres import PostgresBooks
from tests.faults.batch import Batch, Sort
from tests.faults.site import Site
from tests.payments import a_payout

pytestmark = pytest.mark.faults

S = PaymentState
Loss = Callable[[Client, str], Awaitable[None]]


async def terminated(client: Client, workflow_id: str) -> None:
    await client.get_workflow_handle(workflow_id).terminate("somebody pressed the button")


async def deleted(client: Client, workflow_id: str) -> None:
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        )
    )


async def adopted(site: Site, payment_id: str) -> None:
    """Wait until the payment's timeline says that it has a new run."""

    async def noted() -> bool:
        timeline = (await site.house.view(payment_id)).timeline
        return any(entry.text.startswith("adopted") for entry in timeline)

    await site.until(f"{payment_id} is adopted", noted)


async def ends_paid_once(site: Site, client: Client, request: PayoutRequest) -> None:
    """Assert that a payout settles with one debit, by a run that looks as its backend starts it."""
    await site.house.reaches(request.id, S.SETTLED)
    assert (await site.debits())[request.id] == 1
    handle = client.get_workflow_handle(names.workflow_id(request.id))
    assert (await handle.result())["state"] == S.SETTLED
    run = await handle.describe()
    assert run.status is WorkflowExecutionStatus.COMPLETED
    assert await run.memo_value(names.CONTENT_HASH_MEMO) == content_hash(request)
    found = run.typed_search_attributes
    assert (found.get(names.AMOUNT_MINOR), found.get(names.PAYMENT_STATE)) == (12_50, S.SETTLED)
    assert await run.static_summary() == f"payout {request.amount} from {request.account}"


@pytest.mark.parametrize("lose", [terminated, deleted])
@pytest.mark.parametrize("state", [S.SUBMITTING, S.SCHEDULED])
async def test_a_payment_that_lost_its_run_gets_a_new_one_and_is_paid_once(
    site: Site, client: Client, bursar: Bursar, lose: Loss, state: PaymentState
) -> None:
    later = datetime.now(UTC) + timedelta(seconds=8) if state is S.SCHEDULED else None
    request = a_payout(execute_at=later)
    site.freeze("bank")  # or else it could end by the bank's own event, with no run at all
    try:
        await bursar.pay_out(request)
        await site.house.reaches(request.id, state)
        await lose(client, names.workflow_id(request.id))
        await adopted(site, request.id)
    finally:
        site.thaw("bank")
    await ends_paid_once(site, client, request)
    assert (await bursar.pay_out(request)).existed


async def test_a_run_that_somebody_gave_a_time_limit_is_adopted_after_it(
    site: Site, client: Client
) -> None:
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(seconds=8))
    await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        request,
        id=names.workflow_id(request.id),
        task_queue=names.PAYMENTS_QUEUE,
        execution_timeout=timedelta(seconds=3),
    )
    await site.house.reaches(request.id, S.SCHEDULED)
    await adopted(site, request.id)
    await ends_paid_once(site, client, request)


async def test_a_run_that_gets_on_is_left_alone(site: Site, client: Client, bursar: Bursar) -> None:
    """A payment that only waits has one run, however many sweeps pass by (T4)."""
    request = a_payout(execute_at=datetime.now(UTC) + timedelta(seconds=12))
    await bursar.pay_out(request)
    before = await client.get_workflow_handle(names.workflow_id(request.id)).describe()
    await site.house.reaches(request.id, S.SETTLED)
    after = await client.get_workflow_handle(names.workflow_id(request.id)).describe()
    assert after.run_id == before.run_id
    noted = [entry.text for entry in (await site.house.view(request.id)).timeline]
    assert not [text for text in noted if text.startswith("adopted")]


async def test_a_run_that_never_heard_of_its_payments_end_is_told_and_ends_too(
    site: Site, client: Client, bursar: Bursar
) -> None:
    """K11 and a lost update: a person's word was booked, and the run would sleep for ever."""
    later = datetime.now(UTC) + timedelta(days=9)
    payment = await bursar.pay_out(a_payout(execute_at=later))
    await site.house.reaches(payment.id, S.SCHEDULED)
    cancel = Change(
        key=f"{payment.id}/cancel/scheduled",
        kind="cancel",
        actor="ana",
        payment_id=payment.id,
        moves=(Move(before=S.SCHEDULED, after=S.CANCELLED),),
        effective_on=later.date(),
    )
    async with PostgresBooks.open(site.house.books_url) as books:
        assert (await books.write(cancel)).state is S.CANCELLED

    async with asyncio.timeout(60):
        assert (await payment.result()).state is S.CANCELLED
    run = await client.get_workflow_handle(names.workflow_id(payment.id)).describe()
    assert run.status is WorkflowExecutionStatus.COMPLETED


async def test_after_the_loss_of_temporals_database_all_go_on_with_nothing_sent_again(
    site: Site,
) -> None:
    """T3: the books alone bring every payment back; no backend sends anything again."""
    batch = Batch(site, (Sort("", 10), Sort("slow-accept", 20), Sort("webhook-lost", 10)))
    await batch.send()

    async def all_are_registered() -> bool:
        return len(await batch.states()) == len(batch.requests)

    await site.until("all are in the register", all_are_registered)
    site.freeze("worker")
    try:
        await site.lose_temporal()
    finally:
        site.thaw("worker")
    open_then = [i for i, state in (await batch.states()).items() if state is not S.SETTLED]
    assert open_then, "all had ended before Temporal was lost"
    await batch.ended()
    await site.let_leases_end()
    await site.house.quiet()
    await batch._the_bank_paid_each_once()
    await batch._the_books_say_the_same()
    await site.house.agrees()
