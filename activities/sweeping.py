"""The sweep: register and runs compared in both directions, and each difference dealt with.

Temporal's index only says where to look. What is decided is decided by a run's own description,
and by the register as it is after that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.conclusions import Conclusions, Evidence
from activities.decisions import cancellation
from activities.restored import Restored
from activities.runs import NO_ANSWER, NOT_SHOWN, OPEN, WAITING, is_wedged, request_of
from bursar import names
from bursar.payments import CANCELLABLE, FINAL, PaymentResult
from bursar.starts import start_run
from bursar.sweeps import Found, Position, RunsReport, Watermark
from ledger.books import Books, Payment
from ledger.changes import CaseOpened, Change
from ledger.oversight import Open, Oversight, Stuck
from ledger.rounds import LATE_AFTER

ACTOR = "bursar:sweeper"

PAGE = 200
AT_ONCE = 10
"""How many runs are asked for at the same time: a sweep must not crowd out payments."""
LOOKS_MAX = 2_000
"""How many payments one sweep looks at; the next one goes on from there."""
HISTORY_EVENTS_MAX = 9_000
"""A run with a longer history is replaced by a fresh one: Temporal takes 10,000 signals for one
run, and 51,200 events; an upset sender or a month's outage must not be what ends a payment."""
_FULL = RPCStatusCode.INVALID_ARGUMENT
"""What Temporal answers a signal of which a run has had too many."""
STUCK_MAX = 1_000
EVENT_WAITS_MAX = timedelta(minutes=15)
"""From so long on, an event that is not booked calls people."""
ALIKE_MAX = 20
"""From more than so many payments on that are stuck in one state with one partner, one case for
the one that is due longest calls people to all of them."""


@dataclass(frozen=True)
class Pace:
    """How the sweeper goes about it."""

    grace: timedelta = timedelta(seconds=60)
    """How long a payment has to be untouched, or a run open, before it is looked at."""
    check_grace: timedelta = LATE_AFTER
    """How long a worker has to be up before it calls people to checks that are late."""


