"""Every interleaving around the commit point: in each state, whatever arrives in one task.

Native cancel, cancel signal, cancel update and partner event against each place where a payout
waits, with the bank's answer or the payout's timer in the same workflow task. Asserted on the real
histories, the books and the bank: no hand-over after a granted cancel, settling always follows
success, a hold is closed once, no run ends with one open, and every history replays (INV-08,
INV-15, INV-17, INV-23).

Played by default: each message alone in every situation, and four of the sixteen ordered pairs in
each, dealt so that any four situations in a row have all of them; `BURSAR_INTERLEAVE_SEED` deals
others. `BURSAR_INTERLEAVE=2` plays every pair everywhere, and `=3` every triple too.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.worker import Replayer

from bursar import PaymentState, Verdict
from bursar import temporal as connecting
from bursar.payments import FINAL
from ops.namespaces import make_namespace
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.ledger.steps import breaks
from tests.task_failures import task_failures
from tests.workflows.interleaving import Case, Theatre, open_theatre, play
from tests.workflows.situations import SITUATIONS, Situation, arrivals, spread
from workers.serving import WORKFLOWS

S = PaymentState
E = EventType
TOGETHER = os.environ.get("BURSAR_INTERLEAVE")
SEED = int(os.environ.get("BURSAR_INTERLEAVE_SEED", "1"))
SUBMIT = "payout.submit"
ARRIVED = frozenset(
    {
        E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    }
)


@pytest.fixture(scope="module")
async def database(postgres: LocalPostgres, template: str) -> str:
    """The writer's address of a database for all cases."""
    name = "interleavings"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgres.url(name, user=WRITER, password=LOGIN_PASSWORD)


@pytest.fixture(scope="module")
async def theatre(temporal: LocalTemporal, database: str) -> AsyncIterator[Theatre]:
    """Books, banks and a namespace for all cases."""
    namespace = temporal.unique("interleaving")
    await make_namespace(temporal.client, namespace)
    client = await connecting.connect(temporal.address, namespace)
    async with open_theatre(client, database) as theatre:
        yield theatre


def events(case: Case) -> list[HistoryEvent]:
    assert case.history is not None
    return list(case.history.events)


def step_of(event: HistoryEvent) -> tuple[str, dict[str, Any]] | None:
    """Return the local activity that an event records, and what it answered."""
    if event.event_type != E.EVENT_TYPE_MARKER_RECORDED:
        return None
    marker = event.marker_recorded_event_attributes
    told = marker.details["result"].payloads
    kind = json.loads(marker.details["data"].payloads[0].data)["activity_type"]
    return kind, json.loads(told[0].data) if told and told[0].data else {}


def acted(case: Case) -> Iterator[tuple[int, Verdict]]:
    """Yield where in its history each wish was judged, and how."""
    for index, event in enumerate(events(case)):
        step = step_of(event)
        if step is not None and step[0] == "payment.act":
            yield index, Verdict(step[1]["answer"]["verdict"])


def handed_over(case: Case) -> list[int]:
    """Return where in its history a hand-over to the bank was scheduled."""
    return [
        index
        for index, event in enumerate(events(case))
        if event.event_type == E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == SUBMIT
    ]


def commands_break(case: Case) -> str | None:
    """Say which promise the commands of a run break, or None."""
    if failures := task_failures(events(case)):
        return f"workflow tasks failed: {failures}"
    last = events(case)[-1].event_type
    if last != E.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        return f"the run ended otherwise than completed: {last}"
    granted = [index for index, verdict in acted(case) if verdict is Verdict.CANCELLED]
    submits = handed_over(case)
    if granted and any(index > granted[0] for index in submits):
        return "handed over after a granted cancel"
    if len(submits) > 1:
        return f"handed over {len(submits)} times"
    return None


def ends_break(case: Case) -> str | None:
    """Say how a payout's end and the bank's book differ, or None."""
    state, book, sends = case.state, case.script.book, case.sends
    if state not in FINAL:
        return f"its run has closed, and it is {state}"
    truth = {"paid": S.SETTLED, "rejected": S.FAILED, "cancelled": S.CANCELLED}
    expected = truth.get(book, S.CANCELLED)
    if state is not expected:
        return f"it is {state}, and {book} at the bank"
    if sends > 1 or (book == "nothing") != (sends == 0):
        return f"sent {sends} times, and {book} at the bank"
    for answer in case.answers:
        if answer is not None and answer.verdict is Verdict.CANCELLED and state is not S.CANCELLED:
            return f"told cancelled, and it is {state}"
    return None


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
async def test_whatever_arrives_together_the_commands_and_the_end_are_right(
    theatre: Theatre, database: str, situation: Situation
) -> None:
    arriving = arrivals(int(TOGETHER)) if TOGETHER else spread(situation, SEED)
    cases = await play(theatre, situation, arriving)
    broken = {case.name: commands_break(case) or ends_break(case) for case in cases}
    assert not {name: said for name, said in broken.items() if said}
    for case in cases:
        assert max(_together(case), default=0) >= _expected_together(case), (
            f"{case.name}: each message had a workflow task of its own, so nothing has raced"
        )
    await _all_replay(cases)
    await _books_are_right(cases, database)


async def _all_replay(cases: list[Case]) -> None:
    replayer = Replayer(workflows=WORKFLOWS, plugins=[connecting.plugin()])
    for case in cases:
        assert case.history is not None
        outcome = await replayer.replay_workflow(case.history, raise_on_replay_failure=False)
        assert outcome.replay_failure is None, f"{case.name}: {outcome.replay_failure}"


def _expected_together(case: Case) -> int:
    """Return how many messages have to be in one task; the server keeps one native cancel."""
    natives = case.arriving.count("native cancel")
    return len(case.arriving) - case.arriving.count("cancel update") - max(0, natives - 1)


def _together(case: Case) -> Iterator[int]:
    """Yield how many messages came between each two workflow tasks."""
    count = 0
    for event in events(case):
        count += event.event_type in ARRIVED
        if event.event_type == E.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            yield count
            count = 0


async def _books_are_right(cases: list[Case], database: str) -> None:
    """Assert that every hold was closed once, and every cancel that was not granted is kept."""
    connection = await asyncpg.connect(database)
    try:
        open_holds = await connection.fetch(
            "select * from holds where captured + released <> amount or captured * released <> 0"
        )
        held = await connection.fetchval("select coalesce(sum(abs(held)), 0) from balances")
        words = await connection.fetch(
            "select payment_id, actor from notes union select payment_id, actor from transitions"
        )
    finally:
        await connection.close()
    assert (open_holds, held) == ([], 0)
    kept = {(word["payment_id"], word["actor"]) for word in words}
    for case in cases:
        if "cancel signal" in case.arriving and case.state is not S.CANCELLED:
            assert (case.request.id, "cancel.signal") in kept, case.name
    assert await breaks(database) == []
