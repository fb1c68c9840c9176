"""The desk: where a running payment takes what people and partners send it.

A payment's life runs in a task of its own, shielded from Temporal's native cancellation, which is
taken for what it can be: a wish to cancel, judged like any other. Handlers only put things on the
desk; the life takes them from there between its steps, so steps on the books never run side by
side. Whatever cannot be read is kept as a note on the payment's timeline.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityHandle

from activities.options import books
from activities.payments import PaymentActivities
from activities.terms import Acted, Note, NotOpened, Opened, Standing, Terms, Wish
from bursar import names
from bursar.actions import Action, Answer, Cancel
from bursar.payments import CANCELLABLE, WORTH_A_LOOK, PaymentResult, PaymentState
from workflows.received import action_of, printable
from workflows.shelter import sheltered

_AT_PARTNER = frozenset(
    {PaymentState.SUBMITTED, PaymentState.OUTCOME_UNKNOWN, PaymentState.IN_REVIEW}
)
"""States that a register which is all there never leaves for one before the claim."""

NOTES_MAX = 200
"""Remarks that one payment keeps: each costs history, of which a run may have only so much."""


@dataclass
class _OnDesk:
    """One wish, and who waits for its answer."""

    wish: Wish
    answer: asyncio.Future[Answer] | None


class Desk:
    """What every payment's workflow has in common: its standing, its desk, and its waiting."""

    def __init__(self) -> None:
        self._id = workflow.info().workflow_id.partition("/")[2]
        self._standing: Standing | None = None
        self._behind = False
        self._terms = Terms(content_hash="")
        self._wishes: deque[_OnDesk] = deque()
        self._notes: deque[Note] = deque()
        self._notes_taken = 0
        self._signalled: set[Wish] = set()
        self._news = False
        self._cancel_wished = False
        self._shown: PaymentState | None = None
        self._called_ops = False
        self._called_people = False
        self._native_cancels = 0

    # What arrives

    @workflow.signal(name=names.APPROVE)
    def approve(self, *received: Any) -> None:
        """Approve: {"by": "ana"}."""
        self._take(names.APPROVE, received)

    @workflow.signal(name=names.DENY)
    def deny(self, *received: Any) -> None:
        """Deny: {"by": "ana", "reason": "not ours"}."""
        self._take(names.DENY, received)

    @workflow.signal(name=names.CANCEL)
    def cancel(self, *received: Any) -> None:
        """Cancel: {"by": "ana", "reason": "paid by card"}."""
        self._take(names.CANCEL, received)

    @workflow.signal(name=names.RESOLVE)
    def resolve(self, *received: Any) -> None:
        """Decide a payment in review: by, confirmed_by, outcome, evidence."""
        self._take(names.RESOLVE, received)

    @workflow.signal(name=names.PARTNER_EVENT)
    def partner_event(self, *_received: Any) -> None:
        """Say that an event is stored; what it says is read from the books."""
        self._news = True

    @workflow.signal(name=names.CALL_OPS)
    def call_ops(self, *_received: Any) -> None:
        """Raise NeedsOps at once: a case is being opened, which the next step sees in the books."""
        if self._standing is not None:
            cases = max(self._standing.open_cases, 1)
            self._stand(self._standing.model_copy(update={"open_cases": cases}))

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _received: Sequence[RawValue]) -> None:
        """Keep a note of a signal that no payment knows."""
        self._note("unknown_signal", f"a signal named {name[:60]!r} means nothing to a payment")

    @workflow.update(name=names.APPROVE)
    async def approve_and_answer(self, *received: Any) -> Answer:
        """Approve, and say what came of it."""
        return await self._put_and_wait(action_of(names.APPROVE, received))

    @approve_and_answer.validator
    def _approve_fits(self, *received: Any) -> None:
        action_of(names.APPROVE, received)

    @workflow.update(name=names.DENY)
    async def deny_and_answer(self, *received: Any) -> Answer:
        """Deny, and say what came of it."""
        return await self._put_and_wait(action_of(names.DENY, received))

    @deny_and_answer.validator
    def _deny_fits(self, *received: Any) -> None:
        action_of(names.DENY, received)

    @workflow.update(name=names.CANCEL)
    async def cancel_and_answer(self, *received: Any) -> Answer:
        """Cancel, and say what came of it."""
        return await self._put_and_wait(action_of(names.CANCEL, received))

    @cancel_and_answer.validator
    def _cancel_fits(self, *received: Any) -> None:
        action_of(names.CANCEL, received)

    @workflow.update(name=names.RESOLVE)
    async def resolve_and_answer(self, *received: Any) -> Answer:
        """Decide a payment in review, and say what came of it."""
        return await self._put_and_wait(action_of(names.RESOLVE, received))

    @resolve_and_answer.validator
    def _resolve_fits(self, *received: Any) -> None:
        action_of(names.RESOLVE, received)

    @workflow.query(name="standing")
    def standing(self) -> Standing | None:
        """Return where the payment stands, and why."""
        return self._standing

    def _take(self, verb: str, received: Sequence[Any]) -> None:
        """Put a signal's wish on the desk; anything but one readable payload is a note."""
        try:
            action = action_of(verb, received)
        except ApplicationError as error:
            self._note("unreadable_signal", error.message)
        else:
            wish = self._wish(action, "signal")
            if wish not in self._signalled:  # the same again, before it is judged, says no more
                self._signalled.add(wish)
                self._wishes.append(_OnDesk(wish, None))

    async def _put_and_wait(self, action: Action) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._wishes.append(_OnDesk(self._wish(action, "update"), answer))
        return await answer

    def _wish(self, action: Action, channel: str) -> Wish:
        return Wish(payment_id=self._id, action=action, channel=channel)

    def _note(self, kind: str, detail: str) -> None:
        if self._notes_taken >= NOTES_MAX:
            return
        self._notes_taken += 1
        if self._notes_taken == NOTES_MAX:
            detail = "this is not the first; further ones are not kept"
        key = f"{self._id}/note/{self._notes_taken}"
        note = Note(payment_id=self._id, key=key, kind=kind, detail=printable(detail))
        self._notes.append(note)

    # The life

    async def _live(
        self,
        opening: Callable[[], Awaitable[Opened | NotOpened]],
        step: Callable[[PaymentState], Awaitable[None]],
    ) -> PaymentResult:
        """Open the payment and take step after step until it is final, whatever is cancelled."""
        result = await sheltered(self._steps(opening, step), self._cancelled_by_temporal)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    def _cancelled_by_temporal(self) -> None:
        """Take Temporal's own cancellation for a wish to cancel."""
        self._native_cancels += 1
        reason = printable(workflow.cancellation_reason() or "Temporal's cancellation")
        try:
            cancel = Cancel(by="temporal:cancel", reason=reason)
        except ValidationError:  # anybody may have written it; the wish itself still counts
            cancel = Cancel(by="temporal:cancel", reason="a reason that cannot be kept")
        self._wishes.append(_OnDesk(self._wish(cancel, "temporal"), None))

    async def _steps(
        self,
        opening: Callable[[], Awaitable[Opened | NotOpened]],
        step: Callable[[PaymentState], Awaitable[None]],
    ) -> PaymentResult:
        opened = await opening()
        if isinstance(opened, NotOpened):
            raise ApplicationError(opened.reason, type=opened.error, non_retryable=True)
        self._terms = opened.terms
        self._stand(opened.standing)
        while not self._now().final:
            await self._clear_desk()
            if not self._now().final:
                await step(self._now().state)
        while self._desk_is_full():
            await self._clear_desk()
        return self._now().result()

    def _now(self) -> Standing:
        if self._standing is None:
            raise RuntimeError("the payment is not open yet")
        return self._standing

    def _place(self) -> tuple[PaymentState, int]:
        """Return what of the standing a person's action may change."""
        return self._now().state, self._now().open_cases

    def _stand(self, standing: Standing) -> None:
        """Take note of where the payment stands, and show it to whoever looks."""
        if self._goes_back(standing):  # the sweeper compares what is shown with the register
            self._behind = True
            standing = self._now()
            self._show(standing)
        if standing.code is None and self._standing is not None:
            standing = standing.model_copy(update={"code": self._standing.code})
        self._standing = standing
        workflow.set_current_details(self._details(standing))
        calls_people = standing.open_cases > 0
        worth_a_look = standing.state in WORTH_A_LOOK or standing.overdue
        if standing.final or worth_a_look or calls_people or self._called_people:
            self._show(standing)
        self._called_people = calls_people

    def _goes_back(self, standing: Standing) -> bool:
        """Tell whether the register has lost the hand-over that this run has seen: restored books.

        The run takes no step on such a register; the sweeper stops all sending and replaces it.
        """
        seen = self._standing
        return seen is not None and seen.state in _AT_PARTNER and standing.state in CANCELLABLE

    def _show(self, standing: Standing) -> None:
        """Write the state into Temporal's index, at most once for each state."""
        needs_ops = (
            standing.state is PaymentState.IN_REVIEW or standing.overdue or standing.open_cases > 0
        )
        if standing.state is self._shown and needs_ops == self._called_ops:
            return
        updates: list[SearchAttributeUpdate[Any]] = [
            names.PAYMENT_STATE.value_set(standing.state.value)
        ]
        if needs_ops != self._called_ops:
            updates.append(names.NEEDS_OPS.value_set(needs_ops))
        deadline = self._deadline(standing.state)
        if deadline is not None:
            updates.append(names.DEADLINE.value_set(deadline))
        workflow.upsert_search_attributes(updates)
        self._shown, self._called_ops = standing.state, needs_ops

    def _deadline(self, state: PaymentState) -> datetime | None:
        if state is PaymentState.AWAITING_APPROVAL:
            return self._terms.approve_by
        return self._terms.execute_at if state is PaymentState.SCHEDULED else None

    def _details(self, standing: Standing) -> str:
        """Return what the Temporal UI shows: where it is, and who acts next."""
        need = self._terms.approvals
        waiting = {
            PaymentState.AWAITING_APPROVAL: "waits for "
            + (f"{need.number} approval(s) by {need.role}" if need else "approval"),
            PaymentState.SCHEDULED: f"waits until {self._terms.execute_at}",
            PaymentState.OUTCOME_UNKNOWN: "the partner is being asked what happened",
            PaymentState.IN_REVIEW: "**waits for a person** to resolve it with evidence",
            PaymentState.SUBMITTED: "waits for the partner's last word",
        }
        overdue = " · **overdue**" if standing.overdue else ""
        if standing.open_cases:
            overdue += f" · **{standing.open_cases} open case(s)**: `bursar cases list`"
        held = f"held back: **{standing.held}**" if standing.held else None
        return f"**{standing.state}** · {held or waiting.get(standing.state, 'goes on')}{overdue}"

    # Waiting

    async def _clear_desk(self, *, with_news: bool = True) -> None:
        """Act on everything that has arrived, one after the other."""
        if with_news and self._news:
            await self._take_news()
        while self._notes:
            await workflow.execute_local_activity_method(
                PaymentActivities.note, self._notes.popleft(), **books("Note what was sent")
            )
        while self._wishes:
            item = self._wishes.popleft()
            self._signalled.discard(item.wish)
            acted: Acted = await workflow.execute_local_activity_method(
                PaymentActivities.act, item.wish, **books(f"Judge: {item.wish.action.verb}")
            )
            self._cancel_wished |= acted.ask_partner
            if (acted.standing.state, acted.standing.open_cases) != self._place():
                self._stand(acted.standing)
            if item.answer is not None:
                item.answer.set_result(acted.answer)

    async def _go_on(self) -> None:
        """Take the payment out of its waiting for approval or for its time."""
        self._stand(
            await workflow.execute_local_activity_method(
                PaymentActivities.go_on, self._id, **books("Go on: schedule, hold or book")
            )
        )

    def _desk_is_full(self, with_news: bool = True) -> bool:
        return bool(self._wishes or self._notes or (with_news and self._news))

    async def _wait_until(self, moment: datetime | None, summary: str) -> bool:
        """Wait for something on the desk; True when the moment has come first."""
        if moment is None:
            await workflow.wait_condition(self._desk_is_full)
            return False
        left = moment - workflow.now()
        if left <= timedelta():
            return True
        try:
            await workflow.wait_condition(self._desk_is_full, timeout=left, timeout_summary=summary)
        except TimeoutError:
            return True
        return False

    async def _await_approval(self) -> None:
        """Wait for people; without enough of them in time the payment expires."""
        if await self._wait_until(self._terms.approve_by, "approval expires"):
            self._stand(
                await workflow.execute_local_activity_method(
                    PaymentActivities.expire, self._id, **books("Expire: no approval in time")
                )
            )

    async def _await_date(self) -> None:
        """Wait for the payment's own time."""
        if await self._wait_until(self._terms.execute_at, "time to execute"):
            await self._go_on()

    async def _attend(
        self,
        call: ActivityHandle[Standing],
        during: frozenset[PaymentState],
        *,
        with_news: bool = True,
    ) -> None:
        """Await a partner call, and meanwhile act on what arrives on the desk.

        When the desk takes the payment out of the states that the call is for, the call is given
        up: what it may have done is in the books, and is found there.
        """
        while not call.done() and self._now().state in during:
            await workflow.wait_condition(lambda: call.done() or self._desk_is_full(with_news))
            if not call.done():
                await self._clear_desk(with_news=with_news)
        if self._now().state not in during:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        else:
            self._stand(await call)

    async def _take_news(self) -> None:
        """Take account of what the partner has told; only payouts have a partner."""
        self._news = False
