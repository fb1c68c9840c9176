"""One id is one payment: the same request again is the same, another one is refused."""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from bursar import (
    Bursar,
    InvalidRequest,
    Money,
    PaymentConflict,
    PaymentNotFound,
    PaymentState,
    PayoutHandle,
    PayoutRequest,
    ServiceUnavailable,
    names,
    new_payout_id,
    temporal,
)
from bursar.payments import content_hash
from examples.backend import pay_order
from tests.house import House
from tests.payments import a_payout

S = PaymentState


@pytest.fixture
async def client(house: House) -> Client:
    return await temporal.connect(house.temporal_address, house.namespace)


async def test_fifty_starts_of_one_request_are_one_payout(house: House, bursar: Bursar) -> None:
    request = a_payout()
    handles = await asyncio.gather(*(bursar.pay_out(request) for _ in range(50)))
    assert sum(not handle.existed for handle in handles) == 1
    assert {(await handle.result()).state for handle in handles[:3]} == {S.SETTLED}
    assert await house.bookings(request.id) == (1, 12_50)
    assert (await bursar.pay_out(request)).existed


async def test_the_same_id_with_another_amount_starts_nothing(house: House, bursar: Bursar) -> None:
    request = a_payout()
    other = request.model_copy(update={"amount": Money(amount_minor=99_99, currency="EUR")})
    payout = await bursar.pay_out(request)
    with pytest.raises(PaymentConflict, match=request.id):
        await bursar.pay_out(other)
    await payout.result()
    with pytest.raises(PaymentConflict, match=request.id):
        await bursar.pay_out(other)
    assert await house.bookings(request.id) == (1, 12_50)


async def test_fifty_starts_of_one_id_with_two_contents_are_one_payout_and_all_hear_which(
    house: House, bursar: Bursar, client: Client
) -> None:
    """INV-26: through our client, and by starts as any other program of Temporal's makes them."""
    for seed in range(4):
        dice = random.Random(seed)  # noqa: S311
        request = a_payout()
        other = request.model_copy(update={"amount": Money(amount_minor=99_99, currency="EUR")})
        asked = [dice.choice([request, other]) for _ in range(50)]
        ways: list[partial[Any]] = [partial(bursar.pay_out, each) for each in asked]
        ways += [partial(_start_by_hand, client, each) for each in (request, other)]
        dice.shuffle(ways)
        answers = await asyncio.gather(*(way() for way in ways), return_exceptions=True)
        assert (await bursar.payout(request.id).result()).state is S.SETTLED
        paid = (await house.view(request.id)).payment.amount_minor
        assert await house.bookings(request.id) == (1, paid)
        started = 0
        for way, answer in zip(ways, answers, strict=True):
            same = way.args[-1].amount.amount_minor == paid
            if way.func == _start_by_hand:
                started += answer is True
                assert answer in ({True, False} if same else {False})
            elif same:
                assert isinstance(answer, PayoutHandle), answer
                assert answer.id == request.id
                started += not answer.existed
            else:
                assert isinstance(answer, PaymentConflict), answer
        assert started == 1