class SweepActivities:
    """Looks, adopts what has lost its run, and calls people; each may be repeated."""

    def __init__(
        self, books: Books, oversight: Oversight, client: Client, pace: Pace | None = None
    ) -> None:
        self._books = books
        self._oversight = oversight
        self._client = client
        self._pace = pace or Pace()
        self._conclusions = Conclusions(books)
        self._restored = Restored(oversight)
        self._began_at = time.monotonic()

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (self.look_back, self.mark, self.look_at_runs, self.look_at_index, self.call)

    @activity.defn(name="sweep.look_back")
    async def look_back(self, mark: Watermark) -> str | None:
        """Stop all sending where the books have lost what an earlier sweep saw; say why."""
        return await self._restored.stop_if_behind(mark)

    @activity.defn(name="sweep.mark")
    async def mark(self, before: Watermark | None = None) -> Watermark | None:
        """Return the newest change of the books, for the next sweep to look for.

        Args:
            before: What an earlier sweep saw. A mark that is newer, of books that have lost it
                since this sweep began, would hide the loss: all sending is stopped, and there is
                no mark.

        And make sure that the periods which follow it are there. Where somebody reads the books
        just then the next sweep does it: there is room for millions of changes until then.
        """
        try:
            await self._oversight.make_periods()
        except ConnectionError as error:
            activity.logger.warning("the next periods of the books are not made yet: %s", error)
        newest = await self._oversight.watermark()  # first: what it is of is looked at after it
        behind = await self._restored.stop_if_behind(before) if before else None
        return None if behind else newest

    @activity.defn(name="sweep.runs")
    async def look_at_runs(self, start: Position | None) -> RunsReport:
        """Make sure that each payment that has not ended has a run that gets on."""
        report = RunsReport(next=start)
        while report.looked_at < LOOKS_MAX:
            page = await self._oversight.untouched(report.next, self._pace.grace, PAGE)
            if not page:
                return report.model_copy(update={"next": None})
            for number in range(0, len(page), AT_ONCE):
                part = page[number : number + AT_ONCE]
                found = await asyncio.gather(*map(self._look_safely, part))
                for payment, what in zip(part, found, strict=True):
                    report = _with(report, payment, what)
                activity.heartbeat()
        return report

    @activity.defn(name="sweep.index")
    async def look_at_index(self, everything: bool) -> Found:
        """Return the runs that go on although the register has no payment of theirs.

        Only runs that have shown no later state can be such, since all others were registered;
        everything is where that may be true no more, because the books were restored. Beside them
        those are looked at that wait for people: a run whose payment has ended is told so.
        """
        found = Found()
        query = OPEN if everything else f"{OPEN} AND ({NOT_SHOWN} OR {WAITING})"
        page: list[str] = []
        async for run in self._client.list_workflows(query, page_size=PAGE):
            page.append(run.id)
            if len(page) == PAGE:
                found = await self._look_at_page(found, page)
                page = []
        return await self._look_at_page(found, page)

    @activity.defn(name="sweep.call")
    async def call(self) -> Found:
        """Open a case for each payment past its time that has none, and raise its NeedsOps.

        One for the checks of the books, too, where they are past theirs.
        """
        found = Found()
        await self._call_to_checks()
        stuck = await self._oversight.stuck(STUCK_MAX)
        called = await self._oversight.groups_with_a_case() if stuck else {}
        for each in stuck:
            found = found.plus(each.id)
            crowd = each.alike > ALIKE_MAX
            called_at = called.get((each.state.value, each.partner))
            if crowd and (each.nth > 1 or (called_at is not None and called_at >= each.due_at)):
                continue  # who was called before the first of these was late has not heard of them
            await self._call(each, crowd=crowd)
            activity.heartbeat()
        await self._call_to_events()
        return found

    async def _call_to_events(self) -> None:
        """Open a case for what a workflow has taken and never booked: the run ended, or is wedged.

        The relay offers such an event again by and by; until it is booked, somebody has to know.
        """
        for event in await self._oversight.waiting_events(EVENT_WAITS_MAX, ALIKE_MAX):
            detail = (
                f"event {event.id} ({event.kind} of {event.partner}) is not in the books: look for"
                " its run in Temporal, at the worker's log, and at the gateway's where none took it"
            )
            if event.alike > ALIKE_MAX:
                detail += "; many more wait so"
            await self._books.write(
                Change(
                    key=f"event/{event.id}/waits/{event.redrives}/{event.cases}",
                    kind="case",
                    actor=ACTOR,
                    reason="an event waits for its run",
                    payment_id=event.payment_id,
                    effective_on=datetime.now(UTC).date(),
                    evidence_id=f"event/{event.event_id}",
                    case=CaseOpened(kind="event_waits", detail=detail),
                )
            )
            if event.alike > ALIKE_MAX:
                break

    async def _look_safely(self, payment: Open) -> str | None:
        """Look at one payment; where that fails, people are called to it, and no other waits.

        Raises:
            ConnectionError, RPCError: Books or Temporal do not answer, which is no payment's fault.
        """
        try:
            return await self._look(payment)
        except ConnectionError:
            raise
        except Exception as error:
            if isinstance(error, RPCError) and error.status in NO_ANSWER:
                raise
            activity.logger.exception("a look failed", extra={"payment_id": payment.id})
            detail = "the sweeper fails when it looks at it; the worker's log says how"
            now = await self._books.payment(payment.id)
            if now is not None:
                await self._open_case(now, "unreadable", detail, f"look/{payment.seq}")
            return "unreadable"

    async def _look(self, payment: Open) -> str | None:
        """Look at a payment's run, and give the payment one where it has none that gets on."""
        run = await self._describe(names.workflow_id(payment.id))
        now = await self._books.payment(payment.id)  # after the look: it may have just ended
        if now is None or now.state in FINAL:
            return None
        if run is None or run.status is WorkflowExecutionStatus.COMPLETED:
            return await self._adopt(now, run)
        shown = run.typed_search_attributes.get(names.PAYMENT_STATE)
        further = await self._restored.beside_a_run(now, shown, run.start_time)
        if further or run.status is not WorkflowExecutionStatus.RUNNING:
            return await self._adopt(now, run)
        if is_wedged(run):
            await self._call_to_wedged(run, now)
            return "wedged"
        if run.history_length > HISTORY_EVENTS_MAX:
            return await self._adopt(now, run)
        return None

    async def _adopt(self, payment: Payment, run: WorkflowExecutionDescription | None) -> str:
        """Start a run that goes on where the register says."""
        try:
            request = request_of(payment)
        except ValidationError as error:
            detail = f"no run can be started from its stored request: {error.error_count()} faults"
            await self._open_case(payment, "unreadable", detail, f"unreadable/{payment.seq}")
            return "unreadable"
        renews = run is not None and run.status is WorkflowExecutionStatus.RUNNING
        signal: tuple[str, Any] | None = None
        if run is not None and run.status is WorkflowExecutionStatus.COMPLETED:
            ended = await self._end_of(run)
            told = await self._restored.after_a_completed_run(payment, ended, run.start_time)
            if told is not None:
                signal = await self._cancel(payment, told)
        if signal is None and await self._books.open_cases(payment.id):
            signal = (names.CALL_OPS, None)
        if run is not None and renews:
            await self._end(run)
        try:
            reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE
            await start_run(self._client, request, reuse=reuse, signal=signal)
        except WorkflowAlreadyStartedError:
            return "raced"
        was = "missing" if run is None or run.status is None else run.status.name.lower()
        await self._books.add_note(
            payment.id,
            key=f"{payment.id}/adopted/{run.run_id if run else payment.seq}",
            actor=ACTOR,
            kind="adopted",
            detail=f"its run was {'replaced' if renews else was}; a new one goes on from"
            f" {payment.state}",
        )
        return "renewed" if renews else "adopted"

    async def _cancel(self, payment: Payment, told: str) -> tuple[str, Any]:
        """End a payment as it had ended, or return the signal that is to, past its commit point.

        A wish of a person would be judged by what restored books may have forgotten; here the end
        is known.
        """
        if payment.state in CANCELLABLE:
            await self._books.write(cancellation(payment, ACTOR, told))
        return names.CANCEL, {"by": ACTOR, "reason": told}

    async def _end(self, run: WorkflowExecutionDescription) -> None:
        """End this very run, never one that another sweep has started meanwhile."""
        handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
        try:
            await handle.terminate(reason="a fresh run goes on from the register")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        """Return the newest run of an id; None: Temporal does not know it."""
        try:
            return await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _end_of(self, run: WorkflowExecutionDescription) -> PaymentResult:
        handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
        return PaymentResult.model_validate(await handle.result(follow_runs=False))

    async def _look_at_page(self, found: Found, workflow_ids: Sequence[str]) -> Found:
        ids = [each.partition("/")[2] for each in workflow_ids]
        for payment_id in await self._oversight.ended(ids, self._pace.grace):
            await self._tell_ended(payment_id)
        return await self._unregistered(found, workflow_ids)

    async def _tell_ended(self, payment_id: str) -> None:
        """Have a run look at its payment, which has ended without it.

        A step that ends a payment commits before Temporal knows of it. If the worker dies between
        the two, and the update that had asked for the step is not asked again, nothing else would
        ever wake the run. A cancel changes nothing that has ended, and shows the run that it has.
        """
        reason = "its payment has ended, and the run has not heard of it"
        run = await self._describe(names.workflow_id(payment_id))
        if run is None or run.status is not WorkflowExecutionStatus.RUNNING:
            return
        wish = {"by": ACTOR, "reason": reason}
        if is_wedged(run) or await self._refusal(run.id, names.CANCEL, wish) is _FULL:
            await self._call_to_wedged(run, await self._books.payment(payment_id))

    async def _refusal(self, workflow_id: str, signal: str, *said: object) -> RPCStatusCode | None:
        """Signal a run; return why it took none: it has ended, or had all that Temporal allows."""
        try:
            await self._client.get_workflow_handle(workflow_id).signal(signal, args=said)
        except RPCError as error:
            if error.status not in {RPCStatusCode.NOT_FOUND, _FULL}:
                raise
            return error.status
        return None

    async def _unregistered(self, found: Found, workflow_ids: Sequence[str]) -> Found:
        """Add those runs that still go on and have no payment, some time after their start."""
        ids = {each.partition("/")[2]: each for each in workflow_ids}
        known = await self._oversight.registered(list(ids))
        for payment_id in sorted(ids.keys() - known):
            run = await self._describe(ids[payment_id])
            if run is None or run.status is not WorkflowExecutionStatus.RUNNING:
                continue
            old = datetime.now(UTC) - run.start_time > self._pace.grace
            if old and await self._books.payment(payment_id) is None:
                found = found.plus(run.id)
                activity.logger.warning("a run has no payment in the register: %s", run.id)
                if is_wedged(run):
                    await self._call_to_wedged(run, None)
        activity.heartbeat()
        return found

    async def _call(self, stuck: Stuck, *, crowd: bool) -> None:
        """Raise NeedsOps first: what fails between the two is done again with the next sweep."""
        payment = await self._books.payment(stuck.id)
        if payment is None or payment.seq != stuck.seq:
            return
        refusal = await self._refusal(names.workflow_id(stuck.id), names.CALL_OPS)
        if refusal is not None:
            activity.logger.warning("no run takes a call for %s: %s", stuck.id, refusal.name)
        detail = f"{stuck.state} past its time; due is that {stuck.next_action}"
        if crowd:
            detail += "; many more are: bursar payouts list --stuck"
        await self._open_case(payment, "stuck", detail, f"stuck/{stuck.seq}/{stuck.cases}")

    async def _call_to_checks(self) -> None:
        """Open a case where the books have not been checked for too long, and none is open."""
        if time.monotonic() - self._began_at < self._pace.check_grace.total_seconds():
            return
        late = await self._oversight.checks_late()
        if late is None:
            return
        calls = await self._oversight.calls("checks_late", None)
        if not calls.heard:
            await self._open_case(None, "checks_late", late, f"checks_late/{calls.cases}")

    async def _call_to_wedged(
        self, run: WorkflowExecutionDescription, payment: Payment | None
    ) -> None:
        """Open a case for a run that cannot get on, unless people have been called already.

        A bad release may wedge every run there is: beyond a few cases, more tell nothing new. All
        runs that the register does not know have one case together.
        """
        calls = await self._oversight.calls("wedged", payment.id if payment else None)
        if calls.heard or calls.open_alike > ALIKE_MAX:
            return
        detail = f"{run.id} fails again and again: look at the worker's log, and deploy a fix"
        if payment is None:
            detail += "; nothing is registered or booked yet: bursar sweep names all such runs"
        await self._open_case(payment, "wedged", detail, f"wedged/{run.run_id}/{calls.cases}")

    async def _open_case(
        self, payment: Payment | None, kind: str, detail: str, evidence: str
    ) -> None:
        proof = Evidence(actor=ACTOR, id=evidence)
        await self._conclusions.open_case(payment, kind, detail, proof)


def _with(report: RunsReport, payment: Open, what: str | None) -> RunsReport:
    """Return a report with one more payment that was looked at, and what came of it."""
    changes: dict[str, object] = {
        "looked_at": report.looked_at + 1,
        "next": Position(state=payment.state, created_at=payment.created_at, id=payment.id),
    }
    if what is not None and what != "raced":
        changes[what] = getattr(report, what).plus(payment.id)
    return report.model_copy(update=changes)
