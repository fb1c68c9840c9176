"""Interleaving: everything that may arrive at one payout in one workflow task, and in what state.

The server, the books, the workflows and the activities are the real ones. The worker that runs the
workflows is stopped while messages arrive, so that what arrived meanwhile comes in one task; the
bank answers when the test says so.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, cast

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.events import EventActivities
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.rules import ApprovalRule, Delays, Person, Rules
from bursar import PaymentState, PayoutRequest, names
from bursar.actions import Answer, Cancel
from bursar.reports import EventKind, PartnerEvent, RejectionCode
from ledger import accounts, postings
from ledger.changes import Change
from ledger.postgres import PostgresBooks
from partners.port import Partner
from tests.payments import a_payout
from tests.workflows.held import HeldBank, Script
from tests.workflows.situations import Situation
from workers.serving import WORKFLOWS

S = PaymentState
APPROVED_FROM = 1_000_00
TIMER_FIRED = EventType.EVENT_TYPE_TIMER_FIRED
PATIENCE_SECONDS = 200.0
RULES = Rules(
    trust_signal_actors=True,
    approvals=(ApprovalRule(number=1, role="approve-l1", amount_from_minor=APPROVED_FROM),),
    people=(
        Person(name="ana", roles=frozenset({"approve-l1", "resolve"})),
        Person(name="ben", roles=frozenset({"resolve"})),
    ),
    delays=Delays(
        approval_expires_after=3600,
        partner_call_timeout=200,
        submit_for=3600,
        ask_again_after=(0.01, 0.01),
        ask_for=0,
        poll_after=3600,
        overdue_after=7200,
    ),
)


@dataclass
class Case:
    """One payout in one situation, with what is sent to it, and what came of it."""

    situation: Situation
    arriving: tuple[str, ...]
    request: PayoutRequest
    script: Script
    handle: WorkflowHandle[Any, Any] | None = None
    updates: list[asyncio.Task[Answer | None]] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)
    history: WorkflowHistory | None = None
    state: PaymentState | None = None
    sends: int = 0

    @property
    def name(self) -> str:
        return f"{self.situation.name}: {' + '.join(self.arriving)}"


@dataclass
class Theatre:
    """Books, banks and a client, with the workers started and stopped by the test."""

    client: Client
    books: PostgresBooks
    banks: dict[str, HeldBank]

    @property
    def partners(self) -> dict[str, Partner]:
        return cast(dict[str, Partner], self.banks)

    def payments_worker(self) -> Worker:
        """Return the worker that runs the workflows and the steps on the books."""
        steps = PaymentActivities(self.books, self.partners, RULES)
        return Worker(
            self.client,
            task_queue=names.PAYMENTS_QUEUE,
            workflows=WORKFLOWS,
            activities=[*steps.all(), *EventActivities(self.books).all()],
            max_concurrent_workflow_tasks=16,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        )

    def partner_worker(self, name: str) -> Worker:
        """Return the worker that calls one bank."""
        return Worker(
            self.client,
            task_queue=names.partner_queue(name),
            activities=RailActivities(self.books, {name: self.partners[name]}).all(),
            max_concurrent_activities=2_000,
        )

    async def start(self, case: Case) -> None:
        """Start the run of a case."""
        self.banks[case.situation.partner].scripts[case.request.id] = case.script
        case.handle = await self.client.start_workflow(
            names.PAYOUT_WORKFLOW,
            case.request,
            id=names.workflow_id(case.request.id),
            task_queue=names.PAYMENTS_QUEUE,
        )

    async def state(self, case: Case) -> PaymentState | None:
        """Return where the register has the payout."""
        try:
            payment = await self.books.payment(case.request.id)
        except ConnectionError:  # a busy machine: it is asked again
            return None
        return payment.state if payment else None

    async def is_in_place(self, case: Case) -> bool:
        """Tell whether the payout waits where its situation says, and in Temporal too."""
        assert case.handle is not None
        if await self.state(case) is not case.situation.waits_in:
            return False
        if case.situation.asked and not case.script.asked.is_set():
            return False
        return await self.is_idle(case)

    async def is_idle(self, case: Case) -> bool:
        """Tell whether no workflow task is under way or due."""
        assert case.handle is not None
        described = (await case.handle.describe()).raw_description
        return not described.HasField("pending_workflow_task")

    async def is_handled(self, case: Case) -> bool:
        """Tell whether the run has taken up everything that was sent to it."""
        return all(update.done() for update in case.updates) and await self.is_idle(case)

    async def has_come(self, case: Case) -> bool:
        """Tell whether the bank's answer, or the timer's end, is in the history."""
        assert case.handle is not None
        if case.situation.timer_fires:
            history = await case.handle.fetch_history()
            return any(event.event_type == TIMER_FIRED for event in history.events)
        described = (await case.handle.describe()).raw_description
        return not described.pending_activities

    async def arrive(self, case: Case) -> None:
        """Send what arrives together, with the bank's answer before or after it."""
        if case.situation.released == "first":
            await self._release(case)
        for kind in case.arriving:
            await self.send(case, kind)
        if case.situation.released == "last":
            await self._release(case)
        if case.situation.timer_fires:
            await wait_for(case, self.has_come)

    async def _release(self, case: Case) -> None:
        case.script.may_reply.set()
        case.script.may_find.set()
        await wait_for(case, self.has_come)

    async def send(self, case: Case, kind: str) -> None:
        """Send one message; an update's answer is awaited later."""
        assert case.handle is not None
        cancel = Cancel(by=kind.replace(" ", "."), reason="a race")
        match kind:
            case "native cancel":
                await case.handle.cancel()
            case "cancel signal":
                await case.handle.signal(names.CANCEL, cancel)
            case "cancel update":
                case.updates.append(asyncio.create_task(_update(case.handle, cancel)))
            case _:
                await self._tell(case)

    async def _tell(self, case: Case) -> None:
        """Have the bank tell how the payout ended, where it knows it; and wake the run."""
        assert case.handle is not None
        if case.script.book == "accepted":
            case.script.book = "paid"
        kinds = {"paid": EventKind.PAID, "rejected": EventKind.FAILED}
        if case.script.book in kinds:
            await self.books.store_event(self._event(case, kinds[case.script.book]), b"{}", {})
        await case.handle.signal(names.PARTNER_EVENT, {"row_id": 0})

    def _event(self, case: Case, kind: EventKind) -> PartnerEvent:
        request = case.request
        return PartnerEvent(
            partner=case.situation.partner,
            event_id=f"evt-{request.id}",
            kind=kind,
            reference=f"{request.id}-1",
            partner_ref=f"b-{request.id}-1",
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency,
            code=RejectionCode.ACCOUNT_CLOSED if kind is EventKind.FAILED else None,
            occurred_at=datetime.now(UTC),
        )

    async def finish(self, case: Case) -> None:
        """Let the payout end, whatever it still waits for; keep its history and its state."""
        assert case.handle is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await case.handle.describe()).close_time is None:
                with suppress(RPCError, ConnectionError):  # it has just ended, or is asked again
                    await self._help(case)
                await asyncio.sleep(0.1)
        case.answers = [await update for update in case.updates]
        case.history = await case.handle.fetch_history()
        payment = await self.books.payment(case.request.id)
        case.state = payment.state if payment else None
        case.sends = self.banks[case.situation.partner].sends[case.request.id]

    async def _help(self, case: Case) -> None:
        """Do what ends the present wait: people cancel or resolve, the bank tells."""
        assert case.handle is not None
        case.script.may_reply.set()
        case.script.may_find.set()
        state = await self.state(case)
        if state in {S.AWAITING_APPROVAL, S.SCHEDULED}:
            await case.handle.signal(names.CANCEL, Cancel(by="closing", reason="the test ends"))
        elif state is S.SUBMITTED and case.script.book != "cancelled":
            await self._tell(case)
        elif state is S.IN_REVIEW:
            outcome = "paid" if case.script.book == "paid" else "accepted"
            decided = {"by": "ana", "confirmed_by": "ben", "outcome": outcome, "evidence": "line"}
            await case.handle.signal(names.RESOLVE, {**decided, "partner_ref": "b-1"})


