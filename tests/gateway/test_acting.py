"""Acting: approve, deny, cancel and resolve, in the name of the token and of nobody else."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client, WorkflowHandle

from bursar import names
from bursar.actions import Verdict
from bursar.payments import PaymentState
from ops.temporal import LocalTemporal
from tests.gateway.conftest import gateway_at
from tests.gateway.recorder import ANSWER_WITH, END
from tests.gateway.stand import Gateway, new_payout_id, register_payout
from tests.links import Link

RESOLUTION = {"outcome": "paid", "evidence": "statement line 7"}
BODIES: dict[str, dict[str, Any]] = {
    "approve": {"reason": "as agreed"},
    "deny": {"reason": "wrong payee"},
    "cancel": {"reason": "sent twice"},
    "resolve": RESOLUTION,
}
ACTORS = {"approve": "ana", "deny": "ana", "cancel": "operator", "resolve": "operator"}


class Running:
    """A payment in the register with a workflow that records what reaches it."""

    def __init__(
        self, gateway: Gateway, payment_id: str, workflow: WorkflowHandle[Any, Any]
    ) -> None:
        self.gateway = gateway
        self.id = payment_id
        self.workflow = workflow

    async def act(
        self, verb: str, body: dict[str, Any] | None = None, by: str | None = None
    ) -> httpx.Response:
        given = BODIES[verb] if body is None else body
        path = f"/v1/payments/{self.id}/{verb}"
        return await self.gateway.as_(by or ACTORS[verb], "POST", path, json=given)

    async def seen(self) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = await self.workflow.query("actions")
        return actions

    async def words(self) -> list[tuple[str, str, str]]:
        rows = await self.gateway.books.approvals(self.id)
        return [(row.principal, row.decision, row.role) for row in rows]


async def run_payout(client: Client, gateway: Gateway, **wanted: Any) -> Running:
    payment_id = await register_payout(gateway.books, **wanted)
    workflow = await client.start_workflow(
        names.PAYOUT_WORKFLOW, id=names.workflow_id(payment_id), task_queue=names.PAYMENTS_QUEUE
    )
    return Running(gateway, payment_id, workflow)


@pytest.mark.parametrize("verb", list(BODIES))
async def test_an_action_reaches_the_workflow_in_the_name_of_the_token(
    gateway: Gateway, recorders: Client, verb: str
) -> None:
    payout = await run_payout(recorders, gateway)
    answer = await payout.act(verb)
    assert (answer.status_code, answer.json()) == (200, {"verdict": "recorded", "detail": "call 1"})
    (seen,) = await payout.seen()
    assert (seen["verb"], seen["by"]) == (verb, ACTORS[verb])
    assert {name: seen[name] for name in BODIES[verb]} == BODIES[verb]
    await payout.workflow.signal(END)


@pytest.mark.parametrize("verb", list(BODIES))
async def test_a_body_that_names_another_actor_is_refused(
    gateway: Gateway, recorders: Client, verb: str
) -> None:
    payout = await run_payout(recorders, gateway)
    answer = await payout.act(verb, {**BODIES[verb], "by": "chief"})
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["field"]) == ("unknown_field", "by")
    assert await payout.seen() == []
    assert await payout.words() == []
    await payout.workflow.signal(END)


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_a_word_is_recorded_for_the_content_and_the_rule_before_the_workflow_is_told(
    gateway: Gateway, recorders: Client, verb: str
) -> None:
    payout = await run_payout(recorders, gateway)
    await payout.act(verb)
    (row,) = await gateway.books.approvals(payout.id)
    payment = await gateway.books.payment(payout.id)
    assert payment is not None
    assert (row.principal, row.decision, row.role) == ("ana", verb, "approve-l1")
    assert (row.content_hash, row.rule_version) == (payment.content_hash, "v7")
    assert (row.channel, row.reason) == ("gateway", BODIES[verb]["reason"])
    if verb == "approve":
        assert (await payout.seen())[0]["content_hash"] == payment.content_hash
    await payout.workflow.signal(END)


async def test_the_role_on_record_is_the_one_that_the_rule_asks_for(
    gateway: Gateway, recorders: Client
) -> None:
    for role in ("approve-l1", "approve-l2"):
        rule = {"number": 1, "role": role, "version": "v1"}
        payout = await run_payout(recorders, gateway, approvals=rule)
        assert (await payout.act("approve", by="ben")).status_code == 200
        assert await payout.words() == [("ben", "approve", role)]
        await payout.workflow.signal(END)


async def test_whoever_created_a_payment_and_whoever_lacks_the_role_cannot_decide(
    gateway: Gateway, recorders: Client
) -> None:
    payout = await run_payout(recorders, gateway)
    for verb in ("approve", "deny"):
        for name in ("creator", "Creator", "chief"):
            answer = await payout.act(verb, by=name)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert await payout.words() == []
    assert await payout.seen() == []
    await payout.workflow.signal(END)


async def test_a_payment_that_went_on_and_lost_an_approval_takes_another_one_and_no_denial(
    gateway: Gateway, recorders: Client
) -> None:
    payout = await run_payout(recorders, gateway, state=PaymentState.RESERVED)
    for verb, name in (("deny", "ana"), ("approve", "ana"), ("approve", "ben")):
        await payout.act(verb, by=name)
    assert await payout.words() == [("ana", "approve", "approve-l1")], "then it has what it needs"
    assert len(await payout.seen()) == 3, "the workflow answers each"
    await payout.workflow.signal(END)


async def test_what_became_of_a_payment_is_recorded_only_where_that_is_asked(
    gateway: Gateway, recorders: Client
) -> None:
    payout = await run_payout(recorders, gateway, state=PaymentState.RESERVED)
    await payout.act("resolve")
    assert await payout.words() == []
    assert len(await payout.seen()) == 1, "the workflow says why not"
    await payout.workflow.signal(END)


async def test_an_approval_of_other_content_is_refused(gateway: Gateway, recorders: Client) -> None:
    payout = await run_payout(recorders, gateway)
    answer = await payout.act("approve", {"content_hash": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (409, "content_changed")
    assert await payout.words() == []
    await payout.workflow.signal(END)


@pytest.mark.parametrize("verb", list(BODIES))
async def test_the_same_action_again_gets_the_first_answer_also_at_once_and_after_the_end(
    gateway: Gateway, recorders: Client, verb: str
) -> None:
    payout = await run_payout(recorders, gateway)
    answers = await asyncio.gather(*(payout.act(verb) for _ in range(5)))
    await payout.workflow.signal(END)
    await payout.workflow.result()
    answers.append(await payout.act(verb))
    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {
        (200, "call 1")
    }
    assert len(await payout.seen()) == 1


async def test_two_people_are_two_words_and_two_actions(
    gateway: Gateway, recorders: Client
) -> None:
    payout = await run_payout(recorders, gateway)
    for name in ("ana", "ben"):
        await payout.act("approve", by=name)
    assert [seen["by"] for seen in await payout.seen()] == ["ana", "ben"]
    assert {word[0] for word in await payout.words()} == {"ana", "ben"}
    await payout.workflow.signal(END)


STATUSES = {
    Verdict.NOT_ALLOWED: 403,
    Verdict.TOO_LATE: 409,
    Verdict.NOT_WAITING: 409,
    Verdict.ALREADY_FINAL: 409,
    Verdict.APPROVED: 200,
    Verdict.DENIED: 200,
    Verdict.CANCELLED: 200,
    Verdict.RESOLVED: 200,
}


async def test_each_verdict_has_its_status_and_is_the_code_of_its_problem(
    gateway: Gateway, recorders: Client
) -> None:
    for verdict, status in STATUSES.items():
        payout = await run_payout(recorders, gateway)
        await payout.workflow.signal(ANSWER_WITH, verdict)
        answer = await payout.act("cancel")
        assert answer.status_code == status, verdict
        assert answer.json()["verdict" if status == 200 else "code"] == verdict
        assert answer.json()["detail"] == "call 1"
        await payout.workflow.signal(END)


async def test_an_answer_that_was_no_is_asked_for_again_once_the_payment_has_moved(
    gateway: Gateway, recorders: Client
) -> None:
    payout = await run_payout(recorders, gateway, state=PaymentState.RECEIVED)
    await payout.workflow.signal(ANSWER_WITH, Verdict.NOT_WAITING)
    early = await payout.act("approve")
    assert (early.status_code, early.json()["code"]) == (409, "not_waiting")
    await payout.workflow.signal(ANSWER_WITH, Verdict.APPROVED)
    late = [await payout.act("approve") for _ in range(2)]
    assert [answer.status_code for answer in late] == [200, 200]
    assert {answer.json()["detail"] for answer in late} == {"call 2"}
    await payout.workflow.signal(END)


async def test_an_action_on_an_unknown_payment_is_a_404(alone: Gateway) -> None:
    unknown = (new_payout_id(), "po_", "payout", "po_%00", "po_" + "x" * 30)
    for verb, payment_id in itertools.product(BODIES, unknown):
        path = f"/v1/payments/{payment_id}/{verb}"
        answer = await alone.as_(ACTORS[verb], "POST", path, json=BODIES[verb])
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")


@pytest.mark.parametrize("verb", list(BODIES))
async def test_an_action_on_a_payment_that_has_ended_says_where_it_stands(
    gateway: Gateway, recorders: Client, verb: str
) -> None:
    payout = await run_payout(recorders, gateway, state=PaymentState.CANCELLED)
    await payout.workflow.signal(END)
    await payout.workflow.result()
    answer = await payout.act(verb)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_final")
    assert "cancelled" in answer.json()["detail"]
    assert await payout.words() == []


async def test_an_action_on_a_payment_without_a_workflow_calls_for_operations(
    gateway: Gateway, recorders: Client
) -> None:
    payment_id = await register_payout(gateway.books)
    path = f"/v1/payments/{payment_id}/cancel"
    answer = await gateway.as_("operator", "POST", path, json=BODIES["cancel"])
    assert (answer.status_code, answer.json()["code"]) == (409, "not_running")
    assert "awaiting_approval" in answer.json()["detail"]


async def test_a_word_is_kept_while_temporal_is_down_and_told_when_the_call_is_repeated(
    books_url: str, temporal: LocalTemporal, recorders: Client, tmp_path: Path
) -> None:
    async with (
        Link.to(temporal.address, mended=False) as line,
        gateway_at(books_url, line.address, tmp_path) as gateway,
    ):
        payout = await run_payout(recorders, gateway)
        answer = await payout.act("approve")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert "recorded" in answer.json()["detail"]
        assert await payout.words() == [("ana", "approve", "approve-l1")]
        assert (await payout.act("cancel")).status_code == 503
        await line.mend()
        assert (await payout.act("approve")).status_code == 200
        assert [seen["verb"] for seen in await payout.seen()] == ["approve"]
        assert await payout.words() == [("ana", "approve", "approve-l1")]
        await payout.workflow.signal(END)


async def test_an_action_that_no_worker_answers_ends_in_time_and_may_be_repeated(
    gateway: Gateway, temporal: LocalTemporal
) -> None:
    payment_id = await register_payout(gateway.books)
    workflow = await temporal.client.start_workflow(
        names.PAYOUT_WORKFLOW, id=names.workflow_id(payment_id), task_queue="nobody-serves-this"
    )
    path = f"/v1/payments/{payment_id}/approve"
    answer = await gateway.as_("ana", "POST", path, json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    await workflow.terminate()