async def _start_by_hand(client: Client, request: PayoutRequest) -> bool:
    """Start a payout as another program does, which knows of no memo; False: there is one."""
    try:
        await client.start_workflow(
            names.PAYOUT_WORKFLOW,
            request,
            id=names.workflow_id(request.id),
            task_queue=names.PAYMENTS_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def test_a_payout_that_was_started_by_hand_is_the_same_to_a_backend_that_sends_it_again(
    house: House, bursar: Bursar, client: Client
) -> None:
    """It has no content hash beside it; what it was started with says what it is."""
    request = a_payout()
    other = request.model_copy(update={"amount": Money(amount_minor=99_99, currency="EUR")})
    assert await _start_by_hand(client, request)
    assert (await bursar.pay_out(request)).existed
    with pytest.raises(PaymentConflict, match=request.id):
        await bursar.pay_out(other)
    assert (await bursar.payout(request.id).result()).state is S.SETTLED
    assert (await bursar.pay_out(request)).existed
    assert await house.bookings(request.id) == (1, 12_50)


async def test_what_is_encrypted_with_a_key_that_is_lost_is_neither_the_same_nor_another(
    house: House, bursar: Bursar, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = a_payout()
    monkeypatch.setenv(
        temporal.CODEC_KEYS_VARIABLE, json.dumps({"k1": "a2V5IG9m" + "A" * 35 + "="})
    )
    keyed = await temporal.connect(house.temporal_address, house.namespace)
    run = await keyed.start_workflow(
        names.PAYOUT_WORKFLOW,
        request,
        id=names.workflow_id(request.id),
        task_queue="served-by-nobody",
        memo={names.CONTENT_HASH_MEMO: content_hash(request)},
    )
    with pytest.raises(ServiceUnavailable, match=rf"{request.id}.*{temporal.CODEC_KEYS_VARIABLE}"):
        await bursar.pay_out(request)
    assert (await Bursar(keyed).pay_out(request)).existed
    await run.terminate()


async def test_the_register_remembers_an_id_that_temporal_has_forgotten(
    house: House, bursar: Bursar, client: Client
) -> None:
    changed, repeated = a_payout(), a_payout()
    for request in (changed, repeated):
        await (await bursar.pay_out(request)).result()
    await asyncio.gather(*(_forget(client, request.id) for request in (changed, repeated)))
    other = changed.model_copy(update={"amount": Money(amount_minor=99_99, currency="EUR")})
    with pytest.raises(PaymentConflict, match=other.id):
        await (await bursar.pay_out(other)).result()
    again = await bursar.pay_out(repeated)
    assert (await again.result()).state is S.SETTLED
    for request in (changed, repeated):
        assert await house.bookings(request.id) == (1, 12_50)


async def _forget(client: Client, payment_id: str) -> None:
    """Delete a run from Temporal, as its retention does, and wait until it is gone."""
    handle = client.get_workflow_handle(names.workflow_id(payment_id))
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
        )
    )

    async def is_gone() -> bool:
        try:
            await handle.describe()
        except RPCError:
            return True
        return False

    await House.until(is_gone)


@pytest.mark.parametrize(
    ("request_as_sent", "says"),
    [
        ({}, "amount: is missing"),
        ("garbage", "request"),
        ({"id": "po_other"}, "amount: is missing"),
        (["a", "list"], "request"),
    ],
)
async def test_a_malformed_start_by_hand_ends_at_once_and_says_why(
    house: House, bursar: Bursar, client: Client, request_as_sent: object, says: str
) -> None:
    payout_id = new_payout_id()
    await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        request_as_sent,
        id=names.workflow_id(payout_id),
        task_queue=names.PAYMENTS_QUEUE,
    )
    with pytest.raises(InvalidRequest, match=says):
        await bursar.payout(payout_id).result()


async def test_a_request_under_another_payments_workflow_starts_nothing(
    house: House, bursar: Bursar, client: Client
) -> None:
    request, payout_id = a_payout(), new_payout_id()
    await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        request,
        id=names.workflow_id(payout_id),
        task_queue=names.PAYMENTS_QUEUE,
    )
    with pytest.raises(InvalidRequest, match=request.id):
        await bursar.payout(payout_id).result()
    assert await house.bookings(request.id) == (0, 0)


async def test_a_payment_that_never_was_is_not_found(bursar: Bursar) -> None:
    with pytest.raises(PaymentNotFound):
        await bursar.payout(new_payout_id()).status()


async def test_without_temporal_the_client_says_so() -> None:
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        await Bursar.connect("127.0.0.1:1")


async def test_a_namespace_that_is_not_there_is_not_taken_for_a_missing_payment(
    house: House,
) -> None:
    lost = await Bursar.connect(house.temporal_address, namespace="nowhere")
    with pytest.raises(ServiceUnavailable, match="nowhere"):
        await lost.payout(new_payout_id()).status()


async def test_a_backend_pays_an_order_with_the_example(house: House, bursar: Bursar) -> None:
    payout_id = new_payout_id()
    assert await pay_order(bursar, payout_id, 47_11) is S.SETTLED
    assert await pay_order(bursar, payout_id, 47_11) is S.SETTLED
    assert await house.bookings(payout_id) == (1, 47_11)