async def _update(handle: WorkflowHandle[Any, Any], cancel: Cancel) -> Answer | None:
    """Return the answer to a cancel; None where the run had ended before it was taken up."""
    once = uuid.uuid4().hex
    while True:
        try:
            answer: Answer = await handle.execute_update(
                names.CANCEL, cancel, id=once, result_type=Answer
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:  # the server waits only so long: again
            continue
        except (RPCError, WorkflowUpdateFailedError):
            return None
        return answer


async def wait_for(case: Case, question: Callable[[Case], Awaitable[bool]]) -> None:
    """Ask about a case until the answer is yes; fail with its name when it never is."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await question(case):  # noqa: ASYNC110  it lives in other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{case.name}: never came to {question.__name__}") from None


def _request(situation: Situation) -> PayoutRequest:
    later = situation.execute_in
    request = a_payout(
        amount_minor=APPROVED_FROM if situation.needs_approval else 12_50,
        execute_at=datetime.now(UTC) + timedelta(seconds=later) if later else None,
    )
    return request.model_copy(update={"partner": situation.partner})


@asynccontextmanager
async def open_theatre(client: Client, books_url: str) -> AsyncIterator[Theatre]:
    """Open the books with two rails and a rich customer."""
    async with PostgresBooks.open(books_url) as books:
        for name in ("bank", "idle"):
            await books.open_accounts(accounts.rail_accounts(name, ["EUR"]))
        wallet = accounts.wallet("acme", "EUR")
        await books.open_accounts([accounts.wallet_account(wallet, "main")])
        await books.write(
            Change(
                key="deposit/acme",
                kind="deposit",
                actor="test",
                effective_on=date(2026, 3, 2),
                legs=postings.deposit(wallet, "bank", "EUR", amount_minor=10**12),
                evidence_id="line/1",
            )
        )
        yield Theatre(client, books, {name: HeldBank(name) for name in ("bank", "idle")})


async def play(
    theatre: Theatre, situation: Situation, arriving: Sequence[tuple[str, ...]]
) -> list[Case]:
    """Play a situation's cases: in place, stop the worker, send, start it again, let all end."""
    cases = [Case(situation, kinds, _request(situation), situation.script()) for kinds in arriving]
    idle = situation.partner == "idle"
    async with AsyncExitStack() as stack:
        if not idle:
            await stack.enter_async_context(theatre.partner_worker("bank"))
        if situation.waits_in is not None:
            async with theatre.payments_worker():
                await _each(cases, theatre.start)
                await _each(cases, partial(wait_for, question=theatre.is_in_place))
        else:
            await _each(cases, theatre.start)
        await _each(cases, theatre.arrive)
        await stack.enter_async_context(theatre.payments_worker())
        await _each(cases, partial(wait_for, question=theatre.is_handled))
        if idle:
            await stack.enter_async_context(theatre.partner_worker("idle"))
        await _each(cases, theatre.finish)
    return cases


async def _each(cases: Sequence[Case], step: Callable[[Case], Awaitable[None]]) -> None:
    """Take a step of every case, side by side."""
    await asyncio.gather(*(step(case) for case in cases))
